# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: where a host's credential broker and its servers meet, purely."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

NONE, DOCKER, PROCESS = "none", "docker", "process"
SOCKET = "aws.sock"
# In the broker's container the folder of all volumes with sockets, in a server's what is mounted for it.
CONTAINER_SOCKETS = "/run/mlflow-broker"
# In such a volume, whose own folder is root's, the folder of the containers' user.
OWN = "own"
# sun_path holds 104 bytes on macOS and 108 on Linux.
_SOCKET_LENGTH = 103


def sockets_folder(state: Path) -> Path:
    """Return the folder in which a broker that is a process has a folder for each project."""
    return state / "sockets"


def volume_name(instance: str, project: str) -> str:
    """Return the volume with the socket of one project, where the broker is a container."""
    return f"{instance}.broker.{project}"


def server_socket(broker: str, runtime: str, state: Path, project: str) -> str:
    """Return where a project's server finds its socket, empty without a broker.

    broker and runtime: how the broker and the servers run.
    """
    if broker == NONE:
        return ""
    if runtime == DOCKER and broker == DOCKER:
        return f"{CONTAINER_SOCKETS}/{OWN}/{SOCKET}"
    if runtime == DOCKER:
        return f"{CONTAINER_SOCKETS}/{SOCKET}"
    if broker == DOCKER:
        raise MlflowError(
            "Servers that are processes cannot reach a broker that is a container; set mlflow_server_broker to "
            "process."
        )
    path = sockets_folder(state) / project / SOCKET
    if len(str(path).encode("utf-8")) > _SOCKET_LENGTH:
        raise MlflowError(
            f"Project '{project}': mlflow_state_dir is too long for its socket ({path}); choose a path that is "
            f"{len(str(path).encode('utf-8')) - _SOCKET_LENGTH} characters shorter."
        )
    return str(path)
