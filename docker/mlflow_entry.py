# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one place that touches MLflow's internals: serve a project, describe and migrate its schema.

Runs under a Python that has the locked set of requirements.txt installed, in an
image or in a runtime folder on a host:

    python mlflow_entry.py serve SETTINGS.json     become the MLflow server
    python mlflow_entry.py check SETTINGS.json     refuse a schema that is not this MLflow's
    python mlflow_entry.py describe                print version and schema revisions as JSON
    python mlflow_entry.py migrate < request.json  bring one database to the head revision
    python mlflow_entry.py warm                    import, and so compile, what a server needs

`mlflow server` starts four uvicorn workers, a job runner, and stays alive itself as
one more copy of everything. Here uvicorn serves MLflow's own ASGI application in this
very process: a fifth of the memory and of the time to the first answer. What the
command-line wrapper hands to the application travels in environment variables; their
names are read from MLflow's own constants. A test compares the behaviour with
`mlflow server` for the pinned version and the one before it.

The settings file (JSON, mode 0600) holds:

    configuration          text; sent back as a header with each answer, so that a probe
                           knows which configuration it is talking to
    host, port             where to listen
    workers                number of processes; 1 serves in this process
    backend_store_uri      SQLAlchemy URI of the project's database
    artifacts_destination  folder or URI where proxied artifacts are kept
    allowed_hosts          Host headers accepted; empty keeps MLflow's default
    environment            further variables for the server, name to text
