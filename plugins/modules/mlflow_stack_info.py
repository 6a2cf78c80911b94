#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_stack_info
short_description: Read CloudFormation stacks and their outputs
version_added: 0.2.0
description:
  - Returns a record for each named stack, whether it exists or not. Sends one request for each.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.attributes.info
  - mlops.mlflow_aws.aws
options:
  names:
    description: Names of the stacks.
    type: list
    elements: str
    required: true
  required:
    description: Whether to fail if a stack does not exist, or has no outputs yet.
    type: bool
    default: false
seealso:
  - module: mlops.mlflow_aws.mlflow_stack
"""

EXAMPLES = r"""
- name: Read the backend's stacks
  mlops.mlflow_aws.mlflow_stack_info:
    names: [mlflow, mlflow-projects]
    region: eu-central-1
    required: true
  register: read
"""

RETURN = r"""
stacks:
  description: Record of each stack, by its name.
  returned: success
  type: dict
  contains:
    exists:
      description: Whether the stack exists.
      type: bool
    status:
      description: The stack's status, V(ABSENT) if it does not exist.
      type: str
    stack_id:
      description: The stack's ARN, empty if it does not exist.
      type: str
    outputs:
      description: The stack's outputs, by name.
      type: dict
    projects:
      description: Record of each project in the stack's outputs, by the project's name.
      type: dict
    parameters:
      description: The stack's parameters, by name.
      type: dict
    tags:
      description: The stack's tags, by name.
      type: dict
    protected:
      description: Whether termination protection is on.
      type: bool
account:
  description: ID of the AWS account.
  returned: success
  type: str
region:
  description: The AWS region.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import checks, info
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import StackApi


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "required": {"type": "bool", "default": False},
            **_aws.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    if not _aws.HAS_BOTO3:
        module.fail_json(msg=missing_required_lib("boto3"), exception=_aws.BOTO3_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Read the stacks."""
    params = module.params
    api = StackApi(params)
    account = api.account()
    stacks = {}
    for name in params["names"]:
        checks.require_name(name)
        stack = api.describe(name)
        if params["required"]:
            where = f"region {api.region} of account {account}"
            checks.require_deployed(name, stack, where)
        stacks[name] = info.info(stack)
    return {"changed": False, "stacks": stacks, "account": account, "region": api.region}


if __name__ == "__main__":
    main()
