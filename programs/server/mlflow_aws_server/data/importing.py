# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a folder `mlruns`, an SQLite file or the content of a running server into a project.

Each becomes a database at the head revision of this MLflow, in a folder that is thrown away, and is then merged
into the project's own, see merging.py. A source of a newer MLflow is refused before anything is touched.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..aws import s3_client
from ..errors import EntryError
from ..revisions import known_head, migrate
from . import filestore, kinds
from .arrival import Origin, Stored
from .merging import Merge
from .progress import beating, tell
from .projects import Project
from .sqlite_database import SqliteDatabase

FILES, SQLITE, SERVER = "files", "sqlite", "server"
_MAGIC = b"SQLite format 3\0"
_URI = "sqlite:///"
_FOLDER = ".import-"
_DIGITS = 16
# As a server of MLflow writes them.
_FINITE = (
    ("IS NULL", "0"),
    ("= 9e999", "1.7976931348623157e308"),
    ("= -9e999", "-1.7976931348623157e308"),
)
# What is told by name, of each kind.
_NAMED = 20


class Source(NamedTuple):
    """What a request names: a kind, its place, and the place of its artifacts."""

    kind: str
    text: str
    artifacts: str


def source_of(request: dict[str, Any]) -> Source:
    """Return the source of a request; raises EntryError for one that is none."""
    text, artifacts = str(request["from"]), str(request.get("artifacts") or "")
    if text.startswith(("http://", "https://")):
        return Source(SERVER, text.rstrip("/"), artifacts)
    path = Path(text.removeprefix(_URI) if text.startswith(_URI) else text)
    if not path.is_absolute():
        raise EntryError(
            f"The source {text} is neither an absolute path nor the URL of a server; correct it."
        )
    try:
        if path.is_dir():
            return Source(FILES, str(filestore.folder_of(path)), artifacts)
        with path.open("rb") as stream:
            if stream.read(len(_MAGIC)) == _MAGIC:
                return Source(SQLITE, str(path), artifacts)
    except FileNotFoundError:
        raise EntryError(f"There is no source {path} on this host; correct the path.") from None
    except PermissionError:
        raise EntryError(
            f"The source {path} cannot be read by the user with ID {os.getuid()}, as whom MLflow runs; give that "
            "user read access to it and its folder, then rerun."
        ) from None
    raise EntryError(
        f"The source {path} is neither a folder of MLflow's files nor an SQLite file; correct it."
    )


def bring_in(project: Project, request: dict[str, Any]) -> dict[str, Any]:
    """Bring the source of a request into a project; with `dry`, say what that would do."""
    begun = time.monotonic()
    source = source_of(request)
    _require_head(project)
    dry = bool(request.get("dry"))
    with _staging(project) as scratch:
        database = SqliteDatabase(scratch / "staging.db")
        unreadable: list[str] = []
        if source.kind == SERVER:
            from .remote import Remote

            client = functools.partial(s3_client, request.get("aws") or {})
            login = request.get("login") or {}
            remote = Remote(source.text, login, database.path, source.artifacts, client)
            merge = Merge(database, project, remote, dry=dry)
            remote.merge(merge)
            unreadable = remote.unreadable
        else:
            if source.kind == FILES:
                unreadable = filestore.stage(Path(source.text), database.path)
            else:
                _copy(Path(source.text), database.path)
            _make_finite(database)
            merge = Merge(database, project, _origin(source, request), dry=dry)
            merge.require_artifacts()
            merge_all(merge)
        project.artifacts.settle()
        return _record(source, merge, unreadable, time.monotonic() - begun)


def merge_all(merge: Merge) -> None:
    """Merge all that a database has."""
    merge.experiments()
    for kind in kinds.UNITS:
        merge.units(kind)
    merge.models()
    merge.associations()


