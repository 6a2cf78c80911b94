#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_project_stacks
short_description: Create or update the CloudFormation stacks of the projects
version_added: 0.3.0
description:
  - Distributes projects over the stacks O(name), C(NAME-2), C(NAME-3) and so on, all with the same template, and brings
    them to the given parameters and tags, each as M(mlops.mlflow_aws.mlflow_stack) does. Several stacks are changed at
    the same time.
  - A project never moves to another stack. A new one is added to the first stack with room for it, and a stack is
    created when all are full. A stack holds up to 100 projects, fewer with long names, since CloudFormation limits a
    parameter to 4,096 bytes.
  - A stack whose last project is absent is deleted, after its termination protection has been turned off.
  - If a stack fails, the others are completed, and the error names it. The next run continues from there.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
requirements:
  - PyYAML
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.progress
  - mlops.mlflow_aws.aws
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  name:
    description: Name of the first stack.
    type: str
    required: true
  template_body:
    description:
      - The template as text, in YAML (long form) or JSON, with a list parameter C(Projects).
      - See the option of the same name of M(mlops.mlflow_aws.mlflow_stack).
    type: str
    required: true
  parameters:
    description: Values of the template's other parameters, as in M(mlops.mlflow_aws.mlflow_stack).
    type: dict
    default: {}
  present:
    description: Names of the projects to add. Projects that a stack already has stay until O(absent) names them.
    type: list
    elements: str
    default: []
  absent:
    description: Names of the projects to remove.
    type: list
    elements: str
    default: []
  tags:
    description: Tags of the stacks, which AWS applies to all of their resources.
    type: dict
    default: {}
  owner:
    description: Value of the tag C(mlflow_aws), which marks the stacks of one deployment. If unset, the O(name).
    type: str
  protection:
    description:
      - Whether to protect the stacks from termination. Turned on after the first create, since it would block a
        rollback.
      - If unset, it is not changed.
    type: bool
  template_bucket:
    description:
      - Name of the bucket for templates that a request cannot carry, created if it does not exist. A template is
        uploaded once.
      - If unset, C(mlflow-aws-cloudformation-ACCOUNT-REGION).
    type: str
  timeout:
    description: Timeout in seconds for all stacks together, including the wait for other users' changes.
    type: int
    default: 3600
seealso:
  - module: mlops.mlflow_aws.mlflow_stack
  - module: mlops.mlflow_aws.mlflow_stack_info
"""

EXAMPLES = r"""
- name: Create the projects' secrets and roles
  mlops.mlflow_aws.mlflow_project_stacks:
    name: mlflow-projects
    owner: mlflow
    region: eu-central-1
    template_body: "{{ lookup('ansible.builtin.file', 'projects.yml') }}"
    parameters:
      BackendStackName: mlflow
      ArtifactBucket: "{{ backend.outputs.ArtifactBucket }}"
      KmsKeyArn: "{{ backend.outputs.KmsKeyArn }}"
      ServerRoleArn: "{{ backend.outputs.ServerRoleArn }}"
    present: [demo, churn]
    absent: [trial]
    protection: true
"""

RETURN = r"""
up_to_date:
  description: Whether there was nothing to change. Tasks with C(changed_when) can tell by it what a check found.
  returned: success
  type: bool
  version_added: 0.3.0
changes:
  description: The changes of all stacks, or in check mode those they would have.
  returned: success
  type: list
  elements: dict
  contains:
    stack:
      description: Name of the stack.
      type: str
    action:
      description: V(Add), V(Modify), V(Remove), V(Import) or V(Dynamic), as AWS reports it.
      type: str
    logical_id:
      description: The resource's logical ID.
      type: str
    physical_id:
      description: The resource's physical ID, empty for a new one.
      type: str
    type:
      description: The resource's type, such as V(AWS::IAM::Role).
      type: str
    replacement:
      description: Whether the resource is replaced, V(yes), V(no) or V(maybe). V(unknown) in check mode if the template
        has not been uploaded yet.
      type: str
    properties:
      description: Names of the properties that change.
      type: list
      elements: str
