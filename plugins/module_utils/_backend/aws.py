# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the backend record of kind aws, made from the outputs of the stacks.

The record names secrets and never holds one. Its keys:

    kind          aws
    region        text; the region of the stacks
    artifact_root text; URI of the bucket
    database      dictionary: host, port, cluster_arn, secret (ARN of the master secret), username
    relay         dictionary: group (name of its Auto Scaling group) and document (name of the
                  session document), empty if the stack has no relay
    projects      by name: backend_store_uri (without user), artifacts_destination, database
                  (secret, empty if there is none, user, ca, login if it is iam, and tunnel if
                  there is one) and aws (region,
                  endpoint_url, role_arn, key_parameter) of its servers
    schemas       list: name, uri, database (as of the projects) of the migrator
    kept          list: name and place (schema and artifacts) of projects that have an identity on the
                  stack, but no entry
    root_keys     list: name and parameter (name of the SSM parameter) of each project's root key; empty
                  if an older release deployed the stack, whose servers then run without one
    migration_role  text; ARN of the role by which migrations log in to the database; empty if an older
                  release deployed the stack
    kms_key       text; ARN of the key that encrypts them
    identities    list: name, state, schema, runtime (the server user) and migrator (each user,
                  secret and login), of projects in the state absent too

If the stacks do not exist yet, in a first check mode run, what they would report is empty.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.projects import projects_of

Record = t.Dict[str, t.Any]
Outputs = t.Mapping[str, str]

_NOTHING = {"runtime_secret": "", "migrator_secret": "", "role": "", "key": ""}


class Connection(t.NamedTuple):
    """How servers reach AWS: region, an endpoint instead of AWS's own or "", and the database.

    ca is PEM text; empty means the bundle that comes with the image. tunnel is HOST:PORT, where on
    the host a tunnel to the database ends; empty means that there is none.
    """

    region: str
    endpoint_url: str
    ca: str
    tunnel: str


def record(
    records: t.Iterable[t.Mapping[str, t.Any]],
    backend: Outputs,
    projects: Outputs,
    connection: Connection,
) -> Record:
    """Return the backend record; backend is the outputs of its stack, projects those of the projects' stacks.

    Raises MlflowError if none of these stacks has one of the projects.
    """
    known = projects_of(projects)
    states = {str(item["name"]): str(item["state"]) for item in records}
    names = [name for name, state in states.items() if state != "absent"]
    # Before a first deploy, check mode knows nothing of either.
    if backend or projects:
        _require_known(names, known)
    places = {name: known.get(name, _NOTHING) for name in names}
    root = backend.get("ArtifactRoot", "")
    return {
        "kind": "aws",
        "region": connection.region,
        "artifact_root": root,
        "database": _database(backend),
        "relay": {
            "group": backend.get("RelayAutoScalingGroup", ""),
            "document": backend.get("RelayDocument", ""),
        },
        "projects": {
            name: _project(name, place, backend, connection) for name, place in places.items()
        },
        "schemas": [_schema(name, place, backend, connection) for name, place in places.items()],
        "kept": [
            {"name": name, "place": f"schema {_names.schema_name(name)}, {root}/projects/{name}"}
            for name in sorted(set(known) - set(states))
        ],
        "root_keys": [
            {"name": name, "parameter": place.get("key", "")} for name, place in places.items()
        ],
        "migration_role": backend.get("MigrationRoleArn", ""),
        "kms_key": backend.get("KmsKeyArn", ""),
        "identities": [
            _identities(name, state, places.get(name, _NOTHING)) for name, state in states.items()
        ],
    }


def _require_known(names: t.Iterable[str], known: t.Container[str]) -> None:
    """Refuse projects that no stack has."""
    missing = sorted(name for name in names if name not in known)
    if missing:
        raise MlflowError(
            f"The projects' stacks do not have {', '.join(missing)}; run the projects playbook first. Another "
            "inventory of this backend may have removed them (state: absent)."
        )


def _database(backend: Outputs) -> Record:
    """Return the database of the backend's stack."""
    return {
        "host": backend.get("DatabaseEndpoint", ""),
        "port": int(backend.get("DatabasePort", "3306")),
        "cluster_arn": backend.get("DatabaseClusterArn", ""),
        "secret": backend.get("DatabaseSecretArn", ""),
        "username": backend.get("DatabaseUsername", ""),
    }


def _uri(name: str, backend: Outputs) -> str:
    """Return the URI of a project's schema, without user."""
    host, port = backend.get("DatabaseEndpoint", ""), backend.get("DatabasePort", "3306")
    return f"mysql+pymysql://{host}:{port}/{_names.schema_name(name)}"


def _project(name: str, place: Outputs, backend: Outputs, connection: Connection) -> Record:
    """Return what the servers of a project need."""
    return {
        "backend_store_uri": _uri(name, backend),
        "artifacts_destination": f"{backend.get('ArtifactRoot', '')}/projects/{name}",
        "database": {
            **_login(_names.runtime_user(name), place["runtime_secret"], connection),
            **({"login": "iam"} if _by_iam(place) else {}),
        },
        "aws": {
            "region": connection.region,
            "endpoint_url": connection.endpoint_url,
            "role_arn": place["role"],
            "key_parameter": place.get("key", ""),
        },
    }


def _schema(name: str, place: Outputs, backend: Outputs, connection: Connection) -> Record:
    """Return what a migration of a project's schema needs."""
    return {
        "name": name,
        "uri": _uri(name, backend),
        "database": _login(
            _names.migrator_user(name),
            "" if _by_iam(place) else place["migrator_secret"],
            connection,
        ),
    }


def _identities(name: str, state: str, place: Outputs) -> Record:
    """Return a project as mlflow_project_schema takes it."""
    login = "iam" if _by_iam(place) else "password"
    return {
        "name": name,
        "state": state if state in ("archived", "absent") else "present",
        "schema": _names.schema_name(name),
        "runtime": {
            "user": _names.runtime_user(name),
            "secret": place["runtime_secret"],
            "login": login,
        },
        "migrator": {
            "user": _names.migrator_user(name),
            "secret": place["migrator_secret"],
            "login": login,
        },
    }


def _by_iam(place: Outputs) -> bool:
    """Return whether a project's database users log in with IAM; older stacks know passwords only."""
    return place.get("login") in ("iam", "either")


def _login(user: str, secret: str, connection: Connection) -> dict[str, str]:
    """Return a database user as settings take it."""
    tunnel = {"tunnel": connection.tunnel} if connection.tunnel else {}
    return {"secret": secret, "user": user, "ca": connection.ca, **tunnel}
