#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_ecr_token
short_description: Get a token for the Amazon ECR registry
version_added: 0.2.0
description:
  - Gets a user and password with which Docker can log in to the account's ECR registry for twelve hours. They carry
    all rights on registries of the identity that asks. Give hosts those of a role that may only pull (O(role_arn)).
  - Give the task C(no_log), because the result contains the password.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_image_pull
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.attributes.info
  - mlops.mlflow_aws.aws
options:
  role_arn:
    description: ARN of a role to assume for the token, such as the output C(PullRoleArn) of the backend's stack. If
      empty, the identity of O(profile) asks.
    type: str
    default: ""
    version_added: 0.3.0
"""

EXAMPLES = r"""
- name: Get a token for the registry
  mlops.mlflow_aws.mlflow_ecr_token:
    region: eu-central-1
    role_arn: "{{ mlflow_stack_outputs.PullRoleArn }}"
  register: token
  no_log: true

- name: Pull the image
  mlops.mlflow_aws.mlflow_image_pull:
    image: "{{ image }}"
    registry_username: "{{ token.username }}"
    registry_password: "{{ token.password }}"
  vars:
    image: 000000000000.dkr.ecr.eu-central-1.amazonaws.com/mlflow:0123456789ab
"""

RETURN = r"""
username:
  description: User for the registry.
  returned: success
  type: str
password:
  description: Password for the registry.
  returned: success
  type: str
registry:
  description: Host of the registry.
  returned: success
  type: str
expires:
  description: When the password expires, in ISO 8601 format.
  returned: success
  type: str
  sample: "2026-11-30T08:00:00+00:00"
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import (
    _aws,
    _aws_roles,
    _module,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import ecr


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={**_aws.ARGUMENTS, "role_arn": {"type": "str", "default": ""}},
        supports_check_mode=True,
    )
    _module.require(module, boto3=_aws.BOTO3_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, t.Any]:
    """Get the token."""
    params = module.params
    role = params["role_arn"]
    keys = _aws_roles.assume(params, role, "mlflow-pull") if role else None
    token = ecr.fetch_token(_aws.client(params, "ecr", keys))
    return {
        "changed": False,
        "username": token.username,
        "password": token.password,
        "registry": token.host,
        "expires": token.expires,
    }


if __name__ == "__main__":
    main()
