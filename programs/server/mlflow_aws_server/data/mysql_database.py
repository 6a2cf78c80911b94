# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A project's schema in MySQL: read in one snapshot, written, and replaced as a whole.

What is to take a schema's place is made in another one beside it, whose name ends in `__next`. All
tables change places in one statement, RENAME TABLE, which MySQL carries out whole or not at all; the
former ones are then in a third schema, `__prev`, until the next exchange. Foreign keys and indexes go with their
tables. A trigger cannot, so triggers are dropped before and made again after; a table in the schema that takes the
place keeps their definitions, so that an exchange that was killed at any moment can be ended.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ..errors import EntryError
from ..schema_state import COLLATION, VERSIONS
from . import parallel
from .tables import BATCH_ROWS, BINARY, JSON, PLAIN, Row, Table

NEXT, PREVIOUS = "__next", "__prev"
# MySQL's limit for a name, which a pattern in GRANT keeps to with each `_` escaped.
_PATTERN_LENGTH, _CUT_SCHEMA, _DIGITS = 64, 20, 8
_KINDS = {"json": JSON, "blob": BINARY, "mediumblob": BINARY, "longblob": BINARY}
# Of statements that the database carries out at once for one project.
_CONNECTIONS = 4
# Where definitions of triggers are kept during an exchange.
_EXCHANGE = "mlflow_aws_exchange"
# What waits for tables gives up after so long: somebody else keeps a transaction open.
_LOCK_SECONDS = 60
# Characters of one INSERT: below the least max_allowed_packet that MySQL 8 comes with.
_STATEMENT_SIZE = 4_000_000
# Bytes of a value that is hashed by itself.
_LONG = 1000


# Gives a digest of each of some tables, empty for one without rows.
Digests = Callable[[Sequence[Table]], dict[str, str]]


class _Trigger(NamedTuple):
    """A trigger as SHOW TRIGGERS tells it."""

    name: str
    event: str
    table: str
    body: str
    timing: str

    def statement(self) -> str:
        """Return what makes it, in the current schema and by the current user."""
        return (
            f"CREATE TRIGGER {quoted(self.name)} {self.timing} {self.event} "
            f"ON {quoted(self.table)} FOR EACH ROW {self.body}"
        )


