# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables and their rows in one form for all databases, and checksums that do not depend on order.

A row is a JSON array on a line of its own, in the order of the table's columns. Texts, integers
and floats stand as they are, binary columns as base64, and JSON columns with their keys sorted,
since MySQL stores those in an order of its own.

The checksum of a table adds up the hashes of its lines (BLAKE2b, 128 bits): databases sort texts
differently, and an order that all agree on would cost a sort of each table.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from ..errors import EntryError

# Rows that are read, checked and written at once: more would take memory, fewer take time.
BATCH_ROWS = 1000
# Columns are of these kinds.
PLAIN, JSON, BINARY = "plain", "json", "binary"
_BITS = 128
_BYTES = _BITS // 8
# In JSON a line feed and other control characters never stand for themselves inside of a text.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",\n", ":"))
_MINUS_ZERO = b"-0.0"
_BETWEEN_ROWS, _BETWEEN_VALUES, _MARK = b"],\n[", b",\n", b"]\x1e["
# As MLflow writes JSON: half a surrogate pair, which no database takes as a text, stays an escape.
_SORTING = json.JSONEncoder(separators=(",", ":"), sort_keys=True)

Row = Sequence[Any]


class Table(NamedTuple):
    """One table: its columns but generated ones, the kind of each, and those of its primary key."""

    name: str
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    key: tuple[str, ...]

    def only(self, columns: Iterable[str]) -> Table:
        """Return the table with these of its columns, in the order given."""
        kinds = dict(zip(self.columns, self.kinds, strict=True))
        chosen = tuple(name for name in columns if name in kinds)
        return self._replace(columns=chosen, kinds=tuple(kinds[name] for name in chosen))


class Snapshot(Protocol):
    """A database as it is at one moment."""

    def tables(self) -> list[Table]:
        """Return its tables, sorted by name."""

    def revision(self) -> str:
        """Return the revision of its schema, empty if it has none."""

    def rows(self, table: Table) -> Iterator[Sequence[Row]]:
        """Return a table's rows in batches, sorted by its primary key as the database sorts."""

    def digest(self, table: Table) -> str:
        """Return what changes whenever a row of these columns does; empty where that costs as much as reading them."""

    def fetch(self, query: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        """Return all rows of a query, whose values are marked by `?`."""

    def value(self, query: str) -> Any:
        """Return the first value of the first row of a query."""


class Outline(Protocol):
    """What a database holds, at a glance: few queries, of which none reads a table's rows."""

    def tables(self) -> tuple[set[str], int]:
        """Return the names of its tables, and about how many bytes it takes; none if it is missing."""

    def connections(self) -> list[dict[str, Any]]:
        """Return who is connected to it, as far as that can be seen."""

    def table(self, name: str) -> str:
        """Return a table as a query names it."""

    def fetch(self, query: str) -> Sequence[Row]:
        """Return all rows of a query."""


class Checksum:
    """The checksum of a table's lines, whatever their order."""

    def __init__(self) -> None:
        """Begin without a row."""
        self.rows = 0
        self._sum = 0

    def add(self, lines: Sequence[bytes]) -> None:
        """Take lines into account."""
        self.rows += len(lines)
        for line in lines:
            # SQLite keeps zero without its sign, MySQL with it.
            counted = _unsigned(line) if _MINUS_ZERO in line else line
            digest = hashlib.blake2b(counted, digest_size=_BYTES).digest()
            self._sum += int.from_bytes(digest, "big")

    def text(self) -> str:
        """Return it in hexadecimal digits."""
        return f"{self._sum % (1 << _BITS):0{_BITS // 4}x}"


def _unsigned(line: bytes) -> bytes:
    """Return a line, or one behind a table's name, with zeros that have no sign."""
    name, bracket, rest = line.partition(b"[")
    values = json.loads(bracket + rest)
    text = _ENCODER.encode(
        [0.0 if isinstance(value, float) and value == 0 else value for value in values]
    )
    return name + text.encode("utf-8", "surrogatepass").replace(_BETWEEN_VALUES, b",")


def checksum(snapshot: Snapshot, table: Table) -> Checksum:
    """Return the checksum of a table's rows, over its columns as given."""
    found = Checksum()
    for rows in snapshot.rows(table):
        found.add(encode(table, rows))
    return found


def checksums(snapshot: Snapshot, tables: Iterable[Table]) -> dict[str, str]:
    """Return the checksum of each table with rows, by name."""
    found = {table.name: checksum(snapshot, table) for table in tables}
    return {name: one.text() for name, one in found.items() if one.rows}


def encode(table: Table, rows: Sequence[Row]) -> list[bytes]:
    """Return rows as lines, without line ends."""
    special = [(place, kind) for place, kind in enumerate(table.kinds) if kind in (JSON, BINARY)]
    try:
        if special:
            rows = [_converted(row, special) for row in rows]
        # One call for all rows, which is several times as fast as one for each.
        text = _ENCODER.encode(rows).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError) as error:
        raise EntryError(
            f"The table {table.name} holds a value that cannot be written ({error}); report this with "
            "the types of its columns."
        ) from error
    marked = text[1:-1].replace(_BETWEEN_ROWS, _MARK).replace(_BETWEEN_VALUES, b",")
    return marked.split(b"\x1e") if marked else []


def decode(table: Table, lines: Iterable[bytes]) -> list[list[Any]]:
    """Return lines as rows, as a database takes them."""
    binary = [place for place, kind in enumerate(table.kinds) if kind == BINARY]
    # One call for all rows, as above.
    rows: list[list[Any]] = json.loads(b"[" + b",".join(lines) + b"]")
    for row in rows:
        for place in binary:
            if row[place] is not None:
                row[place] = base64.b64decode(row[place])
    return rows


def _converted(row: Row, special: Sequence[tuple[int, str]]) -> list[Any]:
    """Return a row whose JSON and binary values are texts that do not depend on the database."""
    values = list(row)
    for place, kind in special:
        value = values[place]
        if value is None:
            continue
        if kind == BINARY:
            data = value.encode() if isinstance(value, str) else bytes(value)
            values[place] = base64.b64encode(data).decode("ascii")
        else:
            # SQLite keeps a JSON number as a number.
            content = json.loads(value) if isinstance(value, str | bytes) else value
            values[place] = _SORTING.encode(content)
    return values
