# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the projects' root keys in AWS Systems Manager.

A key is created once and never read here; only its project's servers can read it. Existing keys
are listed fifty at a time, without their values.
"""

from __future__ import annotations

import base64
import secrets
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

_BATCH = 50
_BYTES = 32
_SECURE = "SecureString"
_EXISTS = "ParameterAlreadyExists"


class Keys:
    """The root keys of projects, as parameters that are encrypted by one KMS key."""

    def __init__(self, client: t.Any) -> None:
        """Use a client of SSM."""
        self._client = client
        self.made: list[str] = []

    def missing(self, names: t.Sequence[str]) -> list[str]:
        """Return the parameters that do not exist; refuse one that is not encrypted."""
        found: dict[str, str] = {}
        with _aws.explained("list the projects' keys", self._client):
            pages = self._client.get_paginator("describe_parameters")
            for start in range(0, len(names), _BATCH):
                wanted = {
                    "Key": "Name",
                    "Option": "Equals",
                    "Values": names[start : start + _BATCH],
                }
                # Ten to a page otherwise.
                sizes = {"PageSize": _BATCH}
                for page in pages.paginate(ParameterFilters=[wanted], PaginationConfig=sizes):
                    found |= {item["Name"]: item["Type"] for item in page["Parameters"]}
        for name, kind in found.items():
            if kind != _SECURE:
                raise MlflowError(
                    f"The parameter {name} is a {kind} and must be a SecureString; move its value elsewhere "
                    "and delete it."
                )
        return [name for name in names if name not in found]

    def make(self, name: str, kms_key: str, project: str) -> bool:
        """Create one key; return whether it was created, and not by another run in the meantime."""
        key = base64.b64encode(secrets.token_bytes(_BYTES)).decode("ascii")
        self.made.append(key)
        with _aws.explained(f"create the key {name} of project '{project}'", self._client):
            try:
                self._client.put_parameter(
                    Name=name,
                    Description=f"Root key of the MLflow project {project}; without it, encrypted data is lost",
                    Value=key,
                    Type=_SECURE,
                    KeyId=kms_key,
                    Overwrite=False,
                )
            except self._client.exceptions.ClientError as error:
                if _aws.error_code(error) != _EXISTS:
                    raise
                return False
        return True