class MysqlDatabase:
    """One schema, by connections of the user that may migrate it."""

    engine = "mysql"

    def __init__(self, connect: Callable[[str], Any], schema: str) -> None:
        """Take what opens a connection to a schema (none of them if empty)."""
        self._connect = connect
        self.schema = schema

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[MysqlSnapshot]:
        """Yield the schema as it is at this moment, whatever is written meanwhile."""
        with contextlib.closing(self._connect(self.schema)) as connection:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            yield MysqlSnapshot(connection, self.schema)

    def glance(self) -> contextlib.AbstractContextManager[MysqlSnapshot]:
        """Yield the schema for a few queries that belong together."""
        return self.snapshot()

    @contextlib.contextmanager
    def outline(self) -> Iterator[MysqlOutline]:
        """Yield what it holds, whether it exists or not, by one connection and few statements."""
        with contextlib.closing(self._connect("")) as connection:
            yield MysqlOutline(connection, self.schema)

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[Callable[[], None]]:
        """Keep everything from writing to it while the block runs, until what is yielded is called.

        Writers wait, and go on with what then has the tables' names.
        """
        with self._session(self.schema) as cursor:
            names = _names(cursor, self.schema)
            cursor.execute(f"SET SESSION lock_wait_timeout = {_LOCK_SECONDS}")
            cursor.execute("LOCK TABLES " + ", ".join(f"{quoted(name)} READ" for name in names))
            yield lambda: cursor.execute("UNLOCK TABLES")

    def sibling(self, suffix: str) -> MysqlDatabase:
        """Return the schema beside it."""
        return MysqlDatabase(self._connect, beside(self.schema, suffix))

    def exists(self) -> bool:
        """Return whether there is such a schema, as far as the user sees it."""
        query = "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s"
        with self._session("") as cursor:
            return bool(cursor.execute(query, (self.schema,)))

    def version(self) -> str:
        """Return nothing: MySQL does not tell reliably when a table was written last."""
        return ""

    def size(self) -> int:
        """Return about how many bytes its rows take."""
        return sum(self.sizes().values())

    def recreate(self) -> None:
        """Make it empty, whatever it holds; only for a schema beside the project's."""
        if not self.schema.endswith((NEXT, PREVIOUS)):
            raise EntryError(f"The schema {self.schema} is a project's own and is not emptied.")
        with self._session("") as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {quoted(self.schema)}")
            cursor.execute(
                f"CREATE DATABASE {quoted(self.schema)} CHARACTER SET utf8mb4 COLLATE {COLLATION}"
            )

    def drop(self) -> None:
        """Remove it with all that it holds; only for a schema beside the project's."""
        if not self.schema.endswith((NEXT, PREVIOUS)):
            raise EntryError(f"The schema {self.schema} is a project's own and is not dropped.")
        with self._session("") as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {quoted(self.schema)}")

    @contextlib.contextmanager
    def writing(self, *, in_use: bool = False) -> Iterator[MysqlWriter]:
        """Yield what writes rows in one transaction, which an error takes back.

        in_use: others write too, so that a key may be there meanwhile, which MySQL need not see without its checks.
        """
        with contextlib.closing(self._connect(self.schema)) as connection:
            connection.autocommit(False)
            with connection.cursor() as cursor:
                # The default experiment has the number 0, which MySQL would take for none.
                cursor.execute(
                    f"SET SESSION foreign_key_checks = 0, unique_checks = {int(in_use)}, "
                    "sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')"
                )
            yield MysqlWriter(connection)
            connection.commit()

    @contextlib.contextmanager
    def changing(self) -> Iterator[MysqlWriter]:
        """Yield what changes single rows in one transaction, which foreign keys bind; an error takes it back."""
        with contextlib.closing(self._connect(self.schema)) as connection:
            connection.autocommit(False)
            yield MysqlWriter(connection)
            connection.commit()

    def now(self) -> float:
        """Return the time by the database's clock, in seconds since 1970."""
        with self._session("") as cursor:
            cursor.execute("SELECT UNIX_TIMESTAMP(NOW(6))")
            return float(cursor.fetchone()[0])

    def copy_from(self, source: MysqlDatabase, tables: Sequence[Table]) -> None:
        """Fill its tables with the rows of another schema's, inside the database, several at once."""
        sizes = source.sizes()

        def copy(table: Table) -> None:
            columns = ", ".join(map(quoted, table.columns))
            order = f" ORDER BY {', '.join(map(quoted, table.key))}" if table.key else ""
            with self.writing() as writer:
                writer.execute(
                    f"INSERT INTO {quoted(table.name)} ({columns}) SELECT {columns} "
                    f"FROM {quoted(source.schema)}.{quoted(table.name)}{order}"
                )

        largest_first = sorted(tables, key=lambda table: -sizes.get(table.name, 0))
        for _done in parallel.each(_CONNECTIONS, copy, largest_first):
            pass

    def digests(self, tables: Sequence[Table]) -> dict[str, str]:
        """Return a digest of each table with rows, which the database computes from these columns.

        It tells whether two schemas of one database hold the same, and takes a fraction of the time in
        which the rows could be read.
        """

        def digest(table: Table) -> tuple[str, str]:
            with self._session("") as cursor:
                return _digest(cursor, self.schema, table)

        return dict(parallel.each(_CONNECTIONS, digest, tables))

    def sizes(self) -> dict[str, int]:
        """Return about how many bytes the rows of each table take."""
        query = (
            "SELECT table_name, data_length FROM information_schema.tables WHERE table_schema = %s"
        )
        with self._session("") as cursor:
            cursor.execute(query, (self.schema,))
            return {name: int(size or 0) for name, size in cursor.fetchall()}

    def tables(self) -> list[Table]:
        """Return its tables, sorted by name."""
        with contextlib.closing(self._connect(self.schema)) as connection:
            return MysqlSnapshot(connection, self.schema).tables()

    def take_place_of(
        self,
        current: MysqlDatabase,
        previous: MysqlDatabase,
        release: Callable[[], object] = lambda: None,
        check: Callable[[Digests], None] = lambda _digests: None,
    ) -> None:
        """Let its tables become those of `current`, whose own move to the empty schema `previous`.

        release lets go of locks on the tables of `current`, which are then locked here, for nothing to be
        written until they have moved. check gets what gives digests of them, under these locks; if it raises
        an error, all is as it was.
        """
        with self._session("") as cursor:
            mine, theirs = _names(cursor, self.schema), _names(cursor, current.schema)
            kept = {
                "previous": previous.schema,
                "mine": _triggers(cursor, self.schema),
                "theirs": _triggers(cursor, current.schema),
            }
            table = f"{quoted(self.schema)}.{_EXCHANGE}"
            cursor.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, content LONGTEXT)")
            cursor.execute(f"INSERT INTO {table} VALUES (1, %s)", (json.dumps(kept),))
            moves = [(current.schema, name, previous.schema) for name in theirs]
            moves += [(self.schema, name, current.schema) for name in mine]
            cursor.execute(f"SET SESSION lock_wait_timeout = {_LOCK_SECONDS}")
            release()
            names = [f"{quoted(schema)}.{quoted(name)}" for schema, name, _target in moves]
            cursor.execute("LOCK TABLES " + ", ".join(f"{name} WRITE" for name in names))
            check(lambda tables: dict(_digest(cursor, current.schema, table) for table in tables))
            _drop_triggers(cursor, self.schema)
            _drop_triggers(cursor, current.schema)
            # Under locks since MySQL 8.0.13.
            cursor.execute("RENAME TABLE " + ", ".join(_move(*move) for move in moves))
        self.end_exchange(current)

    def end_exchange(self, current: MysqlDatabase) -> None:
        """Make the triggers again that an exchange with `current` dropped, in whatever state it ended."""
        with self._session("") as cursor:
            names = _names(cursor, self.schema)
            if _EXCHANGE not in names:
                return
            table = f"{quoted(self.schema)}.{_EXCHANGE}"
            cursor.execute(f"SELECT content FROM {table}")
            row = cursor.fetchone()
        moved = len(names) == 1
        if row:
            kept = json.loads(row[0])
            self._make_triggers(current.schema if moved else self.schema, kept["mine"])
            self._make_triggers(kept["previous"] if moved else current.schema, kept["theirs"])
        if moved:
            self.drop()
            return
        with self._session("") as cursor:
            cursor.execute(f"DROP TABLE {table}")

    def _make_triggers(self, schema: str, triggers: Sequence[Sequence[str]]) -> None:
        """Make triggers in a schema, also those of them that there are."""
        if not triggers:
            return
        with self._session(schema) as cursor:
            for trigger in map(_Trigger._make, triggers):
                cursor.execute(f"DROP TRIGGER IF EXISTS {quoted(trigger.name)}")
                cursor.execute(trigger.statement())

    @contextlib.contextmanager
    def _session(self, schema: str) -> Iterator[Any]:
        """Yield a cursor of a connection of its own."""
        with contextlib.closing(self._connect(schema)) as connection, connection.cursor() as cursor:
            yield cursor


