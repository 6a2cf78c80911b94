# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MLflow's ASGI application, made ready from the settings: what each worker of uvicorn serves."""

from __future__ import annotations

import fcntl
import importlib.util
import multiprocessing
import os
import uuid
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

from . import (
    access,
    connections,
    door,
    environment,
    health,
    installation,
    jobs_off,
    jobs_runs,
    jobs_submission,
    keys,
    processes,
    turns,
    uploads,
)
from . import settings as settings_file
from .assistant_off import AssistantOff
from .errors import EntryError

SETTINGS_VARIABLE = "MLFLOW_AWS_SETTINGS"
# plugins/filter/mlflow_setting_fault.py keeps the same; neither can import the other.
SINCE = {"jobs": "3.17", "presigned_only": "3.18"}


def build() -> Any:
    """Build the application from the settings file named in the environment."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        processes.end_with(parent.pid)
    installation.require_own_mlflow()
    settings_path = Path(os.environ[SETTINGS_VARIABLE])
    settings = settings_file.read(settings_path)
    os.environ.update(environment.LEAN_DEFAULTS)
    environment.apply(settings)
    options = access.option_file(settings)
    if options:
        options.attend()
        settings["backend_store_uri"] = options.uri(settings["backend_store_uri"])
    environment.allow_hosts(settings["allowed_hosts"])
    environment.allow_origins(settings.get("allowed_origins", []))
    os.environ.update(internal_environment(settings))
    # MLflow 3.17 imports a Starlette module that announces its end at every start.
    warnings.filterwarnings("ignore", message="starlette.middleware.wsgi is deprecated")

    _require_settings(settings)
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import STATIC_PREFIX_ENV_VAR, initialize_backend_stores

    keys.read_older(settings)
    uri = settings["backend_store_uri"]
    # The Default experiment is written on first use; one worker at a time.
    # MLflow tries ten times itself.
    with settings_path.open(encoding="utf-8") as lock, connections.impatient():
        fcntl.flock(lock, fcntl.LOCK_EX)
        if options:
            connections.share(uri)
        initialize_backend_stores(uri, uri, _artifact_root())
    served: Any = app
    if options:
        connections.watch(uri)
        served = turns.Turns(health.Noted(app, options.path.parent))
    return _bounded(served, settings, os.environ.get(STATIC_PREFIX_ENV_VAR, ""))


def _bounded(served: Any, settings: dict[str, Any], prefix: str) -> Any:
    """Return the application behind what refuses requests; a refusal needs no turn at the database."""
    jobs = bool(settings.get("jobs"))
    if jobs:
        jobs_submission.adapt()
        jobs_runs.end_with_requests(prefix)
        jobs_runs.end_with_jobs()
    refused = jobs_off.refusals(jobs, bool(settings.get("trace_archival")))
    served = jobs_off.JobsOff(served, refused, prefix)
    if not settings.get("assistant"):
        served = AssistantOff(served, prefix)
    most = settings.get("max_upload_size")
    if most:
        served = uploads.UploadLimit(served, most)
    secret = settings.get("door")
    return door.DoorOnly(served, secret) if secret else served


def internal_environment(settings: dict[str, Any]) -> dict[str, str]:
    """Return what `mlflow server` would hand to the application, by MLflow's own names."""
    from mlflow import environment_variables as variables

    constants = _server_constants()
    values = {
        constants.BACKEND_STORE_URI_ENV_VAR: settings["backend_store_uri"],
        constants.REGISTRY_STORE_URI_ENV_VAR: settings["backend_store_uri"],
        constants.ARTIFACT_ROOT_ENV_VAR: _artifact_root(),
        constants.ARTIFACTS_DESTINATION_ENV_VAR: settings["artifacts_destination"],
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        variables._MLFLOW_SGI_NAME.name: "uvicorn",
        variables._MLFLOW_SERVER_BOOT_ID.name: uuid.uuid4().hex,
    }
    # MLflow 3.16 has no executor of jobs, and no variable for it.
    if executor := getattr(variables, "_MLFLOW_IN_JOB_EXECUTOR", None):
        values[executor.name] = "false"
    if settings.get("metrics"):
        # prometheus_client has come to write it in capitals.
        folder = Path(os.environ[environment.PRIVATE_VARIABLE]) / "metrics"
        folder.mkdir(exist_ok=True)
        name = constants.PROMETHEUS_EXPORTER_ENV_VAR
        values |= dict.fromkeys((name, name.upper()), folder)
    return {str(name): str(value) for name, value in values.items()}


def _require_settings(settings: dict[str, Any]) -> None:
    """Refuse a setting that this MLflow does not have."""
    import mlflow

    for key, since in SINCE.items():
        if settings.get(key) and not _has(key):
            raise EntryError(
                f"server.{key} needs MLflow {since} or newer, and this one is {mlflow.__version__}; "
                "remove it from mlflow_projects and rerun the servers playbook."
            )


def _has(key: str) -> bool:
    """Return whether this MLflow has what a setting of SINCE needs."""
    from mlflow import environment_variables

    if key == "jobs":
        return importlib.util.find_spec("mlflow.server.jobs.local_executor") is not None
    return hasattr(environment_variables, environment.PRESIGNED_ONLY)


def _artifact_root() -> str:
    """Return the root that makes clients send artifacts through the server."""
    from mlflow.utils.server_cli_utils import resolve_default_artifact_root

    return str(resolve_default_artifact_root(True, None, ""))


def _server_constants() -> ModuleType:
    """Load mlflow/server/constants.py alone: its package reads the environment when imported."""
    import mlflow

    path = Path(mlflow.__file__).parent / "server" / "constants.py"
    spec = importlib.util.spec_from_file_location("_mlflow_server_constants", path)
    if spec is None or spec.loader is None:
        raise EntryError(f"MLflow's server constants are not at {path}; reinstall MLflow.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
