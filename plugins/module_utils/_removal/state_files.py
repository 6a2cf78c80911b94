# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the files of a state folder that go when a host is cleared, and their deletion."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.broker_sockets import (
    sockets_folder,
)

# What a project's folder holds; anything else in it is somebody's own.
PROJECT = re.compile(r"mlflow\.db.*|artifacts|jobs\.lock|key|\..*")
_LOCK = ".lock"
# Of the host's crontab, in the state folder that is the default.
_LOCKS = (".broker.lock", ".migration.lock", ".crontab.lock")


class StateFiles:
    """The files of one state folder; instance sets apart those of several inventories."""

    def __init__(self, state: Path, instance: str) -> None:
        """Take the folder, which need not exist."""
        self.state = state
        self._instance = instance

    def projects(self) -> list[Path]:
        """Return the folders with anything of a project of the local backend, or with nothing."""
        folders = sorted(files.projects_folder(self.state).glob("*/"))
        return [folder for folder in folders if _is_project(folder)]

    def installations(self) -> list[Path]:
        """Return the folders of installations of MLflow, half ones too."""
        return sorted(files.runtimes_folder(self.state).glob("*/"))

    def ports(self) -> list[Path]:
        """Return the record of ports of the instance, if there is one."""
        path = files.ports_folder(self.state) / f"{self._instance}.json"
        return [path] if path.exists() else []

    def drop_project(self, folder: Path) -> None:
        """Delete the data of a project, and its folder unless something else is in it."""
        # The database last: as long as it is there, the project is listed.
        for path in sorted(folder.iterdir(), key=lambda path: path.name.startswith("mlflow.db")):
            if PROJECT.fullmatch(path.name):
                drop(path)
        _drop_empty(folder)

    def drop_servers(self, *, processes: bool) -> None:
        """Delete what servers leave: as processes Supervisor's files and installations, else a lock."""
        folder = files.servers_folder(self.state)
        if processes:
            for path in (folder, files.runtimes_folder(self.state)):
                drop(path)
        elif folder.is_dir() and {path.name for path in folder.iterdir()} <= {_LOCK}:
            drop(folder)

    def drop_aws(self) -> None:
        """Delete what only hosts with a backend on AWS have: brokers and the tunnel."""
        places = (self.state / "broker", self.state / "migration", sockets_folder(self.state))
        for path in (*places, files.tunnel_folder(self.state)):
            drop(path)

    def drop_rest(self) -> None:
        """Delete the record of ports, locks, and the folders that are empty then."""
        for path in self.ports():
            drop(path)
        env = files.env_folder(self.state)
        if not list(files.ports_folder(self.state).glob("*.json")) and not self._serves():
            drop(env)
        for name in _LOCKS:
            drop(self.state / name)
        for folder in (
            files.projects_folder(self.state),
            files.runtimes_folder(self.state),
            files.ports_folder(self.state),
            env,
            self.state,
        ):
            _drop_empty(folder)

    def left(self) -> list[Path]:
        """Return what is still in the state folder."""
        return sorted(self.state.iterdir()) if self.state.is_dir() else []

    def _serves(self) -> bool:
        """Return whether servers of another inventory use the folder."""
        return files.servers_folder(self.state).is_dir()


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder; links are followed at its top only."""
    total = 0
    for path in (folder, *(one for one in folder.glob("*") if one.is_symlink())):
        for place, _folders, names in os.walk(os.path.realpath(path)):
            for name in names:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(place, name)).st_size
    return total


def links(folder: Path) -> list[str]:
    """Return where links at the top of a folder lead, whose content is the folder's own."""
    return [os.path.realpath(path) for path in sorted(folder.iterdir()) if path.is_symlink()]


def drop(path: Path) -> None:
    """Delete a file or folder, also one that a link leads to; one that is gone is no error."""
    with contextlib.suppress(FileNotFoundError):
        if path.is_symlink():
            target = Path(os.path.realpath(path))
            if target.is_dir():
                shutil.rmtree(target)
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _is_project(folder: Path) -> bool:
    """Return whether a folder holds, or may have held, a project."""
    entries = [path.name for path in folder.iterdir()]
    return not entries or any(PROJECT.fullmatch(name) for name in entries)


def _drop_empty(folder: Path) -> None:
    """Delete a folder, or a link to one, if nothing is in it."""
    if not folder.is_dir() or any(folder.iterdir()):
        return
    if folder.is_symlink():
        folder.unlink()
    else:
        folder.rmdir()


def names(paths: t.Iterable[Path]) -> str:
    """Return the names of files in one text."""
    return ", ".join(path.name for path in paths)
