# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs about data on a real MySQL and an emulated S3, and all that can go wrong on their way."""

from __future__ import annotations

import random
import shutil
import signal
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.integration.aws._data import (
    BUCKET,
    SMALL,
    Space,
    copied,
    schema_of,
    space,
)
from ansible_collections.mlops.mlflow_aws.tests.integration.aws._entry import place
from ansible_collections.mlops.mlflow_aws.tests.parts import data_verbs, seeds
from ansible_collections.mlops.mlflow_aws.tests.parts.data_verbs import contents
from ansible_collections.mlops.mlflow_aws.tests.parts.host import await_

__all__ = ["place", "space"]

# The first test may have to install a release and to make an image.
pytestmark = pytest.mark.timeout(900)

# Tables that refer to each other, one with a trigger.
FEW = ("alembic_version", "experiments", "runs", "metrics", "secrets")
SECRET = (
    "INSERT INTO `{}`.secrets (secret_id, secret_name, encrypted_value, wrapped_dek, kek_version, masked_value, "
    "created_at, last_updated_at, workspace) VALUES ('s', 'n', x'00ff', x'01', 1, '{{}}', 1, 1, 'default')"
)


@pytest.fixture(scope="module")
def head(space: Space) -> dict[str, Any]:
    """Return the request of a project at the head revision, with a backup."""
    asked = space.project()
    space.sql(SECRET.format(schema_of(asked)))
    # As a loss of nothing is, -log(1); SQLite has no such number.
    space.sql(f"UPDATE `{schema_of(asked)}`.metrics SET value = -0e0 WHERE step = 1 LIMIT 1")
    space.verbs.call("backup", asked)
    return asked


@pytest.fixture(scope="module")
def older(space: Space) -> dict[str, Any]:
    """Return the request of a project of MLflow 3.16, with a secret and its trigger."""
    asked = space.project(seeds.OLDER[2])
    space.sql(SECRET.format(schema_of(asked)))
    return asked


# The way there and back.


def test_there_and_back(space: Space) -> None:
    """A backup, a second one that copies nothing, a rehearsal, and a restore of what was lost."""
    asked = space.project()
    schema = schema_of(asked)
    space.sql(SECRET.format(schema))
    before, state = space.verbs.sums(asked), space.state(schema)
    assert before["counts"]["metric_points"] == SMALL.points
    assert before["artifacts"]["objects"] == SMALL.objects
    assert [trigger for trigger, *_rest in state["triggers"]]
    assert space.verbs.call("backup", asked)["copied"] == SMALL.objects
    space.sql(f"UPDATE `{schema}`.params SET value = 'other' LIMIT 1")
    before, state = space.verbs.sums(asked), space.state(schema)
    second = space.verbs.call("backup", asked)
    assert second["copied"] == 0
    stored = space.objects(f"backups/{schema}/tables/{second['backup']}/")
    assert [key.rpartition("/")[2] for key in stored] == ["params.jsonl.gz"]
    assert space.verbs.call("backup", asked)["copied"] == 0
    keys = space.objects("projects/")
    space.verbs.call("rehearse", asked)
    assert (space.objects("projects/"), space.state(schema)) == (keys, state)
    assert space.objects(f"backups/{schema}/rehearsal/") == {}
    space.sql(f"DELETE FROM `{schema}`.metrics")
    client = space.place.aws.client("s3")
    own = sorted(space.objects(f"projects/{schema}/"))
    client.delete_object(Bucket=BUCKET, Key=own[0])
    client.put_object(Bucket=BUCKET, Key=own[1], Body=b"other")
    done = space.verbs.call("restore", asked)
    assert done["written"] == 2
    assert space.verbs.sums(asked) == before
    assert space.state(schema)["triggers"] == state["triggers"]
    assert space.objects("projects/") == keys
    assert done["previous"] == f"{schema}__prev"
    # What was there before is kept whole, with its triggers.
    kept = space.state(done["previous"])
    assert kept["triggers"] == state["triggers"]
    assert kept["sums"]["secrets"] == state["sums"]["secrets"]
    assert space.state(f"{schema}__next") == {}


