# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_backend_removal
short_description: Remove a backend with everything that its stacks retain
version_added: 0.3.0
description:
  - Deletes the stacks C(NAME-hosts), C(NAME-budget), C(NAME-projects) and so on, and C(NAME), and then what they
    retain. This is the artifact bucket with all versions of all objects, the KMS key, which AWS deletes after seven
    days, the database's final snapshot, its log groups, the projects' keys in Parameter Store, the ECR repository, and
    the bucket for templates. B(All data is lost.)
  - Removes only stacks that have the O(tag), with O(name) as its value, and nothing at all if one of them lacks it.
  - Continues where an interrupted run ended. Fails if anything is left, and returns what.
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
    description: The same name again. If it differs, nothing is removed.
    type: str
    required: true
  tag:
    description: Key of the tag that all of the stacks must have, set when they were created.
    type: str
    required: true
  repository:
    description: Name of the ECR repository to delete with its images, as long as the backend's stack exists. If unset,
      none.
    type: str
    default: ""
  template_bucket:
    description: Name of the bucket for templates to delete. If unset, none.
    type: str
    default: ""
  timeout:
    description: Timeout in seconds for all deletions together.
    type: int
    default: 1800
seealso:
  - module: mlops.mlflow_aws.mlflow_stack
"""

EXAMPLES = r"""
- name: Remove a backend that was created for a test
  mlops.mlflow_aws.mlflow_backend_removal:
    name: mlflow-trial
    confirm: mlflow-trial
    tag: trial
    region: eu-central-1
"""

RETURN = r"""
found:
  description: What there was to remove.
  returned: success
  type: list
  elements: dict
  contains: &item
    kind:
      description: What it is, for example V(stack) or V(bucket).
      type: str
    name:
      description: Its name.
      type: str
exists:
  description: Whether the backend's stack existed.
  returned: success
  type: bool
removed:
  description: What was removed.
  returned: always
  type: list
  elements: dict
  contains: *item
leftovers:
  description: What could not be removed.
  returned: failure
  type: list
  elements: dict
  contains: *item
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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.progress import progress_file
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal import model
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.leavings import Leavings
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.remover import (
    Remover,
    as_dicts,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import checks
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import StackApi


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "confirm": {"type": "str", "required": True},
            "tag": {"type": "str", "required": True},
            "repository": {"type": "str", "default": ""},
            "template_bucket": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 1800},
            "progress_path": {"type": "path"},
            **_aws.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    _module.require(module, boto3=_aws.BOTO3_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Remove the backend, or in check mode list what would be removed."""
    params = module.params
    checks.require_name(params["name"])
    if params["confirm"] != params["name"]:
        raise MlflowError(
            f"confirm is '{params['confirm']}', and the backend to remove is '{params['name']}'; set both to "
            "the same name."
        )
    backend = model.Backend(
        params["name"], params["tag"], params["repository"], params["template_bucket"]
    )
    api = StackApi(params)
    account, identity = api.caller()
    leavings = Leavings(params, account)
    with progress_file(params["progress_path"]) as progress:
        remover = Remover(api, leavings, backend, params["timeout"], progress)
        found = remover.found()
        if not module.check_mode:
            remover.remove()
    return {
        "changed": bool(found),
        "found": as_dicts(found),
        "exists": model.Item(model.STACK, backend.name) in found,
        "removed": as_dicts(remover.removed),
        "account": account,
        "identity": identity,
        "region": api.region,
    }


if __name__ == "__main__":
    main()
