# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs Caddy beside the door's own process, and gives both the settings whenever these are replaced.

state.json beside the settings tells what is loaded: `configuration`, that of the settings; `error`, why newer
ones are not in use; `authority`, the path of the CA's certificate if the door has a CA of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from . import caddy, routes
from . import settings as settings_file
from .application import Application
from .attempts import Attempts
from .caddy import Places
from .check import Door
from .errors import DoorError, say
from .settings import Settings
from .store import Store

STATE = "state.json"
_POLL_SECONDS = 0.3
_START_SECONDS, _LOAD_SECONDS = 30, 60
# How long requests may go on after a stop; Caddy waits for them.
_GRACE_SECONDS = 30
_PR_SET_PDEATHSIG = 1
# Loaded before a fork, after which little is safe.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Keeper:
    """A running door."""

    def __init__(self, path: Path, program: str) -> None:
        """Take the path of the settings, and Caddy's program."""
        self._path = path.resolve()
        self._folder = self._path.parent
        self._program = program
        # Before it is read, so that one that comes meanwhile is seen.
        self._seen = _identity(self._path)
        self._settings = settings_file.read(self._path)
        self._door = Door(
            self._settings, Store(self._folder), routes.Table(routes.read()), time.time
        )
        self._loaded: tuple[dict[str, Any], list[object]] | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serve until stopped; raises DoorError if Caddy does not start, or ends by itself."""
        with tempfile.TemporaryDirectory(prefix="mlflow-door-") as private:
            self._places = Places(Path(private), self._folder)
            _make(self._places.data)
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
            server = _Server(Application(self._door, Attempts(time.monotonic)), self._places.door)
            served = asyncio.create_task(server.serve())
            process = self._start_caddy(Path(private))
            try:
                await self._attend(process, served)
            finally:
                await _end(process)
                server.should_exit = True
                await served

    async def _attend(self, process: subprocess.Popen[bytes], served: asyncio.Task[None]) -> None:
        """Tell that it serves, and load each replacement of the settings."""
        await self._await_caddy(process)
        self._tell("")
        say(f"It serves {self._settings.origin} with {len(self._settings.projects)} projects.")
        while not self._stopping.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _POLL_SECONDS)
            if process.poll() is not None:
                raise DoorError(f"Caddy ended with code {process.returncode}; see the lines above.")
            if served.done():
                raise DoorError("The door's own process does not serve; see the lines above.")
            now = _identity(self._path)
            if now != self._seen:
                self._seen = now
                self._tell(await self._load())

    async def _load(self) -> str:
        """Use settings that were replaced; returns why they cannot be used, empty if they are."""
        try:
            wanted = settings_file.read(self._path)
            needed = _needed(wanted, self._places)
            # Most changes, such as of projects and members, are not Caddy's, whose kept connections stay then.
            if needed != self._loaded:
                # Caddy refuses as a whole what it cannot use, and goes on with what it has.
                await asyncio.to_thread(self._send, needed[0])
        except DoorError as error:
            say(str(error))
            return str(error)
        self._loaded = needed
        self._settings = self._door.settings = wanted
        say(f"It has new settings, with {len(wanted.projects)} projects.")
        return ""

    def _start_caddy(self, private: Path) -> subprocess.Popen[bytes]:
        """Start Caddy with the settings."""
        self._loaded = needed = _needed(self._settings, self._places)
        # It writes below its HOME, which a container may not have.
        names = ("PATH", "SSL_CERT_FILE", "TMPDIR")
        kept = {name: value for name, value in os.environ.items() if name in names}
        data = str(self._places.data)
        try:
            # By its standard input, since a file would be left with the secret if the door is killed.
            process: subprocess.Popen[bytes] = subprocess.Popen(
                [self._program, "run", "--config", "-"],
                env={**kept, "HOME": data, "XDG_DATA_HOME": data},
                stdin=subprocess.PIPE,
                preexec_fn=_end_with_parent,
                cwd=private,
            )
        except OSError as error:
            raise DoorError(f"Caddy cannot be started ({error}); install the door again.") from None
        # It may have ended already, which is noticed below.
        with contextlib.suppress(BrokenPipeError), contextlib.ExitStack() as stack:
            if process.stdin is not None:
                stack.enter_context(process.stdin).write(json.dumps(needed[0]).encode("utf-8"))
        return process

    async def _await_caddy(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until Caddy has loaded its configuration."""
        deadline = time.monotonic() + _START_SECONDS
        while not await asyncio.to_thread(self._answers):
            if process.poll() is not None:
                raise DoorError(
                    f"Caddy did not start (code {process.returncode}); see the lines above, such as about a port that "
                    "is in use or needs more rights."
                )
            if time.monotonic() > deadline or self._stopping.is_set():
                raise DoorError("Caddy did not start in time; see the lines above.")
            await asyncio.sleep(0.05)

    def _answers(self) -> bool:
        """Return whether Caddy has loaded a configuration."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, body = self._ask("GET", "/config/apps", b"")
            return status == 200 and body.strip() not in (b"", b"null")
        return False

    def _send(self, configuration: dict[str, Any]) -> None:
        """Let Caddy load a configuration; raises DoorError if it refuses."""
        try:
            status, body = self._ask("POST", "/load", json.dumps(configuration).encode("utf-8"))
        except (OSError, http.client.HTTPException) as error:
            raise DoorError(f"Caddy does not answer ({error}); its former settings stay.") from None
        if status != 200:
            reason = body.decode("utf-8", "replace").strip()
            with contextlib.suppress(ValueError, KeyError):
                reason = json.loads(body)["error"]
            raise DoorError(f"Caddy refuses the settings, and its former ones stay: {reason}")

    def _ask(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Send a request to Caddy's administration socket."""
        connection = _UnixConnection(self._places.admin)
        with contextlib.closing(connection):
            # Also where only the files that it names were replaced.
            headers = {"Content-Type": "application/json", "Cache-Control": "must-revalidate"}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def _tell(self, error: str) -> None:
        """Write down what is in use."""
        internal = self._settings.tls["kind"] == "internal"
        state = {
            "configuration": self._settings.configuration,
            "error": error,
            "authority": str(self._places.authority) if internal else "",
            "pid": os.getpid(),
        }
        made = self._folder / f".{STATE}"
        try:
            made.write_text(json.dumps(state), encoding="utf-8")
            made.replace(self._folder / STATE)
        except OSError as why:
            say(f"{made} cannot be written ({why}); its state is an older one.")