@pytest.mark.thorough(
    "Each engine is restored into itself every time, and the rows of both are compared in unit tests."
)
def test_between_engines(space: Space, head: dict[str, Any], tmp_path: Path) -> None:
    """A backup of MySQL's restored into SQLite, and one of that into another MySQL: the same checksums."""
    before = space.verbs.sums(head)
    folder = tmp_path / f"f{uuid.uuid4().hex[:8]}"
    (folder / "artifacts").mkdir(parents=True)
    asked = space.folder_request(folder)
    space.verbs.call("restore", {**asked, "source": schema_of(head)})
    assert space.verbs.sums(asked) == before
    space.verbs.call("backup", asked)
    other = space.request(space.schema())
    space.place.make_schema(schema_of(other))
    space.verbs.call("restore", {**other, "source": folder.name})
    assert space.verbs.sums(other) == before
    ((secret,),) = space.sql(f"SELECT encrypted_value FROM `{schema_of(other)}`.secrets")
    assert secret == b"\x00\xff"


@pytest.mark.thorough("The local backend refuses the same every time, by the same code.")
def test_an_altered_backup_is_refused(space: Space, head: dict[str, Any]) -> None:
    """An object of the same size, a shorter one, or none, of each kind; nothing is touched."""
    asked = copied(space, head)
    name = schema_of(head)
    before = space.state(schema_of(asked)), space.objects("projects/")
    client = space.place.aws.client("s3")
    keys = sorted(space.objects(f"backups/{name}/"))
    chosen = [
        next(key for key in keys if f"/{kind}" in key)
        for kind in ("manifest.json", "objects.jsonl", "tables/", "objects/")
    ]
    for key in chosen:
        data = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        middle = len(data) // 2
        changed = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        for altered in (changed, data[:middle], None):
            client.delete_object(Bucket=BUCKET, Key=key)
            if altered is not None:
                client.put_object(Bucket=BUCKET, Key=key, Body=altered)
            sentence = space.verbs.refuse("restore", {**asked, "source": name})
            lost = altered is None and key.endswith("manifest.json")
            start = "There is no backup" if lost else f"s3://{BUCKET}/{key} "
            assert sentence.startswith(start), sentence
            assert (space.state(schema_of(asked)), space.objects("projects/")) == before
        client.put_object(Bucket=BUCKET, Key=key, Body=data)
    space.verbs.call("restore", {**asked, "source": name})


@pytest.mark.thorough("The local backend refuses the same every time.")
def test_tables_of_something_else(space: Space, older: dict[str, Any]) -> None:
    """Neither a backup nor an upgrade takes a table or a view along that is not MLflow's: both refuse it."""
    asked = copied(space, older)
    schema = schema_of(asked)
    space.sql(f"CREATE TABLE `{schema}`.notes (id INT PRIMARY KEY)")
    space.sql(f"CREATE VIEW `{schema}`.best AS SELECT run_uuid FROM `{schema}`.runs")
    before = space.tables(schema), space.objects(f"backups/{schema}/")
    for verb in ("backup", "upgrade"):
        assert space.verbs.refuse(verb, asked) == (
            f"The schema of project '{schema}' has tables that are not MLflow's, such as best; move them elsewhere, "
            "then rerun. The project is as it was."
        )
        assert (space.tables(schema), space.objects(f"backups/{schema}/")) == before
    space.sql(f"DROP VIEW `{schema}`.best")
    assert "such as notes;" in space.verbs.refuse("backup", asked)
    space.sql(f"DROP TABLE `{schema}`.notes")
    for verb in ("backup", "upgrade", "backup"):
        space.verbs.call(verb, asked)


def test_a_digest_sees_every_change(space: Space, head: dict[str, Any]) -> None:
    """By a fraction, by case, by NULL: an upgrade that changed such a value would not be put in place."""
    asked = copied(space, head)
    schema = schema_of(asked)
    program = """
import json, sys
from mlflow_aws_server.data import upgrade
def digests(project):
    database = project.database
    print(json.dumps({"name": project.name, "error": "", "sums": database.digests(database.tables())}))
    raise SystemExit
upgrade.upgrade = digests
"""

    def digests() -> dict[str, str]:
        (record,) = space.verbs.run("upgrade", asked, change=program)["records"]
        found: dict[str, str] = record["sums"]
        return found

    found = digests()
    assert found == digests()
    for table, statement in (
        ("metrics", "UPDATE {} SET value = value + 0.001 WHERE step = 1 LIMIT 1"),
        ("runs", "UPDATE {} SET name = UPPER(name) LIMIT 1"),
        ("runs", "UPDATE {} SET end_time = NULL WHERE end_time IS NOT NULL LIMIT 1"),
        ("params", "DELETE FROM {} LIMIT 1"),
        # Too long for a text twice as long, and changed at its end.
        ("spans", "UPDATE {} SET content = REPEAT('x', 33 << 20) LIMIT 1"),
        ("spans", "UPDATE {} SET content = CONCAT(LEFT(content, (33 << 20) - 1), 'y') LIMIT 1"),
    ):
        space.sql(statement.format(f"`{schema}`.{table}"))
        after = digests()
        assert [name for name in after if after[name] != found[name]] == [table]
        found = after


