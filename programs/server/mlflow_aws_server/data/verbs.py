# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of mlflow_entry.py that are about data: a request in, a line of JSON for each project out."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .. import aws, private, settings
from ..errors import EntryError
from . import backup, gc, info, projects, rehearse, restore, upgrade
from .projects import Project
from .repository import Repository

Record = dict[str, Any]
Request = dict[str, Any]


def project_info(path: Path) -> None:
    """Print the state of each project: `sums` and `objects` say how much is read."""

    def work(project: Project, request: Request) -> Record:
        found = projects.repository(request, project.name) if request.get("destination") else None
        sums, objects = bool(request.get("sums")), bool(request.get("objects"))
        return info.info(project, found, sums=sums, objects=objects)

    _each(path, work)


def make_backup(path: Path) -> None:
    """Back up each project, then remove what is beyond `keep` and `days`.

    With `final`, which comes before a removal, the backup is read whole.
    """

    def work(project: Project, request: Request) -> Record:
        repository = projects.repository(request, project.name)
        final = bool(request.get("final"))
        with project.exclusive("backup"):
            if final and not _has_schema(project):
                return _saved(backup.require_saved(project, repository), repository)
            made = backup.make(project, repository, version("mlflow"))
            if final:
                restore.check(repository, made.manifest)
            pruned = _prune(repository, request)
        found = made.manifest
        return {
            "backup": found.id,
            "place": repository.place.text(),
            "rows": sum(table.rows for table in found.tables.values()),
            "objects": found.objects,
            "bytes": found.object_bytes + found.stored_bytes,
            "copied": made.copied,
            "copied_bytes": made.copied_bytes,
            "removed": pruned,
            "seconds": round(made.seconds, 3),
        }

    _each(path, work)


def restore_backup(path: Path) -> None:
    """Restore into each project the backup `backup` of the project `source`, or the newest of its own.

    With `only_empty`, a project that holds runs is refused.
    """

    def work(project: Project, request: Request) -> Record:
        repository = projects.repository(request, request.get("source") or project.name)
        with project.exclusive("restore"):
            runs = restore.runs_of(project)
            if runs and request.get("only_empty"):
                raise EntryError(
                    f"Project '{project.name}' holds {runs} runs, which a restore replaces; to do so, pass "
                    f"confirm={project.name}, or restore into another project with into=NAME."
                )
            done = restore.restore(project, repository, str(request.get("backup") or ""))
        return {
            "backup": done.manifest.id,
            "rows": sum(table.rows for table in done.manifest.tables.values()),
            "objects": done.manifest.objects,
            "written": done.written,
            "written_bytes": done.written_bytes,
            "relocated": done.relocated,
            "previous": done.previous,
            "seconds": round(done.seconds, 3),
        }

    _each(path, work)


def rehearse_backup(path: Path) -> None:
    """Try out a backup of each project, the newest unless `backup` names one."""

    def work(project: Project, request: Request) -> Record:
        repository = projects.repository(request, project.name)
        scratch = projects.below_destination(request, rehearse.scratch_path(project.name))
        identifier = str(request.get("backup") or "")
        with project.exclusive("rehearsal"):
            done = rehearse.rehearse(project, repository, scratch, identifier)
        return {
            "backup": done.manifest.id,
            "rows": sum(table.rows for table in done.manifest.tables.values()),
            "objects": done.manifest.objects,
            "seconds": round(done.seconds, 3),
        }

    _each(path, work)


def upgrade_schemas(path: Path) -> None:
    """Bring each project's schema to the head revision, by a copy."""

    def work(project: Project, _request: Request) -> Record:
        with project.exclusive("upgrade"):
            done = upgrade.upgrade(project)
        return {
            "before": done.before,
            "after": done.after,
            "previous": done.previous,
            "seconds": done.seconds,
        }

    _each(path, work)


def collect_garbage(path: Path) -> None:
    """Tell what of each project goes for good, and what is orphaned; with `remove` and `remove_orphans` remove it.

    `retention_days` has the days by name.
    """

    def work(project: Project, request: Request) -> Record:
        repository = projects.repository(request, project.name)
        days = int(request["retention_days"][project.name])
        removes, orphans = bool(request.get("remove")), bool(request.get("remove_orphans"))
        if not removes:
            found = gc.look(project, repository, days)
            return {"removed": False, "orphans_removed": False, **gc.told(found)}
        with project.exclusive("gc"):
            found = gc.look(project, repository, days)
            error = gc.remove(project, repository, found, orphans=orphans)
        return {"removed": True, "orphans_removed": orphans, **gc.told(found), "error": error}

    _each(path, work)


def _has_schema(project: Project) -> bool:
    """Return whether a project has the tables of a revision."""
    if not project.database.exists():
        return False
    with project.database.glance() as snapshot:
        return bool(snapshot.revision())


def _saved(backup_id: str, repository: Repository) -> Record:
    """Return the record of a backup that was made earlier."""
    numbers = ("rows", "objects", "bytes", "copied", "copied_bytes", "seconds")
    made: Record = dict.fromkeys(numbers, 0)
    return {**made, "backup": backup_id, "place": repository.place.text(), "removed": []}


def _prune(repository: Repository, request: Request) -> list[str]:
    """Remove backups that need not be kept; returns their IDs."""
    keep, days = int(request.get("keep") or 0), int(request.get("days") or 0)
    return repository.prune(keep, days, time.time()).backups


def _each(path: Path, work: Callable[[Project, Request], Record]) -> None:
    """Do something with each project of the request in a file, and print what became of it."""
    with private.private_folder(path) as folder:
        request = settings.read(path)
        aws.use_identity(request.get("aws") or {}, path, folder)
        for project in projects.of(request, folder):
            print(json.dumps(_record(project, request, work)), flush=True)


def _record(
    project: Project, request: Request, work: Callable[[Project, Request], Record]
) -> Record:
    """Return the record of one project; an error becomes a sentence in it."""
    from pymysql.err import MySQLError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return {"name": project.name, "error": "", **work(project, request)}
    except EntryError as error:
        reason = str(error)
    except (MySQLError, SQLAlchemyError, sqlite3.Error) as error:
        text = " ".join(str(getattr(error, "orig", None) or error).split()).rstrip(".")
        reason = (
            f"The database of project '{project.name}' failed ({text}); correct that, then rerun."
        )
    except OSError as error:
        reason = (
            f"{error.filename or 'A file'} failed ({error.strerror}); correct that, then rerun."
        )
    return {"name": project.name, "error": reason}


VERBS: dict[str, Callable[[Path], None]] = {
    "info": project_info,
    "backup": make_backup,
    "restore": restore_backup,
    "rehearse": rehearse_backup,
    "upgrade": upgrade_schemas,
    "gc": collect_garbage,
}
