# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one place that touches MLflow's internals: serve a project, describe and migrate its schema.

Runs under a Python that has the locked set of requirements.txt installed, in an
image or in a runtime folder on a host. That Python is isolated (-I), so that it loads what is
installed for it, whatever PYTHONPATH and its kind say:

    python -I mlflow_entry.py serve SETTINGS.json     become the MLflow server
    python -I mlflow_entry.py check SETTINGS.json     refuse a schema that is not this MLflow's
    python -I mlflow_entry.py describe                print version and schema revisions as JSON
    python -I mlflow_entry.py health SETTINGS.json    ask the running server for its database
    python -I mlflow_entry.py credentials SETTINGS.json   print the project's AWS credentials
    python -I mlflow_entry.py migrate < request.json  bring one database to the head revision
    python -I mlflow_entry.py migrate-all REQUEST.json    bring many MySQL schemas there
    python -I mlflow_entry.py prove REQUEST.json      log a run through each of some servers
    python -I mlflow_entry.py survey                  print what mlflow.json is to hold
    python -I mlflow_entry.py warm                    import, and so compile, what a server needs

`mlflow server` starts four uvicorn workers, a job runner, and stays alive itself as
one more copy of everything. Here uvicorn serves MLflow's own ASGI application in this
very process: a fifth of the memory and of the time to the first answer. What the
command-line wrapper hands to the application travels in environment variables; their
names are read from MLflow's own constants. A test compares the behaviour with
`mlflow server` for the pinned version and the one before it. What only a MySQL database
or AWS needs is in the modules entry_*.py beside this one.

The settings file (JSON, mode 0600) holds:

    configuration          text; sent back as a header with each answer, so that a probe
                           knows which configuration it is talking to
    host, port             where to listen
    workers                number of processes; 1 serves in this process
    backend_store_uri      SQLAlchemy URI of the project's database
    artifacts_destination  folder or URI where proxied artifacts are kept
    allowed_hosts          Host headers accepted; empty keeps MLflow's default
    allowed_origins        optional: origins whose pages may change data, beside local ones
    metrics                optional: true shows Prometheus metrics on /metrics
    environment            further variables for the server, name to text
    database               null, or for mysql+pymysql://HOST:PORT/SCHEMA: `secret`, the name
                           or ARN of a secret whose JSON holds "password"; `user`; `ca`, the
                           text of the CA, empty for the RDS bundle beside this program;
                           `tunnel`, empty or HOST:PORT where a tunnel to the database ends
    aws                    null, or `region`, `endpoint_url`, `role_arn`, `profile`; what is
                           empty is left to AWS's own defaults. `key_parameter`, the name of the
                           SSM parameter that holds the project's root key
    key_file               without such a parameter, the file that holds that key; made where it
                           is missing, mode 0600

What MLflow encrypts in its database it encrypts by keys that are derived from that root key,
but for those that `environment` names itself: see entry_keys.py. Without a root key they are
MLflow's own.

A password goes into a file of mode 0400 in a private folder in memory, never into an
argument, an environment variable or the log. These variables, also in `environment`, change
limits, in seconds:

    MLFLOW_AWS_SECRET_POLL       how often the secret is read again (300)
    MLFLOW_AWS_DATABASE_TIMEOUT  how long a MySQL database may take for an answer (90)
    MLFLOW_AWS_DATABASE_WAIT     how long a start waits for a sleeping database (180)
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import importlib.util
import json
import multiprocessing
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

# The modules beside this one lie in a package only when tests import them.
if TYPE_CHECKING or __package__:
    from ansible_collections.mlops.mlflow_aws.docker import (
        entry_aws,
        entry_health,
        entry_keys,
        entry_migrate,
        entry_mysql,
        entry_proof,
    )
    from ansible_collections.mlops.mlflow_aws.docker.entry_migrate import migrate
    from ansible_collections.mlops.mlflow_aws.docker.entry_private import (
        ISOLATED,
        EntryError,
        keep_clean_environment,
        private_folder,
        require_own_mlflow,
        say,
    )
