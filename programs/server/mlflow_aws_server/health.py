# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the server on this machine is well, without keeping its database awake."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from pathlib import Path
from typing import Any

from . import door
from .errors import say
from .private import private_base, private_name
from .refusal import PROBE_HEADER, REFUSAL_HEADER
from .settings import own_host

# A database that has been idle for so long may sleep.
USED_SECONDS = 60
PROBE_SECONDS = 10
# The longest pause between two requests to a failing database that is not in use.
RETRY_SECONDS = 3600
_MESSAGE_BYTES = 1 << 16
# Calls that do not read the database.
IDLE_PATHS = ("/health", "/metrics", "/version")
# Calls whose answer shows the state of the database; those for artifacts do not.
DATABASE_PATHS = ("/api/", "/ajax-api/", "/graphql", "/v1/")
ARTIFACTS = "/mlflow-artifacts/"


def health(settings: dict[str, Any], settings_path: Path) -> int:
    """Ask the running server, through its API for its database; returns 0 if all is well.

    A database that is billed by the hour sleeps while it is idle, and must not be kept awake
    by this probe: after its first success, it asks the database only of a server that was used
    within the last minute, and an idle one only whether it runs.

    If the last request failed, the server is not well until one succeeds: a user's, or this
    probe. It then asks at growing intervals, as a login that is refused wakes the database too.
    """
    notes = None
    if settings.get("database"):
        notes = Notes(private_base() / private_name(settings_path))
        if notes.proved.exists() and not _is_recent(notes.used):
            if not notes.failed.exists():
                return 0 if _ask(settings, "GET", "/health") else 1
            if not notes.is_due():
                return 1
    healthy = _ask(settings, "POST", "/api/2.0/mlflow/experiments/search", '{"max_results": 1}')
    if notes:
        notes.answered(healthy)
    return 0 if healthy else 1


class Notes:
    """Files in the server's private folder through which `health` and the workers share what they saw.

    proved: the database has answered since the start; used: time of the last use; failed: since
    when requests fail, absent if the last one succeeded; asked: when `health` last retried.
    """

    def __init__(self, folder: Path) -> None:
        """Take the private folder."""
        self.proved, self.used = folder / "proved", folder / "used"
        self.failed, self.asked = folder / "failed", folder / "asked"

    def is_due(self) -> bool:
        """Return whether to retry: each pause is as long as it has failed before."""
        asked, failed = _changed(self.asked), _changed(self.failed)
        return time.time() - asked >= min(max(asked - failed, 0), RETRY_SECONDS)

    def answered(self, healthy: bool) -> None:
        """Note the outcome of our own request."""
        with contextlib.suppress(OSError):
            if healthy:
                self.proved.touch()
                self.succeed()
            # Until the first answer the server may still be starting.
            elif self.proved.exists():
                self.fail()
                self.asked.touch()

    def fail(self) -> None:
        """Note that requests fail from now on, unless that is noted."""
        with contextlib.suppress(OSError):
            self.failed.touch(exist_ok=False)

    def succeed(self) -> None:
        """Note that the last request succeeded."""
        with contextlib.suppress(OSError):
            self.failed.unlink(missing_ok=True)
            self.asked.unlink(missing_ok=True)


class Noted:
    """An ASGI application that notes its last use and whether it failed, for `health`."""

    def __init__(self, application: Any, folder: Path) -> None:
        """Take the application, and the private folder for the notes."""
        self._application = application
        self._notes = Notes(folder)
        self._noted = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or scope["path"] in IDLE_PATHS:
            await self._application(scope, receive, send)
            return
        probe = _is_probe(scope)
        if not probe and time.monotonic() - self._noted > 5:
            self._noted = time.monotonic()
            with contextlib.suppress(OSError):
                self._notes.used.touch()

        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._note(message["status"], probe)
            await send(message)

        await self._application(scope, receive, sent if _reads_database(scope) else send)

    def _note(self, status: int, probe: bool) -> None:
        """Note how a request ended; one that was refused for its own faults says nothing.

        Nor does a probe that failed: what asks so notes for itself what it makes of it.
        """
        if status < 400:
            self._notes.succeed()
        elif status >= 500 and not probe:
            self._notes.fail()


def _is_probe(scope: Any) -> bool:
    """Return whether a request is a probe, which is not use: `health`'s, or a module's."""
    return any(name == PROBE_HEADER.encode() for name, _value in scope["headers"])


def _reads_database(scope: Any) -> bool:
    """Return whether the answer shows the state of the database."""
    path = scope["path"]
    return path.startswith(DATABASE_PATHS) and ARTIFACTS not in path


def _changed(path: Path) -> float:
    """Return when the file was changed, 0 if there is none."""
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _is_recent(path: Path) -> bool:
    """Return whether the file was changed within the last minute."""
    return time.time() - _changed(path) < USED_SECONDS


def _ask(settings: dict[str, Any], method: str, path: str, body: str | None = None) -> bool:
    """Send a request to the server on this machine; returns whether it answered 200.

    Says why a server that refuses to serve does so: the engine shows what its health check printed.
    """
    host, port = own_host(settings), settings["port"]
    allowed = [name for name in settings["allowed_hosts"] if "*" not in name]
    headers = {
        "Host": allowed[0] if allowed else f"127.0.0.1:{port}",
        "Content-Type": "application/json",
        PROBE_HEADER: "1",
        **door.header(settings),
    }
    connection = http.client.HTTPConnection(host, port, timeout=PROBE_SECONDS)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        if answer.getheader(REFUSAL_HEADER):
            say(_message(answer.read(_MESSAGE_BYTES)))
        return answer.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _message(body: bytes) -> str:
    """Return the sentence of an answer of refusal.py."""
    text = body.decode("utf-8", "replace").strip()
    with contextlib.suppress(ValueError, LookupError, TypeError):
        text = str(json.loads(text)["message"])
    return " ".join(text.split())
