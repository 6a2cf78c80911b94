#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_project_key
short_description: Create the root keys of projects in AWS Systems Manager
version_added: 0.2.0
description:
  - Creates one encrypted parameter for each project, if it is missing. It holds the root key from which the project's
    servers derive the keys that encrypt MLflow's webhook and gateway secrets, the same on all hosts.
  - An existing key is neither changed nor read. Never deletes anything.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.aws
attributes:
  check_mode:
    support: full
    details: Works before the stacks exist, with empty parameter names.
  diff_mode:
    support: full
    details: Shows parameter names, never their values.
options:
  projects:
    description: List of projects.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the project.
        type: str
        required: true
      parameter:
        description: Name of the parameter. May be empty in check mode only.
        type: str
        required: true
  kms_key:
    description: ARN of the KMS key that encrypts the parameters. May be empty in check mode only.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Create the keys of two projects
  mlops.mlflow_aws.mlflow_project_key:
    projects:
      - name: demo
        parameter: /mlflow/team/demo/key
      - name: churn
        parameter: /mlflow/team/churn/key
    kms_key: arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef
"""

RETURN = r"""
created:
  description: Names of the projects whose key was created, or would be in check mode.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend.keys import Keys
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError


def main() -> None:
    """Run the module."""
    project = {
        "name": {"type": "str", "required": True},
        "parameter": {"type": "str", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "projects": {"type": "list", "elements": "dict", "required": True, "options": project},
            # Its ARN.
            "kms_key": {"type": "str", "required": True, "no_log": False},
            **_aws.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    _module.require(module, boto3=_aws.BOTO3_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Create missing keys, or in check mode report them."""
    params = module.params
    named = {item["parameter"]: item["name"] for item in params["projects"] if item["parameter"]}
    unnamed = [item["name"] for item in params["projects"] if not item["parameter"]]
    if (unnamed or not params["kms_key"]) and params["projects"] and not module.check_mode:
        raise MlflowError(
            "The stacks have no parameters for the projects' keys; run the projects playbook, which "
            "creates them."
        )
    keys = Keys(_aws.client(params, "ssm"))
    missing = keys.missing(list(named)) if named else []
    if not module.check_mode:
        try:
            missing = [name for name in missing if keys.make(name, params["kms_key"], named[name])]
        finally:
            _module.hide(module, keys.made)
    created = [named[name] for name in missing] + unnamed
    return {
        "changed": bool(created),
        "created": created,
        "diff": {"before": {"keys": []}, "after": {"keys": [*missing, *unnamed]}},
    }


if __name__ == "__main__":
    main()