else:
    # An isolated Python (-I), as it should be, does not look beside the program.
    sys.path.append(os.path.dirname(os.path.realpath(__file__)))
    import entry_aws
    import entry_health
    import entry_keys
    import entry_migrate
    import entry_mysql
    import entry_proof
    from entry_migrate import migrate
    from entry_private import (
        ISOLATED,
        EntryError,
        keep_clean_environment,
        private_folder,
        require_own_mlflow,
        say,
    )

CONFIGURATION_HEADER = "mlflow-aws-configuration"
SETTINGS_VARIABLE = "MLFLOW_AWS_SETTINGS"
ORIGINS_VARIABLE = "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"
# Where a server keeps what nobody else may read.
PRIVATE_VARIABLE = "MLFLOW_AWS_PRIVATE"
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


def main(arguments: list[str]) -> int:
    """Run one subcommand; errors become one line on standard error."""
    verb, *rest = arguments or ["help"]
    if verb not in _OF_A_SERVER:
        keep_clean_environment()
    # MLflow reads some of them when it is imported, and its migration scripts import it.
    os.environ.update(LEAN_DEFAULTS)
    paths = [Path(one) for one in rest]
    try:
        _require_own_mlflow(verb)
        if verb in _WITH_FILE and len(paths) == 1:
            return _WITH_FILE[verb](paths[0]) or 0
        if verb == "describe" and not rest:
            print(json.dumps(describe()))
        elif verb == "survey" and not rest:
            print(json.dumps(survey(), indent=2))
        elif verb == "migrate" and not rest:
            migrate(_requested_uri())
        elif verb == "warm" and not rest:
            warm()
        else:
            raise EntryError(
                f"Usage: mlflow_entry.py {' | '.join(_WITH_FILE)} FILE.json, or describe | "
                "migrate | survey | warm"
            )
    except EntryError as error:
        say(str(error))
        return 2
    return 0


def _require_own_mlflow(verb: str) -> None:
    """Refuse another MLflow than this Python's own, before anything loads it, and log which it is."""
    if verb not in _WITHOUT_MLFLOW:
        loaded = require_own_mlflow()
        if verb in _TOLD:
            # Not as say() would: the last thing that it says is taken for the reason of a failure.
            print(f"mlflow_entry loads {loaded}.", file=sys.stderr, flush=True)


def serve(settings_path: Path) -> None:
    """Become the server that the settings file describes; returns when told to stop."""
    settings = _read_settings(settings_path)
    os.environ[SETTINGS_VARIABLE] = str(settings_path)
    # The parent of workers waits and reads secrets too; the rest is for those who serve.
    first = (*entry_mysql.LIMITS, *entry_aws.REACHED_BY)
    os.environ.update({k: v for k, v in settings["environment"].items() if k in first})
    # As the first process of a container it would not end by the signal alone.
    signal.signal(signal.SIGTERM, _stop)
    _end_with_parent(_supervisor())
    with _access(settings, settings_path) as option_file:
        if option_file:
            option_file.refresh_in_background()
        entry_keys.make_ready(settings, _private())
        if settings["workers"] == 1:
            _set_environment(settings)
            _require_current_schema(settings, option_file)
        else:
            # The check loads MLflow, which the parent of workers has no use for.
            command = [*ISOLATED, __file__, "check", str(settings_path)]
            checked = subprocess.run(command, check=False)
            if checked.returncode != 0:
                sys.exit(checked.returncode)
        _run_uvicorn(settings)


def _run_uvicorn(settings: dict[str, Any]) -> None:
    """Serve until told to stop."""
    import uvicorn

    _answer_at_once(uvicorn.Config)
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


def _answer_at_once(config: Any) -> None:
    """Let the socket that uvicorn's workers share send what it has.

    asyncio does so for sockets of its own making alone. Of another one the body of an answer
    waits until the client has acknowledged its head, 40 ms for each request.
    """
    bind = config.bind_socket

    def bind_socket(self: Any) -> socket.socket:
        listener: socket.socket = bind(self)
        # Connections inherit it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener

    config.bind_socket = bind_socket


