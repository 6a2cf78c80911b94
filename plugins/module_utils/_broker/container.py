# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the broker as a container of the image, in the host's network.

Each project's socket is in a volume of its own, which the broker's container and the project's server
mount. Sockets in folders of the host would not work with Docker Desktop.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tarfile
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker import settings
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker.host import FoundBroker
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker.settings import (
    BROKER,
    BROKER_PROJECT,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import container_spec
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.container_spec import (
    LABEL,
    SETTINGS_PATH,
    VOLUME_PATH,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.transport import accepting
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import broker_sockets
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.broker_sockets import (
    CONTAINER_SOCKETS,
)

# Where docker/Dockerfile puts them.
_PROGRAM = ("/opt/mlflow/venv/bin/python", "-IBu", "/opt/mlflow/mlflow_broker.py")
_STATE = "/run/mlflow/state.sock"
_SOCKET = f"{CONTAINER_SOCKETS}/{{}}/{broker_sockets.OWN}/{broker_sockets.SOCKET}"
_CONFIGURATION, _SETTINGS = f"{LABEL}configuration", f"{LABEL}settings"
_STOP_SECONDS = 10
_LOG_LINES = 20
# Threads that ask AWS, and room for the commands that ask for its state.
_PROCESSES = 128


class DockerBroker:
    """The broker of one instance on an engine."""

    def __init__(self, params: t.Mapping[str, t.Any]) -> None:
        """Take the options of mlflow_broker; asks the engine nothing yet."""
        self._params = params
        self._engine = Engine(params["docker_host"])
        self._instance = str(params["docker_instance"])
        self._name = settings.container_name(self._instance)
        self._folder = container_spec.aws_folder(params["aws_config_dir"])
        self._made: dict[str, t.Any] | None = None

    @property
    def wanted(self) -> dict[str, t.Any]:
        """Return the settings, whose configuration stands for the container too."""
        if self._made is None:
            body = container_spec.creation(self._spec(), {}, restart=True)
            digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode("utf-8"))
            self._made = settings.settings(self._params, _SOCKET, _STATE, digest.hexdigest())
        return self._made

    def find(self) -> FoundBroker:
        """Return the broker as the engine lists it."""
        for found in self._engine.containers([f"{BROKER}={self._instance}"]):
            kept: dict[str, t.Any] | None = None
            with contextlib.suppress(ValueError, KeyError):
                kept = json.loads(found["Labels"][_SETTINGS])
            running = found["State"] == "running"
            return FoundBroker(running, True, found["Labels"].get(_CONFIGURATION, ""), kept)
        # Somebody has removed the container alone.
        left = {volume["Name"] for volume in self._engine.volumes([f"{BROKER}={self._instance}"])}
        return FoundBroker(known=self._name in left)

    def require(self) -> None:
        """Refuse a name that is another container's."""
        other = self._engine.container(self._name)
        if other and BROKER not in (other["Config"]["Labels"] or {}):
            raise MlflowError(
                f"There is a container {self._name} that mlflow_broker did not make; rename or remove it, or set "
                "another docker_instance."
            )

    def prepare(self) -> None:
        """Refuse an image that is not there."""
        if self._engine.image(self._params["image"]) is None:
            raise MlflowError(
                f"Image {self._params['image']} is not on this host; pull it first, as the playbooks deploy and "
                "servers do."
            )

    def boots(self) -> bool:
        """Return that nothing has to change: the engine starts it at boot."""
        return False

    def start(self, deadline: float) -> None:
        """Make volumes and container, and start it; what servers have mounted stays."""
        del deadline
        spec, wanted = self._spec(), self.wanted
        self._engine.create_volume(self._name, {BROKER: self._instance})
        for project in wanted["projects"]:
            labels = {BROKER: self._instance, BROKER_PROJECT: project}
            self._engine.create_volume(broker_sockets.volume_name(self._instance, project), labels)
        self._engine.stop(self._name, _STOP_SECONDS)
        self._engine.remove(self._name)
        labels = {
            BROKER: self._instance,
            _CONFIGURATION: wanted["configuration"],
            _SETTINGS: json.dumps(settings.redacted(wanted), sort_keys=True),
            f"{LABEL}managed": "true",
        }
        self._engine.create(self._name, container_spec.creation(spec, labels, restart=True))
        content = {"settings.json": json.dumps(wanted, indent=2) + "\n"}
        self._engine.put_archive(
            self._name, VOLUME_PATH, container_spec.archive(content, spec.user)
        )
        for project in wanted["projects"]:
            folder = f"{CONTAINER_SOCKETS}/{project}"
            self._engine.put_archive(self._name, folder, _owned(spec.user))
        self._engine.start(self._name)

    def remove(self, deadline: float) -> None:
        """Remove the container and the volumes that no server has mounted."""
        del deadline
        self._engine.stop(self._name, _STOP_SECONDS)
        self._engine.remove(self._name)
        for volume in self._engine.volumes([f"{BROKER}={self._instance}"]):
            with accepting(409):
                self._engine.remove_volume(volume["Name"])

    def ask(self) -> dict[str, t.Any] | None:
        """Return the state of the running broker."""
        with contextlib.suppress(MlflowError, ValueError):
            command = [*_PROGRAM, "state", SETTINGS_PATH]
            code, output = self._engine.execute(self._name, command)
            if code == 0:
                state: dict[str, t.Any] = json.loads(output)
                return state
        return None

    def log_path(self) -> str:
        """Return the command that shows the log."""
        where = "" if self._engine.is_default else f" --host {self._engine.host}"
        return f"docker{where} logs {self._name}"

    def log_tail(self) -> list[str]:
        """Return the last lines of the log."""
        with contextlib.suppress(MlflowError):
            return self._engine.tail(self._name, _LOG_LINES)
        return []

    def _spec(self) -> container_spec.Spec:
        """Return what the container is made of."""
        binds, environment = container_spec.aws_access(self._folder)
        rootless = bool(
            self._folder and not self._params["container_user"] and self._engine.rootless
        )
        sockets = (
            (broker_sockets.volume_name(self._instance, project), f"{CONTAINER_SOCKETS}/{project}")
            for project in sorted(self._params["projects"])
        )
        return container_spec.Spec(
            image=self._params["image"],
            command=("serve", SETTINGS_PATH),
            volume=self._name,
            user=container_spec.container_user(
                self._params["container_user"], self._folder, rootless
            ),
            network="host",
            writable=tuple(binds.items()),
            volumes=tuple(sockets),
            environment=tuple(environment.items()),
            processes=_PROCESSES,
            entrypoint=_PROGRAM,
            health=(*_PROGRAM, "health", SETTINGS_PATH),
        )


def _owned(user: str) -> bytes:
    """Return a tar archive with the folder for a socket, which is the container's user's alone."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo(broker_sockets.OWN)
        entry.uid, entry.gid = map(int, user.split(":"))
        entry.type, entry.mode = tarfile.DIRTYPE, 0o700
        tar.addfile(entry)
    return stream.getvalue()
