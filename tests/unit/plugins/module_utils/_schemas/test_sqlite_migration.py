# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a project's SQLite file is taken for; it is never touched by looking."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sqlite_migration
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.revisions import Revisions
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.sqlite_files import (
    SqliteSchema,
    classify,
)

REVISIONS = Revisions("1.20.3", "head", frozenset({"head", "older", "oldest"}))


def database(path: Path, *statements: str) -> bytes:
    """Make an SQLite file by these statements and return its bytes."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path.read_bytes()


def mlflow(path: Path, revision: str) -> bytes:
    """Make a file that looks like MLflow's at a revision, with a row in it."""
    return database(
        path,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        f"INSERT INTO alembic_version VALUES ('{revision}')",
        "CREATE TABLE experiments (name TEXT)",
        *(f"INSERT INTO experiments VALUES ('{'x' * 1000}')" for _number in range(40)),
    )


def uri(path: Path) -> str:
    """Return the URI of a file."""
    return f"sqlite:///{path}"


def refusal(path: Path, revisions: Revisions | None = REVISIONS) -> str:
    """Return the sentence with which a file is refused."""
    with pytest.raises(MlflowError) as caught:
        classify("demo", uri(path), revisions)
    return str(caught.value)


@pytest.mark.parametrize("form", ["missing", "no byte", "no table"])
def test_an_empty_schema(form: str, tmp_path: Path) -> None:
    """No file, no byte and no table are the same; a missing file is not made by looking."""
    path = tmp_path / "mlflow.db"
    if form == "no byte":
        path.write_bytes(b"")
    elif form == "no table":
        database(path, "CREATE TABLE t (x)", "DROP TABLE t")
    before = sorted(tmp_path.iterdir())
    assert classify("demo", uri(path), REVISIONS) == SqliteSchema("demo", path, "empty", "")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("revision", "state"), [("head", "current"), ("older", "behind"), ("oldest", "behind")]
)
def test_a_schema_of_mlflow(revision: str, state: str, tmp_path: Path) -> None:
    """Its revision tells; the file stays byte for byte."""
    path = tmp_path / "mlflow.db"
    before = mlflow(path, revision)
    found = classify("demo", uri(path), REVISIONS)
    assert found == SqliteSchema("demo", path, state, revision)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_before_mlflow_is_installed(tmp_path: Path) -> None:
    """Nobody can judge a revision yet; an empty schema is empty all the same."""
    path = tmp_path / "mlflow.db"
    assert classify("demo", uri(path), None).state == "empty"
    mlflow(path, "whatever")
    assert classify("demo", uri(path), None) == SqliteSchema("demo", path, "unknown", "whatever")


def foreign(path: Path) -> None:
    """Make a database of something else."""
    database(path, "CREATE TABLE customers (name TEXT)")


def unversioned(path: Path) -> None:
    """Make a schema whose version table is empty."""
    database(path, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")


@pytest.mark.parametrize("make", [foreign, unversioned])
def test_a_database_of_something_else_is_refused(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    """And left as it is."""
    path = tmp_path / "mlflow.db"
    make(path)
    before = path.read_bytes()
    assert refusal(path) == (
        f"Project 'demo': {path} holds tables but no MLflow schema; move it away or rename the "
        "project. The file was not changed."
    )
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """It names the revision, this MLflow, and what to do."""
    path = tmp_path / "mlflow.db"
    before = mlflow(path, "from-the-future")
    assert refusal(path) == (
        f"Project 'demo': the schema in {path} is at revision from-the-future, which MLflow 1.20.3 "
        "does not know, so a newer MLflow wrote it; use the collection release that carries that "
        "MLflow. The file was not changed."
    )
    assert path.read_bytes() == before


def text(path: Path) -> None:
    """Write a file that never was a database."""
    path.write_text("not a database, by any means\n" * 40)


def truncated(path: Path) -> None:
    """Cut a database in half, as a full disk does."""
    content = mlflow(path, "head")
    path.write_bytes(content[: len(content) // 2])


def scribbled(path: Path) -> None:
    """Overwrite a database's first page, but for its header."""
    content = mlflow(path, "head")
    path.write_bytes(content[:100] + b"\x5a" * 3996 + content[4096:])


@pytest.mark.parametrize("make", [text, truncated, scribbled])
@pytest.mark.parametrize("revisions", [REVISIONS, None])
def test_a_corrupt_file_is_refused(
    make: Callable[[Path], None], revisions: Revisions | None, tmp_path: Path
) -> None:
    """Also in a first check mode run; nothing is changed or added."""
    path = tmp_path / "mlflow.db"
    make(path)
    before = path.read_bytes()
    sentence = refusal(path, revisions)
    assert sentence.startswith(f"Project 'demo': {path} cannot be read as an SQLite database (")
    assert sentence.endswith(
        "); restore it from a backup, or move it away to start empty. The file was not changed."
    )
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_opened_is_not_called_corrupt(tmp_path: Path) -> None:
    """Nobody is told to restore a backup because something else is in the way."""
    path = tmp_path / "mlflow.db"
    path.mkdir()
    sentence = refusal(path)
    assert sentence.startswith(f"Project 'demo': {path} cannot be opened (")
    assert "restore" not in sentence


@pytest.mark.parametrize(
    "address", ["mysql+pymysql://h/demo", "sqlite://", "sqlite:///relative.db", "/s/mlflow.db", ""]
)
def test_another_kind_of_database_is_refused(address: str) -> None:
    """A relative path is that of whatever runs the migration."""
    with pytest.raises(MlflowError) as caught:
        classify("demo", address, REVISIONS)
    assert str(caught.value) == (
        "Project 'demo': the URI of its database is not an SQLite file with an absolute path "
        "(sqlite:////PATH); pass the URI of the backend record."
    )


def test_the_revisions_are_those_of_the_installed_mlflow(tmp_path: Path) -> None:
    """They stand in the stamp beside the entry point; without one there are none."""
    entrypoint = tmp_path / "mlflow_entry.py"
    assert sqlite_migration.read_revisions(str(entrypoint)) is None
    # Numbers of tables are MySQL's, and judge no SQLite file.
    told = {"version": "1.20.3", "head": "b", "revisions": ["b", "a"], "tables": {"b": 65}}
    (tmp_path / "installed.json").write_text(json.dumps(told))
    assert sqlite_migration.read_revisions(str(entrypoint)) == Revisions(
        "1.20.3", "b", frozenset({"a", "b"})
    )
