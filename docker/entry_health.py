# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of mlflow_entry.py: what tells whether the server on this machine is well."""

from __future__ import annotations

import contextlib
import http.client
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from ansible_collections.mlops.mlflow_aws.docker.entry_private import private_base, private_name
else:
    from entry_private import private_base, private_name

# Sent with our own question, which is no use of the server.
PROBE_HEADER = "mlflow-aws-probe"
# A database that nobody used for so long is let sleep.
USED_SECONDS = 60
PROBE_SECONDS = 10
# Calls that do not read the database.
IDLE_PATHS = ("/health", "/metrics", "/version")


def health(settings: dict[str, Any], settings_path: Path) -> int:
    """Ask the running server, through its API for its database; returns 0 where all is well.

    A database that is paid by the hour sleeps while nobody uses it, and must not be kept
    awake by this question: once it was answered, it is only asked again of a server that
    somebody used within the last minute, and an idle one is asked whether it lives.
    """
    proved = used = None
    if settings.get("database"):
        folder = private_base() / private_name(settings_path)
        proved, used = folder / "proved", folder / "used"
        if proved.exists() and not _is_recent(used):
            return 0 if _ask(settings, "GET", "/health") else 1
    healthy = _ask(settings, "POST", "/api/2.0/mlflow/experiments/search", '{"max_results": 1}')
    if proved:
        with contextlib.suppress(OSError):
            proved.touch() if healthy else proved.unlink(missing_ok=True)
    return 0 if healthy else 1


class Noted:
    """An ASGI application that notes when it was used last, for `health`."""

    def __init__(self, application: Any, folder: Path) -> None:
        """Take the application, and the private folder for the note."""
        self._application = application
        self._path = folder / "used"
        self._noted = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Hand the request on."""
        if scope["type"] == "http" and time.monotonic() - self._noted > 5 and _is_use(scope):
            self._noted = time.monotonic()
            with contextlib.suppress(OSError):
                self._path.touch()
        await self._application(scope, receive, send)


def _is_use(scope: Any) -> bool:
    """Say whether a request may need the database, and is not our own question."""
    names = [name for name, _value in scope["headers"]]
    return scope["path"] not in IDLE_PATHS and PROBE_HEADER.encode() not in names


def _is_recent(path: Path) -> bool:
    """Say whether the file was changed within the last minute."""
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime < USED_SECONDS
    return False


def _ask(settings: dict[str, Any], method: str, path: str, body: str | None = None) -> bool:
    """Ask the server on this machine; says whether it answered 200."""
    host, port = settings["host"], settings["port"]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    allowed = [name for name in settings["allowed_hosts"] if "*" not in name]
    headers = {
        "Host": allowed[0] if allowed else f"127.0.0.1:{port}",
        "Content-Type": "application/json",
        PROBE_HEADER: "1",
    }
    connection = http.client.HTTPConnection(host, port, timeout=PROBE_SECONDS)
    try:
        connection.request(method, path, body, headers)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
