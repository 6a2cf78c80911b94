# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the one way to AWS: options, clients, and errors as sentences.

A module adds ARGUMENTS to its own options and the fragment ``mlops.mlflow_aws.aws`` to its
documentation, requires boto3 by BOTO3_ERROR, and wraps each call:

    with _aws.explained("read the stack 'mlflow'", client):
        client.describe_stacks(StackName="mlflow")
"""

from __future__ import annotations

import contextlib
import functools
import os
import traceback
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._aws_errors import (
    error_code,
    error_text,
    reason,
    tidy,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._aws_regions import require_region
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    BOTO3_ERROR = None
except ImportError:
    BOTO3_ERROR = traceback.format_exc()

__all__ = [
    "ARGUMENTS",
    "BOTO3_ERROR",
    "client",
    "error_code",
    "error_text",
    "explained",
]

ARGUMENTS: dict[str, t.Any] = {
    "region": {"type": "str"},
    "profile": {"type": "str"},
    "endpoint_url": {"type": "str"},
}

_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_ATTEMPTS = 5


def client(
    params: t.Mapping[str, t.Any], service: str, keys: t.Mapping[str, str] | None = None
) -> t.Any:
    """Return a boto3 client for a service from the options of ARGUMENTS.

    Each of its calls has a timeout. keys: credentials of an assumed role (see _aws_roles.py), instead
    of the profile's. Raises MlflowError if region, profile or configuration cannot be used;
    credentials are looked up by the first call.
    """
    endpoint = params.get("endpoint_url") or None
    settings: dict[str, t.Any] = {
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": _READ_SECONDS,
        "retries": {"mode": "standard", "total_max_attempts": _ATTEMPTS},
        "user_agent_extra": "mlops.mlflow_aws",
    }
    if endpoint:
        # Bucket names below the host name of an emulator or a VPC endpoint do not resolve.
        settings["s3"] = {"addressing_style": "path"}
    with explained(f"connect to AWS {service}"):
        # boto3 itself reads AWS_DEFAULT_REGION only, and a role passes an empty string for no region.
        region = params.get("region") or os.environ.get("AWS_REGION") or None
        session = _session(params.get("profile") or None, region)
        require_region(session.region_name or "", service)
        return session.client(
            service, endpoint_url=endpoint, config=Config(**settings), **(keys or {})
        )


@contextlib.contextmanager
def explained(doing: str, connection: t.Any = None) -> t.Iterator[None]:
    """Turn every error of AWS into one MlflowError: 'Cannot DOING: reason; what to do.'.

    connection is the client in use, by which the sentence can name service and region.
    """
    try:
        yield
    except _errors() as error:
        raise MlflowError(f"Cannot {doing}: {reason(error, connection)}.") from None
    except ValueError as error:
        # botocore does not wrap what urllib says of an address such as "localhost:4566".
        if "endpoint" not in str(error).lower():
            raise
        raise MlflowError(
            f"Cannot {doing}: {tidy(error)}; write the endpoint as http://HOST:PORT."
        ) from None


@functools.lru_cache(maxsize=8)
def _session(profile: str | None, region: str | None) -> t.Any:
    """Return one session for all clients, so that its credentials are fetched once."""
    return boto3.session.Session(profile_name=profile, region_name=region)


def _errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that boto3 raises."""
    return (BotoCoreError, ClientError, ResponseParserError) if BOTO3_ERROR is None else ()
