#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_stack
short_description: Create or update a CloudFormation stack without losing what it holds
version_added: 0.2.0
description:
  - Brings a stack to the given template, parameters and tags by a change set, whose content it returns. A stack that
    has them already is not touched.
  - Refuses to replace or remove a database cluster, a bucket or a KMS key unless O(replace) names it, and refuses a
    stack of the same name that it did not make, which it knows by the tag C(mlflow_aws).
  - Deletes what is left of a first create that was rolled back, and creates the stack anew. Waits for a stack that
    somebody else is changing. What it waits for is shown while it waits.
  - Where a create or an update fails, the error names the resource that failed first, and AWS's reason.
  - In check mode it plans the first create from the template; for a stack that is there it makes a change set and
    deletes it again.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
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
      - The template as text, YAML in long form or JSON. Read it with the lookup C(ansible.builtin.file), which leaves
        C({{resolve:...}}) alone.
      - A text over 51,200 bytes goes through O(template_bucket).
    type: str
    required: true
  parameters:
    description:
      - Values of the template's parameters. A list is joined with commas.
      - One that is left out, or null, keeps its previous value, and takes the template's default where there is none.
      - In check mode, one that has neither may be null, as long as it is known only later.
    type: dict
    default: {}
  projects:
    description:
      - The projects that the template's list parameter C(Projects) is to hold. Those that the stack already has stay
        until O(projects.absent) names them.
      - Leave it out for a template without that parameter.
    type: dict
    suboptions:
      present:
        description: Projects to have.
        type: list
        elements: str
        default: []
      absent:
        description: Projects to drop.
        type: list
        elements: str
        default: []
  tags:
    description: Tags of the stack, which AWS gives to all of its resources.
    type: dict
    default: {}
  owner:
    description: Value of the tag C(mlflow_aws), by which a stack is known as ours. Without it the O(name).
    type: str
  protection:
    description:
      - Whether the stack has termination protection and, where the template has a parameter C(DeletionProtection),
        that as well. Turned on after the first create, whose rollback it would block.
      - Without it both are left as they are.
    type: bool
  replace:
    description: Logical ids of clusters, buckets and keys that may be replaced or removed, and their data lost.
    type: list
    elements: str
    default: []
  template_bucket:
    description:
      - Bucket for long templates, made where it is missing; a template is uploaded only once.
      - Without it C(mlflow-aws-cloudformation-ACCOUNT-REGION).
    type: str
  timeout:
    description: Seconds that all of it may take, waiting for others included.
    type: int
    default: 3600
  progress_path:
    description:
      - File on the host that each event is appended to while the module waits, as a line of text.
      - A task gives it by itself where it runs on the control node, and shows what is written there.
    type: path
seealso:
  - module: mlops.mlflow_aws.mlflow_stack_info
"""

EXAMPLES = r"""
- name: Make the backend
  mlops.mlflow_aws.mlflow_stack:
    name: mlflow
    region: eu-central-1
    template_body: "{{ lookup('ansible.builtin.file', 'backend.yml') }}"
    parameters:
      MinCapacity: 0
    protection: true
  register: backend

- name: Show what a change would do
  mlops.mlflow_aws.mlflow_stack:
    name: mlflow
    template_body: "{{ lookup('ansible.builtin.file', 'backend.yml') }}"
    parameters:
      MaxCapacity: 8
  check_mode: true
  diff: true
"""

RETURN = r"""
changes:
  description: What the change set changes, or in check mode would; without turning protection on after a create.
  returned: success, or when a change was refused
  type: list
  elements: dict
  contains:
    action:
      description: V(Add), V(Modify), V(Remove), V(Import) or V(Dynamic), as AWS says it.
      type: str
    logical_id:
      description: The resource's name in the template.
      type: str
    physical_id:
      description: Its name in AWS, empty for a new one.
      type: str
    type:
      description: Its type, such as V(AWS::S3::Bucket).
      type: str
    replacement:
      description: Whether it is replaced, V(yes), V(no) or V(maybe). V(unknown) in a check mode run whose template
        is too long to be sent and was not uploaded yet.
      type: str
    properties:
      description: Names of the properties that change.
      type: list
      elements: str
events:
  description: The stack's events during this run, oldest first; after a failure those that failed.
  returned: success, or when an operation failed
  type: list
  elements: dict
  contains:
    time:
      description: When it was, in ISO 8601.
      type: str
    logical_id:
      description: The resource's name in the template; the stack's own name for the stack.
      type: str
    physical_id:
      description: Its name in AWS.
      type: str
    type:
      description: Its type.
      type: str
    status:
      description: Its status, such as V(CREATE_COMPLETE).
      type: str
    reason:
      description: AWS's reason, or an empty text.
      type: str