events:
  description: The stacks' events during this run, oldest first, stack by stack. After a failure, only the failed ones
    of the first stack that failed.
  returned: success, or when an operation failed
  type: list
  elements: dict
  contains:
    stack:
      description: Name of the stack. Not after a failure.
      type: str
    time:
      description: Time of the event, in ISO 8601.
      type: str
    logical_id:
      description: The resource's logical ID, or the stack's name for the stack itself.
      type: str
    physical_id:
      description: The resource's physical ID.
      type: str
    type:
      description: The resource's type.
      type: str
    status:
      description: The resource's status, such as V(CREATE_COMPLETE).
      type: str
    reason:
      description: AWS's reason, or an empty string.
      type: str
retained:
  description: Resources of a rolled-back create that AWS left in the account when their stack was deleted.
  returned: success, or when an operation failed
  type: list
  elements: dict
  contains:
    stack:
      description: Name of the stack. Not after a failure.
      type: str
    logical_id:
      description: The resource's logical ID.
      type: str
    physical_id:
      description: The resource's physical ID.
      type: str
    type:
      description: The resource's type.
      type: str
failures:
  description: The sentence about each stack that failed, by the stack's name.
  returned: when an operation failed
  type: dict
stacks:
  description: Record of each stack, by its name, in the order in which they fill.
  returned: success
  type: dict
  contains:
    status:
      description: The stack's status, V(ABSENT) if it does not exist yet, or was deleted.
      type: str
    stack_id:
      description: The stack's ARN, empty if it does not exist.
      type: str
    changed:
      description: Whether this run changed it, or in check mode would.
      type: bool
    projects:
      description: Names of its projects, after this run.
      type: list
      elements: str
outputs:
  description: The outputs of all stacks by name. In check mode, outputs of projects that no stack has yet are included,
    with the project's name only.
  returned: success
  type: dict
projects:
  description: Record of each project in the outputs, by the project's name.
  returned: success
  type: dict
waited:
  description: Time in seconds that the module waited for other users' changes of the stacks.
  returned: success
  type: float
account:
  description: ID of the AWS account.
  returned: success
  type: str
region:
  description: The AWS region.
  returned: success
  type: str
"""

import functools
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.progress import progress_file
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import StackApi
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.series_manager import (
    converge_series,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.series_model import (
    SeriesSpec,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template_bucket import (
    TemplateBucket,
)


def main() -> None:
    """Run the module."""
    names: dict[str, t.Any] = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "template_body": {"type": "str", "required": True},
            "parameters": {"type": "dict", "default": {}},
            "present": names,
            "absent": names,
            "tags": {"type": "dict", "default": {}},
            "owner": {"type": "str"},
            "protection": {"type": "bool"},
            "template_bucket": {"type": "str"},
            "timeout": {"type": "int", "default": 3600},
            "progress_path": {"type": "path"},
            **_aws.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    _module.require(module, boto3=_aws.BOTO3_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Bring the stacks to their wanted state, or in check mode say how."""
    params = module.params
    wanted = SeriesSpec(
        name=params["name"],
        owner=params["owner"] or params["name"],
        body=params["template_body"],
        given=params["parameters"],
        present=params["present"],
        absent=params["absent"],
        tags={str(key): str(text) for key, text in params["tags"].items()},
        protection=params["protection"],
        foresee=module.check_mode,
    )
    api = StackApi(params)
    # Also the simplest check of the credentials: it needs no permission.
    account = api.account()
    bucket = functools.partial(TemplateBucket, params, params["template_bucket"] or "", account)
    with progress_file(params["progress_path"]) as progress:
        result = converge_series(
            api,
            functools.lru_cache(maxsize=1)(bucket),
            wanted,
            timeout=params["timeout"],
            check_mode=module.check_mode,
            progress=progress,
        ).as_dict(module.check_mode)
    for entry in result["retained"]:
        module.warn(
            f"A failed create of stack '{entry['stack']}' left this in the account: {entry['type']} "
            f"{entry['physical_id']}."
        )
    return {**result, "account": account, "region": api.region}


if __name__ == "__main__":
    main()
