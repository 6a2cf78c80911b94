# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the broker as a process under a Supervisor of its own, from its own environment.

So a credential_process runs where its program is, and a login of the user's is the broker's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker import settings
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker.host import FoundBroker
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import container_spec
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import broker_sockets, files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.crontab import Boot
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.program import Program
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    KEEP,
    FoundServer,
    Step,
    WantedServer,
    plan,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.processes import (
    ProcessRuntime,
)

# The name of its program to Supervisor, and of the folder with its settings and log.
NAME = "credentials"
ENTRYPOINT = "mlflow_broker.py"
_ASK_SECONDS = 20
_FOLDER_MODE = 0o700


class ProcessBroker:
    """The broker of a state folder."""

    def __init__(self, params: t.Mapping[str, t.Any], state: Path) -> None:
        """Take the options of mlflow_broker and the state folder."""
        self._params = params
        self._folder = folder(state)
        self._sockets = broker_sockets.sockets_folder(state)
        self._program = Program(
            what="the credential broker",
            parent=self._folder,
            requirements=[params["requirements"]],
            programs=params["programs"],
            entrypoint=ENTRYPOINT,
            imports=("boto3", "supervisor.supervisord"),
            python=params["python"] or None,
        )
        place = self._program.folder.name
        self._runtime = ProcessRuntime(self._folder, *self._program.command, place)
        self._boot = Boot(self._folder, self._runtime.command, params["start_at_boot"])
        given = {**params, "environment": {**_files(params), **params["environment"]}}
        self.wanted = settings.settings(
            given,
            f"{self._sockets}/{{}}/{broker_sockets.SOCKET}",
            str(self._folder / "state.sock"),
            place,
        )

    def find(self) -> FoundBroker:
        """Return the broker as Supervisor and the folder tell."""
        if not self._folder.is_dir():
            return FoundBroker()
        found = self._runtime.observe().get(NAME, FoundServer(NAME))
        kept: dict[str, t.Any] | None = None
        path = self._folder / NAME / f"settings-{found.configuration}.json"
        with contextlib.suppress(OSError, ValueError):
            kept = settings.redacted(json.loads(path.read_text(encoding="utf-8")))
        return FoundBroker(found.running, found.known, found.configuration, kept)

    def require(self) -> None:
        """Refuse a host without a Python to install it by, and a user who cannot serve the containers."""
        self._program.require_base()
        self._owner()

    def prepare(self) -> None:
        """Install it."""
        files.make_folder(self._folder)
        self._program.install(float(self._params["install_timeout"]))

    def boots(self) -> bool:
        """Return whether the crontab has to change."""
        return self._boot.differs(bool(self.wanted["projects"]))

    def start(self, deadline: float) -> None:
        """Make a folder for each socket, and let Supervisor start it."""
        self._make_folders()
        self._runtime.apply([self._step("present")], deadline)
        self._program.drop_others()
        if self.boots():
            self._boot.write(True)

    def remove(self, deadline: float) -> None:
        """End it, and delete its files."""
        self._runtime.apply([self._step("absent")], deadline)
        if self._boot.differs(False):
            self._boot.write(False)
        for place in (self._sockets, self._folder):
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(place)

    def ask(self) -> dict[str, t.Any] | None:
        """Return the state of the running broker."""
        with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ASK_SECONDS)
            connection.connect(self.wanted["state"])
            connection.sendall(Path(self.wanted["state"]).with_suffix(".key").read_bytes())
            with connection.makefile("rb") as stream:
                state: dict[str, t.Any] = json.loads(stream.read())
                return state
        return None

    def log_path(self) -> str:
        """Return the path of its log."""
        return self._runtime.log_path(NAME)

    def log_tail(self) -> list[str]:
        """Return the last lines of its log."""
        return self._runtime.log_tail(NAME)

    def _step(self, state: str) -> Step:
        """Return what to do about its process."""
        found = self._runtime.observe().get(NAME, FoundServer(NAME))
        [step] = plan([WantedServer(NAME, state, self.wanted)], {NAME: found}, KEEP)
        return step

    def _make_folders(self) -> None:
        """Make a folder for each project's socket, for its server's user only; drop the others."""
        uid, gid = self._owner()
        files.make_folder(self._sockets)
        if uid != os.geteuid():
            # A server's user reaches its own folder in this one by mounting it.
            self._sockets.chmod(_FOLDER_MODE)
        for old in self._sockets.glob("*/"):
            if old.name not in self.wanted["projects"]:
                shutil.rmtree(old)
        for project in self.wanted["projects"]:
            place = self._sockets / project
            files.make_folder(place)
            place.chmod(_FOLDER_MODE)
            if (uid, gid) != (os.geteuid(), os.getegid()):
                os.chown(place, uid, gid)

    def _owner(self) -> tuple[int, int]:
        """Return user and group that the servers run as, as seen from here."""
        own = (os.geteuid(), os.getegid())
        if self._params["server_runtime"] == broker_sockets.PROCESS:
            return own
        user = container_spec.own_user(self._params["container_user"])
        uid, gid = map(int, user.split(":"))
        if own[0] not in (0, uid):
            raise MlflowError(
                f"mlflow_server_container_user is {user}, and the broker's sockets belong to user {own[0]}, who "
                f"starts it; set it to {own[0]}:{own[1]}, or leave it empty."
            )
        return uid, gid


def folder(state: Path) -> Path:
    """Return the folder of a broker that is a process."""
    return state / "broker"


def _files(params: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Return the variables that lead to the AWS configuration, if it is not the user's own."""
    place = container_spec.aws_folder(params["aws_config_dir"])
    if not place:
        return {}
    return {
        "AWS_CONFIG_FILE": f"{place}/config",
        "AWS_SHARED_CREDENTIALS_FILE": f"{place}/credentials",
    }
