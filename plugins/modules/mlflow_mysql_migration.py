#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_mysql_migration
short_description: Migrate projects' MySQL schemas to the MLflow that serves them
version_added: 0.2.0
description:
  - Creates the tables of empty schemas and migrates older ones to the head revision, several at once and each under a
    lock of the database.
  - Classifies all schemas before any of them is changed. Refuses a schema that a newer MLflow wrote, that a killed
    migration left half-migrated, or whose migration would fail half-way.
  - Of an older schema it migrates a copy, in the schema C(SCHEMA__next), which takes the place of the original when it
    is complete. The original is then in C(SCHEMA__prev), until the next migration or restore. A migration that fails or
    is killed leaves a schema with data as it was.
  - If a schema cannot be migrated, the module fails after it has migrated the others.
  - Stop the servers of older schemas first, as their writes during the migration would fail. The role
    P(mlops.mlflow_aws.mlflow_project#role) does that.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_project_schema
  - module: mlops.mlflow_aws.mlflow_sqlite_migration
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.docker
  - mlops.mlflow_aws.docker.placement
  - mlops.mlflow_aws.program
  - mlops.mlflow_aws.progress
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  schemas:
    description: Schemas to bring to the head revision.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the project.
        type: str
        required: true
      uri:
        description: SQLAlchemy URI of the schema, C(mysql+pymysql://HOST:PORT/SCHEMA).
        type: str
        required: true
      database:
        description: Credentials of the migrator, by name. MLflow reads the password itself.
        type: dict
        required: true
        suboptions:
          secret:
            description: ARN or name of the Secrets Manager secret whose JSON has the key C(password). If empty, the
              migrator logs in with IAM, by tokens that the identity O(aws) signs.
            type: str
            required: true
          user:
            description: Name of the database user.
            type: str
            required: true
          ca:
            description: CA certificates as PEM text. If empty, those of Amazon RDS.
            type: str
            default: ""
          tunnel:
            description: Address of a tunnel to the database on the host, as C(HOST:PORT). TLS verifies the host of
              the URI.
            type: str
  found:
    description:
      - State of the schemas, as the C(projects) returned by M(mlops.mlflow_aws.mlflow_project_schema).
      - A schema without a record here is classified by MLflow when it migrates.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the project.
        type: str
        required: true
      schema:
        description: Name of the schema.
        type: str
      state:
        description: State of the project, V(present) or V(absent).
        type: str
      actions:
        description: What was done.
        type: list
        elements: str
        default: []
      tables:
        description: Number of tables in the schema.
        type: int
        required: true
      revision:
        description: Revision of MLflow's schema, empty if it was not migrated yet.
        type: str
        required: true
      obstacles:
        description: Reasons why a migration would fail.
        type: list
        elements: str
        default: []
      users:
        description: Names of the database users.
        type: dict
        suboptions:
          migrator:
            description: Name of the migrator.
            type: str
          runtime:
            description: Name of the server user.
            type: str
  mlflow:
    description:
      - What the MLflow that serves the schemas knows of its revisions, as in C(docker/mlflow.json) of this collection.
      - If unset, the description of the MLflow at O(entrypoint).
    type: dict
    suboptions:
      version:
        description: Version of MLflow.
        type: str
        required: true
      head:
        description: Head revision.
        type: str
        required: true
      revisions:
        description: All revisions up to the head.
        type: list
        elements: str
        required: true
      tables:
        description: Number of tables at each revision, keyed by the revision.
        type: dict
        default: {}
  repair:
    description:
      - Names of half-migrated schemas that are emptied and created again.
      - A schema that holds data is refused all the same.
    type: list
    elements: str
    default: []
  workers:
    description: Number of schemas to migrate at once.
    type: int
    default: 4
  timeout:
    description: Time in seconds after which no migration is begun any more. One that was begun is never ended.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: Migrate schemas with the image that serves them
  mlops.mlflow_aws.mlflow_mysql_migration:
    schemas:
      - name: demo
        uri: mysql+pymysql://db.example.com:3306/mlflow_demo
        database:
          user: mlflow_mg_demo
          secret: example-secret
    found: "{{ created.projects }}"
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
  returned: success, or if some schemas could not be migrated
  type: list
  elements: dict
  contains:
    name:
      description: Name of the project.
      type: str
    state:
      description: State before the migration, one of V(empty), V(current), V(behind), V(half) if it was repaired, or
        V(unknown) if O(found) has no record of it.
      type: str
    revision:
      description: Revision before the migration, empty for an empty schema.
      type: str
    head:
      description: Revision that the MLflow which serves the schema needs.
      type: str
    error:
      description: Why the schema could not be migrated, else empty.
      type: str
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker import (
    options as broker_options,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.installation import (
    STAMP,
    read_stamp,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.progress import progress_file
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import (
    mysql_migration,
    program,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.revisions import (
    revisions_of,
)

Spec = t.Dict[str, t.Any]
_TEXTS: Spec = {"type": "list", "elements": "str", "default": []}
_REQUIRED: Spec = {"type": "str", "required": True}
_SCHEMA: Spec = {
    "name": _REQUIRED,
    "uri": _REQUIRED,
    "database": {"type": "dict", "required": True, "options": program.DATABASE},
}
_FOUND: Spec = {
    "name": _REQUIRED,
    "schema": {"type": "str"},
    "state": {"type": "str"},
    "actions": _TEXTS,
    "tables": {"type": "int", "required": True},
    "revision": _REQUIRED,
    "obstacles": _TEXTS,
    "users": {
        "type": "dict",
        "options": {"migrator": {"type": "str"}, "runtime": {"type": "str"}},
    },
}
_MLFLOW: Spec = {
    "version": _REQUIRED,
    "head": _REQUIRED,
    "revisions": {"type": "list", "elements": "str", "required": True},
    "tables": {"type": "dict", "default": {}},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "schemas": {"type": "list", "elements": "dict", "required": True, "options": _SCHEMA},
            "found": {"type": "list", "elements": "dict", "default": [], "options": _FOUND},
            "mlflow": {"type": "dict", "options": _MLFLOW},
            "repair": _TEXTS,
            "workers": {"type": "int", "default": 4},
            "timeout": {"type": "int", "default": 600},
            **program.ARGUMENTS,
        },
        required_if=program.REQUIRED_IF,
        supports_check_mode=True,
    )
    _module.hide(module, broker_options.secrets(module.params["broker_options"]))
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Classify all schemas, then migrate those that need it."""
    params = module.params
    described = params["mlflow"]
    if not described and params["runtime"] == "process":
        stamp = Path(params["entrypoint"]).with_name(STAMP)
        described = read_stamp(stamp, check_mode=module.check_mode)

    if not module.check_mode:
        program.clear(params)

    def migrate_all(
        schemas: t.Sequence[mysql_migration.MysqlSchema],
    ) -> dict[str, dict[str, t.Any]]:
        timeout = params["timeout"]
        with progress_file(params["progress_path"]) as progress, program.lent(
            params, timeout
        ) as access:
            return mysql_migration.migrate(
                program.runner(params, access, progress),
                schemas,
                access.of(params["aws"] or {}),
                repair=params["repair"],
                workers=params["workers"],
                timeout=timeout,
            )

    return mysql_migration.run(
        params["schemas"],
        {record["name"]: record for record in params["found"]},
        revisions_of(described),
        migrate_all,
        repair=params["repair"],
        check_mode=module.check_mode,
    )


if __name__ == "__main__":
    main()
