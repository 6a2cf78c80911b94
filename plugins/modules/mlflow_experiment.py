#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_experiment
short_description: Manage MLflow experiments
version_added: 0.4.0
description:
  - Creates, restores, tags and deletes experiments of an MLflow server, many in one call.
  - Reads them by searches of up to 1000 experiments each, rather than one by one, and sends requests only for those
    that differ.
  - For experiments that belong to a project, list them in C(mlflow_projects), so that they are created with its server.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_registered_model
  - module: mlops.mlflow_aws.mlflow_project_experiments
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.tracking
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  experiments:
    description: List of experiments.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the experiment, 500 characters at most.
        type: str
        required: true
      state:
        description:
          - V(present) creates the experiment, or restores it if it is deleted.
          - V(absent) deletes it with its runs, as MLflow's page does. They can be restored until C(mlflow gc) removes
            them.
        type: str
        choices: [present, absent]
        default: present
      description:
        description:
          - Description of the experiment, which is its tag C(mlflow.note.content).
          - If unset, it is not changed.
        type: str
      tags:
        description: Tags to set, as strings or integers. Others are kept, see O(purge_tags).
        type: dict
        default: {}
      artifact_location:
        description:
          - URI or absolute path at which the server keeps the artifacts of an experiment that is created.
          - It cannot be changed later. An existing experiment with another one is refused.
          - If unset, the server chooses.
        type: str
  purge_tags:
    description:
      - Whether to remove tags that are not listed. Those that begin with C(mlflow.) are kept.
      - Releases of MLflow that cannot remove tags of experiments refuse it.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Create two experiments
  mlops.mlflow_aws.mlflow_experiment:
    tracking_uri: http://127.0.0.1:5001
    experiments:
      - name: churn
        description: Who leaves, and when
        tags:
          team: growth
      - name: churn/ablations

- name: Delete an experiment through a server that requires a login
  mlops.mlflow_aws.mlflow_experiment:
    tracking_uri: https://mlflow.example.com
    username: admin
    password: "{{ mlflow_password }}"
    experiments:
      - name: churn/ablations
        state: absent
"""

RETURN = r"""
experiments:
  description: One record for each experiment, in the order of O(experiments). After a failure, those that were
    completed before.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the experiment.
      type: str
    action:
      description: Action taken, or to be taken in check mode, one of V(keep), V(create), V(update), V(restore) and
        V(delete).
      type: str
    experiment_id:
      description: ID of the experiment. Empty if it does not exist.
      type: str
    state:
      description: State afterwards, V(present), V(deleted), or V(absent) if it does not exist.
      type: str
    artifact_location:
      description: URI of its artifacts. Empty if it was created now and the server chose it.
      type: str
    tags:
      description: Its tags afterwards.
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._objects import (
    client,
    experiments,
    plans,
)


def main() -> None:
    """Run the module."""
    experiment = {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "description": {"type": "str"},
        "tags": {"type": "dict", "default": {}},
        "artifact_location": {"type": "str"},
    }
    module = AnsibleModule(
        argument_spec={
            "experiments": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": experiment,
            },
            "purge_tags": {"type": "bool", "default": False},
            **client.OPTIONS,
        },
        required_together=client.TOGETHER,
        supports_check_mode=True,
    )
    _module.hide(module, client.secrets(module.params))
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Bring the experiments to their desired state, or in check mode report what would be done."""
    params = module.params
    return plans.result(
        experiments.kind(params["purge_tags"]),
        client.Client(params).ask,
        experiments.wanted(params["experiments"], "experiments"),
        module.check_mode,
        "experiments",
        experiments.record,
    )


if __name__ == "__main__":
    main()
