# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A managed host with a Docker engine: servers are containers, and `docker` says what is there."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.mlops.mlflow_aws.tests.parts.host import Modules, actions

# Where docker/Dockerfile puts things.
PYTHON = "/opt/mlflow/venv/bin/python"
# A schema at the head revision, which each new server gets a copy of: servers that answer as any
# user, without a database beside them.
SEED = f"""
import json, os, subprocess
os.mkdir("/opt/seed")
request = json.dumps({{"uri": "sqlite:////opt/seed/test.db"}})
command = ["{PYTHON}", "-I", "/opt/mlflow/mlflow_entry.py", "migrate"]
subprocess.run(command, input=request, text=True, check=True)
"""
START = f"""
import os, shutil, sys
if not os.path.exists("/var/lib/mlflow/tmp/test.db"):
    shutil.copyfile("/opt/seed/test.db", "/var/lib/mlflow/tmp/test.db")
os.execv("{PYTHON}", ["{PYTHON}", "-I", "/opt/mlflow/mlflow_entry.py", *sys.argv[1:]])
"""
PLACE = {
    "backend_store_uri": "sqlite:////var/lib/mlflow/tmp/test.db",
    "artifacts_destination": "/var/lib/mlflow/tmp/artifacts",
}


@dataclass(frozen=True)
class Docker:
    """The command `docker`, with the engine under test."""

    host: str

    def __call__(
        self, *arguments: str, stdin: str | None = None, check: bool = True, timeout: float = 120
    ) -> str:
        """Run a command to its end and return its output, errors included."""
        done = subprocess.run(
            ["docker", *arguments],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"DOCKER_HOST": self.host},
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0 or not check, f"docker {arguments}: {done.stdout}"
        return done.stdout.strip()

    def inspect(self, name: str) -> dict[str, Any]:
        """Return all that the engine tells about a container."""
        found: dict[str, Any] = json.loads(self("container", "inspect", name))[0]
        return found

    def pid(self, name: str) -> int:
        """Return the process id of a container's first process, 0 where it does not run."""
        return int(self.inspect(name)["State"]["Pid"])

    def python(self, name: str, program: str) -> str:
        """Run a Python program inside a container."""
        return self("exec", name, PYTHON, "-c", program)

    def build(self, base: str, tag: str) -> None:
        """Make the image whose servers need no database beside them."""
        lines = [
            f"FROM {base}",
            "USER 0",
            f"RUN {json.dumps([PYTHON, '-c', SEED])}",
            "USER 65532:65532",
            f"ENTRYPOINT {json.dumps([PYTHON, '-c', START])}",
            'CMD ["describe"]',
        ]
        self("build", "-q", "-t", tag, "-", stdin="\n".join(lines), timeout=300)


@dataclass
class DockerHost:
    """A state folder and an instance of its own on an engine that others use, too."""

    modules: Modules
    docker: Docker
    image: str
    state: Path
    instance: str
    new_ports: Callable[[int], list[int]]
    ports: dict[str, int] = field(default_factory=dict)

    def container(self, name: str) -> str:
        """Return the name of a project's container and volume."""
        return f"{self.instance}-{name}"

    def server(self, name: str, **changes: Any) -> dict[str, Any]:
        """Return the options of a project's server."""
        if name not in self.ports:
            self.ports[name] = self.new_ports(1)[0]
        return {"name": name, "port": self.ports[name], **PLACE, **changes}

    def url(self, name: str) -> str:
        """Return the URL of a project's server."""
        return f"http://127.0.0.1:{self.ports[name]}"

    @property
    def place(self) -> dict[str, Any]:
        """Return the options that name the engine and our part of it."""
        return {
            "state_dir": str(self.state),
            "runtime": "docker",
            "docker_host": self.docker.host,
            "docker_instance": self.instance,
        }

    def options(self, *servers: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Return the options of mlflow_server."""
        return {**self.place, "image": self.image, "servers": servers, "timeout": 90, **more}

    def converge(
        self, *servers: Mapping[str, Any], how: Mapping[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        """Run mlflow_server, which must succeed, and return its result."""
        return self.modules.call("mlflow_server", self.options(*servers, **more), **(how or {}))

    def change(self, *servers: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Run mlflow_server as `converge` does, after check mode foretold the same, idly."""
        before = self.containers()
        foretold = self.converge(*servers, how={"check": True, "diff": True}, **more)
        assert self.containers() == before
        done = self.converge(*servers, how={"diff": True}, **more)
        assert actions(done) == actions(foretold)
        for key in ("changed", "diff"):
            assert done[key] == foretold[key]
        return done

    def refuse(self, *servers: Mapping[str, Any], check: bool = False, **more: Any) -> str:
        """Run mlflow_server, which must fail, and return its one sentence."""
        return self.modules.refuse("mlflow_server", self.options(*servers, **more), check=check)

    def info(self) -> dict[str, dict[str, Any]]:
        """Return the records of mlflow_server_info by name."""
        result = self.modules.call("mlflow_server_info", self.place)
        assert result["changed"] is False
        return {record["name"]: record for record in result["servers"]}

    def containers(self) -> dict[str, tuple[str, str, int]]:
        """Return id, state and process id of this instance's containers by project."""
        names = self.docker(
            "ps", "-a", "--filter", f"name=^{self.instance}-", "--format", "{{.Names}}"
        )
        found = {}
        for name in names.split():
            details = self.docker.inspect(name)
            state = details["State"]
            found[name.removeprefix(f"{self.instance}-")] = (
                details["Id"],
                state["Status"],
                state["Pid"],
            )
        return found

    def ids(self) -> dict[str, str]:
        """Return the ids of this instance's containers by project."""
        return {name: found[0] for name, found in self.containers().items()}

    def volumes(self) -> set[str]:
        """Return the projects of this instance that have a volume."""
        names = self.docker(
            "volume", "ls", "--filter", f"name=^{self.instance}-", "--format", "{{.Name}}"
        )
        return {name.removeprefix(f"{self.instance}-") for name in names.split()}

    def close(self) -> None:
        """Remove every container and volume of this instance."""
        for name in self.containers():
            with suppress(AssertionError):
                self.docker("rm", "--force", "--volumes", self.container(name))
        for name in self.volumes():
            self.docker("volume", "rm", "--force", self.container(name))
