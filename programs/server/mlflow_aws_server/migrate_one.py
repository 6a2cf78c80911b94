# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring one MySQL schema to the head revision, under its lock; runs in a process of its own.

An empty schema is migrated where it is. Of one with data a copy is, which takes its place: see
data/upgrade.py. A MySQL lock named after the schema makes two migrations of one schema wait for
each other; the one that waited looks again.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from . import mysql, revisions
from .data import projects, upgrade
from .data.places import Folder
from .errors import EntryError
from .option_file import OptionFile
from .schema_state import (
    BEHIND,
    CURRENT,
    EMPTY,
    HALF,
    LOCK,
    VERSIONS,
    Found,
    Grants,
    classify,
    refusal,
    require_fit,
)

# A migration is about the database alone.
_NO_ARTIFACTS = Folder(Path("/nonexistent"))
# Rows that MLflow's migrations write themselves.
_OWN_ROWS = {VERSIONS: "TRUE", "workspaces": "`name` = 'default'"}
# Table, column, key or constraint exists already; the like is missing; no such table, column.
BROKEN_OFF = (1050, 1060, 1061, 1826, 1091, 1051, 1054, 1146, 3822, 3940)


class Job(NamedTuple):
    """One schema of the request, as a process gets it: everything but the password."""

    name: str
    uri: str
    database: dict[str, Any]
    folder: Path
    deadline: float
    repair: bool
    aws: dict[str, Any]


def work(job: Job, sender: Any) -> None:
    """Migrate one schema and send what was found and done."""
    # An interrupt of the whole should not break off a migration that can still end well.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Standard output is for the records.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    from alembic.util import CommandError
    from pymysql.err import MySQLError
    from sqlalchemy.exc import SQLAlchemyError

    record: dict[str, Any] = {}
    try:
        _migrate(job, record)
    except EntryError as error:
        record["error"] = str(error)
    except (CommandError, MySQLError, OSError, SQLAlchemyError) as error:
        record["error"] = _sentence(error, job)
    with contextlib.suppress(BrokenPipeError):
        sender.send(record)


def _migrate(job: Job, record: dict[str, Any]) -> None:
    """Bring one schema to the head, under its lock; fills in the record."""
    option_file = OptionFile(job.database, job.aws, job.folder)
    seconds = max(1.0, min(mysql.limit(mysql.WAIT), job.deadline - time.time()))
    connection = mysql.wait_awake(lambda: option_file.connect(job.uri), job.uri, seconds)
    schema = urlsplit(job.uri).path.strip("/")
    head = revisions.known_head()
    with contextlib.closing(connection), connection.cursor() as cursor:
        _lock(cursor, schema, job.deadline)
        found = _read(cursor, schema)
        state = classify(found, head)
        record.update(state=state, before=found.revision, after=found.revision)
        if state == CURRENT:
            return
        if state == HALF and job.repair:
            _empty(cursor, found)
            record["repaired"], found = True, _read(cursor, schema)
        elif state not in (EMPTY, BEHIND):
            raise EntryError(refusal(state, found, head))
        require_fit(schema, found, _grants(cursor, schema))
        if state == BEHIND:
            upgrade.upgrade(projects.in_mysql(job.name, job.uri, option_file, _NO_ARTIFACTS))
        else:
            option_file.attend()
            revisions.migrate(option_file.uri(job.uri, bounded=False))
        found = _read(cursor, schema)
        record["after"] = found.revision
        if classify(found, head) != CURRENT:
            raise EntryError(
                f"MLflow left the schema {schema} at revision {found.revision or 'none'} with "
                f"{len(found.tables)} tables; restore it from a backup, or empty it."
            )


def _lock(cursor: Any, schema: str, deadline: float) -> None:
    """Take the schema's lock, which the database releases when the connection ends."""
    name = LOCK.format(schema=schema)
    seconds = max(0, math.floor(deadline - time.time()))
    cursor.execute("SELECT GET_LOCK(%s, %s)", (name, seconds))
    if cursor.fetchone()[0] == 1:
        return
    cursor.execute(
        "SELECT id, user, host FROM information_schema.processlist WHERE id = IS_USED_LOCK(%s)",
        (name,),
    )
    holder = cursor.fetchone()
    who = "connection {} of {} from {}".format(*holder) if holder else "another connection"
    raise EntryError(
        f"Another run is migrating the schema {schema} ({who} holds the lock {name!r}); wait for it, "
        "then rerun."
    )


def _read(cursor: Any, schema: str) -> Found:
    """Read the schema's tables, revisions and collation."""
    cursor.execute(
        "SELECT table_name, table_collation FROM information_schema.tables "
        "WHERE table_schema = %s AND table_type = 'BASE TABLE'",
        (schema,),
    )
    tables = dict(cursor.fetchall())
    cursor.execute(
        "SELECT default_collation_name FROM information_schema.schemata WHERE schema_name = %s",
        (schema,),
    )
    (collation,) = cursor.fetchone()
    versions: list[str] = []
    if VERSIONS in tables:
        cursor.execute(f"SELECT version_num FROM `{VERSIONS}`")
        versions = [row[0] for row in cursor.fetchall()]
    return Found(tables, versions, collation)


def _grants(cursor: Any, schema: str) -> Grants:
    """Read what this connection's user may do in the schema."""
    cursor.execute(
        "SELECT CURRENT_USER(), CURRENT_ROLE(), @@GLOBAL.log_bin, "
        "@@GLOBAL.log_bin_trust_function_creators"
    )
    user, role, logged, trusted = cursor.fetchone()
    name, _at, host = user.rpartition("@")
    cursor.execute(
        "SELECT privilege_type FROM information_schema.user_privileges WHERE grantee = %s "
        "UNION SELECT privilege_type FROM information_schema.schema_privileges "
        "WHERE grantee = %s AND %s LIKE table_schema",
        (f"'{name}'@'{host}'", f"'{name}'@'{host}'", schema),
    )
    held = frozenset(row[0] for row in cursor.fetchall())
    return Grants(user, role, held, bool(logged), bool(trusted))


def _empty(cursor: Any, found: Found) -> None:
    """Drop the tables of a schema to which nothing but migrations has written."""
    names = {table: table.replace("`", "``") for table in sorted(found.tables)}
    for table, quoted in names.items():
        own = _OWN_ROWS.get(table, "FALSE")
        cursor.execute(f"SELECT 1 FROM `{quoted}` WHERE NOT ({own}) LIMIT 1")
        if cursor.fetchone():
            raise EntryError(
                f"The schema is half-migrated and holds data (in the table {table}), so it is not "
                "emptied; restore it from a backup or snapshot."
            )
    cursor.execute("SET SESSION foreign_key_checks = 0")
    cursor.execute("DROP TABLE " + ", ".join(f"`{quoted}`" for quoted in names.values()))


def _sentence(error: Exception, job: Job) -> str:
    """Return why a migration broke off, and what to do."""
    number, text = mysql.reason(error)
    if number in BROKEN_OFF:
        return (
            f"An earlier migration broke off half way (error {number}: {text}); restore the schema "
            "from a snapshot, or repair it if it holds no data yet."
        )
    if number:
        return mysql.sentence(error, job.uri, job.database)
    return f"MLflow's migration failed ({type(error).__name__}: {text}); see the log above."
