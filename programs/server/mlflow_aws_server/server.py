# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serve one project: from its settings file to uvicorn."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import application, aws, environment, installation, keys, mysql, processes, settings
from .access import access
from .schema_check import require_current_schema

# Sent with each answer: see settings.py.
CONFIGURATION_HEADER = "mlflow-aws-configuration"
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
    processes.end_with(processes.supervisor())
    with access(given, settings_path) as options:
        if options:
            options.refresh_in_background()
        keys.make_ready(given, environment.private())
        if given["workers"] == 1:
            environment.apply(given)
            require_current_schema(given, options)
        else:
            # The check loads MLflow, which the parent of workers does not need.
            checked = subprocess.run(installation.command("check", settings_path), check=False)
            if checked.returncode != 0:
                sys.exit(checked.returncode)
        _run_uvicorn(given)


def check(settings_path: Path) -> None:
    """Refuse a schema that is not this MLflow's."""
    given = settings.read(settings_path)
    with access(given, settings_path) as options:
        require_current_schema(given, options)


def _run_uvicorn(given: dict[str, Any]) -> None:
    """Serve until stopped."""
    import uvicorn

    answer_at_once(uvicorn.Config)
    # With several workers uvicorn spawns processes that build the application for
    # themselves, so this process stays small and its environment holds no setting.
    # They inherit sys.path, on which the launcher has put the package's folder.
    uvicorn.run(
        f"{application.__name__}:{application.build.__name__}",
        factory=True,
        host=given["host"],
        port=given["port"],
        workers=given["workers"],
        headers=[(CONFIGURATION_HEADER, given["configuration"])],
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
