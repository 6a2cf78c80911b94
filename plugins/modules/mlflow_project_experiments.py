#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_project_experiments
short_description: Create the experiments of projects through their servers
version_added: 0.4.0
description:
  - Creates, restores and tags the experiments of many projects in one call, through the servers of the host.
  - Takes one search for each project with up to 1000 experiments, and one request for each change.
  - Deletes nothing, also no experiments that were listed before. Use M(mlops.mlflow_aws.mlflow_experiment) for that.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_experiment
  - module: mlops.mlflow_aws.mlflow_server
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.state_dir
attributes:
  check_mode:
    support: full
    details: For a server that is not running yet, all experiments are reported as to be created.
  diff_mode:
    support: full
options:
  servers:
    description: List of servers, one for each project.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the project.
        type: str
        required: true
      url:
        description: URL at which this host reaches the server, without a proxy and without a login.
        type: str
        required: true
      experiments:
        description: The experiments of the project.
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description: Name of the experiment.
            type: str
            required: true
          description:
            description: Description of the experiment. If unset, it is not changed.
            type: str
          tags:
            description: Tags to set. Others are kept.
            type: dict
            default: {}
  timeout:
    description: Timeout in seconds for each request.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Create the experiments of a project
  mlops.mlflow_aws.mlflow_project_experiments:
    servers:
      - name: demo
        url: http://127.0.0.1:5001
        experiments:
          - name: baseline
          - name: churn
            description: Who leaves, and when
"""

RETURN = r"""
experiments:
  description: One record for each experiment that is as listed, in the order of O(servers). After a failure, those that
    were completed before.
  returned: always
  type: list
  elements: dict
  contains:
    project:
      description: Name of the project.
      type: str
    name:
      description: Name of the experiment.
      type: str
    action:
      description: Action taken, or to be taken in check mode, one of V(keep), V(create), V(update) and V(restore).
      type: str
    experiment_id:
      description: ID of the experiment. Empty in check mode if it would be created.
      type: str
    state:
      description: State afterwards, always V(present).
      type: str
    artifact_location:
      description: URI of its artifacts. Empty if it was created now.
      type: str
    tags:
      description: Its tags afterwards.
      type: dict
failures:
  description: The servers through which not all experiments could be created.
  returned: failure
  type: list
  elements: dict
  contains:
    name:
      description: Name of the project.
      type: str
    reason:
      description: What the server answered, or how the connection ended.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door.folder import Folder
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import project_experiments


def main() -> None:
    """Run the module."""
    experiment = {
        "name": {"type": "str", "required": True},
        "description": {"type": "str"},
        "tags": {"type": "dict", "default": {}},
    }
    server = {
        "name": {"type": "str", "required": True},
        "url": {"type": "str", "required": True},
        "experiments": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": experiment,
        },
    }
    module = AnsibleModule(
        argument_spec={
            "servers": {"type": "list", "elements": "dict", "required": True, "options": server},
            "state_dir": {"type": "path"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Create the experiments, or in check mode report what would be done."""
    return project_experiments.converge(
        module.params["servers"],
        module.params["timeout"],
        module.check_mode,
        Folder(files.state_folder(module.params["state_dir"])).secret(),
    )


if __name__ == "__main__":
    main()
