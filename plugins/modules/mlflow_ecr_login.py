#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_ecr_login
short_description: Let Docker into ECR by a private configuration folder
version_added: 0.2.0
description:
  - Gets a token for the ECR registry and writes it into a new Docker configuration folder that this user alone can
    read. Programs that get its path in E(DOCKER_CONFIG) are let in; the token itself is never returned.
  - The folder also knows the contexts, builders and plugins of the user's own configuration, which stays untouched,
    and none of its passwords.
  - Remove it again with O(state=absent). Folders of runs that were killed are removed by a later run.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_image_info
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.aws
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  state:
    description: V(present) makes a folder, V(absent) removes one.
    type: str
    choices: [present, absent]
    default: present
  registry:
    description:
      - Host, with port if need be, under which Docker finds the registry.
      - Without it the one that ECR names.
    type: str
    default: ""
  path:
    description: The folder to remove, as it was returned. Required with O(state=absent).
    type: path
"""

EXAMPLES = r"""
- name: Push an image
  block:
    - name: Log in
      mlops.mlflow_aws.mlflow_ecr_login:
        region: eu-central-1
      register: login

    - name: Push
      community.docker.docker_image_push:
        name: 000000000000.dkr.ecr.eu-central-1.amazonaws.com/mlflow
        tag: 3.17.2-0123456789ab
      environment:
        DOCKER_CONFIG: "{{ login.path }}"
  always:
    - name: Log out
      mlops.mlflow_aws.mlflow_ecr_login:
        path: "{{ login.path }}"
        state: absent
      when: login.path is defined
"""

RETURN = r"""
path:
  description: The folder; empty in check mode, which makes none.
  returned: when O(state=present)
  type: str
registry:
  description: The registry that it opens.
  returned: when O(state=present)
  type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import ecr


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "registry": {"type": "str", "default": ""},
            "path": {"type": "path"},
            **_aws.ARGUMENTS,
        },
        required_if=[("state", "absent", ("path",))],
        supports_check_mode=True,
    )
    if not _aws.HAS_BOTO3:
        module.fail_json(msg=missing_required_lib("boto3"), exception=_aws.BOTO3_ERROR)
    _module.run(module, _log_out if module.params["state"] == "absent" else _log_in)


def _log_in(module: AnsibleModule) -> dict[str, object]:
    """Make the folder."""
    token = ecr.fetch_token(_aws.client(module.params, "ecr"))
    _module.hide(module, [token.password])
    registry = ecr.host_of(module.params["registry"]) or token.host
    path = "" if module.check_mode else str(ecr.log_in(registry, token))
    return {"changed": True, "path": path, "registry": registry}


def _log_out(module: AnsibleModule) -> dict[str, object]:
    """Remove the folder."""
    path = Path(module.params["path"])
    if module.check_mode:
        return {"changed": path.is_dir()}
    return {"changed": ecr.log_out(path)}


if __name__ == "__main__":
    main()