def application() -> Any:
    """Build MLflow's ASGI application from the settings file named in the environment."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        _end_with_parent(parent.pid)
    require_own_mlflow()
    settings_path = Path(os.environ[SETTINGS_VARIABLE])
    settings = _read_settings(settings_path)
    os.environ.update(LEAN_DEFAULTS)
    _set_environment(settings)
    option_file = _option_file(settings)
    if option_file:
        option_file.attend()
        settings["backend_store_uri"] = option_file.uri(settings["backend_store_uri"])
    uri = settings["backend_store_uri"]
    if settings["allowed_hosts"]:
        os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"] = ",".join(settings["allowed_hosts"])
    _allow_origins(settings.get("allowed_origins", []))
    os.environ.update(_internal_environment(settings))
    # MLflow 3.17 imports a Starlette module that announces its end at every start.
    warnings.filterwarnings("ignore", message="starlette.middleware.wsgi is deprecated")

    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    entry_keys.read_older(settings)
    # The Default experiment is written on first use; one worker at a time.
    with settings_path.open(encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        initialize_backend_stores(uri, uri, _artifact_root())
    if option_file:
        return entry_health.Noted(app, option_file.path.parent)
    return app


def _allow_origins(origins: list[str]) -> None:
    """Let pages of these origins change data, beside those that the environment names."""
    own = os.environ.get(ORIGINS_VARIABLE, "")
    names = [*origins, *(name.strip() for name in own.split(",") if name.strip())]
    if names:
        os.environ[ORIGINS_VARIABLE] = ",".join(dict.fromkeys(names))


def check(settings_path: Path) -> None:
    """Refuse a schema that is not this MLflow's."""
    settings = _read_settings(settings_path)
    with _access(settings, settings_path) as option_file:
        _require_current_schema(settings, option_file)


def health(settings_path: Path) -> int:
    """Ask the running server, through its API for its database; returns 0 where all is well."""
    return entry_health.health(_read_settings(settings_path), settings_path)


def credentials(settings_path: Path) -> None:
    """Print the credentials of the project's role, as a credential_process does."""
    print(entry_aws.credentials(_read_settings(settings_path), settings_path))


def migrate_all(request_path: Path) -> None:
    """Bring all MySQL schemas of the request to the head revision, several at once."""
    with private_folder(request_path) as folder:
        entry_migrate.migrate_all(_read_settings(request_path), request_path, folder)


def describe() -> dict[str, Any]:
    """Return version, head revision and all known revisions of the installed MLflow.

    Where mlflow.json beside this file was made from that MLflow, `tables` says how many
    tables a schema has at each revision.
    """
    from importlib.metadata import version

    head = entry_migrate.known_head()
    told = {"version": version("mlflow"), "head": head.revision, "revisions": list(head.known)}
    return told | ({"tables": head.known} if all(head.known.values()) else {})


def survey() -> dict[str, Any]:
    """Return what mlflow.json is to hold: see describe()."""
    return describe() | {"tables": entry_migrate.count_tables()}


def warm() -> None:
    """Import what a server and a migration need, so that their bytecode is written once."""
    for module in (
        "uvicorn",
        "alembic.command",
        "mlflow.store.db.utils",
        "mlflow.server.fastapi_app",
        "mlflow.server.prometheus_exporter",
    ):
        importlib.import_module(module)


def _read_settings(path: Path) -> dict[str, Any]:
    """Read the settings file; its form is the module docstring's."""
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EntryError(f"{path} cannot be read ({error}); run the servers playbook.") from None
    if not isinstance(settings, dict):
        raise EntryError(f"{path} holds no JSON object; run the servers playbook.")
    return settings


def _requested_uri() -> str:
    """Return the database to migrate, from standard input."""
    try:
        return str(json.load(sys.stdin)["uri"])
    except (ValueError, LookupError, TypeError) as error:
        raise EntryError(
            f'Standard input is no JSON object with a "uri" ({error}); run the deploy playbook.'
        ) from None


def _set_environment(settings: dict[str, Any]) -> None:
    """Give this process the variables of its server."""
    # MLflow and botocore ask Python for the processor, and Python runs `uname` for the answer, once:
    # now, while that program inherits no secret that it would show in its environment.
    platform.processor()
    os.environ.update(_environment(settings))


def _environment(settings: dict[str, Any]) -> dict[str, str]:
    """Return the variables that the settings give the server."""
    variables = dict(settings["environment"])
    if settings.get("database"):
        variables = {**entry_mysql.POOL, **variables}
    if (settings.get("aws") or {}).get("role_arn"):
        # The server's own identity is the role; these belong to the one that takes it on.
        variables = {k: v for k, v in variables.items() if k not in entry_aws.IDENTITY}
    return {**entry_keys.variables(settings, _private()), **variables}


