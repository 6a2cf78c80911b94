# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the options of mlflow_project_schema, and what they ask for."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _names
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.checks import require_sound
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.data_api import (
    DataApiTransport,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.database import Transport
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.manager import converge
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.model import (
    IAM,
    PASSWORD,
    USER_TITLES,
    Identity,
    ProjectSpec,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.mysql import (
    Login,
    MysqlTransport,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.secrets import Secrets

_TEXT = {"type": "str", "default": ""}
# The name of a secret, which is none.
_SECRET = {**_TEXT, "no_log": False}
_IDENTITY = {
    "type": "dict",
    "default": {},
    "options": {
        "user": {"type": "str"},
        "secret": _SECRET,
        "login": {"type": "str", "choices": [PASSWORD, IAM], "default": PASSWORD},
    },
}
_PROJECT = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "archived", "absent"], "default": "present"},
    "schema": {"type": "str"},
    "force_drop": _TEXT,
    "runtime": _IDENTITY,
    "migrator": _IDENTITY,
}
# How the database is reached as its administrator.
TRANSPORT: dict[str, t.Any] = {
    "transport": {"type": "str", "choices": ["mysql", "data_api"], "default": "mysql"},
    "login_host": _TEXT,
    "login_port": {"type": "int", "default": 3306},
    "login_user": _TEXT,
    "login_password": {"type": "str", "no_log": True},
    "login_secret": _SECRET,
    "login_ca": _TEXT,
    "login_tls_name": _TEXT,
    "cluster_arn": _TEXT,
    "timeout": {"type": "int", "default": 240},
}
ARGUMENTS: dict[str, t.Any] = {
    "projects": {"type": "list", "elements": "dict", "required": True, "options": _PROJECT},
    "secret_tag_key": {"type": "str", "default": "mlflow-project", "no_log": False},
    "retain_old_password": {"type": "int", "default": 3600, "no_log": False},
    **TRANSPORT,
    **_aws.ARGUMENTS,
}
_USERS = {"migrator": _names.migrator_user, "runtime": _names.runtime_user}


def converge_projects(
    params: t.Mapping[str, t.Any], passwords: list[str], *, check_mode: bool
) -> dict[str, t.Any]:
    """Return the module's result; adds every password that is read to passwords."""
    wanted = [_project(options) for options in params["projects"]]
    require_sound(wanted)
    address = "cluster_arn" if params["transport"] == "data_api" else "login_host"
    if not params[address] and not check_mode:
        raise MlflowError(
            f"There is no database yet; run the backend playbook, or set {address} to its address."
        )
    if not check_mode:
        _require_secrets(wanted)
    client = _aws.client(params, "secretsmanager")
    secrets = Secrets(client, params["secret_tag_key"], passwords)
    wanted = secrets.with_versions(wanted)
    transport = transport_of(params, secrets) if params[address] else None
    done = converge(
        transport,
        wanted,
        fetch=secrets.credentials,
        retain=params["retain_old_password"],
        timeout=params["timeout"],
        check_mode=check_mode,
    )
    return {
        **done._asdict(),
        "waited": round(transport.waited) if transport else 0,
        "statements": transport.statements if transport else 0,
    }


def _project(options: t.Mapping[str, t.Any]) -> ProjectSpec:
    """Return one project as wanted from its options."""
    name = str(options["name"])
    identities = []
    for kind, default in _USERS.items():
        given = options[kind] or {}
        user = str(given.get("user") or default(name))
        login = str(given.get("login") or PASSWORD)
        # A secret that is not used is not looked at either.
        secret = "" if login == IAM else str(given.get("secret") or "")
        identities.append(Identity(kind, user, secret, login=login))
    return ProjectSpec(
        name,
        str(options["schema"] or _names.schema_name(name)),
        tuple(identities),
        str(options["state"]),
        str(options["force_drop"] or ""),
    )


def _require_secrets(wanted: t.Iterable[ProjectSpec]) -> None:
    """Refuse an identity that logs in with a password and has no secret."""
    for project in wanted:
        for identity in project.kept:
            if identity.login != IAM and not identity.secret:
                raise MlflowError(
                    f"Project '{project.name}': its {USER_TITLES[identity.kind]} has no secret; run the backend "
                    "playbook, which creates it."
                )


def transport_of(params: t.Mapping[str, t.Any], secrets: Secrets) -> Transport:
    """Return the way to the database."""
    if params["transport"] == "data_api":
        client = _aws.client(params, "rds-data")
        return DataApiTransport(
            client, params["cluster_arn"], params["login_secret"], params["timeout"]
        )
    user, password = params["login_user"], params["login_password"] or ""
    if params["login_secret"]:
        named, password = secrets.login(params["login_secret"])
        user = user or named
    login = Login(
        params["login_host"],
        params["login_port"],
        user,
        password,
        params["login_ca"],
        params["login_tls_name"],
    )
    return MysqlTransport(login, params["timeout"])