class MysqlOutline:
    """What a schema holds, by a connection that is in none."""

    def __init__(self, connection: Any, schema: str) -> None:
        """Take the connection."""
        self._connection = connection
        self._schema = schema

    def tables(self) -> tuple[set[str], int]:
        """Return the names of its tables, and about how many bytes they take; none without a schema."""
        query = (
            "SELECT table_name, data_length + index_length FROM information_schema.tables "
            "WHERE table_schema = %s AND table_type = 'BASE TABLE'"
        )
        sizes = {str(name): int(size or 0) for name, size in self._rows(query, self._schema)}
        return set(sizes), sum(sizes.values())

    def connections(self) -> list[dict[str, Any]]:
        """Return the connections to the schema that the user sees: its own, with the right PROCESS all."""
        query = "SELECT user, host, command, time FROM information_schema.processlist WHERE db = %s"
        names = ("user", "host", "command", "seconds")
        return [dict(zip(names, row, strict=True)) for row in self._rows(query, self._schema)]

    def table(self, name: str) -> str:
        """Return a table as a query names it."""
        return f"{quoted(self._schema)}.{quoted(name)}"

    def fetch(self, query: str) -> Sequence[Row]:
        """Return all rows of a query."""
        return self._rows(query)

    def _rows(self, query: str, *values: str) -> Sequence[Row]:
        """Return all rows of a query."""
        with self._connection.cursor() as cursor:
            cursor.execute(query, values or None)
            rows: Sequence[Row] = cursor.fetchall()
        return rows


