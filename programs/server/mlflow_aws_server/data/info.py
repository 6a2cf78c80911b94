# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of projects: what they hold, in numbers and, if asked for, checksums.

Each project is read by itself, several at once, and each of its parts too: where the database does not
answer, its artifacts and backups are told all the same.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .. import mysql
from ..aws import s3_client
from ..errors import EntryError
from ..revisions import Head, recorded_head
from ..schema_state import VERSIONS
from . import places, projects
from .content import COUNTED, core
from .places import Place
from .repository import Repository
from .tables import Outline, checksums

# Projects that are read at once: each has one connection to the database, for a moment.
AT_ONCE = 16
# Beside a project's backups; written by `rehearse`.
REHEARSAL = "rehearsal.json"
# What a schema is: at the revision that this MLflow needs, before it, of a newer MLflow or half made.
CURRENT, OLDER, FOREIGN, EMPTY, UNREAD = "current", "older", "foreign", "empty", "unread"
_COUNT, _DELETED, _REVISION = "count", "deleted", "revision"
# What can be deleted and restored.
_STAGED = ("experiments", "runs")

Record = dict[str, Any]


class Question(NamedTuple):
    """What is read of each project.

    sums: all rows, for checksums; objects: the list of artifacts; database: whether it is asked at all;
    patience: the seconds that it has to wake up, and for each answer.
    """

    sums: bool
    objects: bool
    database: bool
    patience: float | None


def info(given: Record, request: Record, folder: Path) -> Record:
    """Return the state of one project of a request; folder is private, for its credentials."""
    question = Question(
        bool(request.get("sums")),
        bool(request.get("objects")),
        bool(request.get("database", True)),
        request.get("patience"),
    )
    aws, name = request.get("aws") or {}, str(given["name"])
    found: Record = {
        "engine": "",
        "schema": UNREAD,
        "revision": "",
        "head": _head().revision,
        "counts": {},
        "deleted": {},
        "checksums": {},
        "database_bytes": 0,
        "connections": [],
        "artifacts": None,
        "backup": None,
        "rehearsal": None,
    }
    problems = []

    def read(part: Callable[[], Record]) -> None:
        try:
            found.update(part())
        except EntryError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(
                f"Project '{name}': {error.filename or 'a file'} cannot be read ({error.strerror}); correct "
                "that, then rerun."
            )

    if given["backend_store_uri"] and question.database:
        read(lambda: _database(given, aws, folder, question))
    if question.objects:
        place = functools.partial(places.at, given["artifacts_destination"], lambda: s3_client(aws))
        read(lambda: {"artifacts": _artifacts(place())})
    if request.get("destination"):
        repository = projects.repository(request, name)
        read(lambda: {"backup": _backup(repository)})
        read(lambda: {"rehearsal": rehearsal(repository)})
    return {**found, "error": " ".join(problems)}


def _database(given: Record, aws: Record, folder: Path, question: Question) -> Record:
    """Return what the database of a project tells; raises EntryError with a sentence of its own."""
    import sqlite3

    from pymysql.err import MySQLError

    try:
        project = projects.one(given, aws, folder, question.patience)
        with project.database.outline() as outline:
            found = {"engine": project.database.engine, **_outlined(outline)}
        if question.sums and found["counts"]:
            with project.database.snapshot() as snapshot:
                found["checksums"] = checksums(snapshot, core(snapshot.tables()))
    except MySQLError as error:
        uri = str(given["backend_store_uri"])
        reason = mysql.sentence(error, uri, given["database"])
        raise EntryError(f"Project '{given['name']}': {reason}") from error
    except sqlite3.Error as error:
        raise EntryError(
            f"The database of project '{given['name']}' failed ({error}); correct that, then rerun."
        ) from error
    return found


def _outlined(outline: Outline) -> Record:
    """Return revision, numbers and connections of a database, by three queries."""
    there, size = outline.tables()
    connections = outline.connections()
    queries = [
        f"SELECT '{_COUNT}', '{name}', COUNT(*) FROM {outline.table(table)}"
        for name, table in COUNTED.items()
        if table in there
    ]
    queries += [
        f"SELECT '{_DELETED}', '{name}', COUNT(*) FROM {outline.table(name)} "
        "WHERE lifecycle_stage = 'deleted'"
        for name in _STAGED
        if name in there
    ]
    if VERSIONS in there:
        queries.append(f"SELECT '{_REVISION}', version_num, 0 FROM {outline.table(VERSIONS)}")
    rows = outline.fetch(" UNION ALL ".join(queries)) if queries else []
    revisions = [str(value) for kind, value, _number in rows if kind == _REVISION]
    return {
        "schema": _state(there, max(revisions, default="")),
        "revision": max(revisions, default=""),
        "counts": {name: int(number) for kind, name, number in rows if kind == _COUNT},
        "deleted": {name: int(number) for kind, name, number in rows if kind == _DELETED},
        "database_bytes": size,
        "connections": connections,
    }


def _state(there: set[str], revision: str) -> str:
    """Return what a schema is for this MLflow."""
    if not there:
        return EMPTY
    if revision == _head().revision:
        return CURRENT
    return OLDER if revision in _head().known else FOREIGN


@functools.cache
def _head() -> Head:
    """Return what this MLflow knows of revisions."""
    return recorded_head()


def _artifacts(place: Place) -> dict[str, int]:
    """Return number and bytes of the artifacts."""
    number = size = 0
    for entry in place.entries():
        number += 1
        size += entry.size
    return {"objects": number, "bytes": size}


def _backup(repository: Repository) -> Record | None:
    """Return what is known of the newest backup."""
    newest = repository.newest()
    if not newest:
        return None
    found = repository.manifest(newest)
    return {
        "id": found.id,
        "created": found.created,
        "age": max(0, int(time.time()) - found.created),
        "bytes": found.stored_bytes + found.object_bytes,
        "mlflow": found.mlflow,
        "revision": found.revision,
        "encrypted": bool(found.sealed),
    }


def rehearsal(repository: Repository) -> Record | None:
    """Return when a backup was last tried out, and how that went."""
    if not repository.place.exists(REHEARSAL):
        return None
    with contextlib.suppress(ValueError, EntryError):
        found: Record = json.loads(b"".join(repository.place.read(REHEARSAL)))
        return found
    return None
