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


class Keeper:
    """A running door."""

    def __init__(self, path: Path, program: str) -> None:
        """Take the path of the settings, and Caddy's program."""
        self._path = path.resolve()
        self._folder = self._path.parent
        self._program = program
        self._settings = settings_file.read(self._path)
        self._door = Door(self._settings, Store(self._folder), routes.Table(routes.read()), time.time)
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serve until stopped; raises DoorError if Caddy does not start, or ends by itself."""
        with tempfile.TemporaryDirectory(prefix="mlflow-door-") as private:
            self._places = Places(Path(private), self._folder)
            self._places.data.mkdir(mode=0o700, exist_ok=True)
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
            server = _Server(Application(self._door, Attempts(time.monotonic)), self._places.door)
            served = asyncio.create_task(server.serve())
            process = self._start_caddy(Path(private))
            try:
                await self._attend(process)
            finally:
                await _end(process)
                server.should_exit = True
                await served

    async def _attend(self, process: subprocess.Popen[bytes]) -> None:
        """Tell that it serves, and load each replacement of the settings."""
        await self._await_caddy(process)
        self._tell("")
        say(f"It serves {self._settings.origin} with {len(self._settings.projects)} projects.")
        seen = _identity(self._path)
        while not self._stopping.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _POLL_SECONDS)
            if process.poll() is not None:
                raise DoorError(f"Caddy ended with code {process.returncode}; see the lines above.")
            now = _identity(self._path)
            if now != seen:
                seen = now
                self._tell(await self._load())

    async def _load(self) -> str:
        """Use settings that were replaced; returns why they cannot be used, empty if they are."""
        try:
            wanted = settings_file.read(self._path)
            # Caddy refuses as a whole what it cannot use, and goes on with what it has.
            await asyncio.to_thread(self._send, caddy.configuration(wanted, self._places))
        except DoorError as error:
            say(str(error))
            return str(error)
        self._settings = self._door.settings = wanted
        say(f"It has new settings, with {len(wanted.projects)} projects.")
        return ""

    def _start_caddy(self, private: Path) -> subprocess.Popen[bytes]:
        """Start Caddy with the settings."""
        made = private / "caddy.json"
        made.touch(mode=0o600)
        made.write_text(json.dumps(caddy.configuration(self._settings, self._places)), encoding="utf-8")
        # It writes below its HOME, which a container may not have.
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "SSL_CERT_FILE", "TMPDIR")}
        environment = {**kept, "HOME": str(self._places.data), "XDG_DATA_HOME": str(self._places.data)}
        command = [self._program, "run", "--config", str(made)]
        try:
            return subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, preexec_fn=_end_with_parent, cwd=private
            )
        except OSError as error:
            raise DoorError(f"Caddy cannot be started ({error}); install the door again.") from None

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
            connection.request(method, path, body, {"Content-Type": "application/json"})
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
        made.write_text(json.dumps(state), encoding="utf-8")
        made.replace(self._folder / STATE)


class _Server(uvicorn.Server):
    """The door's own server, whose signals are the keeper's."""

    def __init__(self, application: Application, path: Path) -> None:
        """Take what it serves, and where."""
        settings = uvicorn.Config(
            application, uds=str(path), log_level="warning", access_log=False, lifespan="off", server_header=False
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
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from the one that replaces it."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
