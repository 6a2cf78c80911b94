# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backups of one project, in the place where they lie."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..errors import EntryError
from . import manifest as manifests
from .manifest import Manifest, StoredObject
from .places import CHUNK_BYTES, Entry, Hashing, Place
from .sealing import Codec

_DAY_SECONDS = 86400
_GZIP = 31
# The fastest level: others cost several times the time for a tenth of the size.
_LEVEL = 1


class Pruned(NamedTuple):
    """What was removed: IDs of backups, and the number of files that only they needed."""

    backups: list[str]
    files: int


class Repository:
    """The backups of one project."""

    def __init__(self, place: Place, codec: Codec) -> None:
        """Take the place of this project's backups, and what its files go through."""
        self.place = place
        self.codec = codec

    def ids(self) -> list[str]:
        """Return the IDs of all backups, also of those that were broken off, the oldest first."""
        found = filter(manifests.is_id, self.place.folders("backups/"))
        return sorted(found, key=manifests.sequence)

    def begun(self) -> list[str]:
        """Return the IDs of all backups of which anything is there, a table of one that was broken off too."""
        found = (*self.place.folders("backups/"), *self.place.folders("tables/"))
        return sorted({name for name in found if manifests.is_id(name)}, key=manifests.sequence)

    def complete(self) -> list[str]:
        """Return the IDs of backups that have a manifest, the oldest first."""
        return list(filter(self.is_complete, self.ids()))

    def newest(self) -> str:
        """Return the ID of the newest backup, empty if there is none."""
        return next(filter(self.is_complete, reversed(self.ids())), "")

    def is_complete(self, identifier: str) -> bool:
        """Return whether there is a backup with this ID, and its manifest."""
        path = f"{manifests.folder(identifier)}/{manifests.MANIFEST}"
        return manifests.is_id(identifier) and self.place.exists(path)

    def manifest(self, identifier: str) -> Manifest:
        """Return the manifest of a backup; raises EntryError if it is not as it was written."""
        path = f"{manifests.folder(identifier)}/{manifests.MANIFEST}"
        found = manifests.load(b"".join(self.place.read(path)), self.name_of(path))
        if found.id != identifier:
            raise EntryError(
                f"{self.name_of(path)} is that of the backup {found.id}; name another one with backup=ID."
            )
        return found

    def choose(self, identifier: str) -> Manifest:
        """Return the backup with this ID, or the newest if it is empty."""
        chosen = identifier or self.newest()
        if not chosen:
            raise EntryError(
                f"There is no backup below {self.place.text()}; run the backup playbook."
            )
        if not self.is_complete(chosen):
            known = ", ".join(self.complete()[-5:]) or "none"
            raise EntryError(
                f"There is no backup {chosen} below {self.place.text()}; there are {known}."
            )
        found = self.manifest(chosen)
        if found.key_id != self.codec.key_id:
            raise EntryError(
                f"The backup {chosen} is encrypted with another key; set mlflow_backup_key_file to the one "
                "with which it was made."
                if found.key_id
                else f"The backup {chosen} is not encrypted; unset mlflow_backup_key_file."
            )
        return found

    def name_of(self, path: str) -> str:
        """Return a file as errors name it."""
        return f"{self.place.text()}/{path}"

    def write(self, path: str, chunks: Iterable[bytes]) -> Hashing:
        """Write a file, sealed; returns what is known of it as stored."""
        stored = Hashing(self.codec.seal(chunks))
        self.place.write(path, stored)
        return stored

    def read(self, path: str, sha256: str) -> Iterator[bytes]:
        """Return a file's content; raises EntryError at its end if it was altered."""
        stored = Hashing(self.place.read(path))
        yield from self.codec.open(stored, self.name_of(path))
        if stored.digest() != sha256:
            raise self.altered(path)

    def check(self, path: str, sha256: str) -> None:
        """Read a file to its end; raises EntryError if it is missing or was altered."""
        if not self.place.exists(path):
            raise self.altered(path)
        for _chunk in self.read(path, sha256):
            pass

    def check_lines(self, path: str, sha256: str, number: int) -> None:
        """Read lines to their end; raises EntryError if the file is missing or altered, or if they are not so many."""
        if not self.place.exists(path):
            raise self.altered(path)
        # Each backup looks at the tables of the one before it so, and has no use for single lines.
        found = sum(block.count(b"\n") for block in self._decompressed(path, sha256))
        if found != number:
            raise self.altered(path)

    def altered(self, path: str) -> EntryError:
        """Return the error about a file that is not as it was written."""
        return manifests.altered(self.name_of(path))

    def write_lines(self, path: str, batches: Iterable[list[bytes]]) -> Hashing:
        """Write lines, compressed."""
        return self.write(path, _compressed(batches))

    def read_lines(self, path: str, sha256: str) -> Iterator[bytes]:
        """Return the lines of a file that was written so."""
        begun: list[bytes] = []
        for block in self._decompressed(path, sha256):
            # A line may be longer than many blocks, so its pieces are joined once.
            first, *more = block.split(b"\n")
            begun.append(first)
            if more:
                yield b"".join(begun)
                yield from more[:-1]
                begun = more[-1:]
        if last := b"".join(begun):
            yield last

    def _decompressed(self, path: str, sha256: str) -> Iterator[bytes]:
        """Return the content of a file of lines in blocks; raises EntryError at its end if it was altered."""
        chunks = self.read(path, sha256)
        try:
            # It reads from the chunks as it goes.
            with gzip.GzipFile(fileobj=_Chunks(chunks)) as stream:
                while block := stream.read(CHUNK_BYTES):
                    yield block
            # What follows the last member, such as the check of the whole.
            for _chunk in chunks:
                pass
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise self.altered(path) from None

    def objects(self, found: Manifest) -> Iterator[StoredObject]:
        """Return the artifacts of a backup."""
        path = f"{manifests.folder(found.id)}/{manifests.OBJECTS}"
        for line in self.read_lines(path, found.objects_sha256):
            try:
                # Names of files need not be UTF-8.
                yield StoredObject(*json.loads(line.decode("utf-8", "surrogateescape")))
            except (TypeError, ValueError):
                raise self.altered(path) from None

    def contents(self) -> dict[str, Entry]:
        """Return the contents of artifacts that are stored, by name."""
        return {entry.path: entry for entry in self.place.entries("objects/")}

    def prune(self, keep: int, days: int, now: float) -> Pruned:
        """Remove backups beyond the newest `keep` that are older than so many days, and broken ones.

        Without days, age does not matter. Contents that no backup needs any more go too, unless one that
        stays is encrypted with another key, so that what it needs is not known.
        """
        complete = self.complete()
        found = {name: self.manifest(name) for name in complete}
        gone = [name for name in self.ids() if name not in found]
        if keep > 0:
            oldest = now - days * _DAY_SECONDS if days else float("inf")
            gone += [name for name in complete[:-keep] if found[name].created < oldest]
        kept = [found[name] for name in complete if name not in gone]
        tables = {table.stored for one in kept for table in one.tables.values()}
        broken = {path.split("/")[1] for path in tables}.symmetric_difference(
            self.place.folders("tables/")
        )
        if not gone and not broken:
            return Pruned([], 0)
        self.place.tidy()
        unused = [entry.path for entry in self.place.entries("tables/") if entry.path not in tables]
        if all(one.key_id == self.codec.key_id for one in kept):
            objects = {item.stored for one in kept for item in self.objects(one)}
            unused += [
                entry.path for entry in self.place.entries("objects/") if entry.path not in objects
            ]
        for name in gone:
            # The manifest first: what is left is then no backup.
            self.place.delete([f"{manifests.folder(name)}/{manifests.MANIFEST}"])
            files = [entry.path for entry in self.place.entries(f"{manifests.folder(name)}/")]
            self.place.delete(files)
        self.place.delete(unused)
        return Pruned(gone, len(unused))


class _Chunks(io.RawIOBase):
    """Chunks as a file, for what decompresses."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        """Take the chunks."""
        self._chunks = chunks
        self._left = b""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return up to so many bytes, none at the end."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._left = chunk
        if size is None or size < 0:
            size = len(self._left)
        data, self._left = self._left[:size], self._left[size:]
        return data


def _compressed(batches: Iterable[list[bytes]]) -> Iterator[bytes]:
    """Return lines in gzip's form, which is the same for the same lines."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    for batch in batches:
        if batch:
            yield compressor.compress(b"\n".join(batch) + b"\n")
    yield compressor.flush()
