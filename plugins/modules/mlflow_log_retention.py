#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_log_retention
short_description: Set how long CloudWatch keeps the logs of a database cluster
version_added: 0.3.0
description:
  - Sets the retention of the log groups to which Aurora exports its audit, error and slow query log. Creates those that
    do not exist yet, because RDS would create them without an end.
  - CloudWatch deletes entries that are older. Never deletes a log group.
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
  cluster:
    description: Identifier of the database cluster.
    type: str
    required: true
  days:
    description: Number of days to keep log entries, one of those that CloudWatch accepts.
    type: int
    default: 30
    choices:
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]
"""

EXAMPLES = r"""
- name: Keep the database's logs for three months
  mlops.mlflow_aws.mlflow_log_retention:
    cluster: mlflow-database-0123456789ab
    days: 90
"""

RETURN = r"""
groups:
  description: Names of the log groups that changed, or would in check mode.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import logs


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "days": {"type": "int", "default": 30, "choices": list(logs.DAYS)},
            **_aws.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    _module.require(module, boto3=_aws.BOTO3_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Set the retention, or in check mode report where it would be set."""
    cluster, days = module.params["cluster"], module.params["days"]
    service = logs.Logs(_aws.client(module.params, "logs"))
    groups = logs.plan(cluster, service.retention(cluster), days)
    if not module.check_mode:
        for group in groups:
            service.apply(group, days)
    return {
        "changed": bool(groups),
        "groups": [group.name for group in groups],
        "diff": {
            "before": {group.name: group.days for group in groups if group.exists},
            "after": {group.name: days for group in groups},
        },
    }


if __name__ == "__main__":
    main()
