# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that creates and migrates schemas, as a process, with MLflow's own migrations."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.parts.host import (
    Host,
    by_name,
    end_group,
    experiments,
)

# The first test may have to install MLflow.
pytestmark = pytest.mark.timeout(600)

# Makes a database as an earlier MLflow left it: the tables of the first release, brought to
# a revision some steps before the head by MLflow's own scripts.
OLD = """
import sys
from alembic import command
from sqlalchemy import create_engine
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base
from alembic.script import ScriptDirectory

uri, steps = sys.argv[1], int(sys.argv[2])
Base.metadata.create_all(create_engine(uri))
config = _get_alembic_config(uri)
revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
command.upgrade(config, revisions[steps])
print(revisions[steps])
"""
STEPS = 12


@pytest.fixture(scope="module")
def old(new_host: Callable[..., Host]) -> tuple[bytes, str]:
    """Return the bytes of an older MLflow's database with rows in it, and its revision."""
    host = new_host()
    host.backend("old")
    path = host.database("old")
    done = subprocess.run(
        [host.runtime["python"], "-c", OLD, f"sqlite:///{path}", str(STEPS)],
        env={"HOME": str(host.modules.home), "DO_NOT_TRACK": "true"},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany(
            "INSERT INTO experiments (name, artifact_location, lifecycle_stage) VALUES (?, ?, ?)",
            [(f"kept-{number}", "mlflow-artifacts:/x", "active") for number in range(20)],
        )
        connection.commit()
    return path.read_bytes(), done.stdout.strip()


def rows(path: Path) -> list[str]:
    """Return the names of the experiments in a file, read as SQLite."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        query = "SELECT name FROM experiments WHERE name LIKE 'kept-%' ORDER BY name"
        return [name for (name,) in connection.execute(query)]


def revision(path: Path) -> str:
    """Return the revision of a file, read as SQLite."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(found)


def tree(folder: Path) -> dict[str, str]:
    """Return the hash of every file below a folder, but for locks."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def test_schemas_are_created_together(host: Host) -> None:
    """Check mode makes none; one run makes all, private; the second one changes nothing."""
    names = ("a", "b", "c")
    host.backend(*names)
    foretold = host.migrate(*names, check=True, diff=True)
    assert foretold["changed"] is True
    assert tree(host.state) == {}
    done = host.migrate(*names, diff=True)
    assert done == foretold | {key: done[key] for key in ("invocation", "mlflow")}
    assert foretold["mlflow"] == ""
    assert done["mlflow"].startswith("MLflow ")
    assert [(item["name"], item["state"]) for item in done["schemas"]] == [
        (name, "empty") for name in names
    ]
    assert {revision(host.database(name)) for name in names} == {done["schemas"][0]["head"]}
    assert {stat.S_IMODE(host.database(name).stat().st_mode) for name in names} == {0o600}
    assert set(tree(host.state)) == {f"projects/{name}/mlflow.db" for name in names}
    before = tree(host.state)
    again = host.migrate(*names)
    assert again["changed"] is False
    assert {item["state"] for item in again["schemas"]} == {"current"}
    assert tree(host.state) == before


def test_two_runs_at_once_create_each_schema_once(host: Host) -> None:
    """Both succeed, in whatever order they name the projects."""
    names = ["a", "b", "c"]
    host.backend(*names)
    both = [
        host.modules.start(
            "mlflow_sqlite_migration", {"schemas": host.schemas(*order), **host.program}
        )
        for order in (names, names[::-1])
    ]
    results = [host.modules.finish(process) for process in both]
    assert [result.get("msg") for result in results] == [None, None]
    assert set(tree(host.state)) == {f"projects/{name}/mlflow.db" for name in names}
    assert not host.migrate(*names)["changed"]


def test_an_older_schema_is_migrated_and_kept(host: Host, old: tuple[bytes, str]) -> None:
    """The backup is the original; a server shows the old rows and the file takes new ones."""
    host.make("demo", "fresh")
    host.database("demo").write_bytes(old[0])
    foretold = host.migrate("demo", "fresh", check=True)
    assert [item["state"] for item in foretold["schemas"]] == ["behind", "current"]
    assert host.database("demo").read_bytes() == old[0]
    fresh = host.database("fresh").read_bytes()
    done = host.migrate("demo", "fresh", diff=True)
    record = done["schemas"][0]
    assert (record["state"], record["revision"]) == ("behind", old[1])
    assert done["diff"] == {"before": {"demo": old[1]}, "after": {"demo": record["head"]}}
    backup = Path(record["backup"])
    assert backup.parent == host.database("demo").parent
    assert backup.read_bytes() == old[0]
    assert rows(backup) == rows(host.database("demo"))
    assert len(rows(backup)) == 20
    assert revision(host.database("demo")) == record["head"]
    assert stat.S_IMODE(host.database("demo").stat().st_mode) == 0o600
    assert host.database("fresh").read_bytes() == fresh
    assert not host.migrate("demo", "fresh")["changed"]
    url = by_name(host.converge(host.server("demo")))["demo"]["url"]
    assert experiments(url) == {"Default"} | {f"kept-{number}" for number in range(20)}


def test_what_a_killed_server_had_not_yet_written_home_is_kept(
    host: Host, old: tuple[bytes, str]
) -> None:
    """A database in write-ahead mode: rows that are only in its log reach both files."""
    host.backend("demo")
    path = host.database("demo")
    path.write_bytes(old[0])
    script = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "c.execute('PRAGMA journal_mode=WAL'); c.execute(\"INSERT INTO experiments"
        " (name, artifact_location, lifecycle_stage) VALUES ('kept-wal', 'x', 'active')\");"
        "c.commit(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([host.runtime["python"], "-c", script, str(path)], timeout=30, check=False)
    assert path.with_name("mlflow.db-wal").stat().st_size > 0
    record = host.migrate("demo")["schemas"][0]
    for file in (Path(record["backup"]), path):
        assert "kept-wal" in rows(file)
        assert len(rows(file)) == 21


REFUSED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "text": (lambda _old: b"no database\n" * 400, "cannot be read as an SQLite database ("),
    "cut": (lambda old: old[: len(old) // 2], "cannot be read as an SQLite database ("),
    "newer": (lambda old: old, "is at revision ffffffffffff, which MLflow "),
    "foreign": (lambda old: old, "holds tables but no MLflow schema; "),
    "damaged": (lambda old: old, "is damaged ("),
}


def spoil(path: Path, kind: str) -> None:
    """Make of an older schema what cannot be migrated."""
    if kind == "damaged":
        with closing(sqlite3.connect(path)) as connection:
            (page,) = connection.execute(
                "SELECT rootpage FROM sqlite_master WHERE name = 'experiments'"
            ).fetchone()
            (size,) = connection.execute("PRAGMA page_size").fetchone()
        with path.open("r+b") as stream:
            stream.seek((page - 1) * size)
            stream.write(b"\x5a" * size)
        return
    statement = {
        "newer": "UPDATE alembic_version SET version_num = 'ffffffffffff'",
        "foreign": "DROP TABLE alembic_version",
    }.get(kind)
    if statement:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(statement)
            connection.commit()


@pytest.mark.parametrize("kind", list(REFUSED))
@pytest.mark.parametrize(
    "check", left_out.params([False], [True], "A real run refuses each kind every time.")
)
def test_what_must_not_be_migrated_is_refused(
    kind: str, check: bool, host: Host, old: tuple[bytes, str]
) -> None:
    """One sentence with project and path; neither it nor any other schema is touched."""
    if check and kind == "damaged":
        # That takes reading all of it, which is done just before a migration.
        return
    make, reason = REFUSED[kind]
    host.backend("empty", "bad", "behind")
    host.database("behind").write_bytes(old[0])
    host.database("bad").write_bytes(make(old[0]))
    spoil(host.database("bad"), kind)
    before = tree(host.state)
    options = {"schemas": host.schemas("empty", "bad", "behind"), **host.program}
    sentence = host.modules.refuse("mlflow_sqlite_migration", options, check=check)
    assert sentence.startswith("Project 'bad': ")
    assert str(host.database("bad")) in sentence
    assert reason in sentence
    assert sentence.endswith("The file was not changed.")
    assert tree(host.state) == before


def test_a_migration_that_fails_leaves_the_original(host: Host, old: tuple[bytes, str]) -> None:
    """MLflow's own reason reaches the user in one sentence, and nothing is left beside the file."""
    host.backend("demo")
    path = host.database("demo")
    path.write_bytes(old[0])
    with closing(sqlite3.connect(path)) as connection:
        # What later revisions alter is not there.
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        for (name,) in connection.execute(query).fetchall():
            if name != "alembic_version":
                connection.execute(f'DROP TABLE "{name}"')
        connection.commit()
    before = tree(host.state)
    options = {"schemas": host.schemas("demo"), **host.program}
    sentence = host.modules.refuse("mlflow_sqlite_migration", options)
    assert sentence.startswith("Project 'demo': MLflow's migrate failed (sqlalchemy.exc.")
    assert "no such table" in sentence
    assert sentence.endswith("). The databases were not changed.")
    assert tree(host.state) == before


def test_before_mlflow_is_installed(host: Host, old: tuple[bytes, str]) -> None:
    """Check mode tells what it can; a real run says what is missing."""
    host.backend("old", "new")
    host.database("old").write_bytes(old[0])
    missing = host.state / "runtimes" / "1.20.3-000000000000"
    program = {"python": str(missing / "venv/bin/python"), "entrypoint": str(missing / "e.py")}
    options = {"schemas": host.schemas("old", "new"), **program}
    foretold = host.modules.call("mlflow_sqlite_migration", options, check=True)
    assert [item["state"] for item in foretold["schemas"]] == ["unknown", "empty"]
    assert foretold["changed"] is True
    assert host.modules.refuse("mlflow_sqlite_migration", options) == (
        f"No MLflow is installed at {program['python']}; run the deploy playbook."
    )


@pytest.mark.thorough(
    "A migration that fails at any step leaves the original, which runs every time."
)
@pytest.mark.parametrize("whole_group", [True, False], ids=["all", "module only"])
def test_killed_at_any_moment_it_converges(
    whole_group: bool, host: Host, old: tuple[bytes, str]
) -> None:
    """The original stays until it is whole; the next run migrates and leaves nothing behind.

    Where the module alone is killed, the migration that it started still runs beside the next.
    """
    host.backend("new", "old")
    options = {"schemas": host.schemas("new", "old"), **host.program}
    path = host.database("old")
    for seconds in (0.7, 1.8):
        for file in tree(host.state):
            (host.state / file).unlink()
        path.write_bytes(old[0])
        process = host.modules.start("mlflow_sqlite_migration", options)
        time.sleep(seconds)
        if whole_group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            os.kill(process.pid, signal.SIGKILL)
        if revision(path) == old[1]:
            assert path.read_bytes() == old[0]
        host.migrate("new", "old")
        end_group(process)
        assert len(rows(path)) == 20
        assert revision(path) == revision(host.database("new")) != old[1]
        for name in ("old", "new"):
            with closing(sqlite3.connect(host.database(name))) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        # A second one where the first run came as far as that.
        backups = list(path.parent.glob("*.bak"))
        assert {backup.read_bytes() for backup in backups} == {old[0]}
        left = {name for name in tree(host.state) if not name.endswith(".bak")}
        assert left == {"projects/old/mlflow.db", "projects/new/mlflow.db"}
        folders = {item.name for item in host.database("new").parent.iterdir() if item.is_dir()}
        assert folders == {"artifacts"}
