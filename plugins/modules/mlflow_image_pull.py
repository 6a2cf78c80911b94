#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_image_pull
short_description: Make sure that a host's Docker engine has an image
version_added: 0.2.0
description:
  - Pulls an image from its registry where the engine does not have it, by digest.
  - The registry's password reaches the engine alone and is kept in no file.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_server
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.docker
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  image:
    description:
      - The image, best as C(NAME@sha256:DIGEST).
      - One that is named by a tag is not pulled again where the engine has any image of that name and tag.
    type: str
    required: true
  registry_username:
    description: User of the registry; Amazon ECR knows only V(AWS).
    type: str
    default: AWS
  registry_password:
    description: Password or token of the registry, as M(mlops.mlflow_aws.mlflow_image_info) returns one for Amazon
      ECR; without it the registry is asked as nobody.
    type: str
    default: ""
  timeout:
    description: Seconds in which the image must be there.
    type: int
    default: 900
"""

EXAMPLES = r"""
- name: Have the image on this host
  mlops.mlflow_aws.mlflow_image_pull:
    image: "{{ image }}"
  vars:
    image: registry.example.com/mlflow@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
"""

RETURN = r"""
image:
  description: The image on the host.
  returned: success
  type: dict
  contains:
    reference:
      description: How it was named.
      type: str
    id:
      description: The engine's id of it, empty in check mode where it would be pulled.
      type: str
    present:
      description: Whether it is there; false only in check mode.
      type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "str", "required": True},
            "registry_username": {"type": "str", "default": "AWS"},
            "registry_password": {"type": "str", "default": "", "no_log": True},
            "docker_host": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 900},
        },
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Look for the image and pull it where it is missing."""
    params = module.params
    engine = Engine(params["docker_host"])
    name = params["image"]
    found = engine.image(name)
    missing = found is None
    if missing and not module.check_mode:
        engine.pull(
            name, params["registry_username"], params["registry_password"], params["timeout"]
        )
        found = engine.image(name)
    return {
        "changed": missing,
        "image": {
            "reference": name,
            "id": found["Id"] if found else "",
            "present": found is not None,
        },
    }


if __name__ == "__main__":
    main()