"""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import uuid
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

CONFIGURATION_HEADER = "mlflow-aws-configuration"
SETTINGS_VARIABLE = "MLFLOW_AWS_SETTINGS"
# Path of the pid file of the supervisor that is to be outlived by no server.
SUPERVISOR_VARIABLE = "MLFLOW_AWS_SUPERVISOR"
# MLflow's public variables. The job runner needs packages that the lean set leaves out
# and queries the database every minute; telemetry calls home.
LEAN_DEFAULTS = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
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


class EntryError(Exception):
    """One sentence for the log: what is wrong and what to do."""


def main(arguments: list[str]) -> int:
    """Run one subcommand; errors become one line on standard error."""
    verb, *rest = arguments or ["help"]
    # MLflow reads some of them when it is imported, and its migration scripts import it.
    os.environ.update(LEAN_DEFAULTS)
    try:
        if verb == "serve" and len(rest) == 1:
            serve(Path(rest[0]))
        elif verb == "check" and len(rest) == 1:
            _require_current_schema(_read_settings(Path(rest[0]))["backend_store_uri"])
        elif verb == "describe" and not rest:
            print(json.dumps(describe()))
        elif verb == "migrate" and not rest:
            migrate(json.load(sys.stdin)["uri"])
        elif verb == "warm" and not rest:
            warm()
        else:
            raise EntryError(
                "Usage: mlflow_entry.py serve SETTINGS.json | check SETTINGS.json | describe | "
                "migrate | warm"
            )
    except EntryError as error:
        print(f"mlflow_entry: {error}", file=sys.stderr)
        return 2
    return 0


def serve(settings_path: Path) -> None:
    """Become the server that the settings file describes; returns when told to stop."""
    settings = _read_settings(settings_path)
    os.environ[SETTINGS_VARIABLE] = str(settings_path)
    _end_with_parent(_supervisor())
    if settings["workers"] == 1:
        os.environ.update(settings["environment"])
        _require_current_schema(settings["backend_store_uri"])
    else:
        # The check loads MLflow, which the parent of workers has no use for.
        checked = subprocess.run([sys.executable, __file__, "check", settings_path], check=False)
        if checked.returncode != 0:
            sys.exit(checked.returncode)
    import uvicorn

    # With several workers uvicorn spawns processes that build the application for
    # themselves, so this process stays small and its environment holds no setting.
    uvicorn.run(
        f"{Path(__file__).stem}:application",
        factory=True,
        app_dir=str(Path(__file__).parent),
        host=settings["host"],
        port=settings["port"],
        workers=settings["workers"],
        headers=[(CONFIGURATION_HEADER, settings["configuration"])],
        log_config=LOG_CONFIG,
        # Idle connections of a browser must not hold up a restart.
        timeout_graceful_shutdown=20,
    )


def application() -> Any:
    """Build MLflow's ASGI application from the settings file named in the environment."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        _end_with_parent(parent.pid)
    settings_path = Path(os.environ[SETTINGS_VARIABLE])
    settings = _read_settings(settings_path)
    os.environ.update(LEAN_DEFAULTS)
    os.environ.update(settings["environment"])
    if settings["allowed_hosts"]:
        os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"] = ",".join(settings["allowed_hosts"])
    os.environ.update(_internal_environment(settings))
    # MLflow 3.17 imports a Starlette module that announces its end at every start.
    warnings.filterwarnings("ignore", message="starlette.middleware.wsgi is deprecated")

    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    # The Default experiment is written on first use; one worker at a time.
    with settings_path.open(encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        initialize_backend_stores(
            settings["backend_store_uri"], settings["backend_store_uri"], _artifact_root()
        )
    return app


def describe() -> dict[str, Any]:
    """Return version, head revision and all known revisions of the installed MLflow."""
    from importlib.metadata import version

    scripts = _migration_scripts()
    return {
        "version": version("mlflow"),
        "head": scripts.get_current_head(),
        "revisions": [script.revision for script in scripts.walk_revisions()],
    }


def migrate(uri: str) -> None:
    """Bring one database, empty or older, to the head revision, as `mlflow db upgrade` does."""
    from mlflow.db import upgrade

    upgrade.callback(uri)


def warm() -> None:
    """Import what a server and a migration need, so that their bytecode is written once."""
    for module in (
        "uvicorn",
        "alembic.command",
        "mlflow.store.db.utils",
        "mlflow.server.fastapi_app",
    ):
        importlib.import_module(module)


def _read_settings(path: Path) -> dict[str, Any]:
    """Read the settings file; its form is the module docstring's."""
    settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return settings


def _internal_environment(settings: dict[str, Any]) -> dict[str, str]:
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
        variables._MLFLOW_IN_JOB_EXECUTOR.name: "false",
    }
    return {str(name): str(value) for name, value in values.items()}


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
        raise EntryError(f"MLflow's server constants are not at {path}; reinstall the runtime.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _require_current_schema(uri: str) -> None:
    """Refuse a schema that is not this MLflow's: a server never migrates."""
    import sqlalchemy
    from alembic.migration import MigrationContext

    engine = sqlalchemy.create_engine(uri)
    try:
        with engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise EntryError(f"The project's database cannot be read: {reason}.") from None
    finally:
        engine.dispose()
    head = _migration_scripts().get_current_head()
    if found != head:
        raise EntryError(
            f"The schema is at revision {found or 'none'} and this MLflow needs {head}; "
            "run the deploy playbook, which migrates it."
        )


def _migration_scripts() -> Any:
    """Return MLflow's migration scripts as Alembic reads them, without importing MLflow."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    spec = importlib.util.find_spec("mlflow")
    if spec is None or not spec.submodule_search_locations:
        raise EntryError("MLflow is not installed for this Python; run the deploy playbook.")
    config = Config()
    folder = Path(spec.submodule_search_locations[0]) / "store" / "db_migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def _supervisor() -> int | None:
    """Return the process id of the supervisor that starts this server, where one does.

    Not the parent's: a supervisor that dies before we look has left us to another one.
    """
    pidfile = os.environ.get(SUPERVISOR_VARIABLE)
    if not pidfile:
        return None
    try:
        return int(Path(pidfile).read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise EntryError(f"{pidfile} names no supervisor; run the servers playbook.") from None


def _end_with_parent(parent: int | None) -> None:
    """Stop this process when the given parent is gone, so that it never holds a port unowned."""
    if parent is None:
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), 15)

    if os.getppid() != parent:
        raise EntryError("The process that started this server has ended; so does the server.")
    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
