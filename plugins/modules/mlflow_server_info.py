#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_server_info
short_description: Gather information about the MLflow servers of a host
version_added: 0.1.0
description:
  - Returns a record for each server that the state directory, or the host's Docker engine, has, and asks those that run
    a question that only their database can answer.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_server
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.attributes.info
  - mlops.mlflow_aws.state_dir
  - mlops.mlflow_aws.docker
  - mlops.mlflow_aws.servers.instance
"""

EXAMPLES = r"""
- name: Gather information about the servers of this host
  mlops.mlflow_aws.mlflow_server_info:
  register: found

- name: Gather information about servers that are containers
  mlops.mlflow_aws.mlflow_server_info:
    runtime: docker
  register: found
"""

RETURN = r"""
servers:
  description: One record for each server, by name, as RV(mlops.mlflow_aws.mlflow_server#module:servers).
  returned: success
  type: list
  elements: dict
state_dir:
  description: Absolute path to the state directory.
  returned: success
  type: str
runtime:
  description: The MLflow that was installed last in the state directory, or null.
  returned: success
  type: dict
  contains:
    path:
      description: Path to its directory.
      type: str
    python:
      description: Path to the interpreter that has MLflow installed.
      type: str
    entrypoint:
      description: Path to C(mlflow_entry.py) in that directory.
      type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door.folder import Folder
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.installation import newest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import (
    options,
    records,
    target,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=options.RUNTIME, supports_check_mode=True)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, Any]:
    """Read the servers."""
    params = module.params
    state = files.state_folder(params["state_dir"])
    runtime = target.known(params, state)
    return {
        "changed": False,
        "servers": records.records(
            runtime, target.env_files(params, state), Folder(state).secret()
        ),
        "state_dir": str(state),
        "runtime": newest(files.runtimes_folder(state)),
    }


if __name__ == "__main__":
    main()
