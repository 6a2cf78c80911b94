# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: makes of module options what a host's servers should be, and where they are.

The options are those of options.py.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import local
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door.folder import Folder
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import (
    broker_sockets as brokers,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files, paths
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.crontab import Boot
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.env_files import EnvFiles
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    KEEP,
    REMOVE,
    STOP,
    WantedServer,
    wanted_server,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.port_owners import (
    ListedProject,
    PortRecord,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.runtime import Runtime

if t.TYPE_CHECKING:
    from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine

Params = t.Mapping[str, t.Any]
# In check mode the secret of a door is not made.
_UNMADE = "..."


class Target(t.NamedTuple):
    """A host's servers as they should be, the runtime that has them, and the host's files about them.

    unlisted: what is done about servers that are not wanted, KEEP, STOP or REMOVE; lock: the file
    that is locked while servers change; boot: None where something else starts servers at boot; token: what
    servers behind a front door want to see.
    """

    runtime: Runtime
    servers: t.Sequence[WantedServer]
    unlisted: str
    lock: Path
    env_files: EnvFiles
    ports: PortRecord
    boot: Boot | None
    token: str


def target(params: Params, state: Path, python: str = "", entrypoint: str = "") -> Target:
    """Return what the options ask for; state is the state folder.

    python and entrypoint name the MLflow of servers that are processes.
    """
    folder = files.servers_folder(state)
    if params["runtime"] == "process":
        runtime, identity = _processes(folder, python, entrypoint)
    else:
        runtime, identity = _containers(params, state)
    return Target(
        runtime=runtime,
        servers=[
            wanted_server(_placed(server, state, params), params["state"], identity)
            for server in params["servers"]
        ],
        unlisted=_unlisted(params),
        lock=folder / ".lock",
        env_files=env_files(params, state),
        ports=_ports(params, state),
        boot=_boot(runtime, params, folder),
        token=Folder(state).secret(),
    )


def known(params: Params, state: Path) -> Runtime:
    """Return the runtime to read a host's servers from, which takes no MLflow and no image."""
    if params["runtime"] == "process":
        return _processes(files.servers_folder(state), "", "")[0]
    from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import containers

    placement = containers.Placement(image="")
    return containers.DockerRuntime(_engine(params), placement, params["docker_instance"])


def env_files(params: Params, state: Path) -> EnvFiles:
    """Return the files that clients on the host source."""
    door = params.get("door")
    return EnvFiles(
        files.env_folder(state),
        params["docker_instance"],
        door["url"] if door else "",
        str(Folder(state).authority) if door and door["internal_ca"] else "",
    )


def kept(params: Params, state: Path) -> list[dict[str, str]]:
    """Return the data on this host under names that are not listed."""
    inventory = params["inventory"]
    if not inventory or inventory["backend"] != "local":
        return []
    return local.kept(state, {project["name"] for project in inventory["projects"]})


def has_image(params: Params) -> bool:
    """Return whether the host's engine has the image, which the control node may not have named."""
    image = params["image"]
    return bool(image) and _engine(params).image(image) is not None


def _unlisted(params: Params) -> str:
    """Return what is done about servers that are not listed."""
    if not params["stop_unlisted"]:
        return KEEP
    return REMOVE if params["state"] == "absent" else STOP


def _ports(params: Params, state: Path) -> PortRecord:
    """Return the record of which project had which port."""
    inventory = params["inventory"]
    return PortRecord(
        files.ports_folder(state) / f"{params['docker_instance']}.json",
        [ListedProject(**project) for project in inventory["projects"]] if inventory else None,
        params["state"] == "present",
    )


def _boot(runtime: Runtime, params: Params, folder: Path) -> Boot | None:
    """Return what the host does at boot, None where something else starts servers."""
    command = runtime.command
    return Boot(folder, command, params["start_at_boot"]) if command else None


def _placed(server: dict[str, t.Any], state: Path, params: Params) -> dict[str, t.Any]:
    """Return a server's options with the state folder in place of {state_dir}, and its broker's socket."""
    places = ("backend_store_uri", "artifacts_destination", "key_file")
    placed = {key: server[key].replace(files.STATE_DIR, str(state)) for key in places}
    destination = placed["artifacts_destination"]
    # A project whose state is absent has no place.
    if destination and "://" not in destination:
        paths.host_path("artifacts_destination", destination)
    return server | placed | _identity(server, state, params) | _behind(state, params)


def _behind(state: Path, params: Params) -> dict[str, str]:
    """Return what a server behind a front door knows it by; before the first run there is none."""
    return {"door": Folder(state).secret() or _UNMADE} if params.get("door") else {}


def _identity(server: dict[str, t.Any], state: Path, params: Params) -> dict[str, t.Any]:
    """Return a server's AWS options with the socket that gives its role; refuse a role without one."""
    aws, broker = server.get("aws"), params["broker"]
    runs = server["state"] == params["state"] == "present"
    if not aws or not runs:
        return {}
    if broker == brokers.NONE and aws["role_arn"]:
        raise MlflowError(
            f"Project '{server['name']}': the credential broker of the host assumes role_arn; run "
            "mlflow_broker, and set broker."
        )
    socket = brokers.server_socket(broker, params["runtime"], state, server["name"])
    return {"aws": {**aws, "broker": socket}} if socket else {}


# A host has one runtime, and loading both would take as long as what is done with one: so each is
# imported where it is made.


def _processes(folder: Path, python: str, entrypoint: str) -> tuple[Runtime, str]:
    """Return the runtime of processes, and the name of the folder of its MLflow."""
    from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import processes

    identity = Path(entrypoint).parent.name
    return processes.ProcessRuntime(folder, python, entrypoint, identity), identity


def _containers(params: Params, state: Path) -> tuple[Runtime, str]:
    """Return the runtime of containers, and what identifies all that they share."""
    from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import container_spec
    from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import containers

    placement = containers.Placement(
        image=params["image"] or "",
        network=params["docker_network"],
        aws_config_dir=container_spec.aws_folder(params["aws_config_dir"]),
        memory=container_spec.memory_bytes(params["memory"]),
        user=params["container_user"],
        broker=params["broker"],
        sockets=str(brokers.sockets_folder(state)),
    )
    runtime = containers.DockerRuntime(_engine(params), placement, params["docker_instance"])
    # Ending servers needs neither the image nor the AWS folder.
    return runtime, runtime.identity() if params["state"] == "present" else ""


def _engine(params: Params) -> Engine:
    """Return the host's Docker engine."""
    from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import client

    return client.Engine(params["docker_host"])
