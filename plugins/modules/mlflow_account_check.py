# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_account_check
short_description: Check what only a real AWS account can show
version_added: 0.3.0
description:
  - Runs checks against a deployed backend, one after the other, and returns a result for each. A check that fails does
    not stop the others and does not fail the module.
  - A check whose requirements are not there, for example at an emulator, has the result V(not here) with the reason.
  - Only for a backend that was created for this purpose. The checks write objects, create a table, change passwords and
    start commands on hosts.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.aws
attributes:
  check_mode:
    support: none
  diff_mode:
    support: none
options:
  checks:
    description: Names of the checks, in the order in which they run.
    type: list
    elements: str
    required: true
  stack:
    description: Name of the backend's stack.
    type: str
    required: true
  backend:
    description: Backend record, with at least two projects.
    type: dict
    required: true
  outputs:
    description: Outputs of the backend's stack.
    type: dict
    required: true
  results:
    description: Results so far. A check that needs another one runs only if that one has passed.
    type: list
    elements: dict
    default: []
  skip:
    description: Names of checks to leave out.
    type: list
    elements: str
    default: []
  deadline:
    description: Time in seconds since the epoch at which the checks end. Those that are left have the result
      V(not reached).
    type: float
    required: true
  ca:
    description: PEM text of the CA that signed the database's certificate, or the path to it.
    type: str
    default: ""
  amazon_bundle:
    description: Whether O(ca) is Amazon's bundle.
    type: bool
    default: true
  database_address:
    description: HOST:PORT at which this machine reaches the database, for example a tunnel's end. If unset, its
      endpoint.
    type: str
    default: ""
  max_capacity:
    description: The stack's parameter C(MaxCapacity).
    type: float
    default: 8
  image:
    description: Reference of the image in ECR.
    type: str
    default: ""
  platforms:
    description: Platforms for which the image was built.
    type: list
    elements: str
    default: []
seealso:
  - module: mlops.mlflow_aws.mlflow_backend_removal
"""

EXAMPLES = r"""
- name: Check that a project is denied what is another one's
  mlops.mlflow_aws.mlflow_account_check:
    checks: [role_delay, objects_refused]
    stack: mlflow-check
    backend: "{{ mlflow_backend_record }}"
    outputs: "{{ mlflow_stack_outputs }}"
    deadline: "{{ now().timestamp() + 600 }}"
"""

RETURN = r"""
results:
  description: The results so far, with those of the named checks.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the check.
      type: str
    claim:
      description: What the check verifies.
      type: str
    result:
      description: V(passed), V(failed), V(not here) or V(not reached).
      type: str
    evidence:
      description: What was seen, or why the check did not run.
      type: str
    seconds:
      description: Duration of the check.
      type: float
    ended:
      description: End of the check in seconds since the epoch.
      type: float
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check.runner import (
    PROBES,
    run,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check.subject import Subject
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.mysql import PYMYSQL_ERROR


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "checks": {
                "type": "list",
                "elements": "str",
                "required": True,
            },
            "stack": {"type": "str", "required": True},
            "backend": {"type": "dict", "required": True},
            "outputs": {"type": "dict", "required": True},
            "results": {"type": "list", "elements": "dict", "default": []},
            "skip": {"type": "list", "elements": "str", "default": []},
            "deadline": {"type": "float", "required": True},
            "ca": {"type": "str", "default": ""},
            "amazon_bundle": {"type": "bool", "default": True},
            "database_address": {"type": "str", "default": ""},
            "max_capacity": {"type": "float", "default": 8},
            "image": {"type": "str", "default": ""},
            "platforms": {"type": "list", "elements": "str", "default": []},
            **_aws.ARGUMENTS,
        },
    )
    _module.require(module, boto3=_aws.BOTO3_ERROR, PyMySQL=PYMYSQL_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Run the checks."""
    params = module.params
    subject = Subject(params, time.monotonic() + params["deadline"] - time.time())
    names = [name for name in params["checks"] if name in PROBES]
    results = run(subject, names, params["results"], params["skip"], params["deadline"])
    return {"changed": True, "results": results}


if __name__ == "__main__":
    main()
