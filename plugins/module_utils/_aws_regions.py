# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: refuses names that are not AWS regions."""

from __future__ import annotations

import contextlib
import difflib
import functools
import re
import socket

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

with contextlib.suppress(ImportError):
    # Modules require boto3 first.
    import boto3
    from botocore.exceptions import DataNotFoundError
    from botocore.loaders import create_loader

REGION = re.compile(r"\.([a-z]{2,4}(?:-[a-z]+)+-\d+)\.")


def require_region(region: str, service: str) -> None:
    """Refuse a region that neither boto3 nor the internet's name servers know; empty passes.

    An emulator takes any name, and boto3 any that looks like one. A region that is newer than this
    boto3 is known by the address that AWS has there.
    """
    known = known_regions()
    if not region or not known or region in known or _has_address(region):
        return
    nearest = [*difflib.get_close_matches(region, known, 1, 0.0), "eu-central-1"][0]
    raise MlflowError(
        f"Cannot connect to AWS {service}: '{region}' is not an AWS region; did you mean {nearest}? If it "
        f"is newer than boto3 {boto3.__version__}, update boto3."
    )


@functools.lru_cache(maxsize=1)
def known_regions() -> tuple[str, ...]:
    """Return the regions of all partitions; none where this boto3 has no list of them."""
    try:
        partitions = create_loader().load_data("partitions")["partitions"]
    except DataNotFoundError:
        return ()
    return tuple(sorted(name for partition in partitions for name in partition["regions"]))


@functools.lru_cache(maxsize=8)
def _has_address(region: str) -> bool:
    """Return whether a name that looks like a region's has an address at AWS."""
    if not REGION.fullmatch(f".{region}."):
        return False
    try:
        return bool(socket.getaddrinfo(f"sts.{region}.amazonaws.com", 443))
    except OSError:
        return False
