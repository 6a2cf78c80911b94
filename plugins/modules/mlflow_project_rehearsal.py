#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_project_rehearsal
short_description: Try out backups of projects
version_added: 0.4.0
description:
  - Restores a backup of each project beside the project, its database in a file beside it or in the schema
    C(SCHEMA__next), its artifacts below the backups, compares everything with the backup, and removes it again. The
    project and its servers are not touched.
  - Notes beside the backups when that was and how it ended, for M(mlops.mlflow_aws.mlflow_project_info).
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_project_backup
  - module: mlops.mlflow_aws.mlflow_project_restore
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.docker
  - mlops.mlflow_aws.docker.placement
  - mlops.mlflow_aws.program
  - mlops.mlflow_aws.progress
  - mlops.mlflow_aws.data
  - mlops.mlflow_aws.data.destination
attributes:
  check_mode:
    support: full
    details: Does nothing.
  diff_mode:
    support: none
options:
  backup:
    description: ID of the backup. If empty, the newest.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Try out the newest backup of a project
  mlops.mlflow_aws.mlflow_project_rehearsal:
    projects:
      - name: demo
        backend_store_uri: sqlite:////srv/mlflow/projects/demo/mlflow.db
        artifacts_destination: /srv/mlflow/projects/demo/artifacts
        key_file: /srv/mlflow/projects/demo/key
    python: "{{ installed.installation.python }}"
    entrypoint: "{{ installed.installation.entrypoint }}"
    destination: /srv/mlflow/backups
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
    backup:
      description: ID of the backup.
      type: str
    rows:
      description: Number of rows in it.
      type: int
    objects:
      description: Number of artifacts in it.
      type: int
    seconds:
      description: Time that it took.
      type: float
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data import verbs


def main() -> None:
    """Run the module."""
    verbs.main(
        {
            "backup": {"type": "str", "default": ""},
            **verbs.DESTINATION,
        },
        _work,
    )


def _work(module: AnsibleModule) -> dict[str, object]:
    """Try out a backup of each project."""
    params = module.params
    if module.check_mode:
        return verbs.result(verbs.planned(params["projects"]), changed=False)
    request = {key: params[key] for key in ("destination", "backup_key", "backup")}
    return verbs.result(verbs.run(module, "rehearse", request), changed=False)


if __name__ == "__main__":
    main()
