#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_project_restore
short_description: Restore projects from backups
version_added: 0.4.0
description:
  - Brings a backup back, into the project it was made of or into another one, of this backend or another.
  - Checks everything that the backup consists of before anything is touched. Then writes artifacts that are missing or
    different, and makes the database beside the project's own, compares it with the backup, migrates it to the
    revision of
    this MLflow, and puts it in place as a whole. A run that is killed at any moment leaves the project's database as
    it was.
  - The former database is kept, in a file beside it or in the schema C(SCHEMA__prev). Artifacts that are not in the
    backup are
    kept too.
  - The project's servers must have been stopped.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_project_backup
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
    details: Tells that the project would be restored. Whether the backup is intact is not checked.
  diff_mode:
    support: none
options:
  source:
    description: Name of the project whose backups are used. If empty, each project's own.
    type: str
    default: ""
  backup:
    description: ID of the backup. If empty, the newest.
    type: str
    default: ""
  replace:
    description: Whether to replace a project that holds runs.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Make a copy of the project churn from its newest backup
  mlops.mlflow_aws.mlflow_project_restore:
    projects:
      - name: demo
        backend_store_uri: sqlite:////srv/mlflow/projects/demo/mlflow.db
        artifacts_destination: /srv/mlflow/projects/demo/artifacts
        key_file: /srv/mlflow/projects/demo/key
    python: "{{ installed.installation.python }}"
    entrypoint: "{{ installed.installation.entrypoint }}"
    destination: /srv/mlflow/backups
    source: churn
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
    written:
      description: Number of artifacts that were missing or different, and were written.
      type: int
    written_bytes:
      description: Their bytes.
      type: int
    relocated:
      description: Number of artifact locations in the database that named the former place in full, and name the new
        one
        now.
      type: int
    disabled_webhooks:
      description: Number of webhooks that were disabled and lost their secret, since the project has another root key
        than the backup, as after a move to AWS.
      type: int
    lost_secrets:
      description: Number of the gateway's secrets that cannot be decrypted for the same reason.
      type: int
    previous:
      description: Where the former database is, path or schema.
      type: str
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
            "source": {"type": "str", "default": ""},
            "backup": {"type": "str", "default": ""},
            "replace": {"type": "bool", "default": False},
            **verbs.DESTINATION,
        },
        _work,
    )


def _work(module: AnsibleModule) -> dict[str, object]:
    """Restore all projects."""
    params = module.params
    if module.check_mode:
        return verbs.result(verbs.planned(params["projects"]), changed=True)
    request = {key: params[key] for key in ("destination", "backup_key", "source", "backup")}
    request["only_empty"] = not params["replace"]
    return verbs.result(verbs.run(module, "restore", request), changed=True)


if __name__ == "__main__":
    main()
