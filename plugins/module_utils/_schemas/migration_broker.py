# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: a credential broker that gives the migrators' role while migrations run.

It is the broker of a host's servers (see _broker), under another name and in a folder of its own, and
knows one role. It ends with the migrations; the next run removes what a killed one left.
"""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker import manager, options
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import container_spec
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import (
    broker_sockets,
    files,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.mysql_runners import Access

Params = t.Mapping[str, t.Any]
# To the broker it is a project like others.
NAME = "migrations"
_FOLDER = "migration"
_LOCK = ".migration.lock"


class MigrationBroker:
    """The broker of this host's migrations."""

    def __init__(self, given: Params) -> None:
        """Take options of mlflow_broker, with the migrators' role as the only project; asks nothing yet."""
        params = options.validated(given)
        if set(params["projects"]) != {NAME}:
            raise MlflowError(
                f"broker_options: projects has to name the role of {NAME}, and nothing else."
            )
        self._params = {
            **params,
            "docker_instance": f"{params['docker_instance']}-{_FOLDER}",
            "start_at_boot": False,
        }
        self._state = files.state_folder(params["state_dir"])

    @contextlib.contextmanager
    def running(self, timeout: float) -> t.Iterator[Access]:
        """Run it while the block runs; waits for other migrations of this host, timeout seconds at most."""
        files.make_folder(self._state)
        with files.exclusive(self._state / _LOCK, timeout, "migrating schemas"):
            try:
                manager.converge(self._params, self._folder, check_mode=False)
                yield self._access()
            finally:
                self._remove()

    def clear(self) -> None:
        """Remove what a killed run left, unless another run migrates right now."""
        if manager.converge(self._absent, self._folder, check_mode=True).changed:
            lock = files.exclusive(self._state / _LOCK, 0, "migrating schemas")
            with contextlib.suppress(MlflowError), lock:
                self._remove()

    @property
    def _folder(self) -> Path:
        """Return its state folder."""
        return self._state / _FOLDER

    @property
    def _absent(self) -> dict[str, t.Any]:
        """Return the options that remove it."""
        return {**self._params, "state": "absent"}

    def _remove(self) -> None:
        """End it, and remove what belongs to it."""
        manager.converge(self._absent, self._folder, check_mode=False)

    def _access(self) -> Access:
        """Return how a migration reaches it."""
        params = self._params
        how, runtime = params["runtime"], params["server_runtime"]
        socket = broker_sockets.server_socket(how, runtime, self._folder, NAME)
        if runtime == broker_sockets.PROCESS:
            return Access(socket)
        user = self._user(how)
        target = broker_sockets.CONTAINER_SOCKETS
        if how == broker_sockets.PROCESS:
            place = broker_sockets.sockets_folder(self._folder) / NAME
            return Access(socket, user, binds={str(place): target})
        volume = broker_sockets.volume_name(params["docker_instance"], NAME)
        return Access(socket, user, volumes={volume: target})

    def _user(self, how: str) -> str:
        """Return the user of the migrations' container, whose the socket is."""
        given = self._params["container_user"]
        folder = container_spec.aws_folder(self._params["aws_config_dir"])
        shares = bool(folder) or how == broker_sockets.PROCESS
        rootless = bool(shares and not given and Engine(self._params["docker_host"]).rootless)
        if how == broker_sockets.PROCESS:
            return "0:0" if rootless else container_spec.own_user(given)
        return container_spec.container_user(given, folder, rootless)
