# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places where files lie: a folder of this host, or a prefix of an S3 bucket.

Artifacts lie in one, backups in another. A file is read and written as a stream of chunks, so that
memory does not grow with its size.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from email.utils import parsedate_to_datetime
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from ..errors import EntryError

CHUNK_BYTES = 1 << 20
# Up to this size an object is sent in one request, from memory.
_WHOLE_BYTES = 4 << 20
# Names of files that are being written begin so.
_NEW = ".mlflow-aws-new-"
_ABSENT = ("404", "NoSuchKey", "NotFound")


class Entry(NamedTuple):
    """A file: its path below the place, its size in bytes, and what changes whenever it is written."""

    path: str
    size: int
    version: str


class GoneError(EntryError):
    """A file that was listed is not there any more."""


class Place(Protocol):
    """A folder or a prefix."""

    workers: int

    def entries(self, below: str = "") -> Iterator[Entry]:
        """Return the files below a path, which ends in a slash if it is not empty."""

    def aged(self) -> Iterator[tuple[Entry, float]]:
        """Return all files, each with the seconds since it was written, by the place's own clock.

        A time that is still to come is taken for this moment.
        """

    def folders(self, below: str = "") -> list[str]:
        """Return the names of the folders directly below a path, sorted."""

    def read(self, path: str) -> Iterator[bytes]:
        """Return a file's content in chunks."""

    def write(self, path: str, chunks: Iterable[bytes]) -> str:
        """Write a file, which appears whole or not at all; returns its version."""

    def exists(self, path: str) -> bool:
        """Return whether there is such a file."""

    def require_inside(self, path: str) -> None:
        """Refuse a path that cannot be that of a file of this place."""

    def tidy(self) -> None:
        """Remove what killed runs left half written."""

    def delete(self, paths: Iterable[str]) -> None:
        """Delete files; one that is not there is none the worse."""

    def settle(self) -> None:
        """Wait until everything that was written would survive a power cut."""

    def text(self) -> str:
        """Return the place as people write it."""


class Folder:
    """A folder of this host; what is written there is for its owner alone."""

    workers = 1

    def __init__(self, root: Path) -> None:
        """Take the folder, which need not exist yet."""
        self.root = root
        self._made: set[Path] = set()

    def entries(self, below: str = "") -> Iterator[Entry]:
        """Return the files below a path."""
        yield from (entry for entry, _written in self._walk(self.root / below, below))

    def aged(self) -> Iterator[tuple[Entry, float]]:
        """Return all files, each with its age in seconds."""
        for entry, written in self._walk(self.root, ""):
            yield entry, max(0.0, time.time() - written)

    def folders(self, below: str = "") -> list[str]:
        """Return the names of the folders directly below a path, sorted."""
        try:
            with os.scandir(self.root / below) as found:
                return sorted(entry.name for entry in found if entry.is_dir())
        except FileNotFoundError:
            return []

    def read(self, path: str) -> Iterator[bytes]:
        """Return a file's content in chunks."""
        try:
            stream = (self.root / path).open("rb", buffering=0)
        except FileNotFoundError as error:
            raise GoneError(f"{self.root / path} is not there any more; rerun.") from error
        with stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk

    def write(self, path: str, chunks: Iterable[bytes]) -> str:
        """Write a file, which appears whole or not at all; returns its version."""
        self.require_inside(path)
        target = self.root / path
        if target.parent not in self._made:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._made.add(target.parent)
        new = target.with_name(f"{_NEW}{os.getpid()}-{threading.get_ident()}")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb", buffering=0) as stream:
                for chunk in chunks:
                    stream.write(chunk)
            os.replace(new, target)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            if error.errno == errno.ENOSPC:
                raise EntryError(
                    f"The disk of {self.root} is full; free space, then rerun."
                ) from error
            raise
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise
        return _version(target.stat())

    def exists(self, path: str) -> bool:
        """Return whether there is such a file."""
        return (self.root / path).is_file()

    def delete(self, paths: Iterable[str]) -> None:
        """Delete files, and the folders that are empty then."""
        parents = set()
        for path in paths:
            target = self.root / path
            target.unlink(missing_ok=True)
            parents.add(target.parent)
        for parent in sorted(parents, key=lambda folder: len(folder.parts), reverse=True):
            for folder in (parent, *parent.parents):
                if folder == self.root or self.root not in folder.parents:
                    break
                try:
                    folder.rmdir()
                except OSError:
                    break
                self._made.discard(folder)

    def require_inside(self, path: str) -> None:
        """Refuse a path that leads elsewhere, which the keys of a bucket may."""
        if any(part in ("", ".", "..") for part in path.split("/")):
            raise EntryError(
                f"The artifact {path!r} cannot be a file below {self.root}; restore into a bucket, or remove it "
                "from the source and back up again."
            )

    def tidy(self) -> None:
        """Remove what killed runs left half written; nothing else may be writing."""
        for folder, _folders, names in os.walk(self.root):
            for name in names:
                if name.startswith(_NEW):
                    Path(folder, name).unlink(missing_ok=True)

    def settle(self) -> None:
        """Wait until everything that was written would survive a power cut."""
        os.sync()

    def free_bytes(self) -> int:
        """Return how many bytes its disk has left."""
        folder = self.root
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def text(self) -> str:
        """Return the place as people write it."""
        return str(self.root)

    def _walk(self, folder: Path, below: str) -> Iterator[tuple[Entry, float]]:
        """Return the files below a folder and their times, without what is being written.

        Links are followed, as MLflow does, but for those that lead to a folder above.
        """
        # With each folder, those in which links to it lie.
        waiting: list[tuple[str, str, tuple[str, ...]]] = [(os.fspath(folder), below, ())]
        while waiting:
            current, path, linked = waiting.pop()
            try:
                with os.scandir(current) as found:
                    entries = sorted(found, key=attrgetter("name"))
            except FileNotFoundError:
                continue
            for entry in entries:
                if entry.is_dir():
                    above = linked
                    if entry.is_symlink():
                        above = (*linked, os.path.realpath(current))
                        if any(_holds(os.path.realpath(entry.path), one) for one in above):
                            continue
                    waiting.append((entry.path, f"{path}{entry.name}/", above))
                elif entry.is_file() and not entry.name.startswith(_NEW):
                    with contextlib.suppress(FileNotFoundError):
                        state = entry.stat()
                        version = _version(state)
                        yield Entry(f"{path}{entry.name}", state.st_size, version), state.st_mtime


