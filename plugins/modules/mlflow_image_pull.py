#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_image_pull
short_description: Pull an image on a host
version_added: 0.2.0
description:
  - Pulls an image from its registry if the host's Docker engine does not have it.
  - The registry's password is sent to the engine and is not written to any file.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_ecr_token
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
      - Image reference, preferably C(NAME@sha256:DIGEST).
      - A reference by tag is not pulled again if the engine has an image of that name and tag.
    type: str
    required: true
  registry_username:
    description: User for the registry; for Amazon ECR always V(AWS).
    type: str
    default: AWS
  registry_password:
    description: Password for the registry, such as a token from M(mlops.mlflow_aws.mlflow_ecr_token). If unset,
      the module logs in with the credential helper that the connecting user's Docker configuration names for the
      registry, or pulls anonymously if it names none.
    type: str
    default: ""
  timeout:
    description: Timeout in seconds for the pull.
    type: int
    default: 900
"""

EXAMPLES = r"""
- name: Pull the image
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
      description: Image reference, as it was given.
      type: str
    id:
      description: ID of the image in the engine, empty in check mode if it would be pulled.
      type: str
    present:
      description: Whether the image is on the host; false only in check mode.
      type: bool
    login:
      description: Whether the host needs no password for a missing image, since its own credential helper gives one.
      type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import images
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.references import reference
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import docker_config


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
    """Look for the image, and pull it if it is missing."""
    params = module.params
    engine = Engine(params["docker_host"])
    name = params["image"]
    found = engine.image(name)
    missing = found is None
    given = images.Login(params["registry_username"], params["registry_password"])
    own = None
    if missing and not given.password:
        own = docker_config.helper_login(reference(name).registry)
    if missing and not module.check_mode:
        login = own or given
        images.pull(engine, name, login, params["timeout"])
        found = engine.image(name)
    return {
        "changed": missing,
        "image": {
            "reference": name,
            "id": found["Id"] if found else "",
            "present": found is not None,
            "login": own is not None,
        },
    }


if __name__ == "__main__":
    main()
