#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_image_prune
short_description: Remove superseded images of a repository from a host
version_added: 0.3.0
description:
  - Removes images from the host's Docker engine that have the repository of O(image) and no other, except O(image)
    itself and the newest O(keep) of the others.
  - Does not remove an image that any container uses, whether it runs or not. Does nothing if the host does not have
    O(image).
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_image_pull
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
    description: Image reference that the host's servers use.
    type: str
    required: true
  keep:
    description: Number of other images of the repository to keep, so that the way back needs no pull.
    type: int
    default: 1
"""

EXAMPLES = r"""
- name: Remove superseded images
  mlops.mlflow_aws.mlflow_image_prune:
    image: "{{ image }}"
  vars:
    image: registry.example.com/mlflow@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
"""

RETURN = r"""
removed:
  description: Images that were removed, or would be in check mode, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: ID of the image.
      type: str
    names:
      description: References that it had.
      type: list
      elements: str
    size:
      description: Size in bytes, including layers that other images share.
      type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import prune
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.references import reference


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "str", "required": True},
            "keep": {"type": "int", "default": 1},
            "docker_host": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Find what is superseded, and remove it."""
    params = module.params
    engine = Engine(params["docker_host"])
    current = engine.image(params["image"])
    images = []
    if current:
        images = prune.superseded(
            prune.list_images(engine),
            current["Id"],
            prune.used_images(engine),
            reference(params["image"]).name,
            max(params["keep"], 0),
        )
    if not module.check_mode:
        for image in images:
            prune.remove_image(engine, image)
    removed = [{"id": image.id, "names": list(image.names), "size": image.size} for image in images]
    return {"changed": bool(images), "removed": removed}


if __name__ == "__main__":
    main()