class Bucket:
    """A prefix of an S3 bucket."""

    workers = 16

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        """Take an S3 client, which threads may share, the bucket, and a prefix without slashes around it."""
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    def entries(self, below: str = "") -> Iterator[Entry]:
        """Return the objects below a path."""
        for page in self._pages(self._prefix + below):
            yield from map(self._entry, _objects(page))

    def aged(self) -> Iterator[tuple[Entry, float]]:
        """Return all objects, each with its age in seconds."""
        for page in self._pages(self._prefix):
            # This host's clock may be wrong.
            now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
            for found in _objects(page):
                age = (now - found["LastModified"]).total_seconds()
                yield self._entry(found), max(0.0, age)

    def folders(self, below: str = "") -> list[str]:
        """Return the names of the folders directly below a path, sorted."""
        start = self._prefix + below
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=start, Delimiter="/"
        )
        with self._explained(f"list {self.text()}"):
            return sorted(
                found["Prefix"][len(start) :].rstrip("/")
                for page in pages
                for found in page.get("CommonPrefixes", [])
            )

    def read(self, path: str) -> Iterator[bytes]:
        """Return an object's content in chunks."""
        with self._explained(f"read {path} of {self.text()}"):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + path)
            with contextlib.closing(answer["Body"]) as body:
                while chunk := body.read(CHUNK_BYTES):
                    yield chunk

    def write(self, path: str, chunks: Iterable[bytes]) -> str:
        """Write an object; returns its version."""
        key = self._prefix + path
        stream = _Stream(chunks)
        start = stream.read(_WHOLE_BYTES + 1)
        with self._explained(f"write {path} of {self.text()}"):
            if len(start) <= _WHOLE_BYTES:
                answer = self._client.put_object(Bucket=self._bucket, Key=key, Body=start)
                return str(answer["ETag"]).strip('"')
            stream.push_back(start)
            self._client.upload_fileobj(stream, self._bucket, key)
            answer = self._client.head_object(Bucket=self._bucket, Key=key)
            return str(answer["ETag"]).strip('"')

    def exists(self, path: str) -> bool:
        """Return whether there is such an object."""
        from botocore.exceptions import ClientError

        with self._explained(f"look for {path} of {self.text()}"):
            try:
                self._client.head_object(Bucket=self._bucket, Key=self._prefix + path)
            except ClientError as error:
                if error.response["Error"]["Code"] in _ABSENT:
                    return False
                raise
        return True

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects; a bucket with versions keeps them for its time."""
        keys = [{"Key": self._prefix + path} for path in paths]
        with self._explained(f"delete objects of {self.text()}"):
            for start in range(0, len(keys), 1000):
                answer = self._client.delete_objects(
                    Bucket=self._bucket,
                    Delete={"Objects": keys[start : start + 1000], "Quiet": True},
                )
                for error in answer.get("Errors", []):
                    raise EntryError(
                        f"{error['Key']} of the bucket {self._bucket} cannot be deleted "
                        f"({error['Message']}); allow s3:DeleteObject there, then rerun."
                    )

    def require_inside(self, path: str) -> None:
        """Any text names an object."""

    def tidy(self) -> None:
        """Find nothing: an object appears whole, or not at all."""

    def settle(self) -> None:
        """S3 has stored what it has acknowledged."""

    def text(self) -> str:
        """Return the place as people write it."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def _pages(self, start: str) -> Iterator[dict[str, Any]]:
        """Return what S3 answers about the objects whose keys begin so."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=start
        )
        with self._explained(f"list {self.text()}"):
            yield from pages

    def _entry(self, found: dict[str, Any]) -> Entry:
        """Return an object of such an answer."""
        path = found["Key"][len(self._prefix) :]
        return Entry(path, found["Size"], found["ETag"].strip('"'))

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn an error of AWS into one sentence."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            found = error.response["Error"]
            code, message = found.get("Code", ""), " ".join(found.get("Message", "").split())
            kind = GoneError if code in _ABSENT else EntryError
            raise kind(
                f"S3 refuses to {what} ({code}: {message.rstrip('.')}); correct that, then rerun."
            ) from error
        except (BotoCoreError, Boto3Error) as error:
            text = " ".join(str(error).split()).rstrip(".")
            raise EntryError(f"S3 does not let this host {what} ({text}); rerun.") from error


def _objects(page: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects of a page, without those by which consoles show a folder."""
    listed: list[dict[str, Any]] = page.get("Contents", [])
    return [found for found in listed if found["Size"] or not found["Key"].endswith("/")]


