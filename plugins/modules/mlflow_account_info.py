#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_account_info
short_description: Find out whether an AWS account has room and permissions for a deployment
version_added: 0.3.0
description:
  - Returns the account, the region and the identity of the credentials.
  - With O(adds), asks for the quotas that count these resources, and fails if one of them has no room. A quota that
    cannot be read is unknown.
  - With O(simulate), asks IAM which of the actions that a deployment needs are denied by the policies of the identity.
    If that is not allowed, says so. A simulation knows neither session policies nor all conditions, so a denial in it
    does not fail the module.
  - Requires no permission for the identity. For the rest, C(ec2:DescribeVpcs), C(ec2:DescribeInternetGateways),
    C(servicequotas:GetServiceQuota), C(rds:DescribeAccountAttributes), C(cloudformation:DescribeStacks),
    C(cloudformation:DescribeAccountLimits), C(iam:GetAccountSummary), C(iam:GetRole) and C(iam:SimulatePrincipalPolicy)
    are useful, and none of them is required.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.attributes.info
  - mlops.mlflow_aws.aws
options:
  adds:
    description:
      - Numbers of resources that are to be created, by type, such as V(AWS::EC2::VPC).
      - Counts VPCs, internet gateways, DB clusters and instances, stacks, IAM roles and customer managed policies, and
        ignores other types.
    type: dict
    default: {}
  simulate:
    description: Whether to simulate the permissions of the identity.
    type: bool
    default: true
  stack:
    description: Name of the backend stack, which the names of most resources start with.
    type: str
    default: mlflow
  repository:
    description: Name of the ECR repository.
    type: str
    default: mlflow
seealso:
  - module: mlops.mlflow_aws.mlflow_region_info
  - plugin: mlops.mlflow_aws.mlflow_account_notes
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Find out whether the account has room for one more backend
  mlops.mlflow_aws.mlflow_account_info:
    region: eu-central-1
    adds:
      AWS::EC2::VPC: 1
      AWS::RDS::DBCluster: 1
  register: account

- name: Show it
  ansible.builtin.debug:
    msg: "{{ account | mlops.mlflow_aws.mlflow_account_notes }}"
"""

RETURN = r"""
account:
  description: ID of the AWS account.
  returned: success
  type: str
region:
  description: The AWS region.
  returned: success
  type: str
identity:
  description: ARN of the identity of the credentials.
  returned: success
  type: str
quotas:
  description: Record of each quota that counts something of O(adds).
  returned: success, or when a quota has no room
  type: list
  elements: dict
  contains:
    name:
      description: What the quota counts.
      type: str
    resource_type:
      description: Type of the resource in CloudFormation.
      type: str
    used:
      description: How many there are. V(null) if unknown.
      type: int
    limit:
      description: How many there may be. V(null) if unknown.
      type: int
    needed:
      description: How many are to be created.
      type: int
    status:
      description: V(ok), V(close) if less than a tenth of the quota is left afterwards, V(used up), or V(unknown).
      type: str
    reason:
      description: Why it is unknown, otherwise an empty string.
      type: str
permissions:
  description: Record of the simulation.
  returned: success
  type: dict
  contains:
    simulated:
      description: Whether IAM simulated the policies of the identity.
      type: bool
    reason:
      description: Why it did not, otherwise an empty string.
      type: str
    allowed:
      description: Number of actions that the policies allow.
      type: int
    denied:
      description: Names of the actions that they deny.
      type: list
      elements: str
    undecided:
      description: Names of the actions that depend on conditions which a simulation does not know.
      type: list
      elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account.api import AccountApi
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account.survey import (
    Question,
    survey,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "adds": {"type": "dict", "default": {}},
            "simulate": {"type": "bool", "default": True},
            "stack": {"type": "str", "default": "mlflow"},
            "repository": {"type": "str", "default": "mlflow"},
            **_aws.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    _module.require(module, boto3=_aws.BOTO3_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Ask the account."""
    params = module.params
    question = Question(
        adds=_counts(params["adds"]),
        simulate=params["simulate"],
        stack=params["stack"],
        repository=params["repository"],
    )
    return {"changed": False, **survey(AccountApi(params), question)}


def _counts(adds: dict[str, object]) -> dict[str, int]:
    """Return the numbers of resources; refuse what is not a number."""
    for kind, count in adds.items():
        if not str(count).isdecimal():
            raise MlflowError(f"adds: {kind} is {count!r}; write a number of resources.")
    return {kind: int(str(count)) for kind, count in adds.items()}


if __name__ == "__main__":
    main()
