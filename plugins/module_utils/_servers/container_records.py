# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: reads from an engine's list which containers are servers, and their ports.

Labels say what a container is, also one that another inventory created.
"""

from __future__ import annotations

import contextlib
import json
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.container_spec import LABEL
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import claims
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    FoundServer,
    whole,
)

INSTANCE = f"{LABEL}instance"
PROJECT = f"{LABEL}project"
CONFIGURATION = f"{LABEL}configuration"
SETTINGS = f"{LABEL}settings"


def names(container: t.Mapping[str, t.Any]) -> list[str]:
    """Return a container's names."""
    return [name.lstrip("/") for name in container["Names"] or [container["Id"][:12]]]


def configuration(container: t.Mapping[str, t.Any]) -> str:
    """Return the hash of the configuration that a container was made for."""
    return str(container["Labels"].get(CONFIGURATION, ""))


def settings(container: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the settings that a container's label shows, empty where it is broken."""
    with contextlib.suppress(ValueError, KeyError):
        return whole(json.loads(container["Labels"][SETTINGS])) or {}
    return {}


def found_server(name: str, container: t.Mapping[str, t.Any]) -> FoundServer:
    """Return one server as the engine lists it; one that it keeps restarting does not run."""
    return FoundServer(
        name=name,
        running=container["State"] == "running",
        known=True,
        configuration=configuration(container),
        settings=settings(container) or None,
    )


def claim(container: t.Mapping[str, t.Any]) -> claims.Claim:
    """Return the claim of a container that holds a port: of a server of ours, or anything else."""
    who, labels = f"container {names(container)[0]}", container["Labels"] or {}
    if INSTANCE not in labels or PROJECT not in labels:
        return claims.Claim(who, "end it")
    option = "mlflow_server_docker_instance"
    return claims.ours(who, labels[PROJECT], option, labels[INSTANCE])


def listens(container: t.Mapping[str, t.Any], host: str, port: int) -> bool:
    """Return whether a running container holds a port of host: published, or in the host's network."""
    labels = container["Labels"] or {}
    alone = "host" in ((container.get("NetworkSettings") or {}).get("Networks") or {})
    within = alone and SETTINGS in labels and settings(container).get("port") == port
    return within or publishes(container, host, port)


def publishes(container: t.Mapping[str, t.Any], host: str, number: int) -> bool:
    """Return whether a container's published port keeps a server off that port of host."""
    for port in container.get("Ports") or ():
        address = port.get("IP", "")
        meets = {address, host} & {"0.0.0.0", "::", ""} or address == host
        if port.get("PublicPort") == number and meets:
            return True
    return False