class _Stream(io.RawIOBase):
    """Chunks as a file that can be read once."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        """Take the chunks."""
        self._chunks = iter(chunks)
        self._left = b""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return so many bytes, fewer at the end."""
        if size is None or size < 0:
            size = 1 << 62
        parts, length = [self._left], len(self._left)
        while length < size:
            chunk = next(self._chunks, None)
            # An empty one is not the end: what compresses gives nothing until it has enough.
            if chunk is None:
                break
            parts.append(chunk)
            length += len(chunk)
        whole = b"".join(parts)
        self._left = whole[size:]
        return whole[:size]

    def push_back(self, data: bytes) -> None:
        """Let the next read begin with these bytes."""
        self._left = data + self._left


class Hashing:
    """Chunks on their way through, of which size and SHA-256 are known at the end."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        """Take the chunks."""
        self._chunks = chunks
        self._hash = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        """Return the chunks."""
        for chunk in self._chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            yield chunk

    def digest(self) -> str:
        """Return the SHA-256 of what went through, in hexadecimal digits."""
        return self._hash.hexdigest()


def at(text: str, client: Any) -> Place:
    """Return the place that a text names: s3://BUCKET/PREFIX, or an absolute path.

    client returns an S3 client; it is called only for a bucket.
    """
    if text.startswith("s3://"):
        parts = urlsplit(text)
        return Bucket(client(), parts.netloc, parts.path.strip("/"))
    path = PurePosixPath(text)
    if not path.is_absolute():
        raise EntryError(f"{text} is neither s3://BUCKET/PREFIX nor an absolute path; correct it.")
    return Folder(Path(text))


def _holds(folder: str, other: str) -> bool:
    """Return whether a folder is another one, or one above it."""
    return os.path.commonpath([folder, other]) == folder


def _version(state: os.stat_result) -> str:
    """Return what changes whenever a file is written."""
    return f"{state.st_mtime_ns}-{state.st_ino}"
