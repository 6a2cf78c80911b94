#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_registered_model
short_description: Manage registered models of MLflow
version_added: 0.4.0
description:
  - Creates, describes, tags and deletes registered models of an MLflow server and sets their aliases, many in one call.
  - Reads them by searches of up to 1000 models each, rather than one by one, and sends requests only for those
    that differ.
  - Versions are registered by MLflow's clients, not by this module.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_experiment
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.tracking
attributes:
  check_mode:
    support: full
    details: Does not check that the versions of O(models[].aliases) exist.
  diff_mode:
    support: full
options:
  models:
    description: List of registered models.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the model, without C(/) and C(:).
        type: str
        required: true
      state:
        description:
          - V(present) creates the model.
          - V(absent) deletes it with all its versions, tags and aliases, which cannot be restored. Requires
            O(models[].confirm).
        type: str
        choices: [present, absent]
        default: present
      confirm:
        description: Name of the model again, to confirm that O(models[].state=absent) deletes this one. Without effect
          otherwise.
        type: str
      description:
        description: Description of the model. If unset, it is not changed.
        type: str
      tags:
        description: Tags to set, as strings or integers. Others are kept, see O(purge_tags).
        type: dict
        default: {}
      aliases:
        description: Number of an existing version by alias. Other aliases are kept, see O(purge_aliases).
        type: dict
        default: {}
  purge_tags:
    description: Whether to remove tags that are not listed. Those that begin with C(mlflow.) are kept.
    type: bool
    default: false
  purge_aliases:
    description: Whether to remove aliases that are not listed.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Create a registered model
  mlops.mlflow_aws.mlflow_registered_model:
    tracking_uri: http://127.0.0.1:5001
    models:
      - name: churn
        description: Probability that a customer leaves within a month
        tags:
          team: growth

- name: Move an alias to another version
  mlops.mlflow_aws.mlflow_registered_model:
    models:
      - name: churn
        aliases:
          champion: 7
  environment:
    MLFLOW_TRACKING_URI: https://mlflow.example.com
    MLFLOW_TRACKING_TOKEN: "{{ mlflow_token }}"

- name: Delete a registered model with all its versions
  mlops.mlflow_aws.mlflow_registered_model:
    tracking_uri: http://127.0.0.1:5001
    models:
      - name: churn
        state: absent
        confirm: churn
"""

RETURN = r"""
models:
  description: One record for each model, in the order of O(models). After a failure, those that were completed before.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the model.
      type: str
    action:
      description: Action taken, or to be taken in check mode, one of V(keep), V(create), V(update) and V(delete).
      type: str
    state:
      description: State afterwards, V(present) or V(absent).
      type: str
    description:
      description: Its description afterwards.
      type: str
    tags:
      description: Its tags afterwards.
      type: dict
    aliases:
      description: Its aliases afterwards, each with the number of its version.
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._objects import client, models, plans


def main() -> None:
    """Run the module."""
    model = {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "confirm": {"type": "str"},
        "description": {"type": "str"},
        "tags": {"type": "dict", "default": {}},
        "aliases": {"type": "dict", "default": {}},
    }
    module = AnsibleModule(
        argument_spec={
            "models": {"type": "list", "elements": "dict", "required": True, "options": model},
            "purge_tags": {"type": "bool", "default": False},
            "purge_aliases": {"type": "bool", "default": False},
            **client.OPTIONS,
        },
        required_together=client.TOGETHER,
        supports_check_mode=True,
    )
    _module.hide(module, client.secrets(module.params))
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Bring the models to their desired state, or in check mode report what would be done."""
    params = module.params
    return plans.result(
        models.kind(models.Purge(params["purge_tags"], params["purge_aliases"])),
        client.Client(params).ask,
        models.wanted(params["models"]),
        module.check_mode,
        "models",
        models.record,
    )


if __name__ == "__main__":
    main()
