#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_project_import
short_description: Import runs and models into a project
version_added: 0.4.0
description:
  - Brings a folder C(mlruns), an SQLite file of MLflow's or the content of a running MLflow server, of release 2 or 3,
    into a project.
  - Imports experiments, runs with the whole history of their metrics, parameters, tags, inputs and outputs, traces with
    spans and assessments, logged models, evaluation datasets, registered models and prompts with versions and aliases,
    and all artifacts.
  - Runs, traces and models keep their IDs and times. Experiments are matched by name; one that the project does not
    have keeps its ID if that is free. Locations of artifacts are rewritten.
  - Adds what the project does not have. What it has is compared with the source and never changed.
  - Each run is imported as a whole, its artifacts first, so that a killed import is continued by running it again. The
    project's servers may keep running.
  - The source is only read. One of a newer MLflow is refused before anything is changed.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_project_backup
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
    details: Reads the source and tells what would be added.
  diff_mode:
    support: none
options:
  source:
    description:
      - Absolute path to a folder C(mlruns), to the folder in which it is, or to an SQLite file; or the URL of an MLflow
        server.
      - Paths are those of the host that runs the import. With O(runtime=docker) they are mounted read-only.
    type: str
    required: true
  artifacts:
    description:
      - Where the artifacts of the source are, an absolute path or C(s3://BUCKET/PREFIX), the
        C(--artifacts-destination) of its server.
      - If empty, a folder C(mlartifacts), C(artifacts) or C(mlruns) beside an SQLite file. Artifacts of a server come
        from that server.
    type: str
    default: ""
  login:
    description: How to log in to a server.
    type: dict
    default: {}
    suboptions:
      token:
        description: Bearer token.
        type: str
      user:
        description: User name.
        type: str
      password:
        description: Password.
        type: str
      ca:
        description: Path to a file with CA certificates, on the host that runs the import.
        type: str
"""

EXAMPLES = r"""
- name: Import a laptop's runs
  mlops.mlflow_aws.mlflow_project_import:
    projects:
      - name: churn
        backend_store_uri: sqlite:////srv/mlflow/projects/churn/mlflow.db
        artifacts_destination: /srv/mlflow/projects/churn/artifacts
    python: "{{ installed.installation.python }}"
    entrypoint: "{{ installed.installation.entrypoint }}"
    source: /home/anna/work/mlruns
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
    kind:
      description: What the source is, V(files), V(sqlite) or V(server).
      type: str
    source:
      description: The source.
      type: str
    changed:
      description: Whether anything was added.
      type: bool
    added:
      description: Number of experiments, runs and so on that were added, by kind.
      type: dict
    there:
      description: Number of those that the project had already, by kind.
      type: dict
    different:
      description: Number of those that the project had already and that differ from the source, by kind.
      type: dict
    differing:
      description: IDs or names of the first of these, by kind.
      type: dict
    artifacts:
      description: Number of artifacts that were written, their bytes, the number of those that were there, and the
        runs and models whose artifacts differ or were not found.
      type: dict
    relocated:
      description: Number of artifact locations that were rewritten.
      type: int
    left_out:
      description: Number of rows of each table that is not imported, such as webhooks and the gateway's secrets.
      type: dict
    unreadable:
      description: The first files and lines of a folder that could not be read.
      type: list
      elements: str
    seconds:
      description: Time that it took.
      type: float
"""


from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data import sources, verbs


def main() -> None:
    """Run the module."""
    verbs.main(
        {
            "source": {"type": "str", "required": True},
            "artifacts": {"type": "str", "default": ""},
            "login": {
                "type": "dict",
                "default": {},
                "options": {
                    "token": {"type": "str", "no_log": True},
                    "user": {"type": "str"},
                    "password": {"type": "str", "no_log": True},
                    "ca": {"type": "str"},
                },
            },
        },
        _work,
    )


def _work(module: AnsibleModule) -> dict[str, object]:
    """Import the source into all projects."""
    params = module.params
    source = sources.local_path(params["source"])
    artifacts = sources.local_path(params["artifacts"])
    request = {
        "from": source,
        "artifacts": artifacts,
        "login": {key: text for key, text in params["login"].items() if text},
        "dry": module.check_mode,
    }
    records = verbs.run(module, "import", request, sources.folders([source, artifacts]))
    changed = any(record.get("changed") for record in records)
    return verbs.result(records, changed=changed)


if __name__ == "__main__":
    main()