class _Server(uvicorn.Server):
    """The door's own server, whose signals are the keeper's."""

    def __init__(self, application: Application, path: Path) -> None:
        """Take what it serves, and where."""
        settings = uvicorn.Config(
            application,
            uds=str(path),
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            # Caddy ends connections that it does not use, and never sends over one that has ended here.
            timeout_keep_alive=10 * caddy.IDLE_SECONDS,
        )
        super().__init__(settings)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class _UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a socket of this host."""

    def __init__(self, path: Path) -> None:
        """Take the path of the socket."""
        super().__init__("localhost", timeout=_LOAD_SECONDS)
        self._socket_path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._socket_path))


async def _end(process: subprocess.Popen[bytes]) -> None:
    """End Caddy, which lets requests finish for a while."""
    if process.poll() is None:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, _GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)


def _end_with_parent() -> None:
    """Let the kernel end Caddy when the door's process is gone, however it went; Linux has this alone."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _make(folder: Path) -> None:
    """Make a folder for this user alone; raises DoorError."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise DoorError(f"{folder} cannot be made ({error}); make its parent writable.") from None


def _needed(settings: Settings, places: Places) -> tuple[dict[str, Any], list[object]]:
    """Return what Caddy needs to have: its configuration, and which files it has read for it."""
    paths = [settings.tls[name] for name in ("certificate", "key") if name in settings.tls]
    return caddy.configuration(settings, places), [_identity(Path(path)) for path in paths]


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from the one that replaces it."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