retained:
  description: Resources of a rolled back create that AWS left in the account, when their stack was deleted.
  returned: success, or when an operation failed
  type: list
  elements: dict
  contains:
    logical_id:
      description: The resource's name in the template.
      type: str
    physical_id:
      description: Its name in AWS.
      type: str
    type:
      description: Its type.
      type: str
status:
  description: The stack's status, V(ABSENT) where there is none yet.
  returned: success, or when an operation failed
  type: str
stack_id:
  description: The stack's ARN, empty where there is none yet.
  returned: success
  type: str
outputs:
  description: The stack's outputs by name. In check mode those of O(projects) that it does not have yet are there,
    with no more than the project's name.
  returned: success
  type: dict
projects:
  description: What the stack's outputs tell of each project, by its name. In check mode those that it does not have
    yet are there with no more than that.
  returned: success
  type: dict
parameters:
  description: Each parameter's V(value) and V(source), which is V(given), V(previous), V(default)
    or, in check mode, V(unknown).
  returned: success
  type: dict
notes:
  description: What a person should know about these parameters, in sentences.
  returned: success
  type: list
  elements: str
healed:
  description: Whether what was left of a rolled back create was deleted.
  returned: success
  type: bool
waited:
  description: Seconds that it waited for somebody else's change of the stack.
  returned: success
  type: float
account:
  description: Number of the account.
  returned: success
  type: str
region:
  description: The region.
  returned: success
  type: str
"""

import contextlib
import functools
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import manager, plan, records
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import StackApi
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
            "projects": {"type": "dict", "options": {"present": names, "absent": names}},
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
    if not _aws.HAS_BOTO3:
        module.fail_json(msg=missing_required_lib("boto3"), exception=_aws.BOTO3_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Bring the stack to its wanted state, or say how."""
    params = module.params
    projects = params["projects"]
    wanted = plan.Wanted(
        name=params["name"],
        owner=params["owner"] or params["name"],
        body=params["template_body"],
        given=params["parameters"],
        tags={str(key): str(text) for key, text in params["tags"].items()},
        protection=params["protection"],
        replace=params["replace"],
        projects=(projects["present"], projects["absent"]) if projects else None,
        foresee=module.check_mode,
    )
    api = StackApi(params)
    # Also the plainest test of the credentials: it needs no permission.
    account = api.account()
    bucket = functools.partial(TemplateBucket, params, params["template_bucket"] or "", account)
    with _progress(params["progress_path"]) as progress:
        outcome = manager.converge(
            api,
            functools.lru_cache(maxsize=1)(bucket),
            wanted,
            timeout=params["timeout"],
            check_mode=module.check_mode,
            progress=progress,
        )
    if outcome.retained:
        names = ", ".join(f"{entry['type']} {entry['physical_id']}" for entry in outcome.retained)
        module.warn(f"A failed create of stack '{wanted.name}' left these in the account: {names}.")
    return {
        **_result(outcome, module.check_mode),
        "account": account,
        "region": api.region,
    }


def _result(outcome: manager.Outcome, check_mode: bool) -> dict[str, object]:
    """Return the module's result."""
    stack = outcome.stack
    outputs = dict(stack.outputs) if stack else {}
    if check_mode:
        outputs = {**plan.foreseen_outputs(outcome.plan), **outputs}
    return {
        "changed": outcome.changed,
        "changes": outcome.changes,
        "diff": outcome.diff,
        "events": outcome.events,
        "retained": outcome.retained,
        "status": stack.status if stack else "ABSENT",
        "stack_id": stack.stack_id if stack else "",
        "outputs": outputs,
        "projects": records.projects(outputs),
        "parameters": {
            name: parameter._asdict() for name, parameter in outcome.plan.parameters.items()
        },
        "notes": plan.notes(outcome.plan),
        "healed": outcome.healed,
        "waited": round(outcome.waited, 1),
    }


@contextlib.contextmanager
def _progress(path: str | None) -> t.Iterator[t.Callable[[str], None]]:
    """Give a function that shows a line of progress, where somebody looks."""
    with open(path or os.devnull, "a", encoding="utf-8") as stream:

        def show(line: str) -> None:
            stream.write(f"{line}\n")
            stream.flush()

        yield show


if __name__ == "__main__":
    main()
