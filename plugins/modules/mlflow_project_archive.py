#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_project_archive
short_description: Make the last backup of archived projects
version_added: 0.4.0
description:
  - Makes a backup of each project that was served until now, or of which an SQLite file is on the host and no last
    backup was made. Other projects are not changed, so that a second run does nothing.
  - Backups of archived projects are not removed by their number or age.
  - The projects' servers must have been stopped.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_project_backup
  - module: mlops.mlflow_aws.mlflow_project_schema
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
    details: Tells of which projects a backup would be made.
  diff_mode:
    support: none
options:
  served:
    description: Names of the projects that had a server, or the identity of one, until now.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Make the last backup of a project, unless there is one
  mlops.mlflow_aws.mlflow_project_archive:
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
  description: Records of the backups that were made, as M(mlops.mlflow_aws.mlflow_project_backup) returns them. In
    check mode C(backup) is empty.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data import archive, verbs


def main() -> None:
    """Run the module."""
    verbs.main(
        {
            "served": {"type": "list", "elements": "str", "default": []},
            **verbs.DESTINATION,
        },
        _work,
    )


def _work(module: AnsibleModule) -> dict[str, object]:
    """Make the backups that are due."""
    params = module.params
    due = archive.due(params["projects"], params["served"])
    if module.check_mode:
        return verbs.result(verbs.planned(due, backup=""), changed=bool(due))
    params["projects"] = due
    request = {key: params[key] for key in ("destination", "backup_key")}
    records = verbs.run(module, "backup", request)
    for project, record in zip(due, records):
        if not record["error"]:
            archive.mark(project, record["backup"])
    return verbs.result(records, changed=bool(due))


if __name__ == "__main__":
    main()
