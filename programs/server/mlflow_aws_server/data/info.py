# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a project: what it holds, in numbers and, if asked for, checksums."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from ..errors import EntryError
from ..revisions import known_head
from .content import COUNTED, checksums
from .mysql_database import MysqlDatabase
from .places import Place
from .projects import Project
from .repository import Repository
from .tables import Snapshot

# Beside a project's backups; written by `rehearse`.
REHEARSAL = "rehearsal.json"


def info(
    project: Project, repository: Repository | None, *, sums: bool, objects: bool
) -> dict[str, Any]:
    """Return the state of a project.

    sums: whether to read all rows for checksums; objects: whether to list the artifacts.
    """
    database = project.database
    found: dict[str, Any] = {
        "engine": database.engine,
        "revision": "",
        "head": known_head().revision,
        "counts": {},
        "checksums": {},
        "connections": _connections(project),
    }
    if database.exists():
        # Without checksums a handful of queries are read, for which no copy is worth its time.
        with database.snapshot() if sums else database.glance() as snapshot:
            found["revision"] = snapshot.revision()
            found["counts"] = counts(snapshot)
            found["deleted"] = _deleted(snapshot)
            if sums:
                found["checksums"] = checksums(snapshot)
    found["artifacts"] = _artifacts(project.artifacts) if objects else None
    found["backup"] = _backup(repository) if repository else None
    found["rehearsal"] = rehearsal(repository) if repository else None
    return found


def counts(snapshot: Snapshot) -> dict[str, int]:
    """Return how many rows each kind of object has, in one query."""
    there = {table.name for table in snapshot.tables()}
    chosen = {name: table for name, table in COUNTED.items() if table in there}
    if not chosen:
        return {}
    parts = [f"SELECT '{name}', COUNT(*) FROM {table}" for name, table in chosen.items()]
    return {name: int(number) for name, number in snapshot.fetch(" UNION ALL ".join(parts))}


def _deleted(snapshot: Snapshot) -> dict[str, int]:
    """Return how many experiments and runs are deleted, and could be restored."""
    if "runs" not in {table.name for table in snapshot.tables()}:
        return {}
    where = "WHERE lifecycle_stage = 'deleted'"
    query = (
        f"SELECT 'experiments', COUNT(*) FROM experiments {where} "
        f"UNION ALL SELECT 'runs', COUNT(*) FROM runs {where}"
    )
    return {name: int(number) for name, number in snapshot.fetch(query)}


def _connections(project: Project) -> list[dict[str, Any]]:
    """Return who is connected to the project's schema, as far as its user sees them."""
    database = project.database
    if not isinstance(database, MysqlDatabase):
        return []
    return database.connections()


def _artifacts(place: Place) -> dict[str, int]:
    """Return number and bytes of the artifacts."""
    number = size = 0
    for entry in place.entries():
        number += 1
        size += entry.size
    return {"objects": number, "bytes": size}


def _backup(repository: Repository) -> dict[str, Any] | None:
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


def rehearsal(repository: Repository) -> dict[str, Any] | None:
    """Return when a backup was last tried out, and how that went."""
    if not repository.place.exists(REHEARSAL):
        return None
    with contextlib.suppress(ValueError, EntryError):
        found: dict[str, Any] = json.loads(b"".join(repository.place.read(REHEARSAL)))
        return found
    return None
