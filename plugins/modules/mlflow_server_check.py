#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_server_check
short_description: Check whether a host's MLflow servers are up to date
version_added: 0.2.0
description:
  - Checks in one call whether a host has everything that it needs. MLflow is installed, or the image is there; its
    credential broker is as wanted, and AWS accepts its identity; every server has its wanted state and answers; a
    verification run of M(mlops.mlflow_aws.mlflow_run) has verified its configuration; and it has its project's
    experiments.
  - Changes nothing. What would be an error of M(mlops.mlflow_aws.mlflow_server), such as a port that is in use, is
    returned as RV(reason).
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_broker
  - module: mlops.mlflow_aws.mlflow_server
  - module: mlops.mlflow_aws.mlflow_run
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.attributes.info
  - mlops.mlflow_aws.state_dir
  - mlops.mlflow_aws.docker
  - mlops.mlflow_aws.docker.placement
  - mlops.mlflow_aws.servers
  - mlops.mlflow_aws.servers.instance
options:
  runtime_files:
    description: Digest of the files that MLflow is installed from, as returned by
      P(mlops.mlflow_aws.mlflow_installation_files#filter). With O(runtime=process) the installed MLflow is found by it.
    type: str
    default: ""
  additional_files:
    description: SHA-256 of O(mlops.mlflow_aws.mlflow_installation#module:additional_requirements), empty without any.
    type: str
    default: ""
    version_added: 0.3.0
  base_python:
    description: Interpreter to create MLflow's environment with, as
      O(mlops.mlflow_aws.mlflow_installation#module:python).
    type: str
    default: ""
  experiment:
    description: Name of the experiment that holds the verification runs, as for M(mlops.mlflow_aws.mlflow_run).
    type: str
    default: mlflow-aws-verify
  always:
    description: Whether a new verification run is wanted in any case, so that a host with a running server is never up
      to date.
    type: bool
    default: false
  experiments:
    description:
      - Lists of experiments by the name of their project, each as
        O(mlops.mlflow_aws.mlflow_project_experiments#module:servers[].experiments). A host whose servers lack one is
        not up to date.
      - Takes one more request for each of these projects, if it has at most 1000 experiments.
    type: dict
    default: {}
    version_added: 0.4.0
  tunnel:
    description: Whether the host needs a tunnel to the database. This module does not check tunnels, so such a host is
      never up to date.
    type: bool
    default: false
  broker_options:
    description: Options of M(mlops.mlflow_aws.mlflow_broker) for this host, to check its credential broker by. If
      empty, none is checked.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Check whether this host is up to date
  mlops.mlflow_aws.mlflow_server_check:
    servers:
      - name: demo
        port: 5001
        backend_store_uri: sqlite:///{state_dir}/projects/demo/mlflow.db
        artifacts_destination: "{state_dir}/projects/demo/artifacts"
    runtime_files: "{{ requirements | mlops.mlflow_aws.mlflow_installation_files(programs) }}"
  register: check

- name: Skip the host if it is
  ansible.builtin.meta: end_host
  when: check.up_to_date
"""

RETURN = r"""
up_to_date:
  description: Whether the host has everything that it needs.
  returned: success
  type: bool
reason:
  description: What the host lacks first, else empty.
  returned: success
  type: str
servers:
  description: One record for each server, as RV(mlops.mlflow_aws.mlflow_server#module:servers). Empty if the host is
    not up to date.
  returned: success
  type: list
  elements: dict
runs:
  description: The verification run of each server, as RV(mlops.mlflow_aws.mlflow_run#module:runs). Empty if the host is
    not up to date.
  returned: success
  type: list
  elements: dict
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
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker import (
    options as broker_options,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import (
    options,
    target,
    up_to_date,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **options.SERVERS,
            "runtime_files": {"type": "str", "default": ""},
            "additional_files": {"type": "str", "default": ""},
            "base_python": {"type": "str", "default": ""},
            "experiment": {"type": "str", "default": "mlflow-aws-verify"},
            "always": {"type": "bool", "default": False},
            "experiments": {"type": "dict", "default": {}},
            "tunnel": {"type": "bool", "default": False},
            "broker_options": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
        # The invocation would go to the host's system log, environment values included.
        no_log=True,
    )
    _module.hide(module, options.secrets(module.params))
    _module.hide(module, broker_options.secrets(module.params["broker_options"]))
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, Any]:
    """Check the host."""
    params = module.params
    state = files.state_folder(params["state_dir"])
    # Hosts without a broker do not load what asks it.
    lacking = _broker(params["broker_options"], state) if params["broker_options"] else ""
    found = up_to_date.HostCheck(lacking) if lacking else up_to_date.check(params, state)
    return {
        "changed": False,
        "up_to_date": not found.reason,
        **found._asdict(),
        "kept": target.kept(params, state),
    }


def _broker(given: dict[str, Any], state: Path) -> str:
    """Return what the credential broker lacks."""
    from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker import manager

    return manager.fault(given, state)


if __name__ == "__main__":
    main()
