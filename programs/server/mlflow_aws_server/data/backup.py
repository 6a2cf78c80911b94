# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a backup of a project: one moment of its database, and its artifacts.

The database is read first. What it refers to was stored before it was written down, so the artifacts
that are there afterwards hold all of it; those that came later are part of the backup too, and
nothing refers to them. One that is deleted meanwhile is left out. An artifact that is as it was in the
newest backup is not read again. Of a newest backup that was altered nothing is taken.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..errors import EntryError
from . import manifest as manifests
from . import parallel
from .manifest import Manifest, StoredObject, TableFile
from .own_tables import require_own
from .places import Entry, Folder, GoneError, Hashing
from .progress import Pace, tell
from .projects import Project
from .repository import Repository
from .tables import BATCH_ROWS, Checksum, Snapshot, Table, encode

# Left on a disk that a backup is written to.
_SPARE_BYTES = 64 << 20


class Made(NamedTuple):
    """A backup that was made: the manifest, and how many artifacts had to be copied."""

    manifest: Manifest
    copied: int
    copied_bytes: int
    seconds: float


def make(project: Project, repository: Repository, mlflow: str) -> Made:
    """Make a backup; its manifest is written when all else is stored."""
    begun = time.monotonic()
    now = time.time()
    identifier = manifests.new_id(repository.begun(), now)
    _require_room(project, repository)
    # Before it is read: what is written meanwhile makes the next backup read it again.
    written = project.database.version()
    last = _newest(repository)
    if (
        last
        and written
        and last.database == written
        and _are_stored(repository, last.tables.values())
    ):
        revision, tables = last.revision, last.tables
    else:
        with project.database.snapshot() as snapshot:
            revision = snapshot.revision()
            if not revision:
                raise EntryError(
                    f"The schema of project '{project.name}' is empty, so there is nothing to back up; "
                    "run the deploy playbook first."
                )
            found = snapshot.tables()
            require_own(project.name, revision, {table.name for table in found})
            tables = dict(_write_tables(snapshot, found, repository, identifier, last))
    objects = _Objects(project, repository, identifier, last)
    listing = objects.write()
    root_key = _write_key(project, repository, identifier)
    manifest = Manifest(
        id=identifier,
        project=project.name,
        created=int(now),
        mlflow=mlflow,
        revision=revision,
        engine=project.database.engine,
        database=written,
        artifacts=project.artifacts.text(),
        sealed=repository.codec.name,
        key_id=repository.codec.key_id,
        tables=tables,
        objects=objects.count,
        object_bytes=objects.size,
        objects_sha256=listing.digest(),
        stored_bytes=listing.size + sum(table.size for table in tables.values()),
        root_key_sha256=root_key,
    )
    repository.place.settle()
    path = f"{manifests.folder(identifier)}/{manifests.MANIFEST}"
    repository.place.write(path, [manifests.dump(manifest)])
    repository.place.settle()
    return Made(manifest, objects.copied, objects.copied_bytes, time.monotonic() - begun)


def require_saved(project: Project, repository: Repository) -> str:
    """Return the newest backup of a project that has no rows any more; refuse artifacts that it does not hold.

    A removal that was killed leaves a project so. Without artifacts there may be no backup.
    """
    newest = repository.newest()
    known = {}
    if newest:
        known = {item.path: item for item in repository.objects(repository.manifest(newest))}
    for entry in project.artifacts.entries():
        item = known.get(entry.path)
        if item is None or (item.size, item.version) != (entry.size, entry.version):
            raise EntryError(
                f"Project '{project.name}' has no rows in its database, and its newest backup does not hold "
                f"{entry.path} of {project.artifacts.text()}; copy what you need and delete it, then rerun."
            )
    return newest


def _lines(snapshot: Snapshot, table: Table, checksum: Checksum) -> Iterator[list[bytes]]:
    """Return a table's rows as lines, in batches, and take them into account."""
    for rows in snapshot.rows(table):
        lines = encode(table, rows)
        checksum.add(lines)
        yield lines


def _write_tables(
    snapshot: Snapshot,
    tables: Iterable[Table],
    repository: Repository,
    identifier: str,
    last: Manifest | None,
) -> Iterator[tuple[str, TableFile]]:
    """Write the tables that are not in the newest backup as they are; returns what is known of each."""
    for table in tables:
        digest = snapshot.digest(table)
        known = last.tables.get(table.name) if last and digest else None
        if (
            known
            and (known.columns, known.digest) == (list(table.columns), digest)
            and _are_stored(repository, [known])
        ):
            yield table.name, known
            continue
        checksum = Checksum()
        path = manifests.table_file(identifier, table.name)
        lines = _told(_lines(snapshot, table, checksum), table.name)
        stored = repository.write_lines(path, lines)
        yield (
            table.name,
            TableFile(
                path,
                list(table.columns),
                checksum.rows,
                checksum.text(),
                stored.size,
                stored.digest(),
                digest,
            ),
        )


