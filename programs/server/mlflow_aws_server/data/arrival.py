# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Artifacts on their way into a project: where a source has them, and copying them.

A database may name any folder of this host. What is read lies below the source or below the place that the
request names; anything else is refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from ..errors import EntryError
from . import parallel, places
from .places import Entry, Hashing, Place
from .progress import Pace

PROXIED = "mlflow-artifacts:"
_BUCKET, _FILE = "s3://", "file:"


class Unit(NamedTuple):
    """The artifacts of a run, a model or a trace: where the source has them, and their path in the project."""

    key: str
    source: Place
    path: str


class Origin(Protocol):
    """What knows where a source has its artifacts.

    content: whether contents are compared; else size alone.
    """

    content: bool

    def require(self, located: Iterable[tuple[str, str]]) -> None:
        """Refuse locations, each with the usual one, that cannot be read."""

    def place(self, location: str, usual: str) -> Place | None:
        """Return the place that a location names; None if there is none.

        usual: where below the root of all artifacts the unit's are usually.
        """


class Stored:
    """Artifacts in folders or buckets."""

    content = True

    def __init__(self, proxied: str, roots: Sequence[str], client: Callable[[], object]) -> None:
        """Take the place of what a server hands out, empty if unknown, and what else may be read."""
        self._proxied = proxied.rstrip("/")
        self._roots = [root.rstrip("/") for root in roots if root]
        self._client = client

    def require(self, located: Iterable[tuple[str, str]]) -> None:
        """Refuse locations, each with the usual one, that cannot be read."""
        for location, usual in located:
            if location.startswith(PROXIED):
                _safe(urlsplit(location).path.strip("/"))
                if not self._proxied:
                    raise EntryError(
                        f"The artifacts at {location} are relative to the server of the source; pass its artifacts "
                        "destination, an absolute path or s3://BUCKET/PREFIX, as artifacts."
                    )
            elif not self._allowed(_plain(location)) and not _holds(self._moved(usual)):
                # MLflow's files have a folder for artifacts that are elsewhere, too.
                self._require_absent(location)

    def place(self, location: str, usual: str) -> Place | None:
        """Return the place that a location names."""
        if location.startswith(PROXIED):
            path = urlsplit(location).path.strip("/")
            return self._at(f"{self._proxied}/{_safe(path)}")
        text = _plain(location)
        if self._allowed(text) and (text.startswith(_BUCKET) or Path(text).is_dir()):
            return self._at(text)
        moved = self._moved(usual)
        if moved:
            return self._at(moved)
        # Without a folder there are no artifacts.
        return self._at(text) if self._allowed(text) else None

    def _moved(self, usual: str) -> str:
        """Return the usual folder below what may be read, if it or what holds it is there.

        A folder that was moved or copied keeps what is inside of it where it was. What has no artifacts may
        have no folder for them, or an empty one beside MLflow's files, so one that holds something is preferred.
        """
        found = [
            f"{folder}/{usual}"
            for root in self._roots
            if not root.startswith(_BUCKET)
            for folder in (root, f"{root}/.trash")
            if Path(folder, usual).parent.is_dir()
        ]
        return next(filter(_holds, found), found[0] if found else "")

    def _at(self, text: str) -> Place:
        """Return a place."""
        return places.at(text, self._client)

    def _allowed(self, text: str) -> bool:
        """Return whether a location is below what may be read."""
        return any(text == root or text.startswith(f"{root}/") for root in self._roots)

    def _require_absent(self, location: str) -> None:
        """Refuse a location elsewhere that has anything; one that is gone cannot be brought."""
        text = _plain(location)
        if "://" not in text and not _holds(text):
            return
        raise EntryError(
            f"The artifacts at {location} are outside of the source, so nothing was imported; pass their root, an "
            "absolute path or s3://BUCKET/PREFIX, as artifacts."
        )


class Copied:
    """What became of artifacts."""

    def __init__(self) -> None:
        """Begin without one."""
        self.written = self.written_bytes = self.there = 0
        self.differing: list[str] = []
        self.missing: list[str] = []