# Upgrades.


def test_an_upgrade_keeps_content_and_triggers(space: Space, older: dict[str, Any]) -> None:
    """And the former tables, with theirs; taken back, they are as they were."""
    asked = copied(space, older)
    schema = schema_of(asked)
    before, state = space.verbs.sums(asked), space.state(schema)
    assert state["triggers"]
    done = space.verbs.call("upgrade", asked)
    assert done["before"] != done["after"]
    after = space.verbs.sums(asked)
    assert after == before | {"revision": done["after"]}
    assert space.state(f"{schema}__prev") == state
    assert space.state(schema)["triggers"]
    assert space.verbs.call("upgrade", asked)["previous"] == ""


def test_a_write_at_the_last_moment_is_not_lost(space: Space, older: dict[str, Any]) -> None:
    """It is in between of two locks; the exchange is not made, and all is there, triggers too."""
    asked = copied(space, older)
    schema = schema_of(asked)
    state = space.state(schema)
    late = """
from mlflow_aws_server.data import mysql_database
unchanged = mysql_database.MysqlDatabase.unchanged
import contextlib
@contextlib.contextmanager
def releasing(self):
    with unchanged(self) as release:
        def late():
            release()
            with self._session(self.schema) as cursor:
                cursor.execute("UPDATE runs SET name = 'late' LIMIT 1")
        yield late
mysql_database.MysqlDatabase.unchanged = releasing
"""
    assert space.verbs.refuse("upgrade", asked, late) == (
        f"Something wrote to project '{schema}' at the last moment, so it was not exchanged; stop the servers of other "
        "hosts that are not in the inventory, then rerun."
    )
    after = space.state(schema)
    assert after["triggers"] == state["triggers"]
    differing = [name for name in after["sums"] if after["sums"][name] != state["sums"][name]]
    assert differing == ["runs"]
    assert space.state(f"{schema}__next") == {}
    space.verbs.call("upgrade", asked)


# The calls around an exchange, by what is carried out there.
STATEMENTS = ("CREATE TABLE", "INSERT INTO", "SET SESSION lock", "LOCK TABLES", "DROP TRIGGER", "RENAME TABLE",
              "CREATE TRIGGER", "DROP DATABASE", "DROP TABLE")  # fmt: skip
FAIL = """
import os, signal
from mlflow_aws_server.data import mysql_database
take, execute = mysql_database.MysqlDatabase.take_place_of, None
import pymysql
count = [0]
def watched(self, query, args=None):
    where = "BEFORE_OR_AFTER"
    chosen = active[0] and query.startswith("STATEMENT")
    if chosen:
        count[0] += 1
    hit = chosen and count[0] == NUMBER
    if hit and where == "before":
        fail(self)
    done = plain(self, query, args)
    if hit and where == "after":
        fail(self)
    return done
def fail(cursor):
    if "HOW" == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    cursor.connection._force_close()
    raise pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query")
active = [False]
def taking(self, *arguments):
    active[0] = True
    return take(self, *arguments)
mysql_database.MysqlDatabase.take_place_of = taking
plain = pymysql.cursors.Cursor.execute
pymysql.cursors.Cursor.execute = watched
"""


Moment = tuple[str, int, str]
# A statement, which of its kind, and whether it was carried out.
CRITICAL: list[Moment] = [
    ("LOCK TABLES", 1, "after"),
    ("DROP TRIGGER", 1, "after"),
    ("RENAME TABLE", 1, "before"),
    ("RENAME TABLE", 1, "after"),
    ("CREATE TRIGGER", 1, "before"),
]
ALL: list[Moment] = [
    (statement, number, where)
    for statement in STATEMENTS
    for number in range(1, 3 if "TRIGGER" in statement else 2)
    for where in ("before", "after")
]


