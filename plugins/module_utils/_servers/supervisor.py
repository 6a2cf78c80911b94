# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: speaks to Supervisor over its socket, by XML-RPC.

It asks for a key, in a file beside the socket: the kernel keeps confined servers from each other's files,
but not from sockets of their user's, by which one could stop the others.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import os
import resource
import secrets
import socket
import time
import typing as t
import xml.parsers.expat
import xmlrpc.client
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import commands, files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.process_table import exists
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.unix_http import UnixConnection
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.supervisor_config import (
    STOP_SECONDS,
    USER,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._wait import wait

# sun_path holds 104 bytes on macOS and 108 on Linux; Supervisor first binds NAME.PID.
_SOCKET_LENGTH = 104 - len(".4194304") - 1
_RPC_SECONDS = 10.0
_POLL_SECONDS = 0.1
_KEY_BYTES = 32
UP = ("STARTING", "RUNNING", "BACKOFF")
# EXITED is not among them: Supervisor starts such a server again at once.
DEAD = ("FATAL", "UNKNOWN")
# What a call can end with, also where Supervisor dies in the middle of its answer.
_NO_ANSWER = (
    OSError,
    http.client.HTTPException,
    xmlrpc.client.Error,
    xml.parsers.expat.ExpatError,
    ValueError,
)


class Supervisor:
    """One Supervisor, spoken to over its socket."""

    def __init__(self, path: Path) -> None:
        """Take the path of its socket, which lies in the servers' folder."""
        _require_fitting(path)
        self.path = path
        transport = _UnixTransport(str(path))
        self._rpc = xmlrpc.client.ServerProxy("http://supervisor", transport=transport).supervisor

    @property
    def key(self) -> str:
        """Return the key that it asks for, empty if there is none yet."""
        return _key(self.path)

    def make_key(self) -> None:
        """Make a key, which stays the same, for a Supervisor that is started."""
        if not self.key:
            files.write_private(_key_path(self.path), secrets.token_hex(_KEY_BYTES))

    def alive(self) -> bool:
        """Return whether it answers."""
        if not self.path.exists():
            return False
        try:
            state: t.Any = self._rpc.getState()
            return isinstance(state, dict) and state.get("statename") == "RUNNING"
        except (ConnectionError, FileNotFoundError, xmlrpc.client.Fault):
            # It refuses all calls while it shuts down, and one that dies hangs up.
            return False
        except _NO_ANSWER as error:
            raise MlflowError(
                f"Supervisor does not answer on {self.path} ({error}); run as the user who started it, "
                "or end its process and rerun."
            ) from error

    def is_gone(self) -> bool:
        """Return whether nobody listens on its socket, not even one that is shutting down."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            return connection.connect_ex(str(self.path)) != 0

    def identifier(self) -> str:
        """Return the identifier of the runtime that it was started from."""
        return str(self._call("getIdentification"))

    def processes(self) -> dict[str, dict[str, t.Any]]:
        """Return its servers by name: state, pid and command line."""
        if not self.alive():
            # One that another run is ending, or was when it was killed, still has servers.
            limit = time.monotonic() + STOP_SECONDS + _RPC_SECONDS
            wait_until(self.is_gone, limit, f"Supervisor did not close {self.path}")
            return {}
        try:
            configured = self._call("getAllConfigInfo")
            running = self._call("getAllProcessInfo")
            with self._understanding("getAllProcessInfo"):
                commands = {str(info["name"]): str(info["command"]) for info in configured}
                return {
                    info["name"]: {
                        "statename": str(info["statename"]),
                        "pid": int(info["pid"]),
                        "command": commands.get(info["name"], ""),
                    }
                    for info in running
                }
        except MlflowError:
            if self.alive():
                raise
            return self.processes()

    def update(self, deadline: float) -> set[str]:
        """Read the configuration again; replace, add and drop servers, all stops side by side.

        Returns the names of those that it is starting now.
        """
        answer = self._call("reloadConfig")
        with self._understanding("reloadConfig"):
            ((added, changed, removed),) = answer
        for name in changed + removed:
            self._call("stopProcessGroup", name, False)
        for name in changed + removed:
            wait_until(
                functools.partial(self._ended, name), deadline, f"Server '{name}' did not stop"
            )
            self._call("removeProcessGroup", name)
        for name in changed + added:
            self._call("addProcessGroup", name)
        return set(changed + added)

    def start(self, names: t.Iterable[str]) -> None:
        """Start those servers that are not up, without waiting for them."""
        for name in names:
            if self._state(name) not in UP:
                self._call("startProcess", name, False)

    def launch(
        self, command: t.Sequence[str], environment: t.Mapping[str, str], deadline: float
    ) -> None:
        """Start it, which puts itself into the background, and wait for its socket."""
        answer = commands.run(
            list(command),
            max(1.0, deadline - time.monotonic()),
            f"Supervisor did not start with {command[0]}",
            "run the deploy playbook",
            environment=environment,
            folder=str(self.path.parent),
            merged=True,
        )
        if answer.code != 0:
            raise MlflowError(
                f"Supervisor did not start ({answer.reason}); {_start_remedy(answer.reason)} (its log is "
                f"{self.path.parent}/supervisord.log)."
            )
        wait_until(self.alive, deadline, f"Supervisor did not open {self.path}")

    def shut_down(self, deadline: float) -> None:
        """Stop all servers and Supervisor itself."""
        with self._understanding("getPID"):
            pid = int(self._call("getPID"))
        self._call("shutdown")
        wait_until(lambda: not exists(pid), deadline, f"Supervisor (process {pid}) did not end")

    def _call(self, method: str, *arguments: t.Any) -> t.Any:
        """Call one of Supervisor's methods."""
        try:
            return getattr(self._rpc, method)(*arguments)
        except _NO_ANSWER as error:
            said = str(error) or type(error).__name__
            raise MlflowError(
                f"Supervisor refused {method} ({said}); see supervisord.log in {self.path.parent}, "
                "then rerun."
            ) from error

    def _ended(self, name: str) -> bool:
        """Return whether a server's process is gone."""
        return self._state(name) in ("STOPPED", "EXITED", *DEAD)

    def _state(self, name: str) -> str:
        """Return the state of one of its servers."""
        process = self.processes().get(name)
        if process is None:
            raise MlflowError(
                f"Supervisor ended, or lost server '{name}', while the servers of this host were changed; see "
                f"supervisord.log in {self.path.parent}, then rerun."
            )
        return str(process["statename"])

    @contextlib.contextmanager
    def _understanding(self, method: str) -> t.Iterator[None]:
        """Turn an answer of another form into one sentence."""
        try:
            yield
        except (LookupError, TypeError, ValueError) as error:
            raise MlflowError(
                f"Supervisor answered {method} in a form that is not its own ({error!r}); end whatever listens "
                f"on {self.path}, then rerun."
            ) from error


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a Unix socket; Supervisor's own transport is not on the host's Python."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: t.Any) -> http.client.HTTPConnection:
        """Return a connection to the socket; there is but one host behind it."""
        del host
        key = _key(Path(self._path))
        given = base64.b64encode(f"{USER}:{key}".encode()).decode("ascii")
        # One that is older than its key does not ask for it.
        self._extra_headers = [("Authorization", f"Basic {given}")] if key else []
        return UnixConnection(self._path, _RPC_SECONDS)


def _key_path(socket_path: Path) -> Path:
    """Return the file with the key of a Supervisor."""
    return socket_path.with_suffix(".key")


def _key(socket_path: Path) -> str:
    """Return the key of a Supervisor, empty if there is none."""
    try:
        return _key_path(socket_path).read_text(encoding="ascii")
    except FileNotFoundError:
        return ""


def _require_fitting(path: Path) -> None:
    """Refuse a socket whose path is too long for the system."""
    if len(os.fsencode(str(path))) > _SOCKET_LENGTH:
        limit = _SOCKET_LENGTH - len("/servers/supervisor.sock")
        raise MlflowError(
            f"mlflow_state_dir is too long for a socket in it ({path.parent.parent}); choose a path of "
            f"{limit} characters at most."
        )


def _start_remedy(reason: str) -> str:
    """Return what to do about a Supervisor that does not start for this reason."""
    if "minfds" not in reason:
        return "fix that and rerun"
    # It raises the soft limit by itself, and reports the hard limit that it asked for.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return (
        f"this user may open {hard} files at most, so raise the hard limit (nofile in "
        "/etc/security/limits.conf), log in again and rerun"
    )


def wait_until(holds: t.Callable[[], bool], deadline: float, failure: str) -> None:
    """Wait until holds() is true, or fail at the deadline."""
    late = MlflowError(f"{failure} in time; see its log, or raise the timeout.")
    wait(lambda: holds() or None, deadline, lambda: late, _POLL_SECONDS)
