# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: a project's own environment variables, of which none is taken and ignored."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._projects import fields

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NUMBER = re.compile(r"[0-9]{1,5}\Z")
# Those of programs/server/mlflow_aws_server/mysql.py, which a project may have of its own.
LIMITS = (
    "MLFLOW_AWS_DATABASE_RETRY",
    "MLFLOW_AWS_DATABASE_TIMEOUT",
    "MLFLOW_AWS_DATABASE_WAIT",
    "MLFLOW_AWS_SECRET_POLL",
)
OWNED = (
    "MLFLOW_ARTIFACTS_DESTINATION",
    "MLFLOW_BACKEND_STORE_URI",
    "MLFLOW_DEFAULT_ARTIFACT_ROOT",
    "MLFLOW_MYSQL_SSL_CA",
    "MLFLOW_MYSQL_SSL_CERT",
    "MLFLOW_MYSQL_SSL_KEY",
    "MLFLOW_REGISTRY_STORE_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_SERVER_ALLOWED_HOSTS",
    "MLFLOW_TRACKING_URI",
)
_NO_OPTIONS = "remove it, MLflow's application runs without that program's options"
_NO_SIGN_IN = "remove it, servers run without MLflow's basic authentication"
_OWN_GATEWAY = (
    "remove it, MLflow's AI gateway keeps its endpoints and keys in the project's database"
)
_ALL_ARTIFACTS = "remove it, each server tracks runs and sends artifacts through itself"
# What only the command line of `mlflow server` reads, or a part of it that our servers lack; a
# test compares this with the installed MLflow.
UNREAD = {
    "MLFLOW_ARTIFACTS_ONLY": _ALL_ARTIFACTS,
    "MLFLOW_ARTIFACTS_PRESIGNED_ONLY": "use 'server.presigned_only'",
    "MLFLOW_AUTH_ADMIN_PASSWORD": _NO_SIGN_IN,
    "MLFLOW_AUTH_ADMIN_USERNAME": _NO_SIGN_IN,
    "MLFLOW_AUTH_CONFIG_PATH": _NO_SIGN_IN,
    "MLFLOW_DEPLOYMENTS_CONFIG": _OWN_GATEWAY,
    "MLFLOW_EXPOSE_PROMETHEUS": "use 'server.metrics'",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": _NO_SIGN_IN,
    "MLFLOW_GATEWAY_CONFIG": _OWN_GATEWAY,
    "MLFLOW_GATEWAY_RESOLVE_API_KEY_FROM_ENV": _OWN_GATEWAY,
    "MLFLOW_GATEWAY_RESOLVE_API_KEY_FROM_FILE": _OWN_GATEWAY,
    "MLFLOW_GUNICORN_OPTS": _NO_OPTIONS,
    "MLFLOW_HOST": "use mlflow_server_host",
    "MLFLOW_PORT": "use the project's key 'port'",
    "MLFLOW_READ_REPLICA_BACKEND_STORE_URI": "remove it, a project has one database",
    "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "use 'server.allowed_hosts', where '*' accepts every name",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "use 'server.jobs'",
    "MLFLOW_SERVER_JOB_EXECUTION_ENGINE": "remove it, jobs are kept in the project's database",
    "MLFLOW_SERVER_JOB_FLUSH_PERIODIC_LOCKS_ON_STARTUP": "remove it, one job runner serves a project",
    "MLFLOW_SERVER_JOB_HUEY_REDIS_URL": "remove it, jobs are kept in the project's database",
    "MLFLOW_SERVER_JOB_ENABLE_PERIODIC_TASKS": "remove it, one job runner serves a project",
    "MLFLOW_SERVE_ARTIFACTS": _ALL_ARTIFACTS,
    "MLFLOW_STATIC_PREFIX": "remove it and give each project a host name or a port of its own",
    "MLFLOW_TRACE_ARCHIVAL_CONFIG": "use 'server.trace_archival'",
    "MLFLOW_UVICORN_OPTS": _NO_OPTIONS,
    "MLFLOW_WORKERS": "use 'server.workers'",
    "PROMETHEUS_MULTIPROC_DIR": "use 'server.metrics'",
    "prometheus_multiproc_dir": "use 'server.metrics'",
}
# What MLflow acts on only with a setting of the server.
NEED = {
    "MLFLOW_ENABLE_REMOTE_ASSISTANT": "assistant",
    "MLFLOW_SQL_TRACE_ROLLUPS_ENABLED": "jobs",
}


def environment(where: str, value: t.Any) -> dict[str, str]:
    """Read extra environment variables; refuse those that the server sets itself."""
    entry = {} if value is None else value
    fields.require_mapping(where, entry, "write it as a dictionary of variables")
    for name, text in entry.items():
        if not isinstance(name, str) or not _VARIABLE.match(name):
            raise MlflowError(
                f"{where} contains {name!r}, which is not the name of a variable; use letters, digits and _."
            )
        if name not in LIMITS and (name.startswith(("_MLFLOW", "MLFLOW_AWS_")) or name in OWNED):
            raise MlflowError(f"{where} sets {name}, which the server sets itself; remove it.")
        if name in UNREAD:
            raise MlflowError(f"{where} sets {name}, which has no effect here; {UNREAD[name]}.")
        if isinstance(text, bool) or not isinstance(text, (str, int)):
            raise MlflowError(
                f"{where}: variable {name} is {fields.kind(text)}; write its value in quotes."
            )
        if "\0" in str(text):
            raise MlflowError(
                f"{where}: variable {name} contains a NUL character, which no variable can; remove it."
            )
        if name in LIMITS and not (_NUMBER.match(str(text)) and 1 <= int(text) <= 86400):
            raise MlflowError(
                f"{where}: variable {name} is not a number of seconds; choose 1 to 86400."
            )
    return {str(name): str(text) for name, text in entry.items()}


def require_effect(where: str, settings: t.Mapping[str, t.Any]) -> None:
    """Refuse variables of a server that have no effect with its other settings."""
    for name in settings["environment"]:
        if name in NEED and not settings[NEED[name]]:
            raise MlflowError(
                f"{where} sets {name}, which has no effect without {NEED[name]}; set "
                f"'server.{NEED[name]}: true', or remove it."
            )