# Migrations take most of the time, and are killed by another test.
WITHOUT_MIGRATIONS = """
from mlflow_aws_server.data import replacement, upgrade, mysql_database
def copy(self, revision):
    own = self._project.database
    with own._session(self.database.schema) as cursor:
        cursor.execute("SET foreign_key_checks = 0")
        for name in mysql_database._names(cursor, own.schema):
            cursor.execute(f"SHOW CREATE TABLE {own.schema}.{name}")
            cursor.execute(cursor.fetchone()[1])
            cursor.execute(
                "SELECT GROUP_CONCAT(column_name) FROM information_schema.columns "
                "WHERE table_schema = %s AND table_name = %s AND extra NOT LIKE '%%GENERATED'", (own.schema, name))
            (columns,) = cursor.fetchone()
            cursor.execute("SET sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')")
            columns = ", ".join(f"`{column}`" for column in columns.split(","))
            cursor.execute(f"INSERT INTO {name} ({columns}) SELECT {columns} FROM {own.schema}.{name}")
        for trigger in mysql_database._triggers(cursor, own.schema):
            cursor.execute(trigger.statement())
replacement.Replacement.copy = copy
replacement.Replacement.migrate = lambda self: None
upgrade.try_out = lambda *arguments: None
upgrade.core = lambda tables: [table for table in tables if table.name in ("runs", "metrics", "secrets")]
"""


@pytest.mark.parametrize("how", ["kill", "connection"])
@pytest.mark.parametrize(
    "moments", left_out.params([CRITICAL], [(ALL,)], "The critical moments are tried every time.")
)
def test_an_exchange_that_breaks_off(
    space: Space, older: dict[str, Any], how: str, moments: list[Moment]
) -> None:
    """Before or after each of its statements: the tables are all former ones or all new ones; then it is ended."""
    asked = copied(space, older, FEW)
    schema = schema_of(asked)
    state = space.state(schema)
    assert state["triggers"]
    seen = set()
    for statement, number, where in moments:
        change = FAIL.replace("STATEMENT", statement).replace("NUMBER", str(number))
        change = change.replace("BEFORE_OR_AFTER", where).replace("HOW", how)
        moment = (statement, number, where)
        answer = space.verbs.run("upgrade", asked, change=WITHOUT_MIGRATIONS + change)
        if how == "kill":
            if answer["status"] != -signal.SIGKILL:
                continue
        elif not answer["records"][0]["error"]:
            continue
        seen.add(statement)
        broken = space.state(schema)
        broken["sums"].pop("mlflow_aws_exchange", None)
        assert broken["sums"].keys() == state["sums"].keys(), moment
        for table in ("runs", "metrics", "secrets"):
            assert broken["sums"][table] == state["sums"][table], moment
        if how == "connection":
            # The same run has cleared up.
            assert broken["triggers"] == state["triggers"], moment
        # A run that does not get far ends the exchange nevertheless.
        sentence = space.verbs.refuse(
            "upgrade",
            asked,
            WITHOUT_MIGRATIONS + "\nfrom mlflow_aws_server.errors import EntryError\n"
            "def stop(*arguments): raise EntryError('Stopped.')\nupgrade.try_out = stop",
        )
        assert sentence == "Stopped."
        ended = space.state(schema)
        assert ended["triggers"] == state["triggers"], moment
        assert ended["sums"].keys() == state["sums"].keys(), moment
        assert not space.sql(
            "SELECT 1 FROM information_schema.tables WHERE table_name = 'mlflow_aws_exchange' "
            "AND table_schema LIKE %s",
            f"{schema}%",
        ), moment
    assert seen >= {statement for statement, _number, _where in CRITICAL}


@pytest.mark.thorough("An exchange is killed at each of its statements every time.")
@pytest.mark.parametrize("verb", ["backup", "restore", "rehearse", "upgrade"])
def test_kills(space: Space, older: dict[str, Any], head: dict[str, Any], verb: str) -> None:
    """Of the program, and of its sessions: the project is whole, and the next run completes it."""
    source = older if verb == "upgrade" else head
    asked = copied(space, source)
    if verb in ("restore", "rehearse"):
        space.verbs.call("backup", asked)
    schema = schema_of(asked)
    before = space.verbs.sums(asked)
    whole = space.verbs.run(verb, asked)
    after = space.verbs.sums(asked)
    chance = random.Random(5)
    for number in range(14):
        if verb == "upgrade":
            asked = copied(space, source)
            schema = schema_of(asked)
        if number % 2:
            moment: object = space.verbs.kill(verb, asked, chance.randrange(1, whole["calls"]))
        else:
            moment = seconds = chance.uniform(0.2, whole["seconds"] * 2)
            ended: list[int] = []
            timer = threading.Timer(
                seconds, lambda name=schema, to=ended: to.append(space.end_sessions(name))
            )
            timer.start()
            space.verbs.records(verb, asked)
            timer.join()
            assert ended
        assert space.verbs.sums(asked) in (before, after), moment
        assert space.verbs.call(verb, asked)["error"] == ""
        assert space.verbs.sums(asked) == after, moment
        assert space.state(schema)["triggers"], moment


