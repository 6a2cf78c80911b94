#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_installation
short_description: Install MLflow in a folder of its own
version_added: 0.2.0
description:
  - Creates a virtual environment in the state folder and installs locked, hashed requirements into it, so
    that servers can run as processes on a host without Docker.
  - The folder's name holds MLflow's version and a hash of everything that goes into it. Other requirements
    give another folder; the previous one stays until the next installation, older ones are deleted.
  - An interrupted installation is started over, and concurrent runs wait for each other.
  - Its name in 0.1.0, C(mlflow_runtime), still works and is removed in 1.0.0.
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
    description:
      - Contents of the collection's C(programs/server/mlflow_entry.py) and of the files that it needs, by their path
        relative to that folder.
      - P(mlops.mlflow_aws.mlflow_programs#lookup) reads them.
    type: dict
    required: true
  additional_requirements:
    description:
      - Packages to install beside the locked set, as P(mlops.mlflow_aws.mlflow_additional_requirements#filter) returns
        them. They are part of the folder's name, like the other files.
      - A package whose own requirements are not met fails the installation.
    type: str
    default: ""
    version_added: 0.3.0
  python:
    description:
      - Path to, or name of, the interpreter that creates the environment.
      - If unset, the first usable one of the interpreter that runs the module and those on the path.
    type: str
  timeout:
    description: Timeout in seconds for the wait for another run, and for each step of the installation.
    type: int
    default: 900
"""

EXAMPLES = r"""
- name: Install MLflow
  mlops.mlflow_aws.mlflow_installation:
    requirements:
      - "{{ lookup('ansible.builtin.file', collection ~ '/docker/requirements.txt') }}"
      - "{{ lookup('ansible.builtin.file', collection ~ '/programs/server/process.txt') }}"
    programs: "{{ lookup('mlops.mlflow_aws.mlflow_programs', collection ~ '/programs/server') }}"
  register: mlflow
"""

RETURN = r"""
installation:
  description: The installation.
  returned: success
  type: dict
  contains:
    path:
      description: Path to the folder; its name identifies the installation.
      type: str
    python:
      description: Path to the interpreter that has MLflow installed.
      type: str
    entrypoint:
      description: Path to C(mlflow_entry.py) in the folder.
      type: str
    version:
      description: MLflow's version.
      type: str
    installed:
      description: Whether it is there; V(false) only in check mode.
      type: bool
    additional_size:
      description: Size in bytes of the packages of O(additional_requirements) in the environment, V(0) without them and
        before they are installed.
      type: int
      version_added: 0.3.0
runtime:
  description: The same as RV(installation). Its name in 0.1.0, which is removed in 1.0.0.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import (
    files,
    installation,
    venv,
)

_LONG = ("requirements", "programs", "additional_requirements")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state_dir": {"type": "path"},
            "requirements": {"type": "list", "elements": "str", "required": True},
            # As an argument: all files are 100 KB, which are compressed with the module. To copy them as a folder
            # takes two module calls for each of the 23 files on each host: 50 times as long, measured.
            "programs": {"type": "dict", "required": True},
            "additional_requirements": {"type": "str", "default": ""},
            "python": {"type": "str"},
            "timeout": {"type": "int", "default": 900},
        },
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Install MLflow, or report that it would be installed."""
    params = module.params
    state = files.state_folder(params["state_dir"])
    folder = files.runtimes_folder(state)
    files.require_writable(folder, "choose another mlflow_state_dir or change its owner")
    additional = params["additional_requirements"]
    target = installation.wanted(
        folder, params["requirements"], params["programs"], params["python"], additional
    )
    if module.check_mode:
        changed = not target.is_installed()
    else:
        changed = installation.install(
            target, params["requirements"], params["programs"], params["timeout"], additional
        )
    installed = not (changed and module.check_mode)
    record = {
        "path": str(target.folder),
        "python": str(target.python),
        "entrypoint": str(target.entrypoint),
        "version": target.version,
        "installed": installed,
        "additional_size": venv.taken(target.folder) if installed and additional else 0,
    }
    before = {} if changed else {"installation": target.folder.name}
    return {
        "changed": changed,
        "installation": record,
        "runtime": record,
        "diff": {"before": before, "after": {"installation": target.folder.name}},
        # The contents are thousands of lines.
        "invocation": {"module_args": {**params, **dict.fromkeys(_LONG, "...")}},
    }


if __name__ == "__main__":
    main()
