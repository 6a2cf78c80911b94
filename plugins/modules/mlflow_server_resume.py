#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_server_resume
short_description: Start stopped MLflow servers as they ran last
version_added: 0.4.0
description:
  - Starts servers that M(mlops.mlflow_aws.mlflow_server) stopped, with the settings and the MLflow that they had, which
    may be those of an earlier release of this collection. An upgrade that fails gives projects their servers back with
    it.
  - Does not wait until they answer.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_server
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.state_dir
  - mlops.mlflow_aws.docker
  - mlops.mlflow_aws.servers.instance
attributes:
  check_mode:
    support: full
    details: Does nothing.
  diff_mode:
    support: none
options:
  names:
    description: Names of the projects.
    type: list
    elements: str
    required: true
  timeout:
    description: Timeout in seconds for starting what supervises them.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Start the server of a project as it ran last
  mlops.mlflow_aws.mlflow_server_resume:
    names: [demo]
"""

RETURN = r"""
resumed:
  description: Names of the projects whose servers were started.
  returned: success
  type: list
  elements: str
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import options, target


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **options.RUNTIME,
            "names": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, Any]:
    """Start the servers."""
    params = module.params
    if module.check_mode:
        return {"changed": False, "resumed": []}
    state = files.state_folder(params["state_dir"])
    lock = files.servers_folder(state) / ".lock"
    files.make_folder(lock.parent)
    timeout = params["timeout"]
    with files.exclusive(lock, timeout, "changing the servers of this host"):
        runtime = target.known(params, state)
        resumed = runtime.resume(params["names"], time.monotonic() + timeout)
        target.env_files(params, state).write_for(runtime.observe(), resumed)
    return {"changed": bool(resumed), "resumed": resumed}


if __name__ == "__main__":
    main()