def _private() -> Path | None:
    """Return this server's private folder, where it has one."""
    folder = os.environ.get(PRIVATE_VARIABLE)
    return Path(folder) if folder else None


@contextlib.contextmanager
def _access(
    settings: dict[str, Any], settings_path: Path
) -> Iterator[entry_mysql.OptionFile | None]:
    """Make ready what the settings name by reference, in a private folder while it lasts."""
    aws = settings.get("aws") or {}
    if not (any(aws.values()) or settings.get("database") or settings.get("metrics")):
        yield None
        return
    if PRIVATE_VARIABLE in os.environ:
        yield _option_file(settings)
        return
    with private_folder(settings_path) as folder:
        os.environ[PRIVATE_VARIABLE] = str(folder)
        entry_aws.use_identity(aws, settings["environment"], settings_path, folder)
        option_file = _option_file(settings)
        if option_file:
            option_file.refresh()
        yield option_file


def _option_file(settings: dict[str, Any]) -> entry_mysql.OptionFile | None:
    """Return the option file of the settings' database, if they name one by reference."""
    database = settings.get("database")
    if not database:
        return None
    entry_mysql.require_plain(settings["backend_store_uri"])
    folder = Path(os.environ[PRIVATE_VARIABLE])
    return entry_mysql.OptionFile(database, settings.get("aws") or {}, folder)


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
    if settings.get("metrics"):
        # prometheus_client has come to write it in capitals.
        folder = Path(os.environ[PRIVATE_VARIABLE]) / "metrics"
        folder.mkdir(exist_ok=True)
        name = constants.PROMETHEUS_EXPORTER_ENV_VAR
        values |= dict.fromkeys((name, name.upper()), folder)
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


def _require_current_schema(
    settings: dict[str, Any], option_file: entry_mysql.OptionFile | None
) -> None:
    """Refuse a schema that is not this MLflow's: a server never migrates."""
    import sqlalchemy

    uri = settings["backend_store_uri"]
    try:
        if option_file:
            bounded, seconds = option_file.uri(uri), entry_mysql.limit(entry_mysql.WAIT)
            found = entry_mysql.wait_awake(lambda: _revision(bounded, option_file), uri, seconds)
        else:
            found = _revision(uri)
    except sqlalchemy.exc.SQLAlchemyError as error:
        if option_file:
            raise EntryError(entry_mysql.sentence(error, uri, settings["database"])) from None
        reason = str(error.__cause__ or error).splitlines()[0]
        raise EntryError(f"The project's database cannot be read: {reason}.") from None
    head = entry_migrate.known_head()
    if found == head.revision:
        return
    if found in (None, *head.known):
        remedy = "run the deploy playbook, which migrates it."
    else:
        remedy = "a newer MLflow wrote it, so serve it with that one."
    raise EntryError(
        f"The schema is at revision {found or 'none'} and this MLflow needs {head.revision}; {remedy}"
    )


def _revision(uri: str, option_file: entry_mysql.OptionFile | None = None) -> str | None:
    """Return the revision that the database says it is at."""
    import sqlalchemy
    from alembic.migration import MigrationContext

    engine = sqlalchemy.create_engine(uri)
    if option_file:
        option_file.attend(engine)
    try:
        with engine.connect() as connection:
            found: str | None = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    return found


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


def _stop(number: int, _frame: FrameType | None) -> None:
    """End this process by an exception, so that it tidies up."""
    sys.exit(128 + number)


_WITHOUT_MLFLOW = ("credentials", "health", "help")
# What these verbs load is in the log.
_TOLD = ("migrate", "migrate-all", "serve")
# These have the environment that their server has; migrate-all asks AWS, by the host's identity.
_OF_A_SERVER = ("serve", "check", "health", "credentials", "migrate-all")
_WITH_FILE: dict[str, Callable[[Path], int | None]] = {
    "serve": serve,
    "check": check,
    "health": health,
    "credentials": credentials,
    "migrate-all": migrate_all,
    "prove": entry_proof.prove,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
