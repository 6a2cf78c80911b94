# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what Secrets Manager says of a project's secret, and what the secret holds."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sql_text
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.model import (
    USER_TITLES,
    Credential,
    Identity,
    ProjectSpec,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.verifier import verifier

_CURRENT = "AWSCURRENT"


class ListedSecret(t.NamedTuple):
    """What the list says of one secret."""

    version: str
    deleted: bool


def replaced(project: ProjectSpec, versions: t.Mapping[str, str]) -> ProjectSpec:
    """Return a project whose identities have these versions of their secrets."""
    return project._replace(
        identities=tuple(
            identity._replace(version=versions.get(identity.secret, identity.version))
            for identity in project.identities
        )
    )


def listed_secret(
    entry: t.Mapping[str, t.Any], stages: t.Mapping[str, t.Sequence[str]] | None
) -> ListedSecret:
    """Return what an entry of a list says."""
    current = [version for version, names in (stages or {}).items() if _CURRENT in names]
    return ListedSecret(current[0] if current else "", bool(entry.get("DeletedDate")))


def current_version(project: ProjectSpec, identity: Identity, known: ListedSecret | None) -> str:
    """Return the current version of an identity's secret; refuse one that has none."""
    secret = (
        f"Project '{project.name}': the {USER_TITLES[identity.kind]}'s secret {identity.secret}"
    )
    if known is None:
        raise MlflowError(
            f"{secret} does not exist; run the backend playbook, which creates it. Nothing was changed."
        )
    if known.deleted:
        raise MlflowError(
            f"{secret} is deleted and in its recovery window; restore it with 'aws secretsmanager "
            f"restore-secret --secret-id {identity.secret}'. Nothing was changed."
        )
    if not known.version:
        raise MlflowError(f"{secret} has no current value; put one. Nothing was changed.")
    return _sound(secret, known.version)


def content_of(text: str) -> dict[str, t.Any]:
    """Return a secret's JSON object; anything else is an empty one."""
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def password_of(project: str, secret: str, text: str) -> str:
    """Return the password in a project's secret."""
    content = content_of(text)
    if content.get("project", project) != project:
        raise MlflowError(
            f"Project '{project}': secret {secret} belongs to project '{content['project']}'; name this "
            "project's secret. Nothing was changed."
        )
    password = content.get("password")
    if not isinstance(password, str):
        raise MlflowError(
            f"Project '{project}': secret {secret} is not a JSON object with a string 'password'; put one. "
            "Nothing was changed."
        )
    return password


def credential_of(project: str, secret: str, password: str, version: str) -> Credential:
    """Return the verifier of one password, and the version of its secret."""
    _sound(f"Project '{project}': secret {secret}", version)
    try:
        return Credential(verifier(password), version)
    except MlflowError as error:
        raise MlflowError(
            f"Project '{project}': the password in secret {secret} cannot be used ({error}); put another "
            "one. Nothing was changed."
        ) from None


def _sound(secret: str, version: str) -> str:
    """Return a secret's version; refuse one that is not fit for a statement. secret begins the sentence."""
    try:
        return sql_text.version(version)
    except MlflowError as error:
        raise MlflowError(
            f"{secret} cannot be used ({error}); put its value again, without a client request token. "
            "Nothing was changed."
        ) from None
