# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: brings SQLite schemas to MLflow's head revision."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
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
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sqlite_files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.revisions import (
    BEHIND,
    EMPTY,
    Revisions,
    revisions_of,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.sqlite_files import (
    PREFIX,
    SqliteSchema,
    classify,
)

# How programs/server/mlflow_entry.py begins the line about its MLflow.
_LOADED = "mlflow_entry loads "


class Migrated(t.NamedTuple):
    """What a migration did: backups of older databases by project, and which MLflow it loaded."""

    backups: dict[str, str]
    mlflow: str


def run(
    items: t.Sequence[t.Mapping[str, str]],
    python: str,
    entrypoint: str,
    timeout: float,
    *,
    check_mode: bool,
) -> dict[str, t.Any]:
    """Return the module's result; items have name and uri of each schema.

    Classifies all schemas, then migrates those that need it; in check mode only says how.
    """
    if not entrypoint:
        raise MlflowError(
            "SQLite schemas need an MLflow that is installed on the host; set mlflow_server_runtime to "
            "process."
        )
    revisions = read_revisions(entrypoint, check_mode=check_mode)
    schemas = [classify(item["name"], item["uri"], revisions) for item in items]
    todo = [schema for schema in schemas if schema.state in (EMPTY, BEHIND)]
    done = Migrated({}, "")
    if todo and not check_mode:
        if revisions is None:
            raise MlflowError(f"No MLflow is installed at {python}; run the deploy playbook.")
        done = migrate(todo, revisions, python, entrypoint, timeout)
    head = revisions.head if revisions else ""
    records = [
        {
            "name": schema.name,
            "state": schema.state,
            "revision": schema.revision,
            "head": head,
            "backup": done.backups.get(schema.name, ""),
        }
        for schema in schemas
    ]
    before = {schema.name: schema.revision for schema in todo}
    after = {schema.name: head or "the head revision" for schema in todo}
    return {
        "changed": bool(todo),
        "schemas": records,
        "mlflow": done.mlflow,
        "diff": {"before": before, "after": after},
    }


def read_revisions(entrypoint: str, *, check_mode: bool = False) -> Revisions | None:
    """Return what the MLflow of this entry point knows; None if it is not installed."""
    stamp = Path(entrypoint).with_name(STAMP)
    revisions = revisions_of(read_stamp(stamp, check_mode=check_mode))
    # The numbers of tables are those of MySQL.
    return revisions._replace(tables={}) if revisions else None


def migrate(
    schemas: t.Sequence[SqliteSchema],
    revisions: Revisions,
    python: str,
    entrypoint: str,
    timeout: float,
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
        again = [classify(schema.name, PREFIX + str(schema.path), revisions) for schema in schemas]
        older = [schema for schema in again if schema.state == BEHIND]
        for schema in older:
            sqlite_files.require_sound(schema)
        empty = [schema for schema in again if schema.state == EMPTY]
        if empty:
            _create(empty, migration)
        for schema in older:
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
        request = json.dumps({"uri": PREFIX + str(path)})
        log = _entry(*self._program, "migrate", request, self._timeout).splitlines()
        told = [line[len(_LOADED) :] for line in log if line.startswith(_LOADED)]
        self.loaded = (told or [""])[0].rstrip(".")
        _tables, revision = sqlite_files.read(path)
        if revision != self._revisions.head:
            raise MlflowError(
                f"{self.loaded or 'MLflow'} created a schema of revision {revision or 'none'} instead of "
                f"{self._revisions.head}, which MLflow {self._revisions.version} needs; remove the folder "
                f"{Path(self._program[1]).parent} and run the deploy playbook, which installs it again. "
                "The databases were not changed."
            )


def _create(schemas: t.Sequence[SqliteSchema], migration: _Migration) -> None:
    """Create new databases: MLflow's migrations run once, for a file that is then copied."""
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


def _upgrade(schema: SqliteSchema, migration: _Migration) -> Path:
    """Migrate a copy of an older database, keep the original as backup; returns its path."""
    copy = _working_copy(schema.path)
    with sqlite_files.connection(schema.path) as source, sqlite_files.connection(copy) as target:
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


def _entry(python: str, entrypoint: str, verb: str, request: str, timeout: float) -> str:
    """Run mlflow_entry.py and return what it logged."""
    answer = commands.run(
        interpreter.isolated(python, entrypoint, verb),
        timeout,
        f"MLflow's {verb} failed",
        "rerun, or raise the timeout",
        text=request,
        environment=environ.clean(),
        # Keeps the locks while MLflow still writes, should this process be killed.
        keep_locks=True,
    )
    if answer.code != 0:
        raise MlflowError(
            f"MLflow's {verb} failed ({answer.reason}). The databases were not changed."
        )
    return answer.errors
