# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: runs servers as containers.

A server is a container and a volume of the same name. Labels tell what they are, so that no
file on the host has to agree with the engine, and everyone who may use the engine sees the same
servers. The settings lie in the volume, because variables and arguments show in
`docker inspect`; the volume is recreated with the container and holds no data.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import hashlib
import json
import re
import socket
import time
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import container_spec
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.container_spec import (
    LABEL,
    VOLUME_PATH,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.references import reference
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.transport import accepting
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import (
    broker_sockets as brokers,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import ports
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import (
    claims,
    container_records,
    holders,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.container_records import (
    CONFIGURATION,
    INSTANCE,
    PROJECT,
    SETTINGS,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    REMOVE,
    RESTART,
    START,
    FoundServer,
    Step,
    WantedServer,
    redacted,
)

# Calls to the engine at once; it does most of its work one by one.
_AT_ONCE = 16
# One that dies at start is started again by the engine for ever; so often means given up.
_RESTARTS = 3
# mlflow_entry.py ends so when it has said itself why it does not serve; trying again soon is no use.
_REFUSED = 2
_STOP_SECONDS = 60
_LOG_LINES = 20
# A server's own threads and the pool of each worker; a runaway meets the limit.
_THREADS, _THREADS_PER_WORKER = 256, 128


class Placement(t.NamedTuple):
    """How all servers of a host are placed: image, network, limits, and what gives them their identity.

    memory: bytes, 0 for no limit; user: UID:GID, or empty for the fitting one; broker: how the host's
    runs, with the folder of its sockets if it is a process. Servers without one read the AWS folder.
    """

    image: str
    network: str = "bridge"
    aws_config_dir: str = ""
    memory: int = 0
    user: str = ""
    broker: str = brokers.NONE
    sockets: str = ""


class DockerRuntime:
    """Servers as containers of one engine; instance sets apart those of several inventories."""

    def __init__(self, engine: Engine, placement: Placement, instance: str) -> None:
        """Take the engine and how servers are placed; asks the engine nothing yet."""
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", instance):
            raise MlflowError(
                f"docker_instance is {instance!r}; use lowercase letters, digits and single dashes."
            )
        self._engine = engine
        self._placement = placement
        self._instance = instance

    def identity(self) -> str:
        """Return what stands for all that servers share; another one means another container.

        An image that is not there yet has only its reference; nothing can run from it.
        """
        image = self._placement.image
        digest = reference(image).digest if image and not image.startswith("sha256:") else ""
        if image and not digest:
            found = self._engine.image(image)
            digest = found["Id"] if found else f"missing {image}"
        spec = self._spec("", 1)._replace(image=digest)
        body = json.dumps(container_spec.creation(spec, {}, restart=True), sort_keys=True)
        return hashlib.sha256(body.encode("utf-8")).hexdigest()

    @property
    def command(self) -> list[str]:
        """Return nothing: the engine starts containers again."""
        return []

    def observe(self) -> dict[str, FoundServer]:
        """Return all servers of the engine, by name, in two calls to it."""
        found = {
            name: container_records.found_server(name, container)
            for name, container in self._own_containers().items()
        }
        # An interrupted run may have left a volume alone.
        for volume in self._engine.volumes([f"{INSTANCE}={self._instance}", PROJECT]):
            name = volume["Labels"][PROJECT]
            found.setdefault(name, FoundServer(name, known=True))
        return found

    def require(self, steps: t.Sequence[Step]) -> None:
        """Refuse a network or folder that is missing, and names and ports that others' containers hold."""
        starting = [
            step.wanted for step in steps if step.action in (START, RESTART) and step.wanted
        ]
        if not starting:
            return
        network = self._placement.network
        if self._engine.network(network) is None:
            raise MlflowError(
                f"Docker on this host has no network {network}; create it with `docker network create`, or "
                "correct docker_network."
            )
        if network == "host" and self._engine.rootless:
            raise MlflowError(
                "A rootless Docker's host network is not the host's own, so the servers would not be reachable; set "
                "docker_network to bridge."
            )
        containers = self._engine.containers()
        names = {name: found for found in containers for name in container_records.names(found)}
        volumes = {volume["Name"]: volume for volume in self._engine.volumes()}
        for server in starting:
            name = self._name(server.name)
            for kind, there in (("container", names.get(name)), ("volume", volumes.get(name))):
                if there and not self._is_ours(there):
                    raise MlflowError(
                        f"Project '{server.name}': there is a {kind} {name} that mlflow_server did not make "
                        f"for it; rename or remove the {kind}, or set another docker_instance."
                    )
            self._require_unpublished(server, containers)

    def _require_unpublished(
        self, server: WantedServer, containers: t.Iterable[t.Mapping[str, t.Any]]
    ) -> None:
        """Refuse a port that somebody else's container publishes."""
        for other in containers:
            if not self._is_ours(other) and container_records.publishes(
                other, server.host, server.port
            ):
                raise ports.taken(server.name, server.port, *container_records.claim(other))

    def owns(self, holder: ports.Holder) -> bool:
        """Return whether one of our containers is to listen on the port, which the engine holds for it."""
        servers = map(container_records.settings, self._own_containers().values())
        return any(settings.get("port") == holder.port for settings in servers)

    def claim(self, holder: ports.Holder, host: str) -> claims.Claim:
        """Return whose a port is that none of our containers holds."""
        return holders.claim(holder, host, self._engine)

    def apply(self, steps: t.Sequence[Step], deadline: float) -> None:
        """Stop, remove, make and start containers, each kind of step for all servers side by side."""
        changing = [step for step in steps if step.changed]
        starting = [
            step.wanted for step in changing if step.action in (START, RESTART) and step.wanted
        ]
        if starting:
            self._require_image()
        containers = self._own_containers()
        kept = {
            server.name for server in starting if _is_reusable(containers.get(server.name), server)
        }
        removed = [step.name for step in changing if step.action == REMOVE]
        gone = removed + [server.name for server in starting if server.name not in kept]
        wanted = {server.name: server for server in starting}
        failures: dict[str, MlflowError] = {}

        def launch(name: str) -> None:
            if name not in kept:
                self._make(wanted[name])
            self._engine.start(self._name(name))

        stop = functools.partial(self._stop, deadline=deadline)
        _each(stop, [step.name for step in changing if step.name in containers], failures)
        _each(self._remove, gone, failures)
        _each(self._remove_socket, removed, failures)
        # Only now: a server may take the port that another one gives up.
        _each(launch, list(wanted), failures)
        if failures:
            raise MlflowError(" ".join(map(str, failures.values())), {"changed": True})

    def resume(self, names: t.Collection[str], deadline: float) -> list[str]:
        """Start stopped containers as they are; returns the projects of which."""
        del deadline
        stopped = [
            name
            for name, container in self._own_containers().items()
            if name in names and container["State"] == "exited"
        ]
        for name in stopped:
            self._engine.start(self._name(name))
        return sorted(stopped)

    def dead(self) -> dict[str, str]:
        """Return the servers that were ended, or that end again and again, in few calls."""
        ended = {}
        for name, container in self._own_containers().items():
            if container["State"] in ("created", "exited", "dead"):
                ended[name] = "was stopped"
            elif container["State"] == "restarting":
                details = self._engine.container(container["Id"]) or {}
                state = details.get("State", {})
                if details.get("RestartCount", 0) >= _RESTARTS or state.get("ExitCode") == _REFUSED:
                    ended[name] = _cause(state)
        return ended

    def log_path(self, name: str) -> str:
        """Return the command that shows the server's log."""
        where = "" if self._engine.is_default else f" --host {self._engine.host}"
        return f"docker{where} logs {self._name(name)}"

    def log_tail(self, name: str) -> list[str]:
        """Return the last lines of the server's log, as the engine keeps it."""
        with contextlib.suppress(MlflowError):
            return self._engine.tail(self._name(name), _LOG_LINES)
        return []

    def _name(self, project: str) -> str:
        """Return the name of a project's container and volume."""
        return f"{self._instance}-{project}"

    def _is_ours(self, labelled: t.Mapping[str, t.Any]) -> bool:
        """Return whether a container or volume is of this instance."""
        return bool((labelled["Labels"] or {}).get(INSTANCE) == self._instance)

    def _own_containers(self) -> dict[str, dict[str, t.Any]]:
        """Return the containers of this instance by project."""
        # One that lacks the project's label was not made here.
        found = self._engine.containers([f"{INSTANCE}={self._instance}", PROJECT])
        return {container["Labels"][PROJECT]: container for container in found}

    def _spec(self, project: str, workers: int) -> container_spec.Spec:
        """Return what the container of a project's server is made of; without a project what all share."""
        place = self._placement
        binds, environment = container_spec.aws_access(
            place.aws_config_dir if place.broker == brokers.NONE else ""
        )
        volumes: dict[str, str] = {}
        if place.broker == brokers.PROCESS:
            binds = {f"{place.sockets}/{project}": brokers.CONTAINER_SOCKETS}
        elif place.broker == brokers.DOCKER:
            volume = brokers.volume_name(self._instance, project)
            volumes = {volume: brokers.CONTAINER_SOCKETS}
        return container_spec.Spec(
            image=place.image,
            command=("serve", container_spec.SETTINGS_PATH),
            volume=self._name(project) if project else "",
            user=self._user,
            network=place.network,
            binds=tuple(binds.items()),
            environment=tuple(environment.items()),
            memory=place.memory,
            processes=_THREADS + _THREADS_PER_WORKER * workers,
            volumes=tuple(volumes.items()),
            shared=True,
        )

    @functools.cached_property
    def _user(self) -> str:
        """Return the user of the containers, who owns the folder that they, or their broker, have mounted."""
        place = self._placement
        folder = place.aws_config_dir
        shares = bool(folder) or place.broker == brokers.PROCESS
        rootless = bool(shares and not place.user and self._engine.rootless)
        if place.broker == brokers.PROCESS:
            return "0:0" if rootless else container_spec.own_user(place.user)
        return container_spec.container_user(place.user, folder, rootless)

    def _require_image(self) -> None:
        """Refuse an image that is not on the host, before anything is touched."""
        image = self._placement.image
        if not image:
            raise MlflowError("No image to run servers from; set image.")
        if self._engine.image(image) is None:
            raise MlflowError(
                f"Image {image} is not on this host; pull it first, as the playbooks deploy and servers do."
            )

    def _stop(self, project: str, deadline: float) -> None:
        """Stop a server; one that the engine is about to start again, too."""
        seconds = min(_STOP_SECONDS, max(1, int(deadline - time.monotonic())))
        self._engine.stop(self._name(project), seconds)

    def _remove(self, project: str) -> None:
        """Remove a server's container and volume."""
        self._engine.remove(self._name(project))
        self._engine.remove_volume(self._name(project))

    def _remove_socket(self, project: str) -> None:
        """Remove the volume of a removed server's socket, unless its broker has yet to let go of it."""
        with accepting(409):
            self._engine.remove_volume(brokers.volume_name(self._instance, project))

    def _make(self, server: WantedServer) -> None:
        """Make a server's volume and container, and put its settings there."""
        name = self._name(server.name)
        labels = {
            INSTANCE: self._instance,
            PROJECT: server.name,
            f"{LABEL}managed": "true",
        }
        self._engine.create_volume(name, labels)
        labels[CONFIGURATION] = server.configuration
        labels[SETTINGS] = json.dumps(redacted(server.settings), sort_keys=True)
        settings, publish = server.settings, None
        if self._placement.network != "host":
            # It listens on all of its own addresses, and the host's address is the engine's to keep.
            settings, publish = (
                {**settings, "host": "0.0.0.0"},
                (_address(server.host), server.port),
            )
        spec = self._spec(server.name, int(settings["workers"]))
        self._engine.create(name, container_spec.creation(spec, labels, publish, restart=True))
        text = json.dumps(settings, indent=2) + "\n"
        self._engine.put_archive(
            name, VOLUME_PATH, container_spec.archive({"settings.json": text}, spec.user)
        )


def _each(
    work: t.Callable[[str], None], names: t.Iterable[str], failures: dict[str, MlflowError]
) -> None:
    """Do the work for all servers that have not failed yet, some at once; keep what fails."""
    due = [name for name in names if name not in failures]

    def attempt(name: str) -> None:
        try:
            work(name)
        except MlflowError as error:
            failures[name] = error

    with concurrent.futures.ThreadPoolExecutor(max(1, min(_AT_ONCE, len(due)))) as pool:
        for done in [pool.submit(attempt, name) for name in due]:
            done.result()


def _is_reusable(container: t.Mapping[str, t.Any] | None, server: WantedServer) -> bool:
    """Return whether a container is for this configuration and has run, so that its settings are there."""
    if container is None or container["State"] in ("created", "dead"):
        return False
    return container_records.configuration(container) == server.configuration


def _address(host: str) -> str:
    """Return the address of a host, which is all that Docker publishes a port on."""
    try:
        return str(socket.getaddrinfo(host, None)[0][4][0])
    except OSError as error:
        raise MlflowError(
            f"No server can listen on {host} ({error.strerror}); correct mlflow_server_host."
        ) from error


def _cause(state: t.Mapping[str, t.Any]) -> str:
    """Return how a container ended that does not come up."""
    if state.get("OOMKilled"):
        return "was killed: out of memory (raise its limit)"
    return "died at start"
