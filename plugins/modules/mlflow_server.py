#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_server
short_description: Manage the MLflow servers of a host
version_added: 0.1.0
description:
  - Starts, restarts, stops and removes any number of servers in one task, all at once, and waits until each
    answers a request that reads its database through the API.
  - A server is restarted only if its configuration or its MLflow changed.
  - Servers are supervised; one that dies is restarted. Their logs are rotated.
  - For each running server, writes a file to C(env) in O(state_dir) that sets C(MLFLOW_TRACKING_URI). Its name is
    O(docker_instance), a dash, the project and C(.env).
  - Never touches data. Removing a server removes its settings and its log.
  - With O(inventory), each host records which project had which port, in C(ports) in O(state_dir), and a run that
    would give one project's port to another is refused before anything is touched. Clients of the former project would
    otherwise log to the new one without any error.
  - With O(runtime=docker) a server is a container and a volume, both named after O(docker_instance) and the project.
    The container has a read-only root file system and no capabilities, and is recreated only if its configuration
    changed. Containers and volumes of others are never touched; where one is in the way, the run is refused before
    anything is changed.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_server_check
  - module: mlops.mlflow_aws.mlflow_server_info
  - module: mlops.mlflow_aws.mlflow_installation
  - module: mlops.mlflow_aws.mlflow_image_pull
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.state_dir
  - mlops.mlflow_aws.docker
  - mlops.mlflow_aws.docker.placement
  - mlops.mlflow_aws.servers
  - mlops.mlflow_aws.servers.instance
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows the names of environment variables, never their values.
options:
  python:
    description:
      - Path to the interpreter that has MLflow installed, as returned by M(mlops.mlflow_aws.mlflow_installation).
      - Required for O(runtime=process).
    type: path
  entrypoint:
    description:
      - Path to C(mlflow_entry.py), as returned by M(mlops.mlflow_aws.mlflow_installation).
      - Required for O(runtime=process).
    type: path
  timeout:
    description:
      - Timeout in seconds for all servers together to answer. The default covers a database that has been paused for
        more than a day.
      - A server that refuses to serve, for example because its schema is newer than its MLflow, is not waited for. It
        stays up, answers every request with status 503 and the reason, and tries again when this module asks it.
    type: int
    default: 300
"""

EXAMPLES = r"""
# Here mlflow is the registered result of mlflow_installation.
- name: Run a project's server
  mlops.mlflow_aws.mlflow_server:
    servers:
      - name: demo
        port: 5001
        backend_store_uri: sqlite:////srv/mlflow/projects/demo/mlflow.db
        artifacts_destination: /srv/mlflow/projects/demo/artifacts
    python: "{{ mlflow.installation.python }}"
    entrypoint: "{{ mlflow.installation.entrypoint }}"

- name: Run a project's server as a container
  mlops.mlflow_aws.mlflow_server:
    runtime: docker
    image: "{{ image }}"
    memory: 1g
    aws_config_dir: ~/.aws
    servers:
      - name: demo
        port: 5001
        backend_store_uri: mysql+pymysql://db.example.com:3306/mlflow_demo
        artifacts_destination: s3://example-mlflow/projects/demo
        database:
          user: mlflow_rt_demo
          secret: example-secret
        aws:
          region: eu-central-1
  vars:
    image: registry.example.com/mlflow@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
"""

RETURN = r"""
servers:
  description: One record for each server, those of O(servers) in that order, then others by name.
  returned: always, unless the input was refused
  type: list
  elements: dict
  contains:
    name:
      description: Name of the project.
      type: str
    action:
      description: What was done, or in check mode would be, one of V(keep), V(start), V(restart), V(stop) or
        V(remove).
      type: str
    planned:
      description: Whether RV(servers[].action) is still to be done, as in check mode.
      type: bool
    state:
      description: Present state, one of V(running), V(stopped) or V(absent).
      type: str
    url:
      description: URL at which this host reaches the server.
      type: str
    port:
      description: Port of the server, or null if it is not known.
      type: int
    pid:
      description: Process ID, or null if the server does not run or is a container.
      type: int
    healthy:
      description: Whether the server answered a request that reads its database.
      type: bool
    version:
      description: MLflow version that the server reports.
      type: str
    configuration:
      description: Hash of the configuration. A different one means a restart.
      type: str
    reason:
      description: Why the server is not healthy, else empty.
      type: str
    refused:
      description: Whether the server runs but refuses to serve, for RV(servers[].reason).
      type: bool
    confined:
      description: Whether a server that is a process is kept from what is not its project's, by Linux's Landlock.
        Null for a container, and for a server that does not answer.
      type: bool
      version_added: 0.3.0
    log_path:
      description: Path to the log, or the command that shows it if the server is a container.
      type: str
    log_tail:
      description: The last lines of the log, if the server should answer and does not.
      type: list
      elements: str
    env_file:
      description: Path to the file that sets C(MLFLOW_TRACKING_URI). It exists while the server runs.
      type: str
    listed:
      description: Whether the server is one of O(servers).
      type: bool
kept:
  description: Data of the local backend on the host under names that O(inventory) does not list.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the project.
      type: str
    place:
      description: Path to the directory with its data.
      type: str
ports_refused:
  description: Whether the run was refused because a project would get the port of another one.
  returned: when a port was refused
  type: bool
tunnel:
  description: Whether the host has a tunnel of M(mlops.mlflow_aws.mlflow_database_tunnel).
  returned: success
  type: bool
door:
  description: Whether the host has a front door of M(mlops.mlflow_aws.mlflow_door).
  returned: success
  type: bool
  version_added: 0.5.0
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door.folder import Folder
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files, paths
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import (
    manager,
    options,
    target,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **options.SERVERS,
            "python": {"type": "path"},
            "entrypoint": {"type": "path"},
            "timeout": {"type": "int", "default": 300},
        },
        # Check mode and ending servers need no image.
        required_if=[("runtime", "process", ("python",))],
        required_together=[("python", "entrypoint")],
        supports_check_mode=True,
        # The invocation would go to the host's system log, environment values included.
        no_log=True,
    )
    _module.hide(module, options.secrets(module.params))
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, Any]:
    """Converge the servers, or in check mode say what that would do."""
    params = module.params
    state = files.state_folder(params["state_dir"])
    if params["door"] and not module.check_mode:
        Folder(state).make_keys()
    wanted = target.target(params, state, *paths.runtime_paths(params))
    kept = {"kept": target.kept(params, state)}
    try:
        done = (
            manager.check(wanted)
            if module.check_mode
            else manager.converge(wanted, params["timeout"])
        )
    except MlflowError as error:
        raise MlflowError(str(error), error.details | kept) from error
    return {
        **done._asdict(),
        **kept,
        "tunnel": files.has_tunnel(state),
        "door": Folder(state).settings.exists(),
    }


if __name__ == "__main__":
    main()