@pytest.mark.thorough(
    "An exchange loses its connection every time, and a restore its sessions on the local backend."
)
def test_sessions_that_are_killed(
    space: Space, head: dict[str, Any], older: dict[str, Any]
) -> None:
    """In the middle of a dump, a restore and a migration: one sentence, and the project is as it was."""
    for verb, source, where in (
        ("backup", head, "mysql_database.MysqlSnapshot.rows"),
        ("restore", head, "mysql_database.MysqlWriter.insert"),
        ("upgrade", older, "replacement.Replacement.migrate"),
    ):
        asked = copied(space, source)
        schema = schema_of(asked)
        state = space.state(schema)
        module = where.partition(".")[0]
        # Sessions end as soon as it has begun.
        cut = f"""
from mlflow_aws_server.data import {module}
import subprocess, time
plain = {where}
def cut(self, *arguments):
    from pathlib import Path
    Path({str(space.place.folder / schema)!r}).touch()
    time.sleep(1.5 if {verb!r} != "upgrade" else 0)
    return plain(self, *arguments)
{where} = cut
"""
        reached = space.place.folder / schema

        def end(name: str = schema, marker: Path = reached, late: bool = verb == "upgrade") -> None:
            await_(marker.exists, "it was not reached", 120)
            time.sleep(0.7 if late else 0.2)
            space.end_sessions(name)

        thread = threading.Thread(target=end)
        thread.start()
        told = {**asked, "source": schema_of(head)} if verb == "restore" else asked
        sentence = space.verbs.refuse(verb, told, cut)
        thread.join()
        assert sentence.startswith(
            (
                f"The database of project '{schema}' failed (",
                f"The migration of a copy of project '{schema}' failed (",
            )
        ), sentence
        assert space.state(schema) == state
        assert space.state(f"{schema}__next") == {}
        space.verbs.call(verb, told)


def test_two_verbs_at_once(space: Space, head: dict[str, Any]) -> None:
    """The second one names the first by its connection."""
    asked = copied(space, head)
    schema = schema_of(asked)
    marker = space.place.folder / f"{schema}.lock"
    slow = (
        "import time, pathlib\nfrom mlflow_aws_server.data import backup\n"
        f"def wait(*a):\n    pathlib.Path({str(marker)!r}).touch()\n    time.sleep(6)\n    return ''\n"
        "backup._write_key = wait"
    )
    with data_verbs.started(
        space.release(seeds.NEWEST).python, space.place.entry.parent, space.place.environment()
    ) as others:
        first = threading.Thread(target=others.call, args=("backup", asked, slow))
        first.start()
        await_(marker.exists, "no backup is made")
        for verb in ("backup", "upgrade"):
            sentence = space.verbs.refuse(verb, asked)
            assert sentence.startswith(f"Project '{schema}' is in use (connection "), sentence
            assert f" of {schema}_m from " in sentence
            assert sentence.endswith(
                f" seconds holds the lock 'mlflow_aws:{schema}'), so this {verb} was not started; wait for its end, "
                "then rerun."
            )
        first.join(60)
        assert not first.is_alive()
    space.verbs.call("backup", asked)


REFUSE = """
import botocore.client
plain = botocore.client.BaseClient._make_api_call
def refusing(self, operation, parameters):
    if operation == "OPERATION" and parameters.get("Key", "").endswith("ENDING"):
        parameters = {**parameters, "Bucket": "not-there"}
    return plain(self, operation, parameters)
botocore.client.BaseClient._make_api_call = refusing
"""


def test_s3_refuses_one_object(space: Space, head: dict[str, Any]) -> None:
    """An artifact, a table, the manifest: no backup is complete, the project is as it was, and the next run goes on."""
    asked = copied(space, head)
    schema = schema_of(asked)
    state = space.state(schema)
    artifact = sorted(space.objects(f"projects/{schema_of(head)}/"))[3].rpartition("/")[2]
    for operation, ending in (
        ("GetObject", artifact),
        ("PutObject", "runs.jsonl.gz"),
        ("PutObject", "manifest.json"),
    ):
        refuse = REFUSE.replace("OPERATION", operation).replace("ENDING", ending)
        sentence = space.verbs.refuse("backup", asked, refuse)
        assert sentence.startswith("S3 refuses to "), sentence
        assert space.verbs.call("info", asked)["backup"] is None
        assert space.state(schema) == state
    made = space.verbs.call("backup", {**asked, "keep": 1})
    assert len(made["removed"]) >= 1
    names = space.objects(f"backups/{schema}/")
    assert {key.split("/")[3] for key in names if key.split("/")[2] in ("backups", "tables")} == {
        made["backup"]
    }
    refuse = REFUSE.replace("OPERATION", "PutObject").replace("ENDING", artifact)
    clone = space.request(space.schema())
    space.place.make_schema(schema_of(clone))
    sentence = space.verbs.refuse("restore", {**clone, "source": schema}, refuse)
    assert sentence.startswith("S3 refuses to write "), sentence
    assert space.state(schema_of(clone)) == {}
    space.verbs.call("restore", {**clone, "source": schema})


