# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: makes the backend record of kind aws from what the stacks tell.

The record names secrets and never holds one. Its keys:

    kind          aws
    region        text; the region of the stacks
    artifact_root text; URI of the bucket
    database      dictionary: host, port, cluster_arn, secret (ARN of the master secret), username
    relay         dictionary: group (name of its Auto Scaling group) and document (name of the
                  session document), empty where the stack has no relay
    projects      by name: backend_store_uri (without user), artifacts_destination, database
                  (secret, user, ca, and tunnel where there is one) and aws (region,
                  endpoint_url, role_arn, key_parameter) of its servers
    schemas       list: name, uri, database (as of the projects) of the migrator
    kept          list: name and place (schema and artifacts) of projects that have an identity on the
                  stack, but no entry
    root_keys     list: name and parameter (name of the SSM parameter) of each project's root key; empty
                  where an older release deployed the stack, whose servers then go on without one
    kms_key       text; ARN of the key that encrypts them
    identities    list: name, state, schema, runtime and migrator (each user and secret), of the
                  projects that are to go too

Where the stacks are not there yet, in a first check mode run, what they would tell is empty.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import (
    records as stack_records,
)

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
    backend: t.Mapping[str, str],
    projects: t.Mapping[str, str],
    connection: Connection,
) -> dict[str, t.Any]:
    """Return the backend record; backend and projects are the outputs of the two stacks.

    Raises MlflowError where the projects stack lacks one of the projects.
    """
    known = stack_records.projects(projects)
    states = {str(item["name"]): str(item["state"]) for item in records}
    names = [name for name, state in states.items() if state != "absent"]
    missing = sorted(set(names) - set(known)) if projects else []
    if missing:
        raise MlflowError(
            f"The projects stack has no {', '.join(missing)}: run the projects playbook first, also where "
            "another inventory with this backend removed it (state: absent)."
        )
    places = {name: known.get(name, _NOTHING) for name in names}
    server = f"mysql+pymysql://{backend.get('DatabaseEndpoint', '')}:{backend.get('DatabasePort', '3306')}"
    root = backend.get("ArtifactRoot", "")
    return {
        "kind": "aws",
        "region": connection.region,
        "artifact_root": root,
        "database": {
            "host": backend.get("DatabaseEndpoint", ""),
            "port": int(backend.get("DatabasePort", "3306")),
            "cluster_arn": backend.get("DatabaseClusterArn", ""),
            "secret": backend.get("DatabaseSecretArn", ""),
            "username": backend.get("DatabaseUsername", ""),
        },
        "relay": {
            "group": backend.get("RelayAutoScalingGroup", ""),
            "document": backend.get("RelayDocument", ""),
        },
        "projects": {
            name: {
                "backend_store_uri": f"{server}/{_names.schema_name(name)}",
                "artifacts_destination": f"{root}/projects/{name}",
                "database": _identity(
                    _names.runtime_user(name), place["runtime_secret"], connection
                ),
                "aws": {
                    "region": connection.region,
                    "endpoint_url": connection.endpoint_url,
                    "role_arn": place["role"],
                    "key_parameter": place.get("key", ""),
                },
            }
            for name, place in places.items()
        },
        "schemas": [
            {
                "name": name,
                "uri": f"{server}/{_names.schema_name(name)}",
                "database": _identity(
                    _names.migrator_user(name), place["migrator_secret"], connection
                ),
            }
            for name, place in places.items()
        ],
        "kept": [
            {
                "name": name,
                "place": f"schema {_names.schema_name(name)}, {root}/projects/{name}",
            }
            for name in sorted(set(known) - set(states))
        ],
        "root_keys": [
            {"name": name, "parameter": place.get("key", "")} for name, place in places.items()
        ],
        "kms_key": backend.get("KmsKeyArn", ""),
        "identities": [
            {
                "name": name,
                "state": "absent" if state == "absent" else "present",
                "schema": _names.schema_name(name),
                "runtime": {
                    "user": _names.runtime_user(name),
                    "secret": places.get(name, _NOTHING)["runtime_secret"],
                },
                "migrator": {
                    "user": _names.migrator_user(name),
                    "secret": places.get(name, _NOTHING)["migrator_secret"],
                },
            }
            for name, state in states.items()
        ],
    }


def _identity(user: str, secret: str, connection: Connection) -> dict[str, str]:
    """Return a database identity as settings take it."""
    tunnel = {"tunnel": connection.tunnel} if connection.tunnel else {}
    return {"secret": secret, "user": user, "ca": connection.ca, **tunnel}