class Copier:
    """Copies artifacts into a project, several at once where a network is waited for."""

    def __init__(self, target: Place, *, content: bool, dry: bool) -> None:
        """Take the project's place; content: whether to compare contents; dry: whether to write nothing."""
        self._target = target
        self._content = content
        self._dry = dry
        self._pace = Pace()
        self.copied = Copied()

    def bring(self, units: Sequence[Unit]) -> None:
        """Write the artifacts of units that are missing or different."""
        for job, same in self._each(units, self._write):
            if same:
                self.copied.there += 1
                continue
            self.copied.written += 1
            self.copied.written_bytes += job.entry.size
            self._pace.tell(f"{self.copied.written:,} artifacts copied")

    def compare(self, units: Sequence[Unit]) -> None:
        """Take note of units whose artifacts are not those of the source."""
        found = set()
        for job, same in self._each(units, self._compare):
            self.copied.there += same
            if not same:
                found.add(job.unit.key)
        self.copied.differing += sorted(found)

    def _each(
        self, units: Sequence[Unit], work: Callable[[_Job], tuple[_Job, bool]]
    ) -> Iterator[tuple[_Job, bool]]:
        """Return what work says about each artifact of units."""
        if not units:
            return
        workers = max(self._target.workers, *(unit.source.workers for unit in units))
        listed = parallel.each(workers, self._list, units)
        yield from parallel.each(workers, work, (job for jobs in listed for job in jobs))

    def _list(self, unit: Unit) -> list[_Job]:
        """Return the artifacts of a unit, with what is in the project."""
        there = {entry.path: entry for entry in self._target.entries(f"{unit.path}/")}
        return [
            _Job(unit, entry, there.get(f"{unit.path}/{_safe(entry.path)}"))
            for entry in unit.source.entries()
        ]

    def _write(self, job: _Job) -> tuple[_Job, bool]:
        """Write an artifact unless it is there; returns whether it was."""
        if self._is_there(job):
            return job, True
        if not self._dry:
            chunks = Hashing(job.unit.source.read(job.entry.path))
            self._target.write(f"{job.unit.path}/{job.entry.path}", chunks)
            if chunks.size != job.entry.size:
                raise EntryError(
                    f"The artifact {job.entry.path} of {job.unit.key} has {chunks.size} bytes instead of "
                    f"{job.entry.size}: it is being written, or was not transferred whole; rerun."
                )
        return job, False

    def _compare(self, job: _Job) -> tuple[_Job, bool]:
        """Return whether an artifact is there."""
        return job, self._is_there(job)

    def _is_there(self, job: _Job) -> bool:
        """Return whether the project has an artifact with this size and content."""
        if job.there is None or job.there.size != job.entry.size:
            return False
        if not self._content:
            return True
        contents = (job.unit.source.read(job.entry.path), self._target.read(job.there.path))
        one, other = map(_digest, contents)
        return one == other


class _Job(NamedTuple):
    """One artifact: its unit, what the source has, and what the project has."""

    unit: Unit
    entry: Entry
    there: Entry | None


def _digest(chunks: Iterable[bytes]) -> str:
    """Return the SHA-256 of a content."""
    hashing = Hashing(chunks)
    for _chunk in hashing:
        pass
    return hashing.digest()


def _plain(location: str) -> str:
    """Return a location as a path, if it is one of this host, else as it is."""
    if location.startswith(_FILE):
        return os.path.normpath(unquote(urlsplit(location).path))
    return location.rstrip("/") if "://" in location else os.path.normpath(location)


def _holds(folder: str) -> bool:
    """Return whether there is a folder with anything in it; a relative one was relative to its writer."""
    if not os.path.isabs(folder):
        return False
    try:
        with os.scandir(folder) as entries:
            return any(True for _entry in entries)
    except OSError:
        return False


def _safe(path: str) -> str:
    """Refuse a path that leads out of the folder in which it is."""
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts:
        raise EntryError(f"{path} is not a path of an artifact; correct it at the source.")
    return path


def plain_location(location: str) -> str:
    """Return a location as others are compared with it."""
    return _plain(location)
