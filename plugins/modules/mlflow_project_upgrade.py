#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_project_upgrade
short_description: Bring projects with data to the schema of this MLflow
version_added: 0.4.0
description:
  - Migrates a copy of each older schema, and puts it in place when it is complete and holds what the project held.
    In MySQL
    the copy is made by the database itself, and all tables change places in one statement.
  - A migration that fails or is killed at any moment leaves the project as it was. There is no time limit for one
    that makes
    progress but O(timeout).
  - The former database is kept, in a file beside it or in the schema C(SCHEMA__prev), until the next upgrade or
    restore.
  - The projects' servers must have been stopped.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_mysql_migration
  - module: mlops.mlflow_aws.mlflow_sqlite_migration
  - module: mlops.mlflow_aws.mlflow_project_info
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.docker
  - mlops.mlflow_aws.docker.placement
  - mlops.mlflow_aws.program
  - mlops.mlflow_aws.progress
  - mlops.mlflow_aws.data
attributes:
  check_mode:
    support: full
    details: Tells which projects are at an older revision.
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Upgrade a project
  mlops.mlflow_aws.mlflow_project_upgrade:
    projects:
      - name: demo
        backend_store_uri: sqlite:////srv/mlflow/projects/demo/mlflow.db
        artifacts_destination: /srv/mlflow/projects/demo/artifacts
        key_file: /srv/mlflow/projects/demo/key
    python: "{{ installed.installation.python }}"
    entrypoint: "{{ installed.installation.entrypoint }}"
"""

RETURN = r"""
projects:
  description: One record for each project, in the order given.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the project.
      type: str
    error:
      description: Why it failed for this project, else empty.
      type: str
    before:
      description: Revision before.
      type: str
    after:
      description: Revision after.
      type: str
    counts:
      description: What the project holds, as in M(mlops.mlflow_aws.mlflow_project_info), in check mode.
      type: dict
    older:
      description: Whether the project was at an older revision.
      type: bool
    previous:
      description: Where the former database is, path or schema; empty if the project was not older.
      type: str
    seconds:
      description: Time that each part took.
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data import verbs


def main() -> None:
    """Run the module."""
    verbs.main({}, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Upgrade all projects that are at an older revision."""
    if module.check_mode:
        found = verbs.run(module, "info", {})
        records = [
            {
                "name": record["name"],
                "error": record["error"],
                "before": record.get("revision", ""),
                "after": record.get("head", ""),
                "counts": record.get("counts", {}),
            }
            for record in found
        ]
    else:
        records = verbs.run(module, "upgrade", {})
    for record in records:
        # One without a schema is created by the migration, and holds nothing.
        before = record.get("before", "")
        record["older"] = bool(before) and before != record["after"]
    return verbs.result(records, changed=any(record["older"] for record in records))


if __name__ == "__main__":
    main()
