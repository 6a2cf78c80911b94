#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_image_info
short_description: Tell which image the servers run, and whether it is in ECR
version_added: 0.2.0
description:
  - Computes the tag of the image that is built from a folder, which is MLflow's version and a hash of everything that
    goes into the build, and looks it up in an ECR repository.
  - So nothing is built or pushed without cause, and deployments can name the image by its digest.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_ecr_login
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.attributes.info
  - mlops.mlflow_aws.aws
options:
  path:
    description:
      - The folder that the image is built from, with C(Dockerfile) and C(mlflow.json).
      - Without it only the repository is looked for.
    type: path
  repository:
    description: Name of the ECR repository.
    type: str
    required: true
  registry:
    description: Host, with port if need be, under which Docker finds the registry, where that is not ECR's own.
    type: str
    default: ""
  build_args:
    description:
      - Values for the C(ARG) lines of the C(Dockerfile). Part of the tag, except for those that only say how to reach
        the network, which are the proxies' and those that start with C(PIP_).
      - They are no place for secrets.
    type: dict
    default: {}
  platforms:
    description: Platforms that the image is built for. Part of the tag.
    type: list
    elements: str
    default: [linux/amd64]
  builder:
    description: What builds the image; V(auto) is V(buildx) where the C(docker) command has it, else V(classic).
    type: str
    choices: [auto, buildx, classic]
    default: auto
  token:
    description: Whether to return a user and password for the registry. Give the task C(no_log) then.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Look for the image in ECR
  mlops.mlflow_aws.mlflow_image_info:
    path: docker
    repository: mlflow
  register: found
"""

RETURN = r"""
image:
  description: The image.
  returned: when O(path) is given
  type: dict
  contains:
    tag:
      description: Its tag.
      type: str
    exists:
      description: Whether the repository holds it.
      type: bool
    digest:
      description: Its digest, empty where the repository does not hold it.
      type: str
    reference:
      description: How Docker names it by digest; by tag where the repository does not hold it.
      type: str
    address:
      description: Where Docker finds the repository; the bare name where there is none yet.
      type: str
    registry:
      description: The registry's host.
      type: str
    version:
      description: MLflow's version.
      type: str
    head:
      description: The newest schema revision that its MLflow knows.
      type: str
    revisions:
      description: All schema revisions that its MLflow knows.
      type: list
      elements: str
repository:
  description: The repository.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
    exists:
      description: Whether it is there.
      type: bool
builder:
  description: What builds the image here, V(buildx) or V(classic).
  returned: when O(path) is given
  type: str
username:
  description: User for the registry.
  returned: when O(token) is true
  type: str
password:
  description: Password for the registry, of use for twelve hours.
  returned: when O(token) is true
  type: str
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import context, ecr, tags


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path"},
            "repository": {"type": "str", "required": True},
            "registry": {"type": "str", "default": ""},
            "build_args": {"type": "dict", "default": {}},
            "platforms": {"type": "list", "elements": "str", "default": ["linux/amd64"]},
            "builder": {
                "type": "str",
                "choices": ["auto", "buildx", "classic"],
                "default": "auto",
            },
            # It asks for the secret and is none.
            "token": {"type": "bool", "default": False, "no_log": False},
            **_aws.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    if not _aws.HAS_BOTO3:
        module.fail_json(msg=missing_required_lib("boto3"), exception=_aws.BOTO3_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, t.Any]:
    """Look for the repository and the image."""
    params = module.params
    client = _aws.client(params, "ecr")
    uri = ecr.find_repository(client, params["repository"])
    result: dict[str, t.Any] = {
        "changed": False,
        "repository": {"name": params["repository"], "exists": bool(uri)},
    }
    if params["path"]:
        result["builder"] = ecr.find_builder(params["builder"])
        tags.require_platforms(params["platforms"], result["builder"])
        described, tag = _wanted(params)
        result["image"] = {**_image(client, params, uri, tag), **described._asdict()}
    if params["token"]:
        username, password, _host = ecr.fetch_token(client)
        result.update(username=username, password=password)
    return result


def _wanted(params: dict[str, t.Any]) -> tuple[tags.Description, str]:
    """Return which MLflow the folder holds, and the tag of the image made of it."""
    folder = Path(params["path"])
    described = tags.describe(folder)
    files = context.read(folder)
    tag = tags.image_tag(described.version, files, params["build_args"], params["platforms"])
    return described, tag


def _image(client: t.Any, params: dict[str, t.Any], uri: str, tag: str) -> dict[str, t.Any]:
    """Return how Docker names the image, and whether the repository holds it."""
    name = params["repository"]
    digest = ecr.find_digest(client, name, tag) if uri else ""
    address = ecr.repository_address(uri, name, params["registry"])
    return {
        "tag": tag,
        "exists": bool(digest),
        "digest": digest,
        "reference": f"{address or name}@{digest}" if digest else f"{address or name}:{tag}",
        "address": address or name,
        "registry": ecr.host_of(address.partition("/")[0]),
    }


if __name__ == "__main__":
    main()
