# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the door as a process under a Supervisor of its own, from its own environment."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door.folder import Folder
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
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

# The name of its program to Supervisor, and of the folder with its log.
_NAME = "door"
_ENTRYPOINT = "mlflow_door.py"


class ProcessDoor:
    """The door of a state folder."""

    def __init__(self, params: t.Mapping[str, t.Any], folder: Folder) -> None:
        """Take the options of mlflow_door and the door's folder."""
        self._params = params
        self._folder = folder.path / "process"
        self._program = Program(
            what="the front door",
            parent=self._folder,
            requirements=[params["requirements"]],
            programs=params["programs"],
            entrypoint=_ENTRYPOINT,
            imports=("authlib", "itsdangerous", "joserfc", "supervisor.supervisord", "uvicorn"),
            python=params["python"] or None,
        )
        place = self._program.folder.name
        self._runtime = ProcessRuntime(self._folder, *self._program.command, place)
        self._boot = Boot(self._folder, self._runtime.command, params["start_at_boot"])
        # Other settings need no other process: it reads the file again that this one names.
        named = {"settings": str(folder.settings)}
        digest = hashlib.sha256(f"{place} {folder.settings}".encode())
        self._wanted = {**named, "configuration": digest.hexdigest()[:16]}

    def running(self) -> bool:
        """Return whether it runs from what is to be installed."""
        found = self._found()
        return found.running and found.configuration == self._wanted["configuration"]

    def known(self) -> bool:
        """Return whether anything of it is there."""
        return self._folder.is_dir()

    def require(self) -> None:
        """Refuse a host without a Python to install it by."""
        self._program.require_base()

    def prepare(self) -> None:
        """Install it."""
        files.make_folder(self._folder)
        self._program.install(float(self._params["install_timeout"]))

    def boots(self) -> bool:
        """Return whether the crontab has to change for a door that runs."""
        return self._boot.differs(True)

    def start(self, deadline: float) -> None:
        """Let Supervisor start it, or start it again."""
        self._runtime.apply([self._step("present")], deadline)
        self._program.drop_others()
        if self.boots():
            self._boot.write(True)

    def remove(self, deadline: float) -> None:
        """End it, and delete its program and log."""
        self._runtime.apply([self._step("absent")], deadline)
        if self._boot.differs(False):
            self._boot.write(False)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._folder)

    def ended(self) -> bool:
        """Return whether it died at its start, and is not started again."""
        return _NAME in self._runtime.dead()

    def log_path(self) -> str:
        """Return the path of its log."""
        return self._runtime.log_path(_NAME)

    def log_tail(self) -> list[str]:
        """Return the last lines of its log."""
        return self._runtime.log_tail(_NAME)

    def _found(self) -> FoundServer:
        """Return its process as Supervisor tells."""
        if not self._folder.is_dir():
            return FoundServer(_NAME)
        return self._runtime.observe().get(_NAME, FoundServer(_NAME))

    def _step(self, state: str) -> Step:
        """Return what to do about its process."""
        [step] = plan([WantedServer(_NAME, state, self._wanted)], {_NAME: self._found()}, KEEP)
        return step
