#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_image_info
short_description: Look up the MLflow image in Amazon ECR
version_added: 0.2.0
description:
  - Computes the tag of the image that is built from a folder, which is MLflow's version and a hash of everything that
    goes into the build, and looks it up in an ECR repository.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_image
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.attributes.info
  - mlops.mlflow_aws.aws
  - mlops.mlflow_aws.image
options:
  path:
    description:
      - Path to the folder that the image is built from, with C(Dockerfile) and C(mlflow.json).
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Look up the image
  mlops.mlflow_aws.mlflow_image_info:
    path: docker
    repository: mlflow
  register: result
"""

RETURN = r"""
image:
  description: The image.
  returned: success
  type: dict
  contains:
    tag:
      description: Tag of the image.
      type: str
    exists:
      description: Whether the image is in the repository.
      type: bool
    digest:
      description: Digest of the image, empty if it is not in the repository.
      type: str
    reference:
      description: Image reference by digest, or by tag if the image is not in the repository.
      type: str
    address:
      description: Where Docker finds the repository; the bare name if there is none yet.
      type: str
    registry:
      description: Host of the registry, empty if there is no repository yet.
      type: str
    version:
      description: Version of MLflow.
      type: str
    head:
      description: Newest schema revision that this MLflow knows.
      type: str
    revisions:
      description: All schema revisions that this MLflow knows.
      type: list
      elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import wanted


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            **wanted.ARGUMENTS,
            **_aws.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    _module.require(module, boto3=_aws.BOTO3_ERROR, packaging=wanted.packaging_error(module.params))
    _module.hide(module, wanted.secrets(module.params))
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, t.Any]:
    """Look up the image."""
    image = wanted.read(module.params)
    found = wanted.look_up(_aws.client(module.params, "ecr"), image)
    return {"changed": False, "image": found.record()}


if __name__ == "__main__":
    main()
