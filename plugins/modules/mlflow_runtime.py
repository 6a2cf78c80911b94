#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_runtime
short_description: Install MLflow's locked set in a folder of its own
version_added: 0.1.0
description:
  - Makes a virtual environment in the state folder and installs locked, hashed requirements into it, so
    that servers can run as processes on a host without Docker.
  - The folder's name carries MLflow's version and a hash of everything that goes into it. Other requirements
    give another folder; the one before stays until the next installation, older ones are deleted.
  - An installation that was interrupted is made anew, and two runs at once wait for each other.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
requirements:
  - Python 3.11 or newer on the host, with C(venv) and C(ensurepip)
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.state_dir
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  requirements:
    description: Contents of the locked requirements files, as C(pip) reads them.
    type: list
    elements: str
    required: true
  programs:
    description: Contents of the collection's C(docker/mlflow_entry.py) and of the files beside it that it needs, by
      name.
    type: dict
    required: true
  python:
    description:
      - The interpreter that makes the environment.
      - Without it, the first that works of the one that runs the module and those on the path.
    type: str
  timeout:
    description: Seconds that the wait for another run, and each step of the installation, may take.
    type: int
    default: 900
"""

EXAMPLES = r"""
- name: Install MLflow
  mlops.mlflow_aws.mlflow_runtime:
    requirements:
      - "{{ lookup('ansible.builtin.file', 'requirements.txt') }}"
    programs:
      mlflow_entry.py: "{{ lookup('ansible.builtin.file', 'mlflow_entry.py') }}"
"""

RETURN = r"""
runtime:
  description: The runtime record.
  returned: success
  type: dict
  contains:
    path:
      description: Folder of the runtime; its name identifies it.
      type: str
    python:
      description: The interpreter that has MLflow installed.
      type: str
    entrypoint:
      description: Path of C(mlflow_entry.py) in the runtime.
      type: str
    version:
      description: MLflow's version.
      type: str
    installed:
      description: Whether it is there; V(false) only in check mode.
      type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files, installation


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state_dir": {"type": "path"},
            "requirements": {"type": "list", "elements": "str", "required": True},
            "programs": {"type": "dict", "required": True},
            "python": {"type": "str"},
            "timeout": {"type": "int", "default": 900},
        },
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Install the runtime, or say that it would be."""
    params = module.params
    state = files.state_folder(params["state_dir"])
    folder = files.runtimes_folder(state)
    files.require_writable(folder, "choose another mlflow_state_dir or change its owner")
    runtime = installation.wanted_runtime(
        folder, params["requirements"], params["programs"], params["python"]
    )
    if module.check_mode:
        changed = not runtime.is_installed()
    else:
        changed = installation.install(
            runtime, params["requirements"], params["programs"], params["timeout"]
        )
    installed = not (changed and module.check_mode)
    record = {
        "path": str(runtime.folder),
        "python": str(runtime.python),
        "entrypoint": str(runtime.entrypoint),
        "version": runtime.version,
        "installed": installed,
    }
    before = {} if changed else {"runtime": runtime.folder.name}
    return {
        "changed": changed,
        "runtime": record,
        "diff": {"before": before, "after": {"runtime": runtime.folder.name}},
        # The contents are some thousand lines of hashes.
        "invocation": {"module_args": {**params, "requirements": "...", "programs": "..."}},
    }


if __name__ == "__main__":
    main()
