# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serve one project: from its settings file to uvicorn."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import traceback
from pathlib import Path
from typing import Any

from . import (
    application,
    aws,
    broker,
    confinement,
    environment,
    installation,
    jobs,
    keys,
    mysql,
    processes,
    refusal,
    settings,
)
from .access import access
from .errors import DatabaseError, EntryError, LastingError
from .option_file import OptionFile
from .schema_check import require_current_schema

# By how `check` ends its caller knows what may heal the schema.
_ENDINGS = {2: EntryError, 3: DatabaseError, 4: LastingError}
LOG_CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        "access": {
            "()": "uvicorn.logging.AccessFormatter",
            "fmt": '%(asctime)s %(client_addr)s "%(request_line)s" %(status_code)s',
        },
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
        "access": {"class": "logging.StreamHandler", "formatter": "access"},
    },
    "loggers": {
        "uvicorn": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
    },
}


def serve(settings_path: Path) -> None:
    """Become the server that the settings file describes; returns when it is stopped."""
    given = settings.read(settings_path)
    os.environ[application.SETTINGS_VARIABLE] = str(settings_path)
    # The parent of workers waits and reads secrets too; the rest is for the workers.
    first = (*mysql.LIMITS, *aws.REACHED_BY)
    os.environ.update({k: v for k, v in given["environment"].items() if k in first})
    # As the first process of a container it would not end by the signal alone.
    signal.signal(signal.SIGTERM, processes.stop)
    supervisor = processes.supervisor()
    with access(given, settings_path) as options:
        if supervisor is not None:
            # Beside servers of other projects. What follows starts threads, and loads MLflow.
            given["confined"] = confinement.confine(given, settings_path, environment.private())
            processes.end_with(supervisor)
        # Before it has what a child would show in its environment.
        outset = dict(os.environ)
        made = refusal.until_ready(given, lambda: _make_ready(given, options, settings_path))
        if options:
            options.refresh_in_background()
        with jobs.beside(given, settings_path, outset):
            _run_uvicorn(given, made)


def _make_ready(given: dict[str, Any], options: OptionFile | None, settings_path: Path) -> Any:
    """Read what the server needs; return its application, None where workers build it; may be repeated."""
    _read(given, options)
    if given["workers"] == 1:
        return _build(given, options)
    # The check loads MLflow, which the parent of workers does not need.
    checked = subprocess.run(
        installation.command("check", settings_path), stdout=subprocess.PIPE, text=True, check=False
    )
    if checked.returncode != 0:
        said = checked.stdout.strip().splitlines()
        sentence = said[-1] if said else "The check of MLflow failed; see the log above."
        raise _ENDINGS.get(checked.returncode, DatabaseError)(sentence)
    return None


def _read(given: dict[str, Any], options: OptionFile | None) -> None:
    """Read the password and the project's key, for which there have to be credentials."""
    broker.require(given)
    if options:
        options.refresh()
    keys.make_ready(given, environment.private())


def _build(given: dict[str, Any], options: OptionFile | None) -> Any:
    """Build the application on a schema that is this MLflow's; whatever fails becomes one sentence."""
    environment.apply(given)
    require_current_schema(given, options)
    try:
        return application.build()
    except EntryError:
        raise
    except _failures() as error:
        traceback.print_exc()
        first = (str(error).strip().splitlines() or ["no message"])[0]
        raise DatabaseError(
            f"MLflow does not start ({type(error).__name__}: {first.rstrip('.')}); see the log above, and "
            "check server.environment."
        ) from None


def _failures() -> tuple[type[Exception], ...]:
    """Return what MLflow raises for a variable that it does not accept, or for its database."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    own = (ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError)
    return (MlflowException, SQLAlchemyError, *own)


def check(settings_path: Path) -> int:
    """Find out whether workers could serve: print why not, and return which kind of error it is."""
    given = settings.read(settings_path)
    os.environ[application.SETTINGS_VARIABLE] = str(settings_path)
    # A parent of workers has made it.
    alone = environment.private() is None
    try:
        with access(given, settings_path) as options:
            if alone:
                _read(given, options)
            _build(given, options)
    except EntryError as error:
        print(error)
        return {kind: code for code, kind in _ENDINGS.items()}.get(type(error), 2)
    return 0


def _run_uvicorn(given: dict[str, Any], made: Any) -> None:
    """Serve the application that was made, or None for one that each worker builds, until stopped."""
    import uvicorn

    answer_at_once(uvicorn.Config)
    # With several workers uvicorn spawns processes that build the application for
    # themselves, so this process stays small and its environment holds no setting.
    # They inherit sys.path, on which the launcher has put the package's folder.
    uvicorn.run(
        made or f"{application.__name__}:{application.build.__name__}",
        factory=made is None,
        host=given["host"],
        port=given["port"],
        workers=given["workers"],
        headers=refusal.headers(given),
        log_config=LOG_CONFIG,
        # Idle connections of a browser must not delay a restart.
        timeout_graceful_shutdown=20,
    )


def answer_at_once(config: Any) -> None:
    """Let the socket that uvicorn's workers share send what it has.

    asyncio does so only for sockets that it creates. On any other, the body of an answer
    waits until the client has acknowledged its head, 40 ms for each request.
    """
    bind = config.bind_socket

    def bind_socket(self: Any) -> socket.socket:
        listener: socket.socket = bind(self)
        # Connections inherit it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener

    config.bind_socket = bind_socket