@pytest.mark.thorough("Names of objects are read in unit tests every time.")
def test_keys_that_are_no_files(space: Space, head: dict[str, Any], tmp_path: Path) -> None:
    """Of a bucket, odd ones go there and back; those that lead out of a folder are refused before it is touched."""
    asked = copied(space, head)
    name = schema_of(asked)
    asked["projects"][0]["artifacts_destination"] = f"s3://{BUCKET}/projects/{name}"
    client = space.place.aws.client("s3")
    odd = ["a b", "50%", "Wein \N{GRAPES}", "+", "a?b#c", "x" * 200, "folder/"]
    for key in odd:
        client.put_object(
            Bucket=BUCKET, Key=f"projects/{name}/{key}", Body=b"" if key[-1] == "/" else b"x"
        )
    client.put_object(Bucket=BUCKET, Key=f"projects/{name}/large", Body=b"l" * (9 << 20))
    made = space.verbs.call("backup", asked)
    assert made["objects"] == len(odd)
    folder = tmp_path / f"f{uuid.uuid4().hex[:8]}"
    (folder / "artifacts").mkdir(parents=True)
    into = space.folder_request(folder, source=name)
    space.verbs.call("restore", into)
    assert set(contents(folder / "artifacts")) == {*odd[:-1], "large"}
    other = space.request(space.schema(), source=name)
    space.place.make_schema(schema_of(other))
    space.verbs.call("restore", other)
    keys = space.objects(f"projects/{schema_of(other)}/")
    assert {key.split("/", 2)[2] for key in keys} == {*odd[:-1], "large"}
    client.put_object(Bucket=BUCKET, Key=f"projects/{name}/../../../escaped", Body=b"x")
    space.verbs.call("backup", asked)
    before = contents(folder)
    sentence = space.verbs.refuse("restore", into)
    assert sentence.startswith("The artifact '../../../escaped' cannot be a file below "), sentence
    assert {**contents(folder), ".data.lock": ""} == {**before, ".data.lock": ""}


@pytest.mark.thorough("Generated content is upgraded and restored every time, and seeds in SQLite.")
@pytest.mark.parametrize("name", [*seeds.OLDER, seeds.NEWEST])
def test_real_projects(
    name: str, space: Space, free_ports: Callable[[int], list[int]], tmp_path: Path
) -> None:
    """Made by a release in MySQL; upgraded, restored and moved to SQLite: told alike, with the same checksums."""
    newest = space.release(seeds.NEWEST)
    schema = space.schema()
    project = seeds.in_mysql(space.place.database, schema, tmp_path)
    asked = space.request(schema)
    asked["projects"][0]["artifacts_destination"] = str(project.artifacts)
    with seeds.serving(space.release(name), project, free_ports(1)[0]) as url:
        seeds.make(space.release(name), url)
        told = seeds.tell(newest, url)
    before = space.verbs.sums(asked)
    space.verbs.call("backup", asked)
    space.verbs.call("upgrade", asked)
    folder = tmp_path / f"f{uuid.uuid4().hex[:8]}"
    (folder / "artifacts").mkdir(parents=True)
    into = space.folder_request(folder, source=schema)
    space.verbs.call("restore", into)
    for request, where in ((asked, project), (into, seeds.in_folder(folder))):
        after = space.verbs.sums(request)
        assert (after["checksums"], after["artifacts"]) == (
            before["checksums"],
            before["artifacts"],
        )
        with seeds.serving(newest, where, free_ports(1)[0]) as url:
            assert seeds.differences(told, seeds.tell(newest, url)) == []
    shutil.rmtree(project.artifacts)
    space.verbs.call("restore", asked)
    assert space.verbs.sums(asked)["checksums"] == before["checksums"]
