# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repair empties a half-migrated schema only if nothing but migrations has written to it."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import migrate_one
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.errors import EntryError
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.schema_state import (
    VERSIONS,
    Found,
)

TABLES = (VERSIONS, "experiments", "workspaces")


class Cursor:
    """SQLite's cursor, for the statements that MySQL alone takes as well."""

    def __init__(self) -> None:
        """Begin with tables as migrations leave them."""
        self._schema = sqlite3.connect(":memory:")
        self._cursor = self._schema.cursor()
        for name in TABLES:
            self._cursor.execute(f"CREATE TABLE {name} (name TEXT)")
        self._cursor.execute(f"INSERT INTO {VERSIONS} VALUES ('1bd49d398cd23')")
        self._cursor.execute("INSERT INTO workspaces VALUES ('default')")

    def execute(self, statement: str) -> None:
        """Run a statement; a DROP of several tables, one by one."""
        if statement.startswith("DROP TABLE "):
            for name in re.findall("`([^`]+)`", statement):
                self._cursor.execute(f"DROP TABLE `{name}`")
        elif not statement.startswith("SET SESSION "):
            self._cursor.execute(statement)

    def fetchone(self) -> Any:
        """Return the next row, None after the last."""
        return self._cursor.fetchone()

    def tables(self) -> set[str]:
        """Return the names of the tables."""
        found = self._schema.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in found}


@pytest.fixture
def cursor() -> Cursor:
    """Return a schema that holds what migrations write."""
    return Cursor()


def found() -> Found:
    """Return what is known of the schema."""
    return Found(dict.fromkeys(TABLES, ""), ["1bd49d398cd23"], "")


def test_what_migrations_wrote_is_dropped(cursor: Cursor) -> None:
    """The revision and the workspace that every schema has are no data."""
    migrate_one._empty(cursor, found())
    assert cursor.tables() == set()


@pytest.mark.parametrize("table", ["experiments", "workspaces"])
def test_data_is_never_dropped(cursor: Cursor, table: str) -> None:
    """One row that a user wrote keeps all tables, and the sentence names where it is."""
    cursor.execute(f"INSERT INTO {table} VALUES ('mine')")
    with pytest.raises(EntryError, match=rf"holds data \(in the table {table}\)"):
        migrate_one._empty(cursor, found())
    assert cursor.tables() == set(TABLES)
