# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the secrets of Secrets Manager that hold projects' database passwords.

Versions of all secrets come with their list, a hundred to a call; values are fetched only for
passwords that must be set.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.model import (
    Credential,
    ProjectSpec,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.secret_content import (
    ListedSecret,
    content_of,
    credential_of,
    current_version,
    listed_secret,
    password_of,
    replaced,
)

_BATCH = 20
_PAGE = 100
# What answers where a role may read single secrets only, or an emulator knows no batches.
_NO_BATCH = {
    "AccessDeniedException",
    "InvalidAction",
    "UnknownOperationException",
    "InternalFailure",
}


class Secrets:
    """The secrets of Secrets Manager that projects' passwords are in."""

    def __init__(self, client: t.Any, tag_key: str, passwords: list[str]) -> None:
        """Use a client; tag_key is that of a tag by which the list is shortened, empty for none.

        Every password that is read is added to passwords, for the module to mask.
        """
        self._client = client
        self._tag_key = tag_key
        self._passwords = passwords

    def with_versions(self, wanted: t.Sequence[ProjectSpec]) -> list[ProjectSpec]:
        """Return the projects with the current version of each secret.

        Raises MlflowError for a secret that is missing, deleted or names another project.
        """
        needed = [
            (project, identity)
            for project in wanted
            for identity in project.kept
            # In check mode a secret may not exist yet.
            if identity.secret
        ]
        if not needed:
            return list(wanted)
        listed = self._listed()
        versions = {
            identity.secret: current_version(
                project, identity, self._known(listed, identity.secret)
            )
            for project, identity in needed
        }
        return [replaced(project, versions) for project in wanted]

    def credentials(self, owners: t.Mapping[str, str]) -> dict[str, Credential]:
        """Return the verifier of each secret's password; owners are the projects by secret."""
        names = list(owners)
        answers: list[t.Mapping[str, t.Any]] = []
        for start in range(0, len(names), _BATCH):
            answers += self._values(names[start : start + _BATCH], owners)
        found = {}
        for name, answer in zip(names, answers):
            password = password_of(owners[name], name, answer["SecretString"])
            self._passwords.append(password)
            found[name] = credential_of(owners[name], name, password, answer["VersionId"])
        return found

    def login(self, secret: str) -> tuple[str, str]:
        """Return user and password of the database's master secret."""
        with _aws.explained(f"read the database's secret {secret}", self._client):
            answer = self._client.get_secret_value(SecretId=secret)
        content = content_of(answer.get("SecretString", ""))
        password = content.get("password")
        if not isinstance(password, str) or not password:
            raise MlflowError(
                f"The database's secret {secret} has no key 'password'; name the master secret of the cluster."
            )
        self._passwords.append(password)
        return str(content.get("username", "")), password

    def _listed(self) -> dict[str, ListedSecret]:
        """Return what is known of each secret, by ARN and by name."""
        options: dict[str, t.Any] = {"IncludePlannedDeletion": True, "MaxResults": _PAGE}
        if self._tag_key:
            options["Filters"] = [{"Key": "tag-key", "Values": [self._tag_key]}]
        listed: dict[str, ListedSecret] = {}
        with _aws.explained("list the projects' secrets", self._client):
            token = None
            while token is None or token:
                page = self._client.list_secrets(
                    **options, **({"NextToken": token} if token else {})
                )
                for entry in page["SecretList"]:
                    known = listed_secret(entry, entry.get("SecretVersionsToStages"))
                    listed[entry["ARN"]] = listed[entry["Name"]] = known
                token = page.get("NextToken", "")
        return listed

    def _known(self, listed: t.Mapping[str, ListedSecret], secret: str) -> ListedSecret | None:
        """Return what is known of one secret; the list may lag behind, and miss other tags."""
        if secret in listed:
            return listed[secret]
        with _aws.explained(f"look at secret {secret}", self._client):
            try:
                entry = self._client.describe_secret(SecretId=secret)
            except self._client.exceptions.ResourceNotFoundException:
                return None
        return listed_secret(entry, entry.get("VersionIdsToStages"))

    def _values(
        self, names: t.Sequence[str], owners: t.Mapping[str, str]
    ) -> list[t.Mapping[str, t.Any]]:
        """Return the current values of up to twenty secrets, in order."""
        try:
            answer = self._client.batch_get_secret_value(SecretIdList=list(names))
        except self._client.exceptions.ClientError as error:
            if _aws.error_code(error) not in _NO_BATCH:
                with _aws.explained("read the projects' secrets", self._client):
                    raise
            answer = {}
        found = {}
        for value in answer.get("SecretValues", []):
            found[value["ARN"]] = found[value["Name"]] = value
        return [found.get(name) or self._value(name, owners[name]) for name in names]

    def _value(self, name: str, project: str) -> t.Mapping[str, t.Any]:
        """Return the current value of one secret."""
        with _aws.explained(f"read secret {name} of project '{project}'", self._client):
            answer: t.Mapping[str, t.Any] = self._client.get_secret_value(SecretId=name)
        return answer
