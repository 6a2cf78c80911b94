# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of mlflow_entry.py that are about data: a request in, a line of JSON for each project out."""

from __future__ import annotations

import contextlib
import functools
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .. import aws, private, settings
from ..errors import EntryError
from . import backup, gc, importing, info, parallel, progress, projects, rehearse, restore, upgrade
from .projects import Project
from .repository import Repository

Record = dict[str, Any]
Request = dict[str, Any]


def project_info(path: Path) -> None:
    """Print the state of each project, several at once: `sums` and `objects` say how much is read."""
    with _opened(path) as (request, folder):
        mlflow = version("mlflow")

        def work(numbered: tuple[int, Record]) -> Record:
            number, given = numbered
            found = info.info(given, request, folder / str(number))
            return {"name": given["name"], "mlflow": mlflow, **found}

        for record in parallel.each(info.AT_ONCE, work, enumerate(request["projects"])):
            print(json.dumps(record), flush=True)


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
            found = made.manifest
            if final:
                restore.check(repository, found, project.artifacts)
            pruned = _prune(repository, request, found.id)
        return {
            "backup": found.id,
            "place": repository.place.text(),
            "rows": found.rows,
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
            # A database that cannot be read any more is one that a restore is for.
            runs = restore.runs_of(project) if request.get("only_empty") else 0
            if runs:
                raise EntryError(
                    f"Project '{project.name}' holds {runs} runs, which a restore replaces; to do so, pass "
                    f"confirm={project.name}, or restore into another project with into=NAME."
                )
            done = restore.restore(project, repository, str(request.get("backup") or ""))
        return {
            "backup": done.manifest.id,
            "rows": done.manifest.rows,
            "objects": done.manifest.objects,
            "written": done.written,
            "written_bytes": done.written_bytes,
            "relocated": done.relocated,
            "disabled_webhooks": done.lost.webhooks,
            "lost_secrets": done.lost.secrets,
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
            "rows": done.manifest.rows,
            "objects": done.manifest.objects,
            "seconds": round(done.seconds, 3),
        }

    _each(path, work)


def upgrade_schemas(path: Path) -> None:
    """Bring all projects' schemas to the head revision, by copies; if one fails, none is upgraded."""
    done: list[tuple[Project, upgrade.Upgraded]] = []
    failed: list[str] = []

    def work(project: Project, _request: Request) -> Record:
        if failed:
            raise EntryError(
                f"Project '{project.name}' was not upgraded, since {failed[0]} failed."
            )
        with project.exclusive("upgrade"):
            upgraded = upgrade.upgrade(project)
        if upgraded.before != upgraded.after:
            done.append((project, upgraded))
        return {
            "before": upgraded.before,
            "after": upgraded.after,
            "previous": upgraded.previous,
            "seconds": upgraded.seconds,
        }

    with _requested(path) as (request, found):
        records = {}
        for project in found:
            records[project.name] = record = _record(project, request, work)
            if record["error"] and not failed:
                failed.append(project.name)
        for project, upgraded in reversed(done if failed else []):
            take_back = functools.partial(_reverted, upgraded, failed[0])
            records[project.name] = _record(project, request, take_back)
        for record in records.values():
            print(json.dumps(record), flush=True)


def import_source(path: Path) -> None:
    """Bring the source `from` into each project; with `dry`, say what that would do."""

    def work(project: Project, request: Request) -> Record:
        with project.exclusive("import"):
            return importing.bring_in(project, request)

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


def _reverted(
    upgraded: upgrade.Upgraded, failed: str, project: Project, _request: Request
) -> Record:
    """Take the upgrade of a project back, since that of another one failed."""
    with project.exclusive("upgrade"):
        upgrade.revert(project, upgraded)
    return {
        "error": f"Project '{project.name}' is as it was before, since {failed} failed.",
        "before": upgraded.before,
        "after": upgraded.before,
        "previous": "",
        "seconds": {},
    }


def _prune(repository: Repository, request: Request, made: str) -> list[str]:
    """Remove backups that need not be kept, once a backup was made; returns their IDs."""
    keep, days = int(request.get("keep") or 0), int(request.get("days") or 0)
    try:
        return repository.prune(keep, days, time.time()).backups
    except EntryError as error:
        raise EntryError(
            f"The backup {made} was made, but no older one was removed: {error}"
        ) from error


def _each(path: Path, work: Callable[[Project, Request], Record]) -> None:
    """Do something with each project of the request in a file, and print what became of it."""
    with _requested(path) as (request, found):
        for project in found:
            print(json.dumps(_record(project, request, work)), flush=True)


@contextlib.contextmanager
def _requested(path: Path) -> Iterator[tuple[Request, list[Project]]]:
    """Yield the request in a file, and its projects."""
    with _opened(path) as (request, folder):
        yield request, projects.of(request, folder)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Request, Path]]:
    """Yield the request in a file and a private folder, with this process's AWS identity that of the request."""
    with private.private_folder(path) as folder:
        request = settings.read(path)
        aws.use_identity(request.get("aws") or {}, path, folder)
        yield request, folder


def _record(
    project: Project, request: Request, work: Callable[[Project, Request], Record]
) -> Record:
    """Return the record of one project, which is named in what is told meanwhile."""
    with progress.of(project.name):
        return _outcome(project, request, work)


def _outcome(
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
    "import": import_source,
    "gc": collect_garbage,
}
