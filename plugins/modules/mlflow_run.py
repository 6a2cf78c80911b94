#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_run
short_description: Verify MLflow servers by a run through each
version_added: 0.1.0
description:
  - Logs one verification run through each server with the MLflow client (parameters, a metric with steps, an artifact),
    reads all of it back, and fails if anything differs from what was logged.
  - The client is that of an installed MLflow (O(python) and O(entrypoint)), or that of the image (O(image)), which then
    runs beside each server's container. The interpreter that runs the module needs no further packages.
  - A server with a O(servers[].key) gets only one run for that key. A finished run that has the key is found by a
    search, which itself reads the server's database.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_server
  - module: mlops.mlflow_aws.mlflow_server_check
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
  servers:
    description: The servers to verify.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the project.
        type: str
        required: true
      url:
        description: URL at which this host reaches the server.
        type: str
        required: true
      key:
        description: What the run verifies, such as the hash of the server's configuration. If empty, a new run is
          logged each time.
        type: str
        default: ""
  state:
    description: V(logged) ensures that each server has a run that is complete.
    type: str
    choices: [logged]
    default: logged
  experiment:
    description: Name of the experiment that holds the verification runs. It is created if it does not exist.
    type: str
    default: mlflow-aws-verify
  timeout:
    description: Timeout in seconds for each request to a server.
    type: int
    default: 60
  python:
    description: Path to the interpreter that has MLflow installed, as returned by
      M(mlops.mlflow_aws.mlflow_installation).
    type: path
  entrypoint:
    description: Path to C(mlflow_entry.py), as returned by M(mlops.mlflow_aws.mlflow_installation).
    type: path
  image:
    description: The image that the servers' containers run.
    type: str
    version_added: 0.2.0
  docker_instance:
    description: As for M(mlops.mlflow_aws.mlflow_server).
    type: str
    default: mlflow
    version_added: 0.2.0
"""

EXAMPLES = r"""
# Here mlflow is the registered result of mlflow_installation.
- name: Verify a server
  mlops.mlflow_aws.mlflow_run:
    servers:
      - name: demo
        url: http://127.0.0.1:5001
    python: "{{ mlflow.installation.python }}"
    entrypoint: "{{ mlflow.installation.entrypoint }}"
"""

RETURN = r"""
failures:
  description: The servers through which no run could be logged or read back, in the order of O(servers).
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
runs:
  description: One record for each server that has its run, in the order of O(servers). With RV(failures), those of the
    other servers.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the project.
      type: str
    url:
      description: URL of the server.
      type: str
    run_id:
      description: ID of the run. Empty in check mode if it would be logged.
      type: str
    experiment_id:
      description: ID of its experiment.
      type: str
    logged:
      description: Whether the run was logged now, rather than found.
      type: bool
    seconds:
      description: Duration of each step in seconds, with the keys V(create), V(log) and V(read).
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door.folder import Folder
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files, paths
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import (
    verification,
    verification_clients,
    verification_results,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.verification_runs import (
    RunRequest,
)


def main() -> None:
    """Run the module."""
    server = {
        "name": {"type": "str", "required": True},
        "url": {"type": "str", "required": True},
        "key": {"type": "str", "default": "", "no_log": False},
    }
    module = AnsibleModule(
        argument_spec={
            "servers": {"type": "list", "elements": "dict", "required": True, "options": server},
            "state_dir": {"type": "path"},
            "state": {"type": "str", "choices": ["logged"], "default": "logged"},
            "experiment": {"type": "str", "default": "mlflow-aws-verify"},
            "timeout": {"type": "int", "default": 60},
            "python": {"type": "path"},
            "entrypoint": {"type": "path"},
            "image": {"type": "str"},
            "docker_host": {"type": "str", "default": ""},
            "docker_instance": {"type": "str", "default": "mlflow"},
        },
        required_together=[("python", "entrypoint")],
        required_one_of=[("python", "image")],
        mutually_exclusive=[("python", "image")],
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Verify the servers, or in check mode say which runs would be logged."""
    params = module.params
    requests = [
        RunRequest(item["name"], item["url"].rstrip("/"), item["key"]) for item in params["servers"]
    ]
    if len({request.name for request in requests}) < len(requests):
        raise MlflowError("Two of the servers have the same name; give each that of its project.")
    token = Folder(files.state_folder(params["state_dir"])).secret()
    client = None if module.check_mode else _client(params, token)
    runs, failures = verification.verify(
        requests, params["experiment"], params["timeout"], client, token
    )
    result = {"changed": any(run["logged"] for run in runs), "runs": runs}
    if failures:
        sentence = verification_results.problem(failures)
        raise MlflowError(sentence, {**result, "failures": failures})
    return result


def _client(params: dict[str, str], token: str) -> verification.Client:
    """Return the MLflow client that logs the runs; token: what servers behind a front door want to see."""
    if not params["image"]:
        return verification_clients.ProcessClient(*paths.runtime_paths(params), token)
    engine = Engine(params["docker_host"])
    return verification_clients.ContainerClient(
        engine, params["image"], params["docker_instance"], token
    )


if __name__ == "__main__":
    main()