class MysqlSnapshot:
    """A schema in a transaction that sees it as it was at its beginning."""

    def __init__(self, connection: Any, schema: str) -> None:
        """Take the transaction's connection."""
        self._connection = connection
        self._schema = schema

    def tables(self) -> list[Table]:
        """Return its tables, sorted by name."""
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT c.table_name, c.column_name, c.data_type, c.extra, k.ordinal_position "
                "FROM information_schema.columns c "
                "LEFT JOIN information_schema.key_column_usage k ON k.constraint_name = 'PRIMARY' "
                "AND k.table_schema = c.table_schema AND k.table_name = c.table_name "
                "AND k.column_name = c.column_name "
                "WHERE c.table_schema = %s ORDER BY c.table_name, c.ordinal_position",
                (self._schema,),
            )
            found: dict[str, list[tuple[str, str, int | None]]] = {}
            for table, column, data_type, extra, place in cursor.fetchall():
                columns = found.setdefault(table, [])
                if "GENERATED" not in extra or "DEFAULT_GENERATED" in extra:
                    columns.append((column, _KINDS.get(data_type, PLAIN), place))
        return [
            Table(
                name,
                tuple(column for column, _kind, _place in columns),
                tuple(kind for _column, kind, _place in columns),
                tuple(
                    column
                    for _place, column in sorted(
                        (place, column) for column, _kind, place in columns if place
                    )
                ),
            )
            for name, columns in sorted(found.items())
        ]

    def revision(self) -> str:
        """Return the revision of its schema, empty if it has none."""
        if VERSIONS not in {table.name for table in self.tables()}:
            return ""
        return str(self.value(f"SELECT MAX(version_num) FROM {VERSIONS}") or "")

    def rows(self, table: Table) -> Iterator[Sequence[Row]]:
        """Return a table's rows in batches, sorted by its primary key."""
        from pymysql.cursors import SSCursor

        columns = ", ".join(map(quoted, table.columns))
        order = f" ORDER BY {', '.join(map(quoted, table.key))}" if table.key else ""
        # Not by a context manager: closing it early would read all that is left.
        cursor = self._connection.cursor(SSCursor)
        cursor.execute(f"SELECT {columns} FROM {quoted(table.name)}{order}")
        while batch := cursor.fetchmany(BATCH_ROWS):
            yield batch
        cursor.close()

    def digest(self, table: Table) -> str:
        """Return what changes whenever a row does."""
        with self._connection.cursor() as cursor:
            # Databases of other kinds would have another one.
            return f"mysql:{_digest(cursor, self._schema, table)[1]}"

    def fetch(self, query: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        """Return all rows of a query, whose values are marked by `?`."""
        with self._connection.cursor() as cursor:
            # Without values nothing is replaced, so that a percent sign stands for itself.
            cursor.execute(query.replace("?", "%s") if values else query, values or None)
            rows: Sequence[Row] = cursor.fetchall()
        return rows

    def value(self, query: str) -> Any:
        """Return the first value of the first row of a query."""
        rows = self.fetch(query)
        return rows[0][0] if rows else None


class MysqlWriter:
    """Writes rows in a transaction."""

    def __init__(self, connection: Any) -> None:
        """Take the transaction's connection."""
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] | None = None) -> int:
        """Carry out a statement; returns the number of rows that it changed."""
        with self._connection.cursor() as cursor:
            return int(cursor.execute(statement, values))

    def fetch(self, query: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        """Return all rows of a query."""
        with self._connection.cursor() as cursor:
            cursor.execute(query, values)
            rows: Sequence[Row] = cursor.fetchall()
        return rows

    def clear(self, table: Table) -> None:
        """Remove all rows of a table."""
        self.execute(f"DELETE FROM {quoted(table.name)}")

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows to a table."""
        columns = ", ".join(map(quoted, table.columns))
        head = f"INSERT INTO {quoted(table.name)} ({columns}) VALUES "
        parts: list[str] = []
        size = 0
        for row in rows:
            part = f"({','.join(map(self._connection.literal, row))})"
            if parts and size + len(part) > _STATEMENT_SIZE:
                self._connection.query(head + ",".join(parts))
                parts, size = [], 0
            parts.append(part)
            size += len(part) + 1
        if parts:
            self._connection.query(head + ",".join(parts))


def beside(schema: str, suffix: str) -> str:
    """Return the name of a schema beside a project's own.

    plugins/module_utils/_names.py has the same names; neither can import the other.
    """
    stem = schema
    if len(stem) + stem.count("_") + len(suffix) + 2 > _PATTERN_LENGTH:
        digest = hashlib.sha256(schema.encode("ascii")).hexdigest()[:_DIGITS]
        stem = f"{schema[:_CUT_SCHEMA]}__{digest}"
    return stem + suffix


def quoted(name: str) -> str:
    """Return a name as MySQL takes it."""
    return "`" + name.replace("`", "``") + "`"


def _digest(cursor: Any, schema: str, table: Table) -> tuple[str, str]:
    """Return a table's name, and a digest of these columns, empty if it has no row."""
    values = [f"COALESCE({_value(quoted(name))}, 'NULL')" for name in table.columns]
    row = f"SHA2(CONCAT_WS(',', {', '.join(values)}), 256)"
    number = f"CAST(CONV(LEFT({row}, 16), 16, 10) AS DECIMAL(20))"
    cursor.execute(f"SELECT COUNT(*), SUM({number}) FROM {quoted(schema)}.{quoted(table.name)}")
    count, total = cursor.fetchone()
    return table.name, f"{count}-{total}" if count else ""


def _value(column: str) -> str:
    """Return what stands for a value in a digest: that of a long one its hash.

    A text above max_allowed_packet would be NULL, and so would be all that it is part of. HEX() alone would round
    numbers to whole ones.
    """
    text = f"CAST({column} AS BINARY)"
    return f"IF(LENGTH({text}) > {_LONG}, CONCAT('#', SHA2({text}, 256)), HEX({text}))"


def _names(cursor: Any, schema: str) -> list[str]:
    """Return the names of a schema's tables."""
    cursor.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s ORDER BY 1",
        (schema,),
    )
    return [row[0] for row in cursor.fetchall()]


def _triggers(cursor: Any, schema: str) -> list[_Trigger]:
    """Return the triggers of a schema."""
    cursor.execute(f"SHOW TRIGGERS FROM {quoted(schema)}")
    return [_Trigger(*row[:5]) for row in cursor.fetchall()]


def _drop_triggers(cursor: Any, schema: str) -> None:
    """Remove the triggers of a schema."""
    for trigger in _triggers(cursor, schema):
        cursor.execute(f"DROP TRIGGER IF EXISTS {quoted(schema)}.{quoted(trigger.name)}")


def _move(source: str, table: str, target: str) -> str:
    """Return the part of RENAME TABLE that moves a table to another schema."""
    name = quoted(table)
    return f"{quoted(source)}.{name} TO {quoted(target)}.{name}"
