#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_ecr_repository
short_description: Manage the Amazon ECR repository of the MLflow image
version_added: 0.2.0
description:
  - Creates an ECR repository with immutable tags, a scan of every pushed image, and a lifecycle policy that expires
    untagged images. Changes an existing repository to these settings.
  - Tagged images never expire, because a host may run any of them.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_image
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
    description: Name of the repository.
    type: str
    required: true
  kms_key:
    description: ARN of the KMS key that encrypts a new repository. If unset, ECR encrypts with AES-256. The encryption
      of an existing repository cannot be changed.
    type: str
    default: ""
  untagged_days:
    description: Days after which untagged images expire, such as interrupted pushes leave.
    type: int
    default: 14
"""

EXAMPLES = r"""
- name: Create the ECR repository
  mlops.mlflow_aws.mlflow_ecr_repository:
    name: mlflow
    region: eu-central-1
"""

RETURN = r"""
repository:
  description: The repository.
  returned: success
  type: dict
  contains:
    name:
      description: Name of the repository.
      type: str
    uri:
      description: URI of the repository, empty if it would be created in check mode.
      type: str
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [create, lifecycle]
msg:
  description: What would be done.
  returned: in check mode, if something would change
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import repository


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            # It names a key and is not secret.
            "kms_key": {"type": "str", "default": "", "no_log": False},
            "untagged_days": {"type": "int", "default": 14},
            **_aws.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    _module.require(module, boto3=_aws.BOTO3_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, t.Any]:
    """Read the repository, plan, and apply the plan."""
    params = module.params
    name = params["name"]
    wanted = repository.wanted(params["untagged_days"])
    client = _aws.client(params, "ecr")
    found = repository.read(client, name)
    steps = repository.plan(found, wanted)
    result: dict[str, t.Any] = {
        "changed": bool(steps),
        "actions": list(steps),
        "diff": {"before": found.settings._asdict() if found else {}, "after": wanted._asdict()},
    }
    if steps and module.check_mode:
        verb = "changed" if found else "created"
        result["msg"] = f"The ECR repository {name} would be {verb}."
    elif steps:
        repository.apply(client, name, steps, wanted, params["kms_key"])
        found = repository.read(client, name)
    return {**result, "repository": {"name": name, "uri": found.uri if found else ""}}


if __name__ == "__main__":
    main()
