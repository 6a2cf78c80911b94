#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_image
short_description: Build the MLflow image and push it to Amazon ECR
version_added: 0.2.0
description:
  - Computes the tag of the image that is built from a folder, which is MLflow's version and a hash of everything that
    goes into the build. If the ECR repository does not have that tag, builds the image and pushes it.
  - Builds with Docker's buildx plugin if the C(docker) command has it, otherwise with the engine's classic builder,
    which needs no C(docker) command.
  - The registry's token is sent to the engine in requests, or for buildx kept in a private Docker configuration
    folder that is removed again in any case.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_image_info
  - module: mlops.mlflow_aws.mlflow_image_pull
requirements:
  - Docker Engine 20.10 or newer, on this machine or reachable from it
  - For O(builder=buildx), the C(docker) command with its buildx plugin
  - For C(ssh://) in O(docker_host), the OpenSSH client, and the C(docker) command on the other machine
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.aws
  - mlops.mlflow_aws.image
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  path:
    description:
      - Path to the folder that the image is built from, with C(Dockerfile) and C(mlflow.json).
      - If it has a file C(context.txt), that lists what the image is built from, one file or folder a line, relative to
        the folder, as C(tar --files-from) reads it. Otherwise the image is built from the whole folder.
    type: path
    required: true
  builder:
    description: Builder to use; V(auto) is V(buildx) if the C(docker) command has it, otherwise V(classic). The classic
      builder builds for one platform.
    type: str
    choices: [auto, buildx, classic]
    default: auto
  network:
    description: Network of the build, such as V(host) if a package index is on the machine's loopback. If unset, the
      builder's own.
    type: str
    default: ""
  docker_host:
    description: URL of the Docker engine that builds, such as C(unix:///var/run/docker.sock), C(tcp://HOST:PORT) or
      C(ssh://USER@HOST). If unset, the engine that C(docker) would use by E(DOCKER_HOST) or its current context,
      otherwise the first socket that this user may use.
    type: str
    default: ""
  timeout:
    description: Timeout in seconds for each of building and pushing.
    type: int
    default: 1800
"""

EXAMPLES = r"""
- name: Build and push the image
  mlops.mlflow_aws.mlflow_image:
    path: docker
    repository: mlflow
    region: eu-central-1
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
size:
  description: Size of the image's layers in bytes, compressed, as they are stored in the repository and pulled. With
    several platforms, of the first one.
  returned: if the image was built with O(requirements), and the registry tells
  type: int
  version_added: 0.3.0
additional_size:
  description: How much of RV(size) is the layer with the packages of O(requirements).
  returned: as RV(size)
  type: int
  version_added: 0.3.0
builder:
  description: The builder, V(buildx) or V(classic).
  returned: success
  type: str
msg:
  description: What would be done.
  returned: in check mode, if the image would be built
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import (
    builders,
    publish,
    sizes,
    tags,
    wanted,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "builder": {
                "type": "str",
                "choices": ["auto", "buildx", "classic"],
                "default": "auto",
            },
            "network": {"type": "str", "default": ""},
            "docker_host": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 1800},
            **wanted.ARGUMENTS,
            **_aws.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    _module.require(module, boto3=_aws.BOTO3_ERROR, packaging=wanted.packaging_error(module.params))
    _module.hide(module, wanted.secrets(module.params))
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, t.Any]:
    """Look up the image, and build and push it if it is missing."""
    params = module.params
    builder = builders.choose(params["builder"], _settings(params))
    image = wanted.read(params)
    tags.require_builder(params["platforms"], builder.name)
    client = _aws.client(params, "ecr")
    before = wanted.look_up(client, image)
    result: dict[str, t.Any] = {"changed": not before.digest, "builder": builder.name}
    if before.digest:
        return {**result, "image": before.record()}
    if module.check_mode:
        result["msg"] = f"{before.name} would be built by {builder.name} and pushed."
        return {**result, "image": before.record(), **_diff(before)}
    after, pushed = publish.publish(client, before, builder)
    return {
        **result,
        "changed": pushed,
        "image": after.record(),
        **sizes.of(client, after),
        **(_diff(after) if pushed else {}),
    }


def _settings(params: t.Mapping[str, t.Any]) -> builders.Settings:
    """Return how to build."""
    return builders.Settings(
        # YAML reads 1 as a number, and Docker passes texts.
        arguments={name: str(value) for name, value in params["build_args"].items()},
        platforms=params["platforms"],
        network=params["network"],
        docker_host=params["docker_host"],
        timeout=params["timeout"],
    )


def _diff(image: wanted.Image) -> dict[str, t.Any]:
    """Return what an image adds to the repository."""
    return {"diff": {"before": "", "after": f"{image.name}\n"}}


if __name__ == "__main__":
    main()
