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
  - Returns a record for each named stack, whether it exists or not, and the outputs of the projects' stacks together.
  - Sends one request for each name. With O(projects_stack), all stacks of the account and region are listed instead,
    which requires C(cloudformation:DescribeStacks) and C(cloudformation:ListStacks) on all stacks. Without this
    permission, the stacks are read by name until a number is missing.
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
  projects_stack:
    description: Name of the first of the projects' stacks. The stacks C(NAME-2), C(NAME-3) and so on are read as well.
    type: str
  owner:
    description: Value of the tag C(mlflow_aws) of the projects' stacks. Those with another one are left out. If unset,
      the first of the O(names).
    type: str
  required:
    description: Whether to fail if one of the O(names) does not exist, or has no outputs yet.
    type: bool
    default: false
seealso:
  - module: mlops.mlflow_aws.mlflow_stack
  - module: mlops.mlflow_aws.mlflow_project_stacks
"""

EXAMPLES = r"""
- name: Read the backend's stacks
  mlops.mlflow_aws.mlflow_stack_info:
    names: [mlflow]
    projects_stack: mlflow-projects
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
    parameters:
      description: The stack's parameters, by name.
      type: dict
    tags:
      description: The stack's tags, by name.
      type: dict
    protected:
      description: Whether termination protection is on.
      type: bool
projects_stacks:
  description: Record of each of the projects' stacks as above, by its name, in the order in which they fill. Empty
    without O(projects_stack).
  returned: success
  type: dict
projects_outputs:
  description: The outputs of the projects' stacks together, by name.
  returned: success
  type: dict
account:
  description: ID of the AWS account.
  returned: success
  type: str
region:
  description: The AWS region.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import (
    checks,
    info,
    series_reader,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import StackApi
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import Stack


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "projects_stack": {"type": "str"},
            "owner": {"type": "str"},
            "required": {"type": "bool", "default": False},
            **_aws.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    _module.require(module, boto3=_aws.BOTO3_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Read the stacks."""
    params = module.params
    names, first = params["names"], params["projects_stack"]
    api = StackApi(params)
    account = api.account()
    for name in [*names, *([first] if first else [])]:
        checks.require_name(name)
    named, series = _read(api, names, first, params["owner"])
    if params["required"]:
        where = f"region {api.region} of account {account}"
        for name, stack in named.items():
            checks.require_deployed(name, stack, where)
    return {
        "changed": False,
        "stacks": {name: info.info(stack) for name, stack in named.items()},
        "projects_stacks": {stack.name: info.info(stack) for stack in series.values()},
        "projects_outputs": series_reader.outputs_of(series.values()),
        "account": account,
        "region": api.region,
    }


def _read(
    api: StackApi, names: list[str], first: str | None, owner: str | None
) -> tuple[dict[str, Stack | None], dict[int, Stack]]:
    """Return the named stacks, and those of the projects by number."""
    if not first:
        return {name: api.describe(name) for name in names}, {}
    return series_reader.read_series(api, names, first, owner or (names or [first])[0])


if __name__ == "__main__":
    main()
