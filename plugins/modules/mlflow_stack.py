#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_stack
short_description: Create or update a CloudFormation stack without losing its data
version_added: 0.2.0
description:
  - Brings a stack to the given template, parameters and tags through a change set, and returns the changes. A stack
    that is up to date is not touched.
  - Refuses to replace or remove a database cluster, a bucket or a KMS key unless O(replace) names it. Refuses a stack
    of the same name that it did not create, which the tag C(mlflow_aws) shows.
  - Deletes a stack whose first create was rolled back, and creates it again. Waits while another user changes the
    stack, and shows the stack's events while it waits.
  - If a create or an update fails, the error names the resource that failed first and AWS's reason.
  - In check mode, a first create is planned from the template. For an existing stack, a change set is created and
    deleted again.
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
    description: Name of the stack.
    type: str
    required: true
  template_body:
    description:
      - The template as text, in YAML (long form) or JSON. Read it with the lookup C(ansible.builtin.file), which does
        not evaluate C({{resolve:...}}).
      - A template over 51,200 bytes, or with a C(Transform), is uploaded to O(template_bucket), since the limit of a
        request applies to what CloudFormation makes of it too.
    type: str
    required: true
  parameters:
    description:
      - Values of the template's parameters, by name. A list is joined with commas.
      - A parameter that is left out, or null, keeps its previous value, else the template's default.
      - In check mode, a parameter without either may be null if its value is known only later.
      - A dictionary with the key C(create) is a value for a new stack only. An existing stack keeps its previous value,
        else the template's default.
    type: dict
    default: {}
  tags:
    description: Tags of the stack, which AWS applies to all of its resources.
    type: dict
    default: {}
  owner:
    description: Value of the tag C(mlflow_aws), which marks the stacks of one deployment. If unset, the O(name).
    type: str
  protection:
    description:
      - Whether to protect the stack from termination and, if the template has a parameter C(DeletionProtection), the
        database from deletion. Turned on after the first create, since it would block a rollback.
      - If unset, neither is changed.
    type: bool
  replace:
    description: Logical IDs of clusters, buckets and keys that may be replaced or removed. Their data is lost.
    type: list
    elements: str
    default: []
  template_bucket:
    description:
      - Name of the bucket for templates that a request cannot carry, created if it does not exist. A template is
        uploaded once.
      - If unset, C(mlflow-aws-cloudformation-ACCOUNT-REGION).
    type: str
  timeout:
    description: Timeout in seconds for the whole operation, including the wait for other users' changes.
    type: int
    default: 3600
seealso:
  - module: mlops.mlflow_aws.mlflow_project_stacks
  - module: mlops.mlflow_aws.mlflow_stack_info
"""

EXAMPLES = r"""
- name: Create the backend
  mlops.mlflow_aws.mlflow_stack:
    name: mlflow
    region: eu-central-1
    template_body: "{{ lookup('ansible.builtin.file', 'backend.yml') }}"
    parameters:
      MinCapacity: 0
    protection: true
  register: backend

- name: Preview a change
  mlops.mlflow_aws.mlflow_stack:
    name: mlflow
    template_body: "{{ lookup('ansible.builtin.file', 'backend.yml') }}"
    parameters:
      MaxCapacity: 8
  check_mode: true
  diff: true
"""

RETURN = r"""
up_to_date:
  description: Whether there was nothing to change. Tasks with C(changed_when) can tell by it what a check found.
  returned: success
  type: bool
  version_added: 0.3.0
changes:
  description: The changes of the change set, or in check mode those it would have. Turning protection on after a create
    is not one of them.
  returned: success, or when a change was refused
  type: list
  elements: dict
  contains:
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
      description: The resource's type, such as V(AWS::S3::Bucket).
      type: str
    replacement:
      description: Whether the resource is replaced, V(yes), V(no) or V(maybe). V(unknown) in check mode if the template
        goes through the bucket and has not been uploaded yet.
      type: str
    properties:
      description: Names of the properties that change.
      type: list
      elements: str
events:
  description: The stack's events during this run, oldest first. After a failure, only the failed ones.
  returned: success, or when an operation failed
  type: list
  elements: dict
  contains:
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
    logical_id:
      description: The resource's logical ID.
      type: str
    physical_id:
      description: The resource's physical ID.
      type: str
    type:
      description: The resource's type.
      type: str
status:
  description: The stack's status, V(ABSENT) if it does not exist yet.
  returned: success, or when an operation failed
  type: str
stack_id:
  description: The stack's ARN, empty if it does not exist yet.
  returned: success
  type: str
outputs:
  description: The stack's outputs by name.
  returned: success
  type: dict
parameters:
  description: Each parameter's V(value) and V(source), which is V(given), V(previous), V(default)
    or, in check mode, V(unknown).
  returned: success
  type: dict
notes:
  description: Notes on these parameters, in sentences.
  returned: success
  type: list
  elements: str
healed:
  description: Whether a stack whose first create was rolled back was deleted.
  returned: success
  type: bool
waited:
  description: Time in seconds that the module waited for another user's change of the stack.
  returned: success
  type: float
account:
  description: ID of the AWS account.
  returned: success
  type: str
identity:
  description: ARN of the identity of the credentials.
  returned: success
  type: str
  version_added: 0.3.0
region:
  description: The AWS region.
  returned: success
  type: str
"""

import functools

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.progress import progress_file
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import StackApi
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.manager import converge
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.model import StackSpec
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template_bucket import (
    TemplateBucket,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "template_body": {"type": "str", "required": True},
            "parameters": {"type": "dict", "default": {}},
            "tags": {"type": "dict", "default": {}},
            "owner": {"type": "str"},
            "protection": {"type": "bool"},
            "replace": {"type": "list", "elements": "str", "default": []},
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
    """Bring the stack to its wanted state, or in check mode say how."""
    params = module.params
    wanted = StackSpec(
        name=params["name"],
        owner=params["owner"] or params["name"],
        body=params["template_body"],
        given=params["parameters"],
        tags={str(key): str(text) for key, text in params["tags"].items()},
        protection=params["protection"],
        replace=params["replace"],
        foresee=module.check_mode,
    )
    api = StackApi(params)
    # Also the simplest check of the credentials: it needs no permission.
    account, identity = api.caller()
    bucket = functools.partial(TemplateBucket, params, params["template_bucket"] or "", account)
    with progress_file(params["progress_path"]) as progress:
        result = converge(
            api,
            functools.lru_cache(maxsize=1)(bucket),
            wanted,
            timeout=params["timeout"],
            check_mode=module.check_mode,
            progress=progress,
        )
    if result.retained:
        names = ", ".join(f"{entry['type']} {entry['physical_id']}" for entry in result.retained)
        module.warn(f"A failed create of stack '{wanted.name}' left these in the account: {names}.")
    return {
        **result.as_dict(),
        "account": account,
        "identity": identity,
        "region": api.region,
    }


if __name__ == "__main__":
    main()
