# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that select a Docker engine and place containers on it."""

from __future__ import annotations


class ModuleDocFragment:
    """A Docker engine on the host, and how containers are placed on it."""

    DOCUMENTATION = r"""
options:
  docker_host:
    description:
      - URL of the host's Docker engine, as C(unix://) and the path to its socket.
      - If unset, the engine that C(docker) would use by E(DOCKER_HOST) or its current context, otherwise the first
        socket that the user may use of C(/var/run/docker.sock), a rootless engine's and Docker Desktop's.
    type: str
    default: ""
    version_added: 0.2.0
requirements:
  - For containers, Docker Engine 20.10 or newer on the host
"""

    PLACEMENT = r"""
options:
  image:
    description:
      - Image reference, preferably C(NAME@sha256:DIGEST), so that every host runs the same image.
      - The image must be on the host, see M(mlops.mlflow_aws.mlflow_image_pull), except in check mode.
    type: str
    version_added: 0.2.0
  docker_network:
    description:
      - Name of an existing Docker network to attach containers to.
      - V(host) shares the host's network, which reaches services on the host's loopback.
    type: str
    default: bridge
    version_added: 0.2.0
  aws_config_dir:
    description:
      - Path to the host's AWS config directory, absolute or C(~/.aws), which is mounted read-only into containers that
        do not get their credentials from M(mlops.mlflow_aws.mlflow_broker). They do not use the EC2 metadata service
        then.
      - If unset, such containers have the identity of the EC2 instance.
      - A C(credential_process) in it runs inside the container, without the host's programs.
    type: path
    version_added: 0.2.0
  container_user:
    description:
      - User that containers run as, C(UID) or C(UID:GID).
      - If unset, the image's own user, or with O(aws_config_dir) the owner of that directory. A rootless engine maps
        the owner to user 0 of the container, which is not root outside of it.
      - Containers do not run as root by default, so this is required if only root can read the directory.
    type: str
    default: ""
    version_added: 0.2.0
"""
