# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A project's SQLite file: read from a copy, written, and replaced as a whole."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import EntryError
from ..schema_state import VERSIONS
from .tables import BATCH_ROWS, BINARY, JSON, PLAIN, Row, Table, checksums

# What a killed run left has this in its name.
COPY = ".copy-"
# What SQLite keeps next to a file while it is in use; it takes any of that name for the file's own.
JOURNALS = ("-journal", "-wal", "-shm")
_KINDS = {"JSON": JSON, "BLOB": BINARY}
_BUSY_SECONDS = 60
# For indexes into which rows are written in another order than theirs.
_CACHE_KIB = 32 << 10
_PRIVATE = 0o600


class SqliteDatabase:
    """One SQLite file, which may be in use by a server."""

    engine = "sqlite"

    def __init__(self, path: Path) -> None:
        """Take the file's path."""
        self.path = path

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[SqliteSnapshot]:
        """Yield the database as it is at this moment.

        It is a copy by SQLite's own backup, next to the file: a transaction that reads for minutes
        would keep the server from writing, and that fails requests.
        """
        with self._folder() as folder:
            copy = folder / self.path.name
            SqliteDatabase(copy).copy_file(self)
            with _opened(copy) as connection:
                yield SqliteSnapshot(connection)

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        """Yield a folder for a copy, and remove those that killed runs left.

        A lock on it tells that it is in use: two verbs may read at once.
        """
        prefix, parent = f".{self.path.name}{COPY}", self.path.parent
        with contextlib.ExitStack() as stack:
            with _locked(parent):
                for left in parent.glob(f"{prefix}*"):
                    with contextlib.suppress(OSError), _locked(left, fcntl.LOCK_NB):
                        shutil.rmtree(left)
                folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
                stack.enter_context(_locked(folder))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def glance(self) -> Iterator[SqliteSnapshot]:
        """Yield the database for a few queries, which read the file itself."""
        with _opened(self.path) as connection:
            yield SqliteSnapshot(connection)

    @contextlib.contextmanager
    def outline(self) -> Iterator[SqliteOutline]:
        """Yield what it holds, whether it exists or not."""
        if not self.exists():
            yield SqliteOutline(None, 0)
            return
        with _opened(self.path) as connection:
            yield SqliteOutline(connection, self.size())

    def exists(self) -> bool:
        """Return whether there is such a file."""
        return self.path.is_file()

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[Callable[[], None]]:
        """Keep everything from writing to the file while the block runs, until what is yielded is called."""
        with _opened(self.path) as connection:
            connection.isolation_level = None
            connection.execute("BEGIN IMMEDIATE")
            yield lambda: None

    def digests(self, tables: Sequence[Table]) -> dict[str, str]:
        """Return a digest of each table with rows, over these columns."""
        with self.glance() as snapshot:
            return checksums(snapshot, tables)

    def copy_file(self, source: SqliteDatabase) -> None:
        """Become a copy of another file."""
        with _opened(source.path) as opened:
            self.path.touch(_PRIVATE)
            with _opened(self.path) as target:
                opened.backup(target)

    def remove(self) -> None:
        """Remove the file, and what a killed process left with it."""
        self.path.unlink(missing_ok=True)
        self.remove_journals()

    def remove_journals(self) -> None:
        """Remove what a killed process left with the file, which is not wanted any more."""
        for ending in JOURNALS:
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    def keep(self, path: Path) -> Path:
        """Let the file have a second name, this one or one like it; returns that.

        Its journals get that name alone: SQLite would apply them to what takes the file's place. They
        matter only where the file is damaged, since what they hold is written to it first.
        """
        with contextlib.suppress(sqlite3.Error), _opened(self.path) as connection:
            connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        number, kept = 1, path
        while kept.exists():
            number, kept = number + 1, path.with_stem(f"{path.stem}-{number}")
        os.link(self.path, kept)
        for ending in JOURNALS:
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self.path}{ending}", f"{kept}{ending}")
        return kept

    def version(self) -> str:
        """Return what changes whenever the file is written, by SQLite or by putting another in place."""
        with self.path.open("rb") as stream:
            # The counter of changes, which SQLite keeps in its header.
            counter = stream.read(28)[24:]
        state = self.path.stat()
        journal = self.path.with_name(f"{self.path.name}-wal")
        if journal.exists() and journal.stat().st_size:
            return ""
        return f"{state.st_ino}-{state.st_size}-{state.st_mtime_ns}-{counter.hex()}"

    def size(self) -> int:
        """Return about how many bytes it takes."""
        return self.path.stat().st_size if self.exists() else 0

    @contextlib.contextmanager
    def writing(self, *, in_use: bool = False) -> Iterator[SqliteWriter]:
        """Yield what writes rows in one transaction, which an error takes back.

        in_use: the file is a project's own.
        """
        with _opened(self.path) as connection:
            connection.isolation_level = None
            connection.execute("PRAGMA foreign_keys = OFF")
            if not in_use:
                # A power cut is met by making the file again: it is put in place when it is complete and on the disk.
                connection.execute("PRAGMA synchronous = OFF")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute("BEGIN IMMEDIATE")
            yield SqliteWriter(connection)
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def changing(self) -> Iterator[SqliteWriter]:
        """Yield what changes single rows in one transaction, which foreign keys bind; an error takes it back."""
        with _opened(self.path) as connection:
            connection.isolation_level = None
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("BEGIN IMMEDIATE")
            yield SqliteWriter(connection)
            connection.execute("COMMIT")

    def now(self) -> float:
        """Return the time by this host's clock, in seconds since 1970."""
        return time.time()

    def tables(self) -> list[Table]:
        """Return its tables, sorted by name."""
        with _opened(self.path) as connection:
            return SqliteSnapshot(connection).tables()


