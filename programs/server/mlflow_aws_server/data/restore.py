# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a backup back: into the project it was made of, or into another one.

First everything that the backup consists of is checked, and nothing is touched if anything is
missing or altered. Then artifacts that are missing or different are written; what is there and not
in the backup stays, as nothing refers to it. The database is made beside the project's own, at the
revision that it had, compared with the backup, migrated, and put in place as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from ..errors import EntryError
from ..schema_state import VERSIONS
from . import manifest as manifests
from . import parallel
from .manifest import Manifest, StoredObject
from .other_key import Lost, has_other_key
from .places import Entry, Folder, Hashing, Place
from .progress import Pace
from .projects import Project
from .relocation import COLUMNS, relocated
from .replacement import Replacement, replacement
from .repository import Repository
from .tables import BATCH_ROWS, Checksum, Table, checksum, decode, encode


class Restored(NamedTuple):
    """What was brought back: the backup, artifacts written, and where the former database is."""

    manifest: Manifest
    written: int
    written_bytes: int
    relocated: int
    lost: Lost
    previous: str
    seconds: float


def runs_of(project: Project) -> int:
    """Return how many runs a project holds, none if it has no schema yet."""
    database = project.database
    if not database.exists():
        return 0
    with database.glance() as snapshot:
        if "runs" not in {table.name for table in snapshot.tables()}:
            return 0
        return int(snapshot.value("SELECT COUNT(*) FROM runs"))


def restore(project: Project, repository: Repository, identifier: str) -> Restored:
    """Bring a backup back; the project's servers must have been stopped."""
    begun = time.monotonic()
    found = repository.choose(identifier)
    check(repository, found, project.artifacts)
    stored_key = _require_key(project, repository, found)
    lost = Lost(has_other_key(project, found, stored_key))
    with replacement(project) as made:
        made.create(found.revision)
        changed = fill(made, repository, found, project.artifacts, lost)
        made.migrate()
        objects = write_objects(project.artifacts, repository, found)
        _write_key(project, stored_key)
        previous = made.put_in_place(f"before-{found.id}")
    lost.tell()
    seconds = time.monotonic() - begun
    return Restored(found, objects.written, objects.written_bytes, changed, lost, previous, seconds)


def check(repository: Repository, found: Manifest, place: Place) -> None:
    """Refuse a backup of which anything is missing, not as it was written, or not for this place.

    Contents in a folder are read. So are those in a bucket, which checks what it stores, unless they have
    the recorded version.
    """
    for table in found.tables.values():
        repository.check_lines(table.stored, table.sha256, table.rows)
    folder = manifests.folder(found.id)
    repository.check_lines(f"{folder}/{manifests.OBJECTS}", found.objects_sha256, found.objects)
    if found.root_key_sha256:
        repository.check(f"{folder}/{manifests.KEY}", found.root_key_sha256)
    contents = repository.contents()
    reads = isinstance(repository.place, Folder)

    def check_object(item: StoredObject) -> None:
        entry = contents.get(item.stored)
        if entry is None or entry.size != item.stored_size:
            raise repository.altered(item.stored)
        place.require_inside(item.path)
        if reads or entry.version != item.stored_version:
            for _chunk in _content(repository, item):
                pass

    objects = repository.objects(found)
    checked = sum(1 for _done in parallel.each(repository.place.workers, check_object, objects))
    if checked != found.objects:
        raise repository.altered(manifests.OBJECTS)


def _content(repository: Repository, item: StoredObject) -> Iterator[bytes]:
    """Return the content of an artifact; raises EntryError at its end if it was altered."""
    plain = Hashing(
        repository.codec.open(repository.place.read(item.stored), repository.name_of(item.stored))
    )
    yield from plain
    if plain.digest() != item.sha256:
        raise repository.altered(item.stored)


