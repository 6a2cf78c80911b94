# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the host's credential broker for the credentials of the project's role.

The settings name a socket that is this server's alone. A client that sends the key in the file beside it
gets one JSON object: the credentials, or why there are none: see programs/broker. Migrations have a broker
of their own, which runs for as long as they do.
"""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

from .errors import EntryError

# A broker that is restarted, with its engine or without, is back within this time.
WAIT_SECONDS = 45.0
# It asks AWS while we wait, several times if need be.
ANSWER_SECONDS = 120.0
_RETRY_SECONDS = 0.25
_HEALTH_SECONDS = 3.0
# What starts the broker again: that of servers, or that of migrations.
_SERVERS, _MIGRATIONS = "run the servers playbook", "rerun the playbook"


class LoginError(EntryError):
    """The host's own identity does not work, until somebody logs in there."""

    # Only the broker is asked.
    retry_seconds = 15.0


def credentials(
    path: Path, wait: float = WAIT_SECONDS, *, migrates: bool = False
) -> dict[str, Any]:
    """Return credentials in the form that a credential_process prints.

    wait: seconds in which a broker that does not listen may come back; migrates: whether it is that of
    migrations. Raises EntryError with its sentence; LoginError where it is up to a login on the host.
    """
    answer = _ask(path, time.monotonic() + wait, _MIGRATIONS if migrates else _SERVERS)
    error = str(answer.get("error", ""))
    if error:
        raise LoginError(error) if answer.get("login") else EntryError(error)
    return answer


def require(settings: dict[str, Any]) -> None:
    """Raise EntryError if the settings name a broker that gives no credentials."""
    path = (settings.get("aws") or {}).get("broker")
    if path:
        credentials(Path(path))


def health(settings: dict[str, Any]) -> int:
    """Print why a server has no credentials; returns 0 if it has, or needs none."""
    path = (settings.get("aws") or {}).get("broker")
    try:
        if path:
            credentials(Path(path), wait=_HEALTH_SECONDS)
    except EntryError as error:
        print(error)
        return 1
    return 0


def _ask(path: Path, deadline: float, remedy: str) -> dict[str, Any]:
    """Return what the broker answers; one that dies meanwhile is asked again until the deadline."""
    while True:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(ANSWER_SECONDS)
                connection.connect(str(path))
                connection.sendall(path.with_suffix(".key").read_bytes())
                with connection.makefile("rb") as stream:
                    answer: dict[str, Any] = json.loads(stream.read())
                    return answer
        except (OSError, ValueError) as error:
            if time.monotonic() >= deadline:
                raise EntryError(
                    f"The credential broker of this host does not answer on {path} ({error}); {remedy}."
                ) from None
            time.sleep(_RETRY_SECONDS)
