#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_token
short_description: Manage the tokens of a front door's members
version_added: 0.5.0
description:
  - Creates and revokes personal tokens, with which MLflow's clients pass the front door of a host.
  - The host keeps a hash alone. The token itself is returned once, or written to O(dest) for the connecting user only.
  - A revoked token is refused from the next request on. Nothing is restarted.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_door
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.state_dir
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  member:
    description: Name of the member.
    type: str
    required: true
  name:
    description: Name of the token among the member's, for example where it is used. With O(state=absent) and an empty
      name, all of the member's tokens are revoked.
    type: str
    default: ""
  state:
    description:
      - V(present) creates the token unless a valid one of this name is there.
      - V(absent) revokes it.
    type: str
    choices: [present, absent]
    default: present
  days:
    description: Days for which a new token is valid. V(0) means that it does not expire.
    type: int
    default: 365
  renew:
    description: Whether to replace a valid token.
    type: bool
    default: false
  dest:
    description: Absolute path of a file on the host to write a new token to, with mode 0600, instead of returning it.
      If the file is missing, the token is replaced.
    type: path
"""

EXAMPLES = r"""
- name: Give the CI a token
  mlops.mlflow_aws.mlflow_token:
    member: ci
    name: pipeline
    dest: ~/.mlflow-token

- name: Revoke all tokens of a member
  mlops.mlflow_aws.mlflow_token:
    member: research
    state: absent
"""

RETURN = r"""
token:
  description: The new token, empty if none was created or if it is in O(dest). Register it with C(no_log).
  returned: success
  type: str
tokens:
  description: The member's tokens.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: ID, which is part of the token.
      type: str
    member:
      description: Name of the member.
      type: str
    name:
      description: Name of the token.
      type: str
    created:
      description: Unix time of its creation.
      type: int
    expires:
      description: Unix time at which it expires, V(0) for never.
      type: int
"""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door import tokens
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door.folder import (
    TOKENS,
    Folder,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files, paths

_LOCK_SECONDS = 60


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state_dir": {"type": "path"},
            "member": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "days": {"type": "int", "default": 365},
            "renew": {"type": "bool", "default": False},
            "dest": {"type": "path"},
        },
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, Any]:
    """Create or revoke tokens, or in check mode say what that would do."""
    params = module.params
    folder = Folder(files.state_folder(params["state_dir"]))
    dest = Path(paths.host_path("dest", params["dest"])) if params["dest"] else None
    if params["state"] == "present":
        if not params["name"] or params["days"] < 0:
            raise MlflowError("A token needs a name, and days of 0 or more.")
        folder.require_member(params["member"])
    if module.check_mode:
        change = _change(folder, params, dest)
        return {"changed": change.changed, "token": "", "tokens": _listed(change.tokens, params)}
    with folder.locked(_LOCK_SECONDS, "changing the tokens of this host"):
        change = _change(folder, params, dest)
        if change.changed:
            if dest and change.token:
                # Before its hash: a run that is killed between them leaves a file that the next one replaces.
                files.write_private(dest, change.token)
            folder.write(TOKENS, change.tokens)
    return {
        "changed": change.changed,
        "token": "" if dest else change.token,
        "tokens": _listed(change.tokens, params),
    }


def _change(folder: Folder, params: dict[str, Any], dest: Path | None) -> tokens.Change:
    """Return what is to change."""
    there = folder.read(TOKENS)
    if params["state"] == "absent":
        return tokens.revoked(there, params["member"], params["name"])
    lost = dest is not None and not tokens.is_there(there, params["member"], params["name"], dest)
    anew = params["renew"] or lost
    return tokens.created(
        there, params["member"], params["name"], params["days"], int(time.time()), anew=anew
    )


def _listed(there: tokens.Tokens, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the member's tokens."""
    return [one for one in tokens.listed(there) if one["member"] == params["member"]]


if __name__ == "__main__":
    main()
