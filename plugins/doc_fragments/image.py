# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that decide which image it is."""

from __future__ import annotations


class ModuleDocFragment:
    """What an image is built from, and the repository that holds it."""

    DOCUMENTATION = r"""
options:
  repository:
    description: Name of the ECR repository.
    type: str
    required: true
  registry:
    description: Host, and port if needed, under which Docker reaches the registry, if that is not ECR's own, such as an
      emulator or a VPC endpoint without private DNS.
    type: str
    default: ""
  build_args:
    description:
      - Values for the C(ARG) lines of the C(Dockerfile). Part of the tag, except for those that only say how to reach
        the network, which are the proxies and those that start with C(PIP_).
      - Do not put secrets here, because an image shows the arguments that it was built with.
    type: dict
    default: {}
  requirements:
    description:
      - Path to a file with packages to install beside the locked set, which is C(requirements.txt) of the folder. Each
        is pinned to one version, with hashes. Part of the tag; comments, order and line endings are not.
      - A file that changes a version of the locked set, or has a line without a hash, without C(==), with an option or
        with a URL, is refused.
      - The C(Dockerfile) finds them as C(additional-requirements.txt) in the build's context.
    type: path
    version_added: 0.3.0
  platforms:
    description: Platforms to build the image for. Part of the tag.
    type: list
    elements: str
    default: [linux/amd64]
"""
