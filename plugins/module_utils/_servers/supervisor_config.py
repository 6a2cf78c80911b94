# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: writes Supervisor's configuration file, purely."""

from __future__ import annotations

import typing as t
from pathlib import Path

# A server that lives this long has started; one that dies earlier is retried a few times.
_START_SECONDS = 10
_START_RETRIES = 3
# What Supervisor gives a server to stop before it kills it.
STOP_SECONDS = 30
_LOG_BYTES = "10MB"
_LOG_BACKUPS = 3

# Who its key belongs to, as it asks for a name too.
USER = "mlflow"

Options = dict[str, t.Any]


def configuration(
    folder: Path, socket: Path, key: str, identifier: str, commands: t.Mapping[str, str]
) -> str:
    """Return the text of the file for servers with these command lines, by name.

    folder: the servers' folder; key: what Supervisor asks for on its socket; identifier: of the MLflow
    that they run.
    """
    pidfile = folder / "supervisord.pid"
    sections = _supervisor(folder, socket, key, identifier, pidfile)
    for name, command in sorted(commands.items()):
        sections[f"program:{name}"] = _program(folder / name, command, pidfile)
    lines = ["; Written by the module mlflow_server, which overwrites changes."]
    for section, options in sections.items():
        lines += ["", f"[{section}]"]
        lines += [f"{key} = {str(value).replace('%', '%%')}" for key, value in options.items()]
    return "\n".join(lines) + "\n"


def log_path(folder: Path, name: str) -> Path:
    """Return the path of a server's log."""
    return folder / name / "server.log"


def _supervisor(
    folder: Path, socket: Path, key: str, identifier: str, pidfile: Path
) -> dict[str, Options]:
    """Return the sections about Supervisor itself."""
    return {
        "unix_http_server": {
            "file": socket,
            "chmod": "0700",
            "username": USER,
            "password": key,
        },
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
        "supervisord": {
            "identifier": identifier,
            "pidfile": pidfile,
            "logfile": folder / "supervisord.log",
            "logfile_maxbytes": _LOG_BYTES,
            "logfile_backups": _LOG_BACKUPS,
            "childlogdir": folder,
            "directory": folder,
            "umask": "077",
        },
    }


def _program(folder: Path, command: str, pidfile: Path) -> Options:
    """Return the section of one server."""
    return {
        "command": command,
        "directory": folder,
        "autostart": "true",
        "autorestart": "true",
        "startsecs": _START_SECONDS,
        "startretries": _START_RETRIES,
        "stopwaitsecs": STOP_SECONDS,
        "stopasgroup": "true",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": log_path(folder.parent, folder.name),
        "stdout_logfile_maxbytes": _LOG_BYTES,
        "stdout_logfile_backups": _LOG_BACKUPS,
        # Each thread's own arena would cost tens of MiB for nothing here. By the pid file a server
        # knows whose end is its own: see programs/server/mlflow_entry.py.
        "environment": f'MALLOC_ARENA_MAX="2",MLFLOW_AWS_SUPERVISOR="{pidfile}"',
    }
