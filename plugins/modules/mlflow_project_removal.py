#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_project_removal
short_description: Remove the data of a project
version_added: 0.4.0
description:
  - Removes the folder of a project of the local backend, or its prefix of the artifact bucket with all versions and, if
    O(parameter) names it, its root key.
  - B(Without a backup, all data of the project is lost.) The playbook C(remove_project) makes one before.
  - An interrupted run is continued by the next one.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
requirements:
  - boto3 for a project on AWS
seealso:
  - module: mlops.mlflow_aws.mlflow_project_backup
  - module: mlops.mlflow_aws.mlflow_project_schema
  - module: mlops.mlflow_aws.mlflow_project_stacks
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.state_dir
  - mlops.mlflow_aws.aws
attributes:
  check_mode:
    support: full
    details: Lists what would be removed.
  diff_mode:
    support: none
options:
  name:
    description: Name of the project.
    type: str
    required: true
  confirm:
    description: The same name again, as nothing brings the data back but a backup.
    type: str
    required: true
  artifacts:
    description: Where the artifacts of a project on AWS are, as C(s3://BUCKET/PREFIX). If empty, the project is a
      folder of the host.
    type: str
    default: ""
  parameter:
    description:
      - Name of the SSM parameter with the project's root key, to delete it too. If empty, it is kept.
      - Without the key, the secrets of webhooks and of the AI gateway in a backup cannot be decrypted.
    type: str
    default: ""
  saved:
    description:
      - Whether a backup was just made. If V(false), artifacts on AWS are refused unless there is a backup below
        O(destination).
    type: bool
    default: false
  destination:
    description: Where backups are, C(s3://BUCKET/PREFIX).
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Remove the folder of a project
  mlops.mlflow_aws.mlflow_project_removal:
    name: churn
    confirm: churn
"""

RETURN = r"""
found:
  description: What there was.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: V(folder), V(prefix) or V(parameter).
      type: str
    name:
      description: Its path, URI or name.
      type: str
    size:
      description: Its size in words, empty for a parameter.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.leavings import Leavings
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.projects import (
    AwsProject,
    LocalProject,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import StackApi


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "confirm": {"type": "str", "required": True},
            "artifacts": {"type": "str", "default": ""},
            "parameter": {"type": "str", "default": ""},
            "saved": {"type": "bool", "default": False},
            "destination": {"type": "str", "default": ""},
            "state_dir": {"type": "path"},
            **_aws.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    if module.params["artifacts"]:
        _module.require(module, boto3=_aws.BOTO3_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Remove the project's data, or in check mode list it."""
    params = module.params
    name = params["name"]
    if params["confirm"] != name:
        raise MlflowError(
            f"confirm is '{params['confirm']}', and the project to remove is '{name}'; set both to the same name."
        )
    if params["artifacts"]:
        leavings = Leavings(params, StackApi(params).account())
        on_aws = AwsProject(leavings, name, params["artifacts"], params["parameter"])
        found = on_aws.found()
        if not params["saved"] and not module.check_mode:
            on_aws.require_saved(params["destination"])
        if found and not module.check_mode:
            on_aws.remove()
        return {"changed": bool(found), "found": found}
    local = LocalProject(files.state_folder(params["state_dir"]), name)
    found = local.found()
    if found and not module.check_mode:
        local.remove()
    return {"changed": bool(found), "found": found}


if __name__ == "__main__":
    main()
