#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_local_backend
short_description: Keep MLflow projects in a folder of the host
version_added: 0.1.0
description:
  - Creates a folder for each project, for its SQLite file and its artifacts, and returns the paths.
  - Never removes anything.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.state_dir
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  projects:
    description: Names of the projects.
    type: list
    elements: str
    required: true
  archived:
    description: Names of those projects that are archived. A last backup of any other one is no longer its last.
    type: list
    elements: str
    default: []
    version_added: 0.4.0
  create:
    description:
      - Whether to create missing folders.
      - If V(false), a missing folder is an error, so that a play that only reads never starts an empty
        project beside the real one.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Create the folders of two projects
  mlops.mlflow_aws.mlflow_local_backend:
    projects: [demo, churn]

- name: Read the folder of a project, without creating it
  mlops.mlflow_aws.mlflow_local_backend:
    projects: [demo]
    create: false
"""

RETURN = r"""
backend:
  description: The backend record.
  returned: success
  type: dict
  contains:
    kind:
      description: The kind of backend, V(local).
      type: str
    state_dir:
      description: Absolute path of the state folder.
      type: str
    projects:
      description: Paths of each project's data, keyed by the project's name.
      type: dict
      sample:
        demo:
          backend_store_uri: sqlite:////home/ada/.local/state/mlflow_aws/projects/demo/mlflow.db
          artifacts_destination: /home/ada/.local/state/mlflow_aws/projects/demo/artifacts
          key_file: /home/ada/.local/state/mlflow_aws/projects/demo/key
    schemas:
      description: Name and URI of each project's schema, as M(mlops.mlflow_aws.mlflow_sqlite_migration) accepts them.
      type: list
      elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import local
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state_dir": {"type": "path"},
            "projects": {"type": "list", "elements": "str", "required": True},
            "archived": {"type": "list", "elements": "str", "default": []},
            "create": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Create missing folders, or in check mode report them."""
    state = files.state_folder(module.params["state_dir"])
    backend = local.record(state, module.params["projects"])
    missing = local.missing_folders(backend)
    if missing and not module.params["create"]:
        raise local.not_deployed(missing)
    files.require_writable(state, "choose another mlflow_state_dir or change its owner")
    marks = [
        local.archive_mark(project)
        for name, project in backend["projects"].items()
        if name not in module.params["archived"]
    ]
    if not module.check_mode:
        for folder in missing:
            files.make_folder(folder)
        for mark in marks:
            mark.unlink(missing_ok=True)
    diff = {"before": {"folders": []}, "after": {"folders": [str(folder) for folder in missing]}}
    return {"changed": bool(missing), "backend": backend, "diff": diff}


if __name__ == "__main__":
    main()