class SqliteOutline:
    """What a file holds."""

    def __init__(self, connection: sqlite3.Connection | None, size: int) -> None:
        """Take a connection, None if there is no file, and the size of the file in bytes."""
        self._connection = connection
        self._size = size

    def tables(self) -> tuple[set[str], int]:
        """Return the names of its tables, and the file's size in bytes."""
        found = self.fetch("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {str(name) for (name,) in found}, self._size

    def connections(self) -> list[dict[str, Any]]:
        """Return nothing: SQLite does not tell who has a file open."""
        return []

    def table(self, name: str) -> str:
        """Return a table as a query names it."""
        return quoted(name)

    def fetch(self, query: str) -> Sequence[Row]:
        """Return all rows of a query."""
        return self._connection.execute(query).fetchall() if self._connection else []


class SqliteSnapshot:
    """A database that nothing else changes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take a connection."""
        self._connection = connection

    def tables(self) -> list[Table]:
        """Return its tables, sorted by name."""
        names = self._connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' "
            "AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name"
        ).fetchall()
        return [self._table(name) for (name,) in names]

    def revision(self) -> str:
        """Return the revision of its schema, empty if it has none."""
        if VERSIONS not in {table.name for table in self.tables()}:
            return ""
        return str(self.value(f"SELECT MAX(version_num) FROM {VERSIONS}") or "")

    def rows(self, table: Table) -> Iterator[Sequence[Row]]:
        """Return a table's rows in batches, sorted by its primary key."""
        columns = ", ".join(map(quoted, table.columns))
        order = f" ORDER BY {', '.join(map(quoted, table.key))}" if table.key else ""
        cursor = self._connection.execute(f"SELECT {columns} FROM {quoted(table.name)}{order}")
        while batch := cursor.fetchmany(BATCH_ROWS):
            yield batch

    def digest(self, table: Table) -> str:
        """Return nothing: SQLite computes none, and the file has a version as a whole."""
        del table
        return ""

    def fetch(self, query: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        """Return all rows of a query, whose values are marked by `?`."""
        return self._connection.execute(query, values).fetchall()

    def batches(self, query: str, values: Sequence[Any] = ()) -> Iterator[Sequence[Row]]:
        """Return the rows of a query in batches."""
        cursor = self._connection.execute(query, values)
        while batch := cursor.fetchmany(BATCH_ROWS):
            yield batch

    def value(self, query: str) -> Any:
        """Return the first value of the first row of a query."""
        row = self._connection.execute(query).fetchone()
        return row[0] if row else None

    def _table(self, name: str) -> Table:
        """Return one table."""
        found = self._connection.execute(f"PRAGMA table_xinfo({quoted(name)})").fetchall()
        # Hidden are generated columns.
        columns = [(row[1], str(row[2]).upper(), row[5]) for row in found if row[6] == 0]
        key = sorted((place, column) for column, _kind, place in columns if place)
        return Table(
            name,
            tuple(column for column, _kind, _place in columns),
            tuple(_KINDS.get(kind, PLAIN) for _column, kind, _place in columns),
            tuple(column for _place, column in key),
        )


class SqliteWriter:
    """Writes rows in a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take the transaction's connection."""
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Carry out a statement; returns the number of rows that it changed."""
        return self._connection.execute(statement, values).rowcount

    def fetch(self, query: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        """Return all rows of a query."""
        return self._connection.execute(query, values).fetchall()

    def clear(self, table: Table) -> None:
        """Remove all rows of a table."""
        self.execute(f"DELETE FROM {quoted(table.name)}")

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows to a table."""
        columns = ", ".join(map(quoted, table.columns))
        marks = ", ".join("?" * len(table.columns))
        self._connection.executemany(
            f"INSERT INTO {quoted(table.name)} ({columns}) VALUES ({marks})", rows
        )


def quoted(name: str) -> str:
    """Return a name as SQLite takes it."""
    return '"' + name.replace('"', '""') + '"'


@contextlib.contextmanager
def _locked(folder: Path, how: int = 0) -> Iterator[None]:
    """Hold a folder's lock, which ends with the process at the latest."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection to a file that exists, and close it."""
    try:
        # Without this mode SQLite would make an empty one.
        connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", timeout=_BUSY_SECONDS, uri=True)
    except sqlite3.OperationalError as error:
        raise EntryError(f"{path} cannot be opened ({error}); check its owner and mode.") from error
    with contextlib.closing(connection):
        yield connection
