#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_sqlite_migration
short_description: Migrate projects' SQLite schemas to the installed MLflow
version_added: 0.2.0
description:
  - Creates empty schemas and migrates older ones to the head revision of the MLflow that serves them.
  - Classifies all schemas before any of them is changed. Refuses a file that is not a database, a database of something
    else, and a schema that a newer MLflow wrote.
  - Migrates a copy of the file, which replaces the original when it is complete. The original stays beside it as a
    backup.
  - Stop the servers of older schemas first, as their writes during the migration would be lost. The role
    P(mlops.mlflow_aws.mlflow_project#role) does that.
  - Its name in 0.1.0, C(mlflow_schema_migration), still works and is removed in 1.0.0.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_mysql_migration
  - module: mlops.mlflow_aws.mlflow_installation
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.runtime
attributes:
  check_mode:
    support: full
    details: Works before MLflow is installed; the state of a schema that is not empty is then V(unknown).
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
        description: SQLAlchemy URI of the file, C(sqlite:////PATH).
        type: str
        required: true
  timeout:
    description: Timeout in seconds for each migration, and for the wait for another run.
    type: int
    default: 600
"""

EXAMPLES = r"""
# Here mlflow is the registered result of mlflow_installation.
- name: Create or migrate a project's schema
  mlops.mlflow_aws.mlflow_sqlite_migration:
    schemas:
      - name: demo
        uri: sqlite:////srv/mlflow/projects/demo/mlflow.db
    python: "{{ mlflow.installation.python }}"
    entrypoint: "{{ mlflow.installation.entrypoint }}"
"""

RETURN = r"""
schemas:
  description: One record for each schema, in the order given.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the project.
      type: str
    state:
      description: State before the migration, one of V(empty), V(current), V(behind) or, in check mode before MLflow is
        installed, V(unknown).
      type: str
    revision:
      description: Revision before the migration, empty for an empty schema.
      type: str
    head:
      description: Revision that the installed MLflow needs.
      type: str
    backup:
      description: Path to the backup of an older file, else empty.
      type: str
mlflow:
  description: Version and folder of the MLflow that migrated schemas, as C(MLflow VERSION from FOLDER). Empty if none
    needed it.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import paths
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sqlite_migration


def main() -> None:
    """Run the module."""
    schema = {
        "name": {"type": "str", "required": True},
        "uri": {"type": "str", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "schemas": {"type": "list", "elements": "dict", "required": True, "options": schema},
            "python": {"type": "path", "required": True},
            "entrypoint": {"type": "path", "required": True},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Classify all schemas, then migrate those that need it."""
    params = module.params
    return sqlite_migration.run(
        params["schemas"],
        *paths.runtime_paths(params),
        params["timeout"],
        check_mode=module.check_mode,
    )


if __name__ == "__main__":
    main()
