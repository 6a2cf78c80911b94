# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: removes from a host what this collection made there, and says what is left.

What belongs to the backend of another kind stays: inventories may share a host and a state folder.
"""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _options
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker import manager as brokers
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker import (
    options as broker_options,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker.settings import BROKER
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import prune
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door import manager as doors
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door import options as door_options
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door.folder import Folder
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal import state_files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.findings import (
    DELETE,
    KEEP,
    Finding,
    require_complete,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.state_files import (
    StateFiles,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.migration_broker import (
    NAME as MIGRATIONS,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.migration_broker import (
    MigrationBroker,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import (
    manager,
    options,
    target,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.container_records import (
    INSTANCE,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._sizes import readable
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._tunnel import Tunnel

PROJECT, SERVER, INSTALLATION, RECORD = "project", "server", "installation", "record of ports"
_BOOT, _BROKER, _TUNNEL, _DOOR, _VOLUME, _IMAGE = (
    "start at boot",
    "credential broker",
    "tunnel",
    "front door",
    "volume",
    "image",
)
_FOLDER = "folder"
_AWS, _DOCKER, _PROCESS = "aws", "docker", "process"
Params = t.Mapping[str, t.Any]


class HostRemoval:
    """One run over one host. Every method raises MlflowError with one sentence."""

    def __init__(self, params: Params, state: Path) -> None:
        """Take the options of mlflow_host_removal and the state folder."""
        self._params = params
        self._state = state
        self._files = StateFiles(state, params["docker_instance"])
        self._on_aws = params["backend"] == _AWS
        self._processes = params["runtime"] == _PROCESS
        self._docker = _DOCKER in (params["runtime"], params["broker"])
        self._timeout = float(params["timeout"])
        self.removed: list[Finding] = []

    @property
    def word(self) -> str:
        """Return what confirms the removal: the backend's name, or that of the folder with the data."""
        return str(self._params["stack"]) if self._on_aws else self._state.name

    def found(self) -> list[Finding]:
        """Return everything that goes from this host; nothing is changed."""
        return [
            *self._servers(),
            *self._helpers(),
            *self._volumes(),
            *self._images(),
            *self._data(),
            *(
                Finding(INSTALLATION, str(path), DELETE, "an installed MLflow")
                for path in (self._files.installations() if self._processes else [])
            ),
            *(
                Finding(RECORD, str(path), DELETE, "which project had which port")
                for path in self._files.ports()
            ),
        ]

    def remove(self) -> None:
        """Remove everything: what runs first, then what it left, data last."""
        self.removed = self.found()
        deadline = time.monotonic() + self._timeout
        self._remove_door()
        manager.converge(self._target(), self._timeout)
        if self._on_aws:
            self._remove_helpers(deadline)
        for one in self._volumes():
            self._engine().remove_volume(one.name)
        for image in self._unused():
            prune.remove_image(self._engine(), image)
        self._files.drop_servers(processes=self._processes)
        if not self._on_aws:
            for folder in self._files.projects():
                self._files.drop_project(folder)
        self._files.drop_rest()

    def left(self) -> list[Finding]:
        """Look again; return what is in the state folder, and refuse what should not be there any more."""
        left = [one for one in self.found() if one.goes]
        require_complete("This host", left, [], self.removed)
        return [
            Finding(_FOLDER, str(path), KEEP, "", self._remedy(path)) for path in self._files.left()
        ]

    def _target(self) -> target.Target:
        """Return a host without servers."""
        given = {
            "state_dir": str(self._state),
            "runtime": self._params["runtime"],
            "docker_host": self._params["docker_host"],
            "docker_instance": self._params["docker_instance"],
            "servers": [],
            "state": "absent",
            "stop_unlisted": True,
        }
        wanted = _options.validated(options.SERVERS, given, "mlflow_server")
        return target.target(wanted, self._state)

    def _servers(self) -> list[Finding]:
        """Return the servers, and whether anything of them starts at boot."""
        done = manager.check(self._target())
        found = [
            Finding(SERVER, record["name"], DELETE, f"{record['state']}; its settings and log")
            for record in done.servers
        ]
        if done.changed and not found:
            found.append(Finding(_BOOT, str(self._state), DELETE, "a line of this user's crontab"))
        return found

    def _helpers(self) -> list[Finding]:
        """Return the front door; and the broker and the tunnel, which only hosts of a backend on AWS have."""
        found = []
        door = Folder(self._state).path
        if door.is_dir():
            meaning = (
                "tokens, passwords, certificates and the audit log of its members, which are lost"
            )
            found.append(Finding(_DOOR, str(door), DELETE, meaning))
        if self._on_aws:
            if self._broker(check_mode=True).changed:
                meaning = "gives servers their credentials"
                found.append(Finding(_BROKER, self._params["broker"], DELETE, meaning))
            if self._tunnel(check_mode=True) or files.has_tunnel(self._state):
                meaning = "leads to the database"
                found.append(
                    Finding(_TUNNEL, str(files.tunnel_folder(self._state)), DELETE, meaning)
                )
        return found

    def _remove_door(self) -> None:
        """End the front door, and delete its files."""
        door = Folder(self._state).path
        if door.is_dir():
            given = {
                "state": "absent",
                "state_dir": str(self._state),
                "timeout": int(self._timeout),
            }
            doors.converge(door_options.validated(given), self._state, check_mode=False)
            state_files.drop(door)

    def _remove_helpers(self, deadline: float) -> None:
        """Remove brokers and tunnel with their files."""
        self._broker(check_mode=False)
        # Of a migration that was killed; one that runs would be somebody's who deploys right now.
        MigrationBroker({**self._broker_given(), "projects": {MIGRATIONS: ""}}).clear()
        self._tunnel(check_mode=False, seconds=max(1.0, deadline - time.monotonic()))
        self._files.drop_aws()

    def _broker_given(self) -> dict[str, t.Any]:
        """Return options of mlflow_broker for a broker that is to go."""
        return {
            "state": "absent",
            "state_dir": str(self._state),
            "runtime": self._params["broker"],
            "server_runtime": self._params["runtime"],
            "docker_host": self._params["docker_host"],
            "docker_instance": self._params["docker_instance"],
        }

    def _broker(self, *, check_mode: bool) -> brokers.BrokerResult:
        """Remove the broker, or say whether there is one."""
        given = broker_options.validated(self._broker_given())
        return brokers.converge(given, self._state, check_mode=check_mode)

    def _tunnel(self, *, check_mode: bool, seconds: float = 1.0) -> bool:
        """Close the tunnel, or say whether there is one."""
        folder = files.tunnel_folder(self._state)
        if not folder.is_dir():
            return False
        tunnel = Tunnel(folder, "", "", None, start_at_boot=False)
        return tunnel.close(seconds, check_mode=check_mode).changed

    def _volumes(self) -> list[Finding]:
        """Return volumes that a broker leaves whose container is gone."""
        if not (self._on_aws and self._docker):
            return []
        labels = [f"{BROKER}={self._params['docker_instance']}"]
        return [
            Finding(_VOLUME, volume["Name"], DELETE, "the socket of a project")
            for volume in self._engine().volumes(labels)
        ]

    def _images(self) -> list[Finding]:
        """Return the images of the repository; those that other containers use stay."""
        return [
            Finding(_IMAGE, image.names[0], DELETE, "can be pulled again, or built")
            for image in self._of_repository(self._foreign())
        ]

    def _unused(self) -> list[prune.Image]:
        """Return the images of the repository that no container uses any more."""
        if not (self._docker and self._params["repository"]):
            return []
        return self._of_repository(prune.used_images(self._engine()))

    def _of_repository(self, used: t.Container[str]) -> list[prune.Image]:
        """Return the images that have no name but those of the repository, and are not in use."""
        repository = self._params["repository"]
        if not (self._docker and repository):
            return []
        return prune.superseded(prune.list_images(self._engine()), "", used, repository, 0)

    def _foreign(self) -> set[str]:
        """Return the ids of the images of containers that are not of this instance."""
        if not (self._docker and self._params["repository"]):
            return set()
        own = self._params["docker_instance"]
        marks = {INSTANCE: own, BROKER: own}
        return {
            str(entry["ImageID"])
            for entry in self._engine().containers()
            if not any((entry["Labels"] or {}).get(key) == name for key, name in marks.items())
        }

    def _data(self) -> list[Finding]:
        """Return the projects of the local backend, whose data cannot be made again."""
        found = []
        for folder in [] if self._on_aws else self._files.projects():
            places = ", ".join([str(folder), *state_files.links(folder)])
            bytes_ = readable(state_files.size(folder))
            meaning = f"database, artifacts and key in {places} ({bytes_}), which are lost"
            found.append(Finding(PROJECT, folder.name, DELETE, meaning))
        return found

    def _engine(self) -> Engine:
        """Return the host's Docker engine."""
        return Engine(self._params["docker_host"])

    def _remedy(self, path: Path) -> str:
        """Return why something is left in the state folder, and what to do about it."""
        if path == files.projects_folder(self._state) and self._on_aws:
            names = state_files.names(self._files.projects())
            return (
                f"data of projects of the local backend ({names}); to delete it, run destroy with mlflow_backend=local "
                f"and confirm={self._state.name}"
            )
        if path == files.projects_folder(self._state):
            return "holds files that this collection did not make; look at them and delete them"
        if path.name == "reports":
            return "reports of verify_aws; delete them when nobody needs them"
        return "belongs to another inventory, or was not made here; look at it and delete it"


def require_known(params: Params) -> None:
    """Refuse a deployment on AWS without its name."""
    if params["backend"] == _AWS and not params["stack"]:
        raise MlflowError("No name of the deployment whose servers are to be removed; set stack.")
