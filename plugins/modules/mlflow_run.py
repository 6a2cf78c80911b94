#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_run
short_description: Log a small real run through MLflow servers and read it back
version_added: 0.1.0
description:
  - Logs one run through each server with the MLflow client (parameters, a metric with steps, an artifact), reads
    all of it back, and fails where anything came back otherwise than it was sent.
  - The client is that of an installed runtime (O(python) and O(entrypoint)), or that of the image (O(image)), which
    then runs beside each server's container. Nothing needs to be installed for the interpreter that runs the module.
  - Give a server a O(servers[].key) to log only once for that key. A finished run that carries it is found by
    a search, which is a read through the server's database in itself.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.docker
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  servers:
    description: The servers to log through.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The project's name.
        type: str
        required: true
      url:
        description: URL of the server, as this host reaches it.
        type: str
        required: true
      key:
        description: What this run proves, such as the hash of the server's configuration. Empty logs
          one more run each time.
        type: str
        default: ""
  state:
    description: V(logged) makes sure that a run is there, and whole.
    type: str
    choices: [logged]
    default: logged
  experiment:
    description: Name of the experiment that holds these runs; made where it is missing.
    type: str
    default: mlflow-aws-verify
  timeout:
    description: Seconds that one request to a server may take.
    type: int
    default: 60
  python:
    description: The interpreter that has MLflow installed, as returned by M(mlops.mlflow_aws.mlflow_installation).
    type: path
  entrypoint:
    description: Path of C(mlflow_entry.py) beside it, as returned by M(mlops.mlflow_aws.mlflow_installation).
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
- name: Prove that a server stores what it is given
  mlops.mlflow_aws.mlflow_run:
    servers:
      - name: demo
        url: http://127.0.0.1:5001
    python: /srv/mlflow/runtimes/3.17.2-0123456789ab/venv/bin/python
    entrypoint: /srv/mlflow/runtimes/3.17.2-0123456789ab/mlflow_entry.py
"""

RETURN = r"""
failures:
  description: The servers through which no run could be logged or read back, in the order given.
  returned: failure
  type: list
  elements: dict
  contains:
    name:
      description: The project's name.
      type: str
    reason:
      description: What the server said, or how the connection ended.
      type: str
runs:
  description: One record for each server that has its run, in the order given; with RV(failures) those of the others.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The project's name.
      type: str
    url:
      description: URL of the server.
      type: str
    run_id:
      description: Id of the run; empty in check mode where it would be logged.
      type: str
    experiment_id:
      description: Id of its experiment.
      type: str
    logged:
      description: Whether it was logged now, rather than found.
      type: bool
    seconds:
      description: Seconds that each step took, keyed by V(create), V(log) and V(read).
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import client
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import paths
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import proof, verdict
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import runs as server_runs


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
    """Log the runs, or say which would be logged."""
    params = module.params
    requests = [
        proof.Request(item["name"], item["url"].rstrip("/"), item["key"])
        for item in params["servers"]
    ]
    if len({request.name for request in requests}) < len(requests):
        raise MlflowError("Two of the servers have one name: give each its project's.")
    prover = None if module.check_mode else _prover(params)
    runs, failures = server_runs.log_all(requests, params["experiment"], params["timeout"], prover)
    result = {"changed": any(run["logged"] for run in runs), "runs": runs}
    if failures:
        raise MlflowError(verdict.problem(failures), {**result, "failures": failures})
    return result


def _prover(params: dict[str, str]) -> server_runs.Prover:
    """Return what has the MLflow client."""
    if not params["image"]:
        return server_runs.ProcessProver(*paths.runtime_paths(params))
    engine = client.Engine(params["docker_host"])
    return server_runs.ContainerProver(engine, params["image"], params["docker_instance"])


if __name__ == "__main__":
    main()
