# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that name a Docker engine and the place of a container."""

from __future__ import annotations


class ModuleDocFragment:
    """A Docker engine on the host, and how containers are placed on it."""

    DOCUMENTATION = r"""
options:
  docker_host:
    description:
      - The host's Docker engine, as C(unix://) and the path of its socket.
      - Without it the engine that C(docker) would use by E(DOCKER_HOST) or its current context, else the first
        socket that the user may use of C(/var/run/docker.sock), a rootless engine's and Docker Desktop's.
    type: str
    default: ""
    version_added: 0.2.0
"""

    PLACEMENT = r"""
options:
  image:
    description:
      - The image, best as C(NAME@sha256:DIGEST), so that the same one runs everywhere.
      - It must be on the host already, see M(mlops.mlflow_aws.mlflow_image_pull); check mode does without.
    type: str
    version_added: 0.2.0
  docker_network:
    description:
      - V(bridge) or the name of a network that exists gives a container an address of its own.
      - V(host) shares the host's network, as reaching a service on the host's loopback takes.
    type: str
    default: bridge
    version_added: 0.2.0
  aws_config_dir:
    description:
      - Folder of the host with an AWS configuration, as an absolute path or C(~/.aws), which containers read as
        theirs; they cannot write it, and do not ask the EC2 metadata service then.
      - Without it containers have the identity of the EC2 instance.
      - A C(credential_process) in it runs inside the container, where the host's programs are not.
    type: path
    version_added: 0.2.0
  container_user:
    description:
      - User of the containers, as C(UID) or C(UID:GID).
      - Without it the image's own, or with O(aws_config_dir) the owner of that folder, who can read it. A rootless
        engine maps the owner to user 0 of the container, which is no root outside of it.
      - Containers do not become root by themselves, so for a folder that only root can read this must be set.
    type: str
    default: ""
    version_added: 0.2.0
"""
