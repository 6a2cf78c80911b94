# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: a Docker engine with its containers, volumes and networks.

Standard library only, so that a host that runs servers needs no package.
"""

from __future__ import annotations

import functools
import json
import typing as t
import urllib.parse

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import hosts
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.errors import Overdue
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.references import reference
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.transport import (
    CALL_SECONDS,
    Transport,
    accepting,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError


class Engine(Transport):
    """The Docker engine of this host. Every method raises MlflowError with one sentence."""

    def __init__(self, host: str = "") -> None:
        """Take the engine's address, unix:// and a path; if unset, the user's default."""
        super().__init__(host or hosts.default_host())
        if not hosts.socket_path(self.host):
            raise MlflowError(
                f"{'mlflow_server_docker_host' if host else 'DOCKER_HOST'} is {self.host}; servers run on the "
                "managed host itself, so write unix:// and the full path of its Docker socket, such as "
                "unix:///var/run/docker.sock."
            )

    @property
    def is_default(self) -> bool:
        """Return whether `docker` uses this engine unless told otherwise."""
        return self.place in (hosts.DEFAULT_SOCKET, "/run/docker.sock")

    def version(self) -> dict[str, t.Any]:
        """Return the engine's version record."""
        version: dict[str, t.Any] = self.read("report its version", "GET", "/version")
        return version

    @functools.cached_property
    def rootless(self) -> bool:
        """Return whether the engine runs in a user namespace of the user that owns it."""
        options = self.read("report about itself", "GET", "/info").get("SecurityOptions") or []
        return any(option.startswith("name=rootless") for option in options)

    def containers(self, labels: t.Sequence[str] = ()) -> list[dict[str, t.Any]]:
        """Return all containers that have these labels, stopped ones too, as `docker ps` does."""
        query = {"all": "1", "filters": json.dumps({"label": list(labels)})}
        action = "list containers"
        found: list[dict[str, t.Any]] = self.read(action, "GET", "/containers/json", query)
        return found

    def container(self, name: str) -> dict[str, t.Any] | None:
        """Return what `docker inspect` shows of a container, or None."""
        return self.find(f"inspect container {name}", f"/containers/{name}/json")

    def create(self, name: str, body: t.Mapping[str, t.Any]) -> str:
        """Create a container, without starting it, and return its id."""
        action = f"create container {name}"
        return str(self.value("Id", action, "POST", "/containers/create", {"name": name}, body))

    def start(self, name: str) -> None:
        """Start a container; one that runs is not touched."""
        self.call(f"start container {name}", "POST", f"/containers/{name}/start")

    def stop(self, name: str, seconds: int) -> None:
        """Stop a container, by force after some seconds; one that is stopped or gone is not touched."""
        with accepting(404):
            self.call(
                f"stop container {name}",
                "POST",
                f"/containers/{name}/stop",
                {"t": str(seconds)},
                timeout=seconds + CALL_SECONDS,
            )

    def remove(self, name: str) -> None:
        """Remove a container, running or not, with its unnamed volumes; one that is gone is no error."""
        # Docker answers 409 while another request is removing it.
        with accepting(404, 409):
            self.call(
                f"remove container {name}",
                "DELETE",
                f"/containers/{name}",
                {"force": "1", "v": "1"},
            )

    def wait(self, name: str, timeout: float) -> int | None:
        """Wait for a container's end; return its exit code, or None if that takes longer."""
        action = f"wait for container {name}"
        try:
            path = f"/containers/{name}/wait"
            code = self.value("StatusCode", action, "POST", path, timeout=timeout)
        except Overdue:
            return None
        return int(code)

    def execute(self, name: str, command: t.Sequence[str]) -> tuple[int, str]:
        """Run a command in a running container; return its exit code and what it printed as output."""
        action = f"run a command in container {name}"
        body = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command)}
        made = self.value("Id", action, "POST", f"/containers/{name}/exec", body=body)
        data = self.call(action, "POST", f"/exec/{made}/start", body={"Detach": False})
        output = b"".join(piece for kind, piece in _frames(data) if kind == 1)
        code = self.value("ExitCode", action, "GET", f"/exec/{made}/json")
        return int(code), output.decode("utf-8", "replace")

    def logs(self, name: str) -> tuple[str, str]:
        """Return what a container printed on standard output and on standard error."""
        frames = self._log(name, "all")
        out, err = (b"".join(data for kind, data in frames if kind == stream) for stream in (1, 2))
        return out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def tail(self, name: str, lines: int) -> list[str]:
        """Return the last lines that a container printed, on either stream."""
        data = b"".join(data for _kind, data in self._log(name, str(lines)))
        text = data.decode("utf-8", "replace")
        return [line for line in text.splitlines() if line.strip()][-lines:]

    def _log(self, name: str, lines: str) -> list[tuple[int, bytes]]:
        """Return the last lines of a container's log, each with the number of its stream."""
        query = {"stdout": "1", "stderr": "1", "tail": lines}
        action = f"read the log of container {name}"
        return list(_frames(self.call(action, "GET", f"/containers/{name}/logs", query)))

    def put_archive(self, name: str, path: str, archive: bytes) -> None:
        """Unpack a tar archive in a container's folder, also before its start."""
        self.call(
            f"put files into container {name}",
            "PUT",
            f"/containers/{name}/archive",
            {"path": path},
            archive,
        )

    def volumes(self, labels: t.Sequence[str] = ()) -> list[dict[str, t.Any]]:
        """Return all volumes that have these labels."""
        query = {"filters": json.dumps({"label": list(labels)})}
        return self.read("list volumes", "GET", "/volumes", query).get("Volumes") or []

    def create_volume(self, name: str, labels: t.Mapping[str, str]) -> None:
        """Create a volume; an existing one of that name is not touched."""
        body = {"Name": name, "Driver": "local", "Labels": dict(labels)}
        self.call(f"create volume {name}", "POST", "/volumes/create", body=body)

    def remove_volume(self, name: str) -> None:
        """Remove a volume; one that is gone is no error."""
        with accepting(404):
            self.call(f"remove volume {name}", "DELETE", f"/volumes/{name}")

    def network(self, name: str) -> dict[str, t.Any] | None:
        """Return a network, or None."""
        return self.find(
            f"inspect network {name}", f"/networks/{urllib.parse.quote(name, safe='')}"
        )

    def image(self, name: str) -> dict[str, t.Any] | None:
        """Return what the engine has under an image reference or id, or None."""
        found = name if name.startswith("sha256:") else str(reference(name))
        return self.find(f"inspect image {name}", f"/images/{found}/json")


def _frames(data: bytes) -> t.Iterator[tuple[int, bytes]]:
    """Take apart what Docker sends of a container's streams: frames of number, length and bytes."""
    start = 0
    while start + 8 <= len(data):
        end = start + 8 + int.from_bytes(data[start + 4 : start + 8], "big")
        yield data[start], data[start + 8 : end]
        start = end