def _record(source: Source, merge: Merge, unreadable: list[str], seconds: float) -> dict[str, Any]:
    """Return what was done, and what differs between the source and the project."""
    merged, copied = merge.merged, merge.copier.copied
    return {
        "kind": source.kind,
        "source": source.text,
        "changed": bool(sum(merged.added.values()) or copied.written),
        "added": merged.added,
        "there": merged.there,
        "differing": {name: keys[:_NAMED] for name, keys in merged.differing.items()},
        "different": {name: len(keys) for name, keys in merged.differing.items()},
        "artifacts": {
            "written": copied.written,
            "bytes": copied.written_bytes,
            "there": copied.there,
            "differing": copied.differing[:_NAMED],
            "missing": copied.missing[:_NAMED],
        },
        "relocated": merged.relocated,
        "left_out": merge.left_out(),
        "unreadable": unreadable[:_NAMED],
        "seconds": round(seconds, 3),
    }


def _require_head(project: Project) -> None:
    """Refuse a project whose schema is not that of this MLflow."""
    database = project.database
    if not database.exists():
        raise EntryError(
            f"Project '{project.name}' has no schema yet; run the deploy playbook, which creates it."
        )
    with database.glance() as snapshot:
        revision = snapshot.revision()
    if revision != known_head().revision:
        raise EntryError(
            f"The schema of project '{project.name}' is at revision {revision or 'none'}, and what is imported is "
            f"at {known_head().revision}; run the upgrade playbook first."
        )


@contextlib.contextmanager
def _staging(project: Project) -> Iterator[Path]:
    """Yield an empty folder on a disk that has room for a database; remove what a killed run left."""
    own = project.database
    base = own.path.parent if isinstance(own, SqliteDatabase) else Path(tempfile.gettempdir())
    # In a common folder the name must be this project's alone: another one's import goes on.
    digest = hashlib.sha256(project.artifacts.text().encode()).hexdigest()[:_DIGITS]
    prefix = f"{_FOLDER}{digest}-"
    for left in base.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=base) as name:
        yield Path(name)


def _copy(source: Path, target: Path) -> None:
    """Copy an SQLite file, which may be in use, and bring the copy to the head revision."""
    tell(f"reading {source}")
    try:
        with contextlib.closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as opened:
            revision = _revision(opened, source)
            with contextlib.closing(sqlite3.connect(target)) as copy:
                opened.backup(copy)
    except sqlite3.Error as error:
        raise EntryError(
            f"The source {source} cannot be read as an SQLite file ({error}); correct that, then rerun."
        ) from error
    head = known_head()
    if revision != head.revision:
        with beating(f"the migration of a copy of {source} from {revision} to {head.revision}"):
            migrate(f"{_URI}{target}")


def _make_finite(database: SqliteDatabase) -> None:
    """Give metrics of logged models that are no number or infinite the values by which MLflow keeps such ones.

    Its migrate-filestore writes them as they are, and no server can hand them out.
    """
    with database.writing() as writer:
        for condition, value in _FINITE:
            writer.execute(
                f"UPDATE logged_model_metrics SET metric_value = {value} WHERE metric_value {condition}"
            )


def _revision(opened: sqlite3.Connection, source: Path) -> str:
    """Return the revision of a source; raises EntryError for one that this MLflow does not know."""
    try:
        row = opened.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        row = None
    if not row:
        raise EntryError(f"The source {source} has no schema of MLflow's; correct the path.")
    if row[0] not in known_head().known:
        raise EntryError(
            f"The source {source} is at revision {row[0]}, which this MLflow does not know, so a newer one wrote it; "
            "use the release of the collection that carries that MLflow. Nothing was imported."
        )
    return str(row[0])


def _origin(source: Source, request: dict[str, Any]) -> Origin:
    """Return where the artifacts of files or of an SQLite file are."""
    path = Path(source.text)
    client = functools.partial(s3_client, request.get("aws") or {})
    if source.kind == FILES:
        return Stored(source.artifacts, [source.text, source.artifacts], client)
    # Where MLflow's server, and this collection, put them beside it.
    usual = [
        folder
        for folder in ("mlartifacts", "artifacts", "mlruns")
        if (path.parent / folder).is_dir()
    ]
    own = str(path.parent / usual[0]) if usual else ""
    return Stored(source.artifacts or own, [str(path.parent), source.artifacts], client)
