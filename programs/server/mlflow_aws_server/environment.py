# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of a process: what it keeps, and what the settings give a server."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from . import archival, aws, confinement, connections, kept, keys

ORIGINS_VARIABLE = "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"
HOSTS_VARIABLE = "MLFLOW_SERVER_ALLOWED_HOSTS"
# Path of the private folder of a server.
PRIVATE_VARIABLE = "MLFLOW_AWS_PRIVATE"
# MLflow's public variables. A job runner takes memory and queries the database every few seconds;
# telemetry calls home.
LEAN_DEFAULTS = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
# For a project with jobs; see jobs.py for the engine.
JOBS = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "true",
    "MLFLOW_SERVER_JOB_EXECUTION_ENGINE": "executor",
}
PRESIGNED_ONLY = "MLFLOW_ARTIFACTS_PRESIGNED_ONLY"
# All that a program needs that connects only to our own servers and databases.
# plugins/module_utils/_host/environ.py keeps the same; neither can import the other.
KEPT = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "MALLOC_ARENA_MAX",
    "PATH",
    "TMPDIR",
    "TZ",
    "USER",
)


def keep_clean() -> None:
    """Remove what a person, a shell, an engine or an image put into this process's environment.

    Proxies, certificates, credentials and MLflow's own variables are meant for other servers.
    """
    for name in set(os.environ).difference(KEPT):
        del os.environ[name]


def private() -> Path | None:
    """Return this server's private folder, if it has one."""
    folder = os.environ.get(PRIVATE_VARIABLE)
    return Path(folder) if folder else None


def apply(settings: dict[str, Any]) -> None:
    """Set this process's variables to those of its server."""
    # MLflow and botocore ask Python for the processor, and Python runs `uname` for the answer, once:
    # now, while that program inherits no secret that it would show in its environment.
    platform.processor()
    os.environ.update(variables(settings) | archival.variables(settings, private()))


def variables(settings: dict[str, Any]) -> dict[str, str]:
    """Return the variables that the settings give the server."""
    given = dict(settings["environment"])
    if settings.get("database"):
        given = {**connections.POOL, **given}
    if (settings.get("aws") or {}).get("broker"):
        # The server's own identity is the project's role, which the broker gives.
        given = {name: text for name, text in given.items() if name not in aws.IDENTITY}
    if confinement.VARIABLE in os.environ:
        given |= {name: os.environ[name] for name in kept.SHARED}
    if settings.get("jobs"):
        given |= JOBS
    if settings.get("presigned_only"):
        given[PRESIGNED_ONLY] = "true"
    return {**keys.variables(settings, private()), **given}


def allow_hosts(hosts: list[str]) -> None:
    """Accept these Host headers; without any, MLflow's default applies."""
    if hosts:
        os.environ[HOSTS_VARIABLE] = ",".join(hosts)


def allow_origins(origins: list[str]) -> None:
    """Let pages of these origins change data, besides those that the environment names."""
    own = os.environ.get(ORIGINS_VARIABLE, "")
    names = [*origins, *(name.strip() for name in own.split(",") if name.strip())]
    if names:
        os.environ[ORIGINS_VARIABLE] = ",".join(dict.fromkeys(names))