def fill(
    made: Replacement,
    repository: Repository,
    found: Manifest,
    artifacts: Place,
    lost: Lost | None = None,
) -> int:
    """Write the backup's rows, and compare them; returns how many values name another place.

    lost: forgets secrets that cannot be decrypted.
    """
    tables = {table.name: table for table in made.tables()}
    changed = 0
    expected = {}
    for name, stored in found.tables.items():
        if name == VERSIONS:
            continue
        if name not in tables:
            raise EntryError(
                f"The backup {found.id} has a table {name}, which a schema of revision {found.revision} does "
                "not have; it is not one of MLflow's, so remove it from the source and back up again."
            )
        table = tables[name].only(stored.columns)
        if list(table.columns) != stored.columns:
            raise EntryError(
                f"The backup {found.id} has columns of the table {name} that a schema of revision "
                f"{found.revision} does not have; back up again after an upgrade."
            )
        written = Checksum()
        lines = repository.read_lines(stored.stored, stored.sha256)
        # Nothing of other tables changes on the way.
        may_differ = table.name in COLUMNS or (lost is not None and lost.changes(table))
        pace = Pace()
        with made.database.writing() as writer:
            for batch in _batches(lines):
                rows = decode(table, batch)
                changed += relocated(table, rows, found.artifacts, artifacts.text())
                if lost:
                    lost.forget(table, rows)
                written.add(encode(table, rows) if may_differ else batch)
                writer.insert(table, rows)
                pace.tell(f"{written.rows:,} of {stored.rows:,} rows of {name} restored")
        expected[name] = (table, written.rows, written.text())
    _compare(made, expected, found)
    return changed


def _compare(
    made: Replacement, expected: dict[str, tuple[Table, int, str]], found: Manifest
) -> None:
    """Refuse a database that does not hold what was written to it."""
    with made.database.glance() as snapshot:
        for name, (table, rows, text) in expected.items():
            kept = checksum(snapshot, table)
            if (kept.rows, kept.text()) != (rows, text):
                raise EntryError(
                    f"The database did not keep the rows of the table {name} of the backup {found.id} as they "
                    "were, so nothing was put in place; report this."
                )


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Return lines in batches."""
    rest = iter(lines)
    while batch := list(islice(rest, BATCH_ROWS)):
        yield batch


def write_objects(place: Place, repository: Repository, found: Manifest) -> Objects:
    """Write a backup's artifacts to a place; returns what was written."""
    objects = Objects(place, repository)
    objects.write(repository.objects(found))
    return objects


class Objects:
    """The artifacts on their way out of a backup."""

    def __init__(self, place: Place, repository: Repository) -> None:
        """Look at what is there."""
        self._place = place
        self._repository = repository
        self._there = {entry.path: entry for entry in place.entries()}
        self.written = self.written_bytes = 0

    def write(self, items: Iterator[StoredObject]) -> None:
        """Write artifacts that are missing or different, several at once."""
        workers = max(self._place.workers, self._repository.place.workers)
        pace = Pace()
        for size in parallel.each(workers, self._write, items):
            if size is not None:
                self.written += 1
                self.written_bytes += size
                pace.tell(f"{self.written:,} artifacts restored")
        self._place.settle()

    def _write(self, item: StoredObject) -> int | None:
        """Write an artifact unless it is there; returns its size if it was not."""
        there = self._there.get(item.path)
        if there and there.size == item.size and self._is_same(item, there):
            return None
        self._place.write(item.path, _content(self._repository, item))
        return item.size

    def _is_same(self, item: StoredObject, there: Entry) -> bool:
        """Return whether what is there has the content of the backup."""
        if there.version == item.version:
            return True
        found = Hashing(self._place.read(item.path))
        for _chunk in found:
            pass
        return found.digest() == item.sha256


def _require_key(project: Project, repository: Repository, found: Manifest) -> bytes | None:
    """Refuse a file of a root key that cannot decrypt the backup's secrets; returns the backup's, if it has one."""
    if not found.root_key_sha256:
        return None
    path = f"{manifests.folder(found.id)}/{manifests.KEY}"
    stored = b"".join(repository.read(path, found.root_key_sha256))
    if project.key_file is None or not project.key_file.is_file():
        return stored
    secrets = found.tables.get("secrets")
    if stored != project.key_file.read_bytes() and secrets and secrets.rows:
        raise EntryError(
            f"Project '{project.name}' has another root key than the backup {found.id}, whose secrets it "
            f"could not decrypt; move {project.key_file} away, then rerun: the backup's takes its place."
        )
    return stored


def _write_key(project: Project, stored: bytes | None) -> None:
    """Give the project the backup's root key, if that has one, unless it has its own."""
    if stored is None or project.key_file is None or project.key_file.is_file():
        return
    Folder(project.key_file.parent).write(project.key_file.name, [stored])
