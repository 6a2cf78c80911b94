#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_project_gc
short_description: Remove for good what users deleted in MLflow
version_added: 0.4.0
description:
  - Finds runs, experiments with their traces, logged models and versions of registered models that users deleted longer
    ago than a retention, and artifacts that nothing in the project's database refers to any more (orphans). Removes
    them if asked.
  - A run or logged model of which a version of a registered model was made is kept, and so is an experiment with runs
    that are kept, and the default experiment, which MLflow does not create again. Of a registered model's newest
    version, which was deleted, the row is kept, so that its number is not given out again.
  - An artifact is an orphan if its path names a run, a logged model or a trace that the database does not have, and it
    is older than a day. Artifacts with other paths that nothing refers to are listed, and never removed.
  - Servers keep running. Rows go in small transactions, then their artifacts. A run that was killed is continued by the
    next one, by a list beside the project's backups.
  - A bucket with versioning keeps what is deleted for the time that its lifecycle rule sets.
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
    details: Finds what would be removed.
  diff_mode:
    support: none
options:
  retention_days:
    description:
      - Number of days for which what users deleted is kept, by the name of the project.
      - The age is that since the deletion. A time of deletion that is still to come counts as now.
    type: dict
    required: true
  remove:
    description: Whether to remove what was deleted longer ago. If V(false), it is only listed.
    type: bool
    default: false
  remove_orphans:
    description: Whether to remove orphans too. Has no effect without O(remove).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Remove for good what users deleted more than a month ago
  mlops.mlflow_aws.mlflow_project_gc:
    projects:
      - name: demo
        backend_store_uri: sqlite:////srv/mlflow/projects/demo/mlflow.db
        artifacts_destination: /srv/mlflow/projects/demo/artifacts
    python: "{{ installed.installation.python }}"
    entrypoint: "{{ installed.installation.entrypoint }}"
    destination: /srv/mlflow/backups
    retention_days:
      demo: 30
    remove: true
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
      description: Why it failed for this project, or which artifacts could not be deleted; else empty.
      type: str
    removed:
      description: Whether what is listed was removed.
      type: bool
    orphans_removed:
      description: Whether the orphans were removed too.
      type: bool
    runs:
      description: Number of runs that were deleted longer ago.
      type: int
    experiments:
      description: Number of experiments.
      type: int
    logged_models:
      description: Number of logged models, with those of these experiments.
      type: int
    traces:
      description: Number of traces of these experiments.
      type: int
    model_versions:
      description: Number of versions of registered models.
      type: int
    artifacts:
      description: The artifacts of all these, with C(objects), C(bytes), and C(examples) of their paths.
      type: dict
    orphans:
      description: The orphans, in the same form.
      type: dict
    unknown:
      description: Artifacts that nothing refers to and whose path does not say whose they are, in the same form. They
        are never removed.
      type: dict
    elsewhere:
      description: Number of these runs and logged models whose artifacts are not in the project's place, and are not
        touched.
      type: int
    kept:
      description: Sentences about what was deleted as long ago and is kept.
      type: list
      elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data import gc, verbs


def main() -> None:
    """Run the module."""
    verbs.main(
        {
            "retention_days": {"type": "dict", "required": True},
            "remove": {"type": "bool", "default": False},
            "remove_orphans": {"type": "bool", "default": False},
            **verbs.DESTINATION,
        },
        _work,
    )


def _work(module: AnsibleModule) -> dict[str, object]:
    """Find what was deleted, and remove it if asked."""
    params = module.params
    names = [project["name"] for project in params["projects"]]
    request = {
        "destination": params["destination"],
        "backup_key": params["backup_key"],
        "retention_days": gc.retention(params["retention_days"], names),
        "remove": params["remove"] and not module.check_mode,
        "remove_orphans": params["remove_orphans"],
    }
    records = verbs.run(module, "gc", request)
    orphans = params["remove_orphans"]
    found = any(gc.finds(record, orphans=orphans) for record in records)
    return verbs.result(records, changed=params["remove"] and found)


if __name__ == "__main__":
    main()
