#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_server_info
short_description: Tell which MLflow servers a host has and how they are
version_added: 0.1.0
description:
  - Returns a record for each server that the state folder, or the host's Docker engine, knows of, and asks those that
    run a question that only their database can answer.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_server
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.attributes.info
  - mlops.mlflow_aws.state_dir
  - mlops.mlflow_aws.docker
options:
  runtime:
    description: Whose servers to tell of, V(process) or V(docker).
    type: str
    choices: [docker, process]
    default: process
    version_added: 0.2.0
  docker_instance:
    description: As for M(mlops.mlflow_aws.mlflow_server).
    type: str
    default: mlflow
    version_added: 0.2.0
"""

EXAMPLES = r"""
- name: Look at the servers of this host
  mlops.mlflow_aws.mlflow_server_info:
  register: found

- name: Look at those that are containers
  mlops.mlflow_aws.mlflow_server_info:
    runtime: docker
  register: found
"""

RETURN = r"""
servers:
  description: One record for each server, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The project's name.
      type: str
    action:
      description: What was done, or in check mode would be, one of V(keep), V(start), V(restart), V(stop) or
        V(remove).
      type: str
    planned:
      description: Whether that is still to be done, as in check mode.
      type: bool
    state:
      description: How it is now, one of V(running), V(stopped) or V(absent).
      type: str
    url:
      description: Its URL, as this host reaches it.
      type: str
    port:
      description: Its port, or null where nothing is known of it.
      type: int
    pid:
      description: Its process id, or null where it does not run or is a container.
      type: int
    healthy:
      description: Whether it answered a request that reads its database.
      type: bool
    version:
      description: MLflow's version, as the server says.
      type: str
    configuration:
      description: Hash of its configuration; another one means a restart.
      type: str
    reason:
      description: Why it is not healthy, else empty.
      type: str
    log_path:
      description: Where its log is; the command that shows it where the server is a container.
      type: str
    log_tail:
      description: The last lines of its log, where it should answer and does not.
      type: list
      elements: str
    env_file:
      description: File that sets C(MLFLOW_TRACKING_URI) to its address for whoever sources it; there while it runs.
      type: str
    listed:
      description: Whether it is one of those asked for.
      type: bool
state_dir:
  description: Absolute path of the state folder.
  returned: success
  type: str
runtime:
  description: The newest runtime that is installed there, or null.
  returned: success
  type: dict
  contains:
    path:
      description: Folder of the runtime.
      type: str
    python:
      description: The interpreter that has MLflow installed.
      type: str
    entrypoint:
      description: C(mlflow_entry.py) in that folder.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.installation import newest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import manager
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.containers import (
    DockerRuntime,
    Placement,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.env_files import EnvFiles
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.processes import (
    ProcessRuntime,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.runtime import Runtime


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state_dir": {"type": "path"},
            "runtime": {"type": "str", "choices": ["docker", "process"], "default": "process"},
            "docker_host": {"type": "str", "default": ""},
            "docker_instance": {"type": "str", "default": "mlflow"},
        },
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Read the servers."""
    params = module.params
    state = files.state_folder(params["state_dir"])
    # Reading needs neither interpreter, entry point nor image.
    runtime: Runtime
    if params["runtime"] == "docker":
        engine = Engine(params["docker_host"])
        runtime = DockerRuntime(engine, Placement(image=""), params["docker_instance"])
    else:
        runtime = ProcessRuntime(files.servers_folder(state), "", "", "")
    return {
        "changed": False,
        "servers": manager.records(
            runtime, EnvFiles(files.env_folder(state), params["docker_instance"])
        ),
        "state_dir": str(state),
        "runtime": newest(files.runtimes_folder(state)),
    }


if __name__ == "__main__":
    main()
