#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_project_backup
short_description: Back up projects
version_added: 0.4.0
description:
  - Makes a backup of each project, that is of one moment of its database and of its artifacts, while its server runs.
  - Rows are compressed. What has not changed since the newest backup is not written again, that is artifacts, tables
    of MySQL, and an SQLite file as a whole.
  - A backup is complete when its manifest is written, which is last. The manifest holds size and checksum of
    everything.
  - A run that was killed leaves no backup, and the next one continues with what it copied.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_project_restore
  - module: mlops.mlflow_aws.mlflow_project_info
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
    details: Tells that a backup would be made.
  diff_mode:
    support: none
options:
  keep:
    description: Number of backups to keep of each project. V(0) keeps all.
    type: int
    default: 0
  days:
    description: Age in days up to which backups beyond O(keep) are kept too. V(0) does not regard their age.
    type: int
    default: 0
  final:
    description:
      - Whether the projects are about to be removed. The backup is then read whole, as it will be all that is left.
      - A project without a schema is accepted if its newest backup holds all of its artifacts, which is how a removal
        that was killed leaves one.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Back up a project, and keep two weeks of backups
  mlops.mlflow_aws.mlflow_project_backup:
    projects:
      - name: demo
        backend_store_uri: sqlite:////srv/mlflow/projects/demo/mlflow.db
        artifacts_destination: /srv/mlflow/projects/demo/artifacts
        key_file: /srv/mlflow/projects/demo/key
    python: "{{ installed.installation.python }}"
    entrypoint: "{{ installed.installation.entrypoint }}"
    destination: /srv/mlflow/backups
    keep: 14
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
    place:
      description: Where the backups of the project are.
      type: str
    rows:
      description: Number of rows in it.
      type: int
    objects:
      description: Number of artifacts in it.
      type: int
    bytes:
      description: Bytes that it takes, with those that it shares with other backups.
      type: int
    copied:
      description: Number of artifacts that were copied.
      type: int
    copied_bytes:
      description: Their bytes.
      type: int
    removed:
      description: IDs of backups that were removed, as O(keep) and O(days) say, or since they were not complete.
      type: list
      elements: str
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
            "keep": {"type": "int", "default": 0},
            "days": {"type": "int", "default": 0},
            "final": {"type": "bool", "default": False},
            **verbs.DESTINATION,
        },
        _work,
    )


def _work(module: AnsibleModule) -> dict[str, object]:
    """Back up all projects."""
    params = module.params
    if module.check_mode:
        return verbs.result(verbs.planned(params["projects"], backup=""), changed=True)
    request = {key: params[key] for key in ("destination", "backup_key", "keep", "days", "final")}
    return verbs.result(verbs.run(module, "backup", request), changed=True)


if __name__ == "__main__":
    main()
