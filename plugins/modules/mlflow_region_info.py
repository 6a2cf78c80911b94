#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_region_info
short_description: Find out what an AWS region offers for a backend
version_added: 0.3.0
description:
  - Asks which versions of Aurora MySQL the region offers as Aurora Serverless, in which availability zones, and whether
    the RDS Data API is among their features.
  - Without O(engine_version), chooses the newest version with long-term support, of MySQL 8.4 LTS if there is one, else
    of Aurora MySQL 3.10. With it, fails if the region does not offer that version, and names those that it offers.
  - With O(cluster), checks that AWS can upgrade this cluster to O(engine_version). Never chooses a version for a
    cluster that exists.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.attributes.info
  - mlops.mlflow_aws.aws
options:
  engine_version:
    description: Wanted version, such as V(8.4.mysql_aurora.8.4.8). If unset, the best one for a new cluster.
    type: str
    default: ""
  cluster:
    description: Identifier of the cluster that exists. If unset, the cluster is to be created.
    type: str
    default: ""
  pauses:
    description: Whether the database is to pause when it is idle, which not every version can.
    type: bool
    default: true
  data_api:
    description: Whether the RDS Data API is to be on. If unset, it is where the region offers it.
    type: bool
  choose_zones:
    description: Whether to choose two availability zones for a new VPC.
    type: bool
    default: false
  instance_types:
    description: EC2 instance types that these zones should offer, such as the relay's.
    type: list
    elements: str
    default: []
seealso:
  - module: mlops.mlflow_aws.mlflow_stack
"""

EXAMPLES = r"""
- name: Find out what the region offers
  mlops.mlflow_aws.mlflow_region_info:
    region: eu-central-2
    choose_zones: true
    instance_types: [t4g.nano]
  register: offered

- name: Create the backend
  mlops.mlflow_aws.mlflow_stack:
    name: mlflow
    region: eu-central-2
    template_body: "{{ lookup('ansible.builtin.file', 'backend.yml') }}"
    parameters: "{{ offered.parameters }}"
"""

RETURN = r"""
versions:
  description: Versions of Aurora MySQL that the template supports and that the region offers as Aurora Serverless, best
    first.
  returned: success
  type: list
  elements: dict
  contains: &offer
    engine_version:
      description: The version.
      type: str
    family:
      description: Family of its parameter groups.
      type: str
    pauses:
      description: Whether it can pause.
      type: bool
    availability_zones:
      description: Availability zones of this account that offer it.
      type: list
      elements: str
    data_api:
      description: Whether it has the RDS Data API.
      type: bool
    iam_authentication:
      description: Whether it has IAM database authentication.
      type: bool
    performance_insights:
      description: Whether it has Performance Insights.
      type: bool
database:
  description: Record of the version that was chosen or checked. Empty for a cluster that keeps its version.
  returned: success
  type: dict
  contains: *offer
parameters:
  description: Parameters of C(cloudformation/backend.yml) for a new cluster. V(EngineVersion), V(DataApi) and, with
    O(choose_zones), V(AvailabilityZones).
  returned: success
  type: dict
notes:
  description: Notes on these parameters, in sentences.
  returned: success
  type: list
  elements: str
region:
  description: The AWS region.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._region.api import RegionApi
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._region.survey import (
    Question,
    survey,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "engine_version": {"type": "str", "default": ""},
            "cluster": {"type": "str", "default": ""},
            "pauses": {"type": "bool", "default": True},
            "data_api": {"type": "bool"},
            "choose_zones": {"type": "bool", "default": False},
            "instance_types": {"type": "list", "elements": "str", "default": []},
            **_aws.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    _module.require(module, boto3=_aws.BOTO3_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Ask the region."""
    params = module.params
    question = Question(
        wanted=params["engine_version"],
        cluster=params["cluster"],
        pauses=params["pauses"],
        zones=params["choose_zones"],
        types=params["instance_types"],
        data_api=params["data_api"],
    )
    return {"changed": False, **survey(RegionApi(params), question)}


if __name__ == "__main__":
    main()
