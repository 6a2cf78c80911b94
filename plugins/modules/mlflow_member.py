#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_member
short_description: Manage the password of a front door's member
version_added: 0.5.0
description:
  - Sets or removes the password with which a person signs in at the front door of a host, where there is no issuer for
    sign-in by OpenID Connect. Who the members are, and what they may do, are options of
    M(mlops.mlflow_aws.mlflow_door).
  - The host keeps a hash alone (scrypt). Nothing is restarted.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_door
  - module: mlops.mlflow_aws.mlflow_token
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.state_dir
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  name:
    description: Name of the member.
    type: str
    required: true
  password:
    description: Password, of 12 characters or more. Required for O(state=present).
    type: str
  state:
    description:
      - V(present) sets the password.
      - V(absent) removes it. Sessions that have begun go on until they end.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Let a person sign in by a password
  mlops.mlflow_aws.mlflow_member:
    name: research
    password: "{{ vault_research_password }}"
"""

RETURN = r"""
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door import folder as files_of_door
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files

_LOCK_SECONDS = 60
_LEAST = 12


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state_dir": {"type": "path"},
            "name": {"type": "str", "required": True},
            "password": {"type": "str", "no_log": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["password"])],
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, Any]:
    """Set or remove the password, or in check mode say whether it would change."""
    params = module.params
    folder = files_of_door.Folder(files.state_folder(params["state_dir"]))
    if params["state"] == "present":
        if len(params["password"]) < _LEAST:
            raise MlflowError(
                f"The password of {params['name']} is too short; use {_LEAST} characters or more."
            )
        folder.require_member(params["name"])
    if module.check_mode:
        return {"changed": _differs(folder.read(files_of_door.PASSWORDS), params)}
    with folder.locked(_LOCK_SECONDS, "changing the passwords of this host"):
        kept = folder.read(files_of_door.PASSWORDS)
        changed = _differs(kept, params)
        if changed:
            others = {name: one for name, one in kept.items() if name != params["name"]}
            if params["state"] == "present":
                others[params["name"]] = files_of_door.password(params["password"])
            folder.write(files_of_door.PASSWORDS, others)
    return {"changed": changed}


def _differs(kept: dict[str, Any], params: dict[str, Any]) -> bool:
    """Return whether the password has to change."""
    there = kept.get(params["name"])
    if params["state"] == "absent":
        return there is not None
    return there is None or not files_of_door.is_password(there, params["password"])


if __name__ == "__main__":
    main()
