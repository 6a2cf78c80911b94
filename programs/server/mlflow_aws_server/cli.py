# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of mlflow_entry.py: serve a project, describe and migrate its schema.

Runs under a Python that has the locked set of docker/requirements.txt installed, in an
image or on a host. That Python is isolated (-I), so that it loads what is installed for it,
whatever PYTHONPATH and the like say:

    python -I mlflow_entry.py serve SETTINGS.json     become the MLflow server
    python -I mlflow_entry.py check SETTINGS.json     print why MLflow cannot serve, if so
    python -I mlflow_entry.py describe                print version and schema revisions as JSON
    python -I mlflow_entry.py health SETTINGS.json    ask the running server for its database
    python -I mlflow_entry.py credentials SETTINGS.json   print the project's AWS credentials
    python -I mlflow_entry.py jobs SETTINGS.json      run the jobs of the server's project
    python -I mlflow_entry.py job SETTINGS.json       run one of them, which MLflow's variables describe
    python -I mlflow_entry.py migrate < request.json  bring one database to the head revision
    python -I mlflow_entry.py migrate-all REQUEST.json    bring many MySQL schemas there
    python -I mlflow_entry.py info REQUEST.json       tell the state of projects
    python -I mlflow_entry.py backup REQUEST.json     back up projects
    python -I mlflow_entry.py restore REQUEST.json    bring back a backup
    python -I mlflow_entry.py rehearse REQUEST.json   try out a backup
    python -I mlflow_entry.py upgrade REQUEST.json    bring projects with data to the head revision
    python -I mlflow_entry.py import REQUEST.json     bring a folder, a file or a server's content into projects
    python -I mlflow_entry.py gc REQUEST.json         remove for good what was deleted
    python -I mlflow_entry.py prove REQUEST.json      log a run through each of some servers
    python -I mlflow_entry.py packages LOCK.txt       refuse packages of a user's that lack what they require
    python -I mlflow_entry.py survey                  print what docker/mlflow.json has to hold
    python -I mlflow_entry.py warm                    import, and so compile, what a server needs

`mlflow server` starts four uvicorn workers, a job runner, and stays alive itself as
one more copy of everything. Here uvicorn serves MLflow's own ASGI application in this
very process: a fifth of the memory and of the time to the first answer. What the
command-line wrapper hands to the application travels in environment variables; their
names are read from MLflow's own constants. A test compares the behavior with
`mlflow server` for the pinned version and the one before it.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from . import (
    aws,
    broker,
    environment,
    errors,
    health,
    installation,
    jobs,
    migrate_all,
    private,
    revisions,
    server,
    settings,
    verification,
)
from .errors import EntryError, say


def main(arguments: list[str]) -> int:
    """Run one verb; an error becomes one line on standard error."""
    verb, *rest = arguments or ["help"]
    if verb not in _OF_A_SERVER:
        environment.keep_clean()
    # MLflow reads some of them when it is imported, and its migration scripts import it.
    os.environ.update(environment.LEAN_DEFAULTS)
    try:
        _require_own_mlflow(verb)
        if verb in _WITH_FILE and len(rest) == 1:
            return _WITH_FILE[verb](Path(rest[0])) or 0
        if verb not in _ALONE or rest:
            raise EntryError(
                f"Usage: mlflow_entry.py {' | '.join(_WITH_FILE)} FILE, or {' | '.join(_ALONE)}"
            )
        _ALONE[verb]()
    except EntryError as error:
        say(str(error))
        return 2
    return 0


def _require_own_mlflow(verb: str) -> None:
    """Refuse another MLflow than this Python's own before anything loads it, and log which it is."""
    if verb not in _WITHOUT_MLFLOW:
        loaded = installation.require_own_mlflow()
        if verb in _LOGGED:
            # Not by say(): the last thing that it says is taken for the reason of a failure.
            print(f"{errors.NAME} loads {loaded}.", file=sys.stderr, flush=True)


def _health(path: Path) -> int:
    """Ask the running server for its database, and the broker for its credentials; 0 if all is well."""
    given = settings.read(path)
    return health.health(given, path) or broker.health(given)


def _credentials(path: Path) -> None:
    """Print the credentials of the project's role, as a credential_process does."""
    print(aws.credentials(settings.read(path), path))


def _migrate_all(path: Path) -> None:
    """Bring all MySQL schemas of the request to the head revision, several at once."""
    with private.private_folder(path) as folder:
        migrate_all.migrate_all(settings.read(path), path, folder)


def _data(verb: str, path: Path) -> None:
    """Do what a verb says with the data of the request's projects."""
    # A server needs none of it.
    from .data import verbs

    verbs.VERBS[verb](path)


def _migrate() -> None:
    """Bring the database named on standard input to the head revision."""
    revisions.migrate(settings.requested_uri(sys.stdin))


def _packages(path: Path) -> None:
    """Refuse packages of a user's that lack what they require."""
    # Loads what is installed with MLflow, while some verbs run without it.
    from . import packages

    packages.require(path)


def _describe() -> None:
    """Print what the installed MLflow is."""
    print(json.dumps(revisions.describe()))


def _survey() -> None:
    """Print what docker/mlflow.json has to hold."""
    print(json.dumps(revisions.survey(), indent=2))


def _warm() -> None:
    """Import what a server and a migration need, so that their bytecode is written once."""
    for module in (
        "uvicorn",
        "alembic.command",
        "mlflow.store.db.utils",
        "mlflow.server.fastapi_app",
        "mlflow.server.prometheus_exporter",
    ):
        importlib.import_module(module)


_WITHOUT_MLFLOW = ("credentials", "health", "help")
# What these verbs load is in the log.
_LOGGED = ("migrate", "migrate-all", "serve")
# What becomes of projects' data, see data/verbs.py.
_OF_DATA = ("info", "backup", "restore", "rehearse", "upgrade", "import", "gc")
# These have the environment that their server has; migrate-all calls AWS, by the host's identity.
_OF_A_SERVER = ("serve", "check", "health", "credentials", "job", "jobs", "migrate-all", *_OF_DATA)
_WITH_FILE: dict[str, Callable[[Path], int | None]] = {
    "serve": server.serve,
    "check": server.check,
    "health": _health,
    "credentials": _credentials,
    "jobs": jobs.run,
    "job": jobs.run_one,
    "migrate-all": _migrate_all,
    **{verb: functools.partial(_data, verb) for verb in _OF_DATA},
    "prove": verification.prove,
    "packages": _packages,
}
_ALONE: dict[str, Callable[[], None]] = {
    "describe": _describe,
    "migrate": _migrate,
    "survey": _survey,
    "warm": _warm,
}
