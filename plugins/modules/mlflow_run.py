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
  - Give a server a O(servers[].key) to log only once for that key. A finished run that carries it is found by
    a search, which is a read through the server's database in itself.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
requirements:
  - mlflow-skinny or mlflow, 3.17 or newer, for the interpreter that runs the module; in a check mode run
    without it every run counts as missing
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
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
"""

EXAMPLES = r"""
- name: Prove that a server stores what it is given
  mlops.mlflow_aws.mlflow_run:
    servers:
      - name: demo
        url: http://127.0.0.1:5001
  vars:
    ansible_python_interpreter: /srv/mlflow/runtimes/3.17.2-0123456789ab/venv/bin/python
"""

RETURN = r"""
runs:
  description: One record for each server, in the order given.
  returned: success
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

import os
import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module, _run

try:
    import importlib.util

    HAS_MLFLOW = importlib.util.find_spec("mlflow") is not None
    MLFLOW_IMPORT_ERROR = None
except ImportError:
    HAS_MLFLOW = False
    MLFLOW_IMPORT_ERROR = traceback.format_exc()


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
        },
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Log the runs, or say which would be logged."""
    params = module.params
    requests = [
        _run.Request(item["name"], item["url"].rstrip("/"), item["key"])
        for item in params["servers"]
    ]
    if not requests:
        return {"changed": False, "runs": []}
    if not HAS_MLFLOW:
        if module.check_mode:
            return {"changed": True, "runs": []}
        module.fail_json(msg=missing_required_lib("mlflow-skinny"), exception=MLFLOW_IMPORT_ERROR)
    _configure_client(params["timeout"])
    log = _run.find if module.check_mode else _run.log_all
    runs = log(requests, params["experiment"])
    return {"changed": any(run["logged"] for run in runs), "runs": runs}


def _configure_client(timeout: int) -> None:
    """Set the client up, before it is imported, to fail in time and to fetch through the server."""
    os.environ.update(
        MLFLOW_HTTP_REQUEST_TIMEOUT=str(timeout),
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="2",
        MLFLOW_DISABLE_TELEMETRY="true",
        # A client that cannot reach the store of artifacts itself would retry for minutes.
        MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD="false",
        MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
        GIT_PYTHON_REFRESH="quiet",
    )


if __name__ == "__main__":
    main()
