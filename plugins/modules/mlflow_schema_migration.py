#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_schema_migration
short_description: Bring projects' schemas to the revision of the MLflow that serves them
version_added: 0.1.0
description:
  - Classifies all schemas first and refuses, before any is touched, what must not be migrated. That is
    a file that is no database, a database of something else, or a schema that a newer MLflow wrote.
  - Creates empty schemas and migrates older ones. A migration of an SQLite file works on a copy that takes the
    original's place when it is complete; the original stays beside it as a backup.
  - MySQL schemas are migrated in place, several at once and each under a lock of the database. One that cannot be
    migrated fails the module after all others were.
  - Servers of older schemas must be stopped before, as their writes during the migration would be lost.
    The role P(mlops.mlflow_aws.mlflow_project#role) does that.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_project_schema
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.docker
  - mlops.mlflow_aws.docker.placement
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  schemas:
    description: The schemas to bring to the head revision, all of them SQLite files or all of them MySQL's.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The project's name.
        type: str
        required: true
      uri:
        description: SQLAlchemy URI of the database, C(sqlite:////PATH) or C(mysql+pymysql://HOST:PORT/SCHEMA).
        type: str
        required: true
      database:
        description: The migrator at a MySQL database. It holds names; MLflow reads the password itself.
        type: dict
        version_added: 0.2.0
        suboptions:
          secret:
            description: ARN or name of the Secrets Manager secret whose JSON holds C(password).
            type: str
            required: true
          user:
            description: User of the database.
            type: str
            required: true
          ca:
            description: Certificates (PEM) that the database's must lead to; empty for those of Amazon RDS.
            type: str
            default: ""
          tunnel:
            description: Where on the host a tunnel to the database ends, as C(HOST:PORT). TLS still verifies the host
              of the URI.
            type: str
  found:
    description:
      - What there is in the MySQL schemas, as the C(projects) returned by M(mlops.mlflow_aws.mlflow_project_schema).
      - A schema without a record here is looked at by MLflow alone, when it migrates.
    type: list
    elements: dict
    default: []
    version_added: 0.2.0
  mlflow:
    description:
      - What the MLflow that will serve MySQL schemas knows, as in C(docker/mlflow.json) of this collection.
      - Without it what the MLflow at O(entrypoint) told when it was installed.
    type: dict
    default: {}
    version_added: 0.2.0
  repair:
    description:
      - Names of MySQL schemas that are emptied and made anew where a migration broke off in them.
      - One that holds data is refused all the same.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  aws:
    description: Identity at AWS with which MLflow reads the secrets of MySQL schemas.
    type: dict
    version_added: 0.2.0
    suboptions:
      region:
        description: The region.
        type: str
        required: true
      endpoint_url:
        description: Where to reach AWS's services; empty for AWS's own addresses.
        type: str
        default: ""
      role_arn:
        description: The role to become; empty for the identity that the host or O(aws_config_dir) gives.
        type: str
        default: ""
      profile:
        description: Profile of the AWS configuration; empty for the default one.
        type: str
        default: ""
  workers:
    description: Number of MySQL schemas that are migrated at once.
    type: int
    default: 4
    version_added: 0.2.0
  runtime:
    description:
      - What migrates MySQL schemas. V(process) is the MLflow at O(entrypoint), V(docker) the one in O(image).
      - SQLite files need V(process).
    type: str
    choices: [docker, process]
    default: process
    version_added: 0.2.0
  python:
    description:
      - The interpreter that has MLflow installed, as returned by M(mlops.mlflow_aws.mlflow_installation).
      - Required for O(runtime=process).
    type: path
  entrypoint:
    description:
      - Path of C(mlflow_entry.py) beside it, as returned by M(mlops.mlflow_aws.mlflow_installation).
      - Required for O(runtime=process).
    type: path
  timeout:
    description: Seconds that a wait for another run, and each migration, may take; with MySQL all migrations together.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: Create or migrate a project's schema
  mlops.mlflow_aws.mlflow_schema_migration:
    schemas:
      - name: demo
        uri: sqlite:////srv/mlflow/projects/demo/mlflow.db
    python: /srv/mlflow/runtimes/3.17.2-0123456789ab/venv/bin/python
    entrypoint: /srv/mlflow/runtimes/3.17.2-0123456789ab/mlflow_entry.py

- name: Create or migrate schemas in MySQL by the image that will serve them
  mlops.mlflow_aws.mlflow_schema_migration:
    schemas:
      - name: demo
        uri: mysql+pymysql://db.example.com:3306/mlflow_demo
        database:
          user: mlflow_mg_demo
          secret: example-secret
    found: "{{ made.projects }}"
    mlflow: "{{ lookup('ansible.builtin.file', 'docker/mlflow.json') | from_json }}"
    aws:
      region: eu-central-1
    runtime: docker
    image: "{{ image }}"
  vars:
    image: registry.example.com/mlflow@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
"""

RETURN = r"""
schemas:
  description: One record for each schema, in the order given.
  returned: success, and with MySQL also where some could not be migrated
  type: list
  elements: dict
  contains:
    name:
      description: The project's name.
      type: str
    state:
      description: What was found, one of V(empty), V(current), V(behind) or, in check mode before MLflow is
        installed, V(unknown). With MySQL also V(half), where it was repaired.
      type: str
    revision:
      description: Revision that was found, empty for an empty schema.
      type: str
    head:
      description: Revision that the MLflow which serves it needs.
      type: str
    backup:
      description: Path of the copy that was kept of an older SQLite file, else empty.
      type: str
    error:
      description: Why it could not be migrated, else empty.
      returned: with MySQL
      type: str
mlflow:
  description: Version and folder of the MLflow that migrated SQLite files, empty where none was to be migrated.
  returned: with SQLite
  type: str
  sample: MLflow 3.17.2 from /srv/mlflow/runtimes/3.17.2-0123456789ab/venv/lib/python3.11/site-packages/mlflow
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import container_spec
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import paths
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.installation import (
    STAMP,
    read_stamp,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import (
    mysql_migration,
    sqlite_migration,
)


def main() -> None:
    """Run the module."""
    text = {"type": "str", "default": ""}
    database = {
        # An ARN or a name.
        "secret": {"type": "str", "required": True, "no_log": False},
        "user": {"type": "str", "required": True},
        "ca": text,
        "tunnel": {"type": "str"},
    }
    aws = {
        "region": {"type": "str", "required": True},
        "endpoint_url": text,
        "role_arn": text,
        "profile": text,
    }
    schema = {
        "name": {"type": "str", "required": True},
        "uri": {"type": "str", "required": True},
        "database": {"type": "dict", "options": database},
    }
    module = AnsibleModule(
        argument_spec={
            "schemas": {"type": "list", "elements": "dict", "required": True, "options": schema},
            "found": {"type": "list", "elements": "dict", "default": []},
            "mlflow": {"type": "dict", "default": {}},
            "repair": {"type": "list", "elements": "str", "default": []},
            "aws": {"type": "dict", "options": aws},
            "workers": {"type": "int", "default": 4},
            "runtime": {"type": "str", "choices": ["docker", "process"], "default": "process"},
            "python": {"type": "path"},
            "entrypoint": {"type": "path"},
            "image": {"type": "str"},
            "docker_host": text,
            "docker_network": {"type": "str", "default": "bridge"},
            "aws_config_dir": {"type": "path"},
            "container_user": text,
            "timeout": {"type": "int", "default": 600},
        },
        required_if=[
            ("runtime", "process", ("python", "entrypoint")),
            ("runtime", "docker", ("image",)),
        ],
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Classify all schemas, then migrate those that need it."""
    kinds = {mysql_migration.is_mysql(item["uri"]) for item in module.params["schemas"]}
    if kinds == {True} or (not kinds and module.params["runtime"] == "docker"):
        return _mysql(module)
    if module.params["runtime"] != "process" or len(kinds) > 1:
        raise MlflowError(
            "The schemas are SQLite files and MySQL's, or SQLite files for an image: give MySQL's alone, or "
            "SQLite files with the runtime process."
        )
    return _sqlite(module)


def _sqlite(module: AnsibleModule) -> dict[str, object]:
    """Migrate SQLite files."""
    params = module.params
    runtime = paths.runtime_paths(params)
    revisions = sqlite_migration.read_revisions(runtime[1], check_mode=module.check_mode)
    schemas = [
        sqlite_migration.classify(item["name"], item["uri"], revisions)
        for item in params["schemas"]
    ]
    todo = [
        schema
        for schema in schemas
        if schema.state in (sqlite_migration.EMPTY, sqlite_migration.BEHIND)
    ]
    done = sqlite_migration.Migrated({}, "")
    if todo and not module.check_mode:
        if revisions is None:
            raise MlflowError(f"No MLflow is installed at {runtime[0]}: run the deploy playbook.")
        done = sqlite_migration.migrate(todo, revisions, *runtime, params["timeout"])
    head = revisions.head if revisions else ""
    records = [
        {
            "name": schema.name,
            "state": schema.state,
            "revision": schema.revision,
            "head": head,
            "backup": done.backups.get(schema.name, ""),
        }
        for schema in schemas
    ]
    before = {schema.name: schema.revision for schema in todo}
    after = {schema.name: head or "the head revision" for schema in todo}
    return {
        "changed": bool(todo),
        "schemas": records,
        "mlflow": done.mlflow,
        "diff": {"before": before, "after": after},
    }


def _mysql(module: AnsibleModule) -> dict[str, object]:
    """Migrate schemas of MySQL."""
    params = module.params
    known = mysql_migration.known_revisions(_told(params, module.check_mode))
    found = {str(record.get("name")): record for record in params["found"]}
    schemas = [
        mysql_migration.classify(item, found.get(item["name"]), known) for item in params["schemas"]
    ]
    mysql_migration.require_whole(schemas, found, params["repair"])
    todo = [schema for schema in schemas if schema.state != mysql_migration.CURRENT]
    told: dict[str, dict[str, Any]] = {}
    if todo and not module.check_mode:
        told = mysql_migration.migrate(
            _runner(params),
            todo,
            params["aws"] or {},
            repair=params["repair"],
            workers=params["workers"],
            timeout=params["timeout"],
        )
    head = known.head if known else ""
    records = [
        {
            "name": schema.name,
            "state": schema.state,
            "revision": schema.revision,
            "head": head,
            "backup": "",
            "error": told.get(schema.name, {}).get("error", ""),
        }
        for schema in schemas
    ]
    changed = {
        name: record["after"]
        for name, record in told.items()
        if record["after"] != record["before"] or record["repaired"]
    }
    if module.check_mode:
        changed = {schema.name: head or "the head revision" for schema in todo}
    before = {schema.name: schema.revision for schema in todo if schema.name in changed}
    result = {
        "changed": bool(changed),
        "schemas": records,
        "diff": {"before": before, "after": changed},
    }
    errors = [str(record["error"]) for record in records if record["error"]]
    if errors:
        raise MlflowError(" ".join(errors), result)
    return result


def _told(params: dict[str, Any], check_mode: bool) -> dict[str, Any] | None:
    """Return what the MLflow that will serve the schemas told of itself, where it is known."""
    if params["mlflow"] or params["runtime"] == "docker":
        return dict(params["mlflow"])
    return read_stamp(Path(params["entrypoint"]).with_name(STAMP), check_mode=check_mode)


def _runner(params: dict[str, Any]) -> mysql_migration.Runner:
    """Return what runs MLflow's migration."""
    if params["runtime"] == "process":
        return mysql_migration.ProcessRunner(*paths.runtime_paths(params))
    return mysql_migration.DockerRunner(
        Engine(params["docker_host"]),
        params["image"],
        network=params["docker_network"],
        aws_config_dir=container_spec.aws_folder(params["aws_config_dir"]),
        user=params["container_user"],
    )


if __name__ == "__main__":
    main()
