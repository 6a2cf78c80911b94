# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: takes on a role for calls that the caller's own identity is too wide for."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._wait import wait

# AWS may refuse a role for some seconds after it was made.
_NEW_SECONDS = 15.0
_PAUSE_SECONDS = 3.0
# AWS's limit for a role that is assumed by another one.
_SESSION_SECONDS = 3600


def assume(params: t.Mapping[str, t.Any], role_arn: str, session: str) -> dict[str, str]:
    """Return the credentials of a role, as _aws.client() takes them.

    params: the options of ARGUMENTS; session: the name under which AWS records what is done with them.
    """
    sts = _aws.client(params, "sts")
    denied: list[Exception] = []

    def attempt() -> dict[str, str] | None:
        try:
            return _keys(sts, role_arn, session)
        except Exception as error:
            if _aws.error_code(error) != "AccessDenied":
                raise
            denied.append(error)
            return None

    deadline = time.monotonic() + _NEW_SECONDS
    with _aws.explained(f"assume the role {role_arn}", sts):
        return wait(attempt, deadline, lambda: denied[-1], _PAUSE_SECONDS)


def _keys(sts: t.Any, role_arn: str, session: str) -> dict[str, str]:
    """Call AWS once."""
    answer = sts.assume_role(
        RoleArn=role_arn, RoleSessionName=session, DurationSeconds=_SESSION_SECONDS
    )
    return client_keys(answer["Credentials"])


def client_keys(credentials: t.Mapping[str, str]) -> dict[str, str]:
    """Return the credentials of an answer of STS, as _aws.client() takes them."""
    return {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }
