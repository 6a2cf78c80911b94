# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: classifies SQLite schemas and brings them to MLflow's head revision.

A schema is in one of these states:

    empty    no file, or no table in it
    current  at the head revision of the MLflow that will serve it
    behind   at an older revision of the same MLflow
    unknown  its revision cannot be judged, as MLflow is not installed yet (check mode only)

Everything else is refused and left as it is: a file that is no database, a database of
something else, a schema that a newer MLflow wrote.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import time
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import (
    commands,
    environ,
    files,
    interpreter,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.installation import (
    STAMP,
    read_stamp,
)

EMPTY, CURRENT, BEHIND, UNKNOWN = "empty", "current", "behind", "unknown"
_PREFIX = "sqlite:///"
# How programs/server/mlflow_entry.py begins the line about its MLflow.
_TOLD = "mlflow_entry loads "


class Revisions(t.NamedTuple):
    """What one MLflow knows: its head revision and all that lead there."""

    version: str
    head: str
    known: frozenset[str]


class Migrated(t.NamedTuple):
    """What a migration did: backups of older databases by project, and which MLflow it loaded."""

    backups: dict[str, str]
    mlflow: str


class Schema(t.NamedTuple):
    """One project's schema as it is."""

    name: str
    path: Path
    state: str
    revision: str


def read_revisions(entrypoint: str, *, check_mode: bool = False) -> Revisions | None:
    """Return what the runtime of this entry point told of itself; None where it is not installed."""
    told = read_stamp(Path(entrypoint).with_name(STAMP), check_mode=check_mode)
    if told is None:
        return None
    return Revisions(told["version"], told["head"], frozenset(told["revisions"]))


def classify(name: str, uri: str, revisions: Revisions | None) -> Schema:
    """Return the schema's state; raises MlflowError for one that must not be touched."""
    path = _sqlite_path(name, uri)
    try:
        tables, revision = _read(path)
    except sqlite3.OperationalError as error:
        raise MlflowError(
            f"Project '{name}': {path} cannot be opened ({error}): check its owner and mode, and that nothing "
            "else holds it, then run again; it was left as it is."
        ) from error
    except sqlite3.DatabaseError as error:
        raise MlflowError(
            f"Project '{name}': {path} cannot be read as an SQLite database ({error}): restore it from "
            "a backup, or move it away to start empty; it was left as it is."
        ) from error
    if not tables:
        return Schema(name, path, EMPTY, "")
    if not revision:
        raise MlflowError(
            f"Project '{name}': {path} holds tables but no MLflow schema: move it away or rename the "
            "project; it was left as it is."
        )
    if revisions is None:
        return Schema(name, path, UNKNOWN, revision)
    if revision == revisions.head:
        return Schema(name, path, CURRENT, revision)
    if revision in revisions.known:
        return Schema(name, path, BEHIND, revision)
    raise MlflowError(
        f"Project '{name}': the schema in {path} is at revision {revision}, which MLflow "
        f"{revisions.version} does not know, so a newer MLflow wrote it: use the collection release "
        "that carries that MLflow; the file was left as it is."
    )


def migrate(
    schemas: t.Sequence[Schema], revisions: Revisions, python: str, entrypoint: str, timeout: float
) -> Migrated:
    """Bring empty and older schemas to the head; returns the backups of the older ones.

    A database is migrated as a copy that takes the original's place when it is complete, so
    that a run killed at any moment leaves the original; the original of an older schema stays
    beside it as its backup. The servers of older schemas must have been stopped.
    """
    migration = _Migration(python, entrypoint, revisions, timeout)
    backups: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        for schema in sorted(schemas, key=lambda item: str(item.path)):
            lock = schema.path.with_name(f".{schema.path.name}.lock")
            stack.enter_context(
                files.exclusive(lock, timeout, f"migrating project '{schema.name}'")
            )
        again = [classify(schema.name, _PREFIX + str(schema.path), revisions) for schema in schemas]
        for schema in again:
            if schema.state == BEHIND:
                _require_sound(schema)
        empty = [schema for schema in again if schema.state == EMPTY]
        if empty:
            _create(empty, migration)
        for schema in again:
            if schema.state == BEHIND:
                backups[schema.name] = str(_upgrade(schema, migration))
    return Migrated(backups, migration.loaded)


class _Migration:
    """One MLflow that migrates, and what it said of where it was loaded from."""

    def __init__(self, python: str, entrypoint: str, revisions: Revisions, timeout: float) -> None:
        self._program = (python, entrypoint)
        self._revisions = revisions
        self._timeout = timeout
        self.loaded = ""

    def run(self, path: Path) -> None:
        """Migrate the database of a file, and make sure that this MLflow will serve it."""
        request = json.dumps({"uri": _PREFIX + str(path)})
        log = _entry(*self._program, "migrate", request, self._timeout).splitlines()
        told = [line[len(_TOLD) :] for line in log if line.startswith(_TOLD)]
        self.loaded = (told or [""])[0].rstrip(".")
        _tables, revision = _read(path)
        if revision != self._revisions.head:
            raise MlflowError(
                f"{self.loaded or 'MLflow'} made a schema of revision {revision or 'none'} instead of "
                f"{self._revisions.head}, which MLflow {self._revisions.version} needs: remove the folder "
                f"{Path(self._program[1]).parent} and run the deploy playbook, which installs it again; the "
                "databases were left as they were."
            )


def _create(schemas: t.Sequence[Schema], migration: _Migration) -> None:
    """Make new databases: MLflow's migrations run once, for a file that is then copied."""
    folder = schemas[0].path.with_name(".new")
    # A killed run may have left it.
    shutil.rmtree(folder, ignore_errors=True)
    files.make_folder(folder)
    try:
        template = folder / schemas[0].path.name
        migration.run(template)
        # The one beside the template last: while it is empty, the next run clears the template away.
        for schema in reversed(schemas):
            copy = _working_copy(schema.path)
            shutil.copyfile(template, copy)
            _put_in_place(copy, schema.path)
    finally:
        shutil.rmtree(folder)


def _upgrade(schema: Schema, migration: _Migration) -> Path:
    """Migrate a copy of an older database, keep the original as backup; returns its path."""
    copy = _working_copy(schema.path)
    with _connection(schema.path) as source, _connection(copy) as target:
        source.backup(target)
    try:
        migration.run(copy)
    except MlflowError as error:
        copy.unlink()
        raise MlflowError(f"Project '{schema.name}': {error}") from error
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    backup = schema.path.with_name(f"{schema.path.name}.{schema.revision}.{stamp}.bak")
    os.link(schema.path, backup)
    _put_in_place(copy, schema.path)
    return backup


def _require_sound(schema: Schema) -> None:
    """Refuse a database that SQLite finds damaged, before any other is touched."""
    try:
        with _connection(schema.path) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        problem = " ".join(found.split())
    except sqlite3.DatabaseError as error:
        problem = str(error)
    if problem != "ok":
        raise MlflowError(
            f"Project '{schema.name}': {schema.path} is damaged ({problem}): restore it from a backup; "
            "it was left as it is."
        )


def _working_copy(path: Path) -> Path:
    """Return the path beside a database where its successor is made, free of leftovers."""
    copy = path.with_name(f"{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        copy.unlink()
    return copy


def _put_in_place(copy: Path, path: Path) -> None:
    """Let a complete file take the database's place, durably."""
    copy.chmod(files.PRIVATE_FILE)
    with copy.open("rb") as stream:
        os.fsync(stream.fileno())
    os.replace(copy, path)


def _connection(path: Path) -> contextlib.closing[sqlite3.Connection]:
    """Open a database; connect() alone would not close it at the end of a block."""
    return contextlib.closing(sqlite3.connect(str(path), timeout=10))


def _read(path: Path) -> tuple[set[str], str]:
    """Return the database's tables and its Alembic revision."""
    # connect() would create the file.
    if not path.exists():
        return set(), ""
    with _connection(path) as connection:
        tables = {
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        if "alembic_version" not in tables:
            return tables, ""
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return tables, str(row[0]) if row else ""


def _sqlite_path(name: str, uri: str) -> Path:
    """Return the file of an SQLite URI."""
    if not uri.startswith(_PREFIX + "/"):
        raise MlflowError(
            f"Project '{name}': the URI of its database is neither an SQLite file with an absolute path "
            "(sqlite:////PATH) nor mysql+pymysql://...: pass the URI that the backend record gives."
        )
    return Path(uri[len(_PREFIX) :])


def _entry(python: str, entrypoint: str, verb: str, request: str, timeout: float) -> str:
    """Run mlflow_entry.py and return what it logged."""
    answer = commands.run(
        interpreter.isolated(python, entrypoint, verb),
        timeout,
        f"MLflow's {verb} did not end well",
        "run again, or raise the timeout",
        text=request,
        environment=environ.clean(),
        # Keeps the locks while MLflow still writes, should this process be killed.
        keep_locks=True,
    )
    if answer.code != 0:
        raise MlflowError(
            f"MLflow's {verb} failed: {answer.reason}: the databases were left as they were."
        )
    return answer.errors
