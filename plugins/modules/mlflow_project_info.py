#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_project_info
short_description: Read what projects hold, and in which state they are
version_added: 0.4.0
description:
  - Tells for each project the version of MLflow that serves it, the revision of its schema, how many experiments, runs,
    metric points, traces and models it holds, number and bytes of its artifacts, its newest backup and when one was
    last rehearsed.
  - Changes nothing, but wakes a database that is paused. Reads several projects at once, the numbers of each with one
    connection and three queries, and rows and artifacts only if asked to.
  - What can be read of a project is returned even if its database or its backups cannot be read. The module fails
    then, with all records.
  - The checksums cover the content that no release of MLflow changes, whatever the order of the rows, so that they
    are the
    same in SQLite and in MySQL, before and after an upgrade or a restore.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_project_backup
  - module: mlops.mlflow_aws.mlflow_project_upgrade
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
  diff_mode:
    support: none
options:
  destination:
    description: Where backups are, as in M(mlops.mlflow_aws.mlflow_project_backup). If empty, backups are not looked
      for.
    type: str
    default: ""
  checksums:
    description: Whether to read all rows for checksums.
    type: bool
    default: false
  artifacts:
    description: Whether to list the artifacts, for their number and size.
    type: bool
    default: true
  database:
    description: Whether to ask the databases. If V(false), a database that is paused sleeps on.
    type: bool
    default: true
  patience:
    description: Timeout in seconds for a database to wake up, and for each of its responses.
    type: float
    default: 90
"""

EXAMPLES = r"""
- name: Read the state of a project
  mlops.mlflow_aws.mlflow_project_info:
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
    mlflow:
      description: Version of the MLflow that serves the projects.
      type: str
    engine:
      description: V(sqlite) or V(mysql), empty if the database was not read.
      type: str
    schema:
      description: V(current), V(older), V(foreign) if it is of a newer MLflow or incomplete, V(empty), or V(unread).
      type: str
    revision:
      description: Revision of the schema, empty if it is empty or missing.
      type: str
    head:
      description: Revision that this MLflow needs.
      type: str
    counts:
      description: Number of C(experiments), C(runs), C(metric_points), C(params), C(tags), C(datasets), C(traces),
        C(spans),
        C(assessments), C(logged_models), C(registered_models) and C(model_versions).
      type: dict
    deleted:
      description: Number of deleted C(experiments) and C(runs), which can be restored until C(gc) removes them.
      type: dict
    database_bytes:
      description: About how many bytes the database takes.
      type: int
    checksums:
      description: Checksum of each table with rows, over the columns that no release of MLflow changes.
      type: dict
    artifacts:
      description: Number of C(objects), and C(bytes).
      type: dict
    connections:
      description: Connections to the schema that its user sees, in MySQL its own, each with
        C(user), C(host), C(command) and C(seconds).
      type: list
      elements: dict
    backup:
      description: The newest backup, with C(id), C(created) (seconds since 1970), C(age) in seconds, C(bytes),
        C(mlflow),
        C(revision) and C(encrypted); none if there is none.
      type: dict
    rehearsal:
      description: When a backup was last rehearsed, with C(backup), C(at) (seconds since 1970) and C(same).
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data import verbs


def main() -> None:
    """Run the module."""
    verbs.main(
        {
            "destination": {"type": "str", "default": ""},
            "checksums": {"type": "bool", "default": False},
            "artifacts": {"type": "bool", "default": True},
            "database": {"type": "bool", "default": True},
            "patience": {"type": "float", "default": 90},
        },
        _work,
    )


def _work(module: AnsibleModule) -> dict[str, object]:
    """Read the state of all projects."""
    params = module.params
    request = {
        "destination": params["destination"],
        "sums": params["checksums"],
        "objects": params["artifacts"],
        "database": params["database"],
        "patience": params["patience"],
    }
    return verbs.result(verbs.run(module, "info", request), changed=False)


if __name__ == "__main__":
    main()
