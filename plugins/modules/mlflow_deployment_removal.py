#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_deployment_removal
short_description: Remove a deployment from AWS with everything that its stacks retain
version_added: 0.4.0
description:
  - Deletes the stacks C(NAME-hosts), C(NAME-budget), C(NAME-projects) and so on, and C(NAME), and what they retain.
    This is the artifact bucket with all versions of all objects, the database's log groups, the projects' keys in
    Parameter Store, the ECR repository, the bucket for templates, and the KMS key, which AWS deletes after 30 days.
    B(All data is lost,) except for a final snapshot of the database, which is kept with the key that encrypts it.
  - Removes only stacks with the tag C(mlflow_aws) that M(mlops.mlflow_aws.mlflow_stack) sets, with O(name) as its
    value, and nothing at all if one of these names belongs to a stack without it.
  - Turns off the termination protection of the stacks and, through an update of its stack, the deletion protection of
    the database.
  - A repository and a bucket for templates that stacks of other deployments use are kept.
  - Continues where an interrupted run ended. Afterwards looks for what is left, and fails if something is that should
    not be.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.progress
  - mlops.mlflow_aws.aws
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  name:
    description: Name of the backend's stack.
    type: str
    required: true
  confirm:
    description: The same name again. If it differs, nothing is removed. Not required in check mode.
    type: str
    default: ""
  repository:
    description: Name of the ECR repository to delete with its images, as long as the backend's stack exists. If unset,
      none.
    type: str
    default: ""
  template_bucket:
    description: Name of the bucket for templates. If unset, C(mlflow-aws-cloudformation-ACCOUNT-REGION).
    type: str
    default: ""
  snapshots:
    description: Whether to delete the database's snapshots, the final one included, and then the KMS key.
    type: bool
    default: false
  secrets_at_once:
    description: Whether to delete projects' secrets that outlived their stack without the days in which AWS can recover
      them. CloudFormation deletes those of the stacks at once.
    type: bool
    default: false
  timeout:
    description: Timeout in seconds for all deletions together.
    type: int
    default: 3600
seealso:
  - module: mlops.mlflow_aws.mlflow_stack
  - module: mlops.mlflow_aws.mlflow_host_removal
"""

EXAMPLES = r"""
- name: List what a removal would delete
  mlops.mlflow_aws.mlflow_deployment_removal:
    name: mlflow
    repository: mlflow
    region: eu-central-1
  check_mode: true

- name: Remove a deployment
  mlops.mlflow_aws.mlflow_deployment_removal:
    name: mlflow
    confirm: mlflow
    repository: mlflow
    region: eu-central-1
"""

RETURN = r"""
found:
  description: What existed.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: What it is, for example V(stack) or V(bucket).
      type: str
    name:
      description: Its name.
      type: str
    action:
      description: V(delete) or V(keep).
      type: str
    meaning:
      description: What it holds, and what its deletion means.
      type: str
exists:
  description: Whether the backend's stack existed.
  returned: success
  type: bool
removed:
  description: What was removed, in order.
  returned: always, except in check mode
  type: list
  elements: dict
  contains:
    kind:
      description: What it was.
      type: str
    name:
      description: Its name.
      type: str
leftovers:
  description: What is left afterwards. Empty in check mode.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: What it is.
      type: str
    name:
      description: Its name.
      type: str
    remedy:
      description: Why it is left, and what to do about it.
      type: str
repository:
  description: Address of the O(repository) for Docker, empty without one.
  returned: success
  type: str
account:
  description: ID of the AWS account.
  returned: success
  type: str
identity:
  description: ARN of the AWS identity.
  returned: success
  type: str
region:
  description: The AWS region.
  returned: success
  type: str
"""

import functools

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.progress import progress_file
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal import findings, model
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.leavings import Leavings
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.teardown import (
    Choices,
    Teardown,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import checks
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import StackApi
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template_bucket import (
    TemplateBucket,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "confirm": {"type": "str", "default": ""},
            "repository": {"type": "str", "default": ""},
            "template_bucket": {"type": "str", "default": ""},
            "snapshots": {"type": "bool", "default": False},
            # It says how secrets go, and is none.
            "secrets_at_once": {"type": "bool", "default": False, "no_log": False},
            "timeout": {"type": "int", "default": 3600},
            "progress_path": {"type": "path"},
            **_aws.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    _module.require(module, boto3=_aws.BOTO3_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Remove the deployment, or in check mode list what would be removed."""
    params = module.params
    checks.require_name(params["name"])
    if not module.check_mode:
        findings.require_confirmed(params["confirm"], params["name"])
    api = StackApi(params)
    account, identity = api.caller()
    bucket = functools.lru_cache(maxsize=1)(
        functools.partial(TemplateBucket, params, params["template_bucket"], account)
    )
    deployment = model.Deployment(params["name"], params["repository"], bucket().name)
    choices = Choices(params["snapshots"], params["secrets_at_once"])
    with progress_file(params["progress_path"]) as progress:
        teardown = Teardown(
            api,
            Leavings(params, account),
            bucket,
            deployment,
            choices,
            params["timeout"],
            progress,
        )
        found = teardown.found()
        if not module.check_mode:
            teardown.remove()
        left = [] if module.check_mode else teardown.left()
    return {
        "changed": any(one.goes for one in found),
        "found": findings.as_found(found),
        "exists": any((one.kind, one.name) == (model.STACK, params["name"]) for one in found),
        "removed": findings.as_removed(teardown.removed),
        "leftovers": findings.as_left(left),
        "repository": teardown.repository(account, api.region),
        "account": account,
        "identity": identity,
        "region": api.region,
    }


if __name__ == "__main__":
    main()
