# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: reads and classifies SQLite schemas, which looking never changes.

Refused, and not touched: a file that is not a database, a database of something else, a
schema that a newer MLflow wrote.
"""

from __future__ import annotations

import contextlib
import sqlite3
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.revisions import (
    HALF,
    UNKNOWN,
    Revisions,
    state_of,
)

PREFIX = "sqlite:///"


class SqliteSchema(t.NamedTuple):
    """One project's schema as it is."""

    name: str
    path: Path
    state: str
    revision: str


def classify(name: str, uri: str, revisions: Revisions | None) -> SqliteSchema:
    """Return the schema's state; raises MlflowError for one that must not be touched."""
    path = _sqlite_path(name, uri)
    tables, revision = _checked(name, path)
    state = state_of(len(tables), revision, revisions)
    if state == HALF:
        raise MlflowError(
            f"Project '{name}': {path} holds tables but no MLflow schema; move it away or rename the "
            "project. The file was not changed."
        )
    if state == UNKNOWN and revisions is not None:
        raise MlflowError(
            f"Project '{name}': the schema in {path} is at revision {revision}, which MLflow "
            f"{revisions.version} does not know, so a newer MLflow wrote it; use the collection release "
            "that carries that MLflow. The file was not changed."
        )
    return SqliteSchema(name, path, state, revision)


def require_sound(schema: SqliteSchema) -> None:
    """Refuse a database that SQLite finds damaged, before any other is touched."""
    try:
        with connection(schema.path) as opened:
            (found,) = opened.execute("PRAGMA quick_check(1)").fetchone()
        problem = " ".join(found.split())
    except sqlite3.DatabaseError as error:
        problem = str(error)
    if problem != "ok":
        raise MlflowError(
            f"Project '{schema.name}': {schema.path} is damaged ({problem}); restore it from a backup. "
            "The file was not changed."
        )


def connection(path: Path) -> contextlib.closing[sqlite3.Connection]:
    """Open a database; connect() alone would not close it at the end of a block."""
    return contextlib.closing(sqlite3.connect(str(path), timeout=10))


def read(path: Path) -> tuple[set[str], str]:
    """Return the database's tables and its Alembic revision."""
    # connect() would create the file.
    if not path.exists():
        return set(), ""
    with connection(path) as opened:
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        tables = {row[0] for row in opened.execute(query)}
        if "alembic_version" not in tables:
            return tables, ""
        row = opened.execute("SELECT version_num FROM alembic_version").fetchone()
        return tables, str(row[0]) if row else ""


def _checked(name: str, path: Path) -> tuple[set[str], str]:
    """Return tables and revision of a project's file; refuse one that cannot be read."""
    try:
        return read(path)
    except sqlite3.OperationalError as error:
        raise MlflowError(
            f"Project '{name}': {path} cannot be opened ({error}); check its owner and mode, and that "
            "nothing else holds it, then rerun. The file was not changed."
        ) from error
    except sqlite3.DatabaseError as error:
        raise MlflowError(
            f"Project '{name}': {path} cannot be read as an SQLite database ({error}); restore it from "
            "a backup, or move it away to start empty. The file was not changed."
        ) from error


def _sqlite_path(name: str, uri: str) -> Path:
    """Return the file of an SQLite URI."""
    if not uri.startswith(PREFIX + "/"):
        raise MlflowError(
            f"Project '{name}': the URI of its database is not an SQLite file with an absolute path "
            "(sqlite:////PATH); pass the URI of the backend record."
        )
    return Path(uri[len(PREFIX) :])