def _told(batches: Iterable[list[bytes]], name: str) -> Iterator[list[bytes]]:
    """Return batches, and say now and then how many rows went by."""
    rows, pace = 0, Pace()
    for batch in batches:
        yield batch
        rows += len(batch)
        pace.tell(f"{rows:,} rows of {name}")


def _newest(repository: Repository) -> Manifest | None:
    """Return the newest backup, if what it consists of can be part of the next one."""
    newest = repository.newest()
    try:
        found = repository.manifest(newest) if newest else None
    except EntryError as error:
        tell(f"{error} This one is made as a whole.")
        return None
    return found if found and found.key_id == repository.codec.key_id else None


def _are_stored(repository: Repository, tables: Iterable[TableFile]) -> bool:
    """Return whether the files of tables are as they were written."""
    try:
        for table in tables:
            repository.check_lines(table.stored, table.sha256, table.rows)
    except EntryError as error:
        tell(f"{error} What it held is read again.")
        return False
    return True


def _known(repository: Repository, last: Manifest) -> dict[str, StoredObject]:
    """Return the artifacts of a backup whose contents are there, by path."""
    contents = repository.contents()
    try:
        return {
            item.path: item
            for item in repository.objects(last)
            if item.stored in contents
            and (contents[item.stored].size, contents[item.stored].version)
            == (item.stored_size, item.stored_version)
        }
    except EntryError as error:
        tell(f"{error} All artifacts are copied.")
        return {}


class _Objects:
    """The artifacts on their way into a backup."""

    def __init__(
        self, project: Project, repository: Repository, identifier: str, last: Manifest | None
    ) -> None:
        """Look at what the newest backup has."""
        self._project = project
        self._repository = repository
        self._path = f"{manifests.folder(identifier)}/{manifests.OBJECTS}"
        self._known = _known(repository, last) if last else {}
        self.count = self.size = self.copied = self.copied_bytes = 0

    def write(self) -> Hashing:
        """Copy what has changed, several at once, and write the list of all."""
        return self._repository.write_lines(self._path, self._batches())

    def _batches(self) -> Iterator[list[bytes]]:
        """Return the list of artifacts as lines."""
        batch: list[bytes] = []
        for item in self._stored():
            self.count += 1
            self.size += item.size
            batch.append(json.dumps(item, ensure_ascii=False).encode("utf-8", "surrogateescape"))
            if len(batch) >= BATCH_ROWS:
                yield batch
                batch = []
        yield batch

    def _stored(self) -> Iterator[StoredObject]:
        """Return all artifacts, in any order, once their contents are stored."""
        place = self._project.artifacts
        workers = max(place.workers, self._repository.place.workers)
        pace = Pace()
        for item, is_new in parallel.each(workers, self._store, place.entries()):
            if item is None:
                continue
            if is_new:
                self.copied += 1
                self.copied_bytes += item.size
            yield item
            pace.tell(f"{self.copied:,} artifacts copied")

    def _store(self, entry: Entry) -> tuple[StoredObject | None, bool]:
        """Store the content of an artifact, unless it is or the artifact is gone; returns whether it was not."""
        known = self._known.get(entry.path)
        if known and (known.size, known.version) == (entry.size, entry.version):
            return known, False
        try:
            return self._copy(entry), True
        except GoneError:
            return None, False

    def _copy(self, entry: Entry) -> StoredObject:
        """Store the content of an artifact."""
        repository = self._repository
        name = manifests.stored_name(entry.path, entry.version, entry.size, repository.codec.key_id)
        plain = Hashing(_first(self._project.artifacts.read(entry.path), entry.size))
        stored = Hashing(repository.codec.seal(plain))
        version = repository.place.write(name, stored)
        return StoredObject(
            entry.path, plain.size, entry.version, plain.digest(), name, stored.size, version
        )


def _first(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Return so many bytes at most: a file that something appends to may have no end."""
    for chunk in chunks:
        yield chunk[:size]
        size -= len(chunk)
        if size <= 0:
            break


def _write_key(project: Project, repository: Repository, identifier: str) -> str:
    """Write the project's root key, where it is a file; returns the SHA-256 of what is stored."""
    if project.key_file is None or not project.key_file.is_file():
        return ""
    path = f"{manifests.folder(identifier)}/{manifests.KEY}"
    return repository.write(path, [project.key_file.read_bytes()]).digest()


def _require_room(project: Project, repository: Repository) -> None:
    """Refuse to fill a disk with a database: a full one also stops servers."""
    place = repository.place
    if not isinstance(place, Folder):
        return
    needed = _SPARE_BYTES + project.database.size()
    if place.free_bytes() < needed:
        raise EntryError(
            f"The disk of {place.root} has {place.free_bytes() >> 20} MiB left, and the backup of project "
            f"'{project.name}' needs about {needed >> 20} MiB; free space, or set "
            "mlflow_backup_destination to another place."
        )
