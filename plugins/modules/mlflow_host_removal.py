#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_host_removal
short_description: Remove from a host what this collection made there
version_added: 0.4.0
description:
  - Removes servers with their containers and volumes or processes, the credential broker, the tunnel to the database,
    lines of the crontab, environment files, the record of ports, installations of MLflow, and images of the
    O(repository).
  - With O(backend=local), deletes the projects as well. B(Their databases, artifacts and keys are lost.) With
    O(backend=aws), projects of the local backend in the same folder are kept.
  - Keeps what it did not make, and what belongs to another inventory. Returns what is left in the state folder.
  - Continues where an interrupted run ended.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.state_dir
  - mlops.mlflow_aws.docker
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  backend:
    description: Kind of the backend whose projects the host serves.
    type: str
    choices: [local, aws]
    default: local
  stack:
    description: Name of the backend's stack. Required for O(backend=aws).
    type: str
    default: ""
  confirm:
    description: The name of the O(stack) again, or with O(backend=local) the name of the state folder, which is the
      last part of its path. If it differs, nothing is removed. Not required in check mode.
    type: str
    default: ""
  runtime:
    description: How servers run.
    type: str
    choices: [docker, process]
    default: process
  broker:
    description: How the credential broker runs.
    type: str
    choices: [docker, process]
    default: docker
  docker_instance:
    description: Name prefix of the containers and volumes of this inventory.
    type: str
    default: mlflow
  repository:
    description: Address of the repository whose images are removed from the host's Docker engine, without a tag. If
      unset, none are.
    type: str
    default: ""
  timeout:
    description: Timeout in seconds for servers to end.
    type: int
    default: 300
seealso:
  - module: mlops.mlflow_aws.mlflow_deployment_removal
  - module: mlops.mlflow_aws.mlflow_server
"""

EXAMPLES = r"""
- name: List what a removal would delete from this host
  mlops.mlflow_aws.mlflow_host_removal:
  check_mode: true

- name: Remove everything from this host, with the data of its projects
  mlops.mlflow_aws.mlflow_host_removal:
    confirm: mlflow_aws
"""

RETURN = r"""
found:
  description: What existed.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: What it is, for example V(server) or V(project).
      type: str
    name:
      description: Its name.
      type: str
    action:
      description: Always V(delete).
      type: str
    meaning:
      description: What it holds, and what its deletion means.
      type: str
removed:
  description: What was removed. Empty in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: What it was.
      type: str
    name:
      description: Its name.
      type: str
leftovers:
  description: What is left in the state folder. Empty in check mode.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: What it is.
      type: str
    name:
      description: Its path.
      type: str
    remedy:
      description: Why it is left, and what to do about it.
      type: str
word:
  description: The value of O(confirm) that is required.
  returned: success
  type: str
state_dir:
  description: Path to the state folder.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal import findings, host


def main() -> None:
    """Run the module."""
    runtimes = ["docker", "process"]
    module = AnsibleModule(
        argument_spec={
            "state_dir": {"type": "path"},
            "backend": {"type": "str", "choices": ["local", "aws"], "default": "local"},
            "stack": {"type": "str", "default": ""},
            "confirm": {"type": "str", "default": ""},
            "runtime": {"type": "str", "choices": runtimes, "default": "process"},
            "broker": {"type": "str", "choices": runtimes, "default": "docker"},
            "docker_host": {"type": "str", "default": ""},
            "docker_instance": {"type": "str", "default": "mlflow"},
            "repository": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Remove everything, or in check mode list what would be removed."""
    params = module.params
    host.require_known(params)
    state = files.state_folder(params["state_dir"])
    removal = host.HostRemoval(params, state)
    if not module.check_mode:
        findings.require_confirmed(params["confirm"], removal.word)
    found = removal.found()
    left = []
    if not module.check_mode:
        removal.remove()
        left = removal.left()
    return {
        "changed": bool(found),
        "found": findings.as_found(found),
        "removed": findings.as_removed(removal.removed),
        "leftovers": findings.as_left(left),
        "word": removal.word,
        "state_dir": str(state),
    }


if __name__ == "__main__":
    main()
