# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""programs/server/mlflow_entry.py against a real MySQL that takes TLS alone, and a Secrets Manager.

The password of every identity is in the emulated Secrets Manager; the entry point gets its
name. The last test looks for all of them where none may be.
"""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import socket
import stat
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, quote_plus
from urllib.request import Request

import pymysql
import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.probe import probe
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import keys
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.integration.aws import _entry
from ansible_collections.mlops.mlflow_aws.tests.integration.aws._entry import (
    AWKWARD,
    HEAD,
    KNOWN,
    MIGRATOR,
    RUNTIME,
    START_SECONDS,
    Place,
    database_server,
    refusal,
)
from ansible_collections.mlops.mlflow_aws.tests.parts import webhooks
from ansible_collections.mlops.mlflow_aws.tests.parts.clock import Clock
from ansible_collections.mlops.mlflow_aws.tests.parts.clock import clock as make_clock
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Problem
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import (
    ACCOUNT,
    REGION,
    Ministack,
    ministack,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.host import (
    OPENER,
    ask,
    await_,
    experiments,
    processes,
    traces,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.judges import (
    await_end,
    evaluate,
    generate_traces,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.model import model
from ansible_collections.mlops.mlflow_aws.tests.parts.mysql_server import make_certificates
from ansible_collections.mlops.mlflow_aws.tests.parts.slow_link import link

# The first test installs MLflow and starts MySQL.
pytestmark = pytest.mark.timeout(600)
place = _entry.place

# A revision of some releases ago, and one that no MLflow has.
API = "/api/2.0/mlflow"
SEARCH = f"{API}/experiments/search"
# How long connections are broken, and the metrics of each run meanwhile.
CUT_SECONDS, POINTS = 15, "abcdefgh"
OLDER, NEWER = KNOWN["revisions"][5], "ffffffffffff"

# Several workers are processes of their own, each with its own connections.
WORKERS = left_out.params([1], [2], "test_every_host_has_the_same_key has two workers.")


@pytest.fixture(scope="module")
def schema(place: Place) -> dict[str, Any]:
    """Return a schema at the head, with its migrator, as migrate-all takes it."""
    schema = place.new_schema("mlflow_main")
    (record,) = place.migrate(schema)
    assert record["error"] == ""
    return schema


@pytest.fixture(scope="module")
def reader(place: Place, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the runtime identity of that schema, as the settings' `database`."""
    return place.identity(schema["name"], RUNTIME, password=AWKWARD)


@pytest.mark.parametrize("workers", WORKERS)
def test_follows_the_secret(place: Place, schema: dict[str, Any], workers: int) -> None:
    """A password may hold anything printable; a new one is used without a restart."""
    name = f"mlflow_rotated_{workers}"
    place.copy(schema["name"], name)
    database = place.identity(name, RUNTIME, password=f'\'"{AWKWARD}"')
    settings = place.settings(name, database, workers=workers)
    with place.serve(settings, {"MLFLOW_AWS_SECRET_POLL": "1"}) as server:
        server.await_ready()
        before = processes(server.process.pid)
        for number, password in enumerate((f"#{AWKWARD} 1", f" {AWKWARD}{AWKWARD} "), 1):
            place.change_secret(database["secret"], password)
            place.set_password(database["user"], password)
            server.await_text("has a new version", number)
            assert experiments(server.url) == {"Default"}
        assert processes(server.process.pid) == before


@pytest.mark.parametrize("workers", WORKERS)
def test_asks_for_a_new_password_at_once_when_the_old_one_is_refused(
    place: Place, schema: dict[str, Any], workers: int
) -> None:
    """Between two looks at the secret no request fails because the password was rotated."""
    name = f"mlflow_refused_{workers}"
    place.copy(schema["name"], name)
    database = place.identity(name, RUNTIME)
    with place.serve(place.settings(name, database, workers=workers)) as server:
        server.await_ready()
        password = f"{uuid.uuid4().hex}{AWKWARD}"
        place.change_secret(database["secret"], password)
        place.set_password(database["user"], password)
        for _number in range(5):
            assert experiments(server.url) == {"Default"}
        assert "has a new version" in server.text()


@pytest.mark.thorough("A server follows its secret, and tells one that it cannot read, every time.")
def test_survives_a_secret_that_goes(place: Place, schema: dict[str, Any]) -> None:
    """A secret that can no longer be read is told in one line at a time; the server goes on."""
    name = "mlflow_lost"
    place.copy(schema["name"], name)
    database = place.identity(name, RUNTIME)
    settings = place.settings(name, database)
    with place.serve(settings, {"MLFLOW_AWS_SECRET_POLL": "1"}) as server:
        server.await_ready()
        client = place.aws.client("secretsmanager")
        client.delete_secret(SecretId=database["secret"])
        server.await_text("continues with the password")
        assert experiments(server.url) == {"Default"}
        client.restore_secret(SecretId=database["secret"])
        place.change_secret(database["secret"], f"another {AWKWARD} {uuid.uuid4().hex}")
        server.await_text("has a new version")
    assert "Traceback" not in server.text()


@pytest.mark.parametrize(
    "secret_too", left_out.params([False], [True], "The user alone is gone every time.")
)
def test_says_what_is_behind_a_user_that_is_gone(
    place: Place, schema: dict[str, Any], secret_too: bool
) -> None:
    """As another inventory's list removes it: in what a client gets, not just that it is denied."""
    name = f"mlflow_gone_{int(secret_too)}"
    place.copy(schema["name"], name)
    database = place.identity(name, RUNTIME)
    with place.serve(place.settings(name, database)) as server:
        server.await_ready()
        if secret_too:
            place.aws.client("secretsmanager").delete_secret(SecretId=database["secret"])
        # Sessions that are open would go on.
        place.set_password(database["user"], uuid.uuid4().hex)
        place.database.query("DROP USER %s@'%%'", database["user"])
        status, text = ask(server.url, "/api/2.0/mlflow/experiments/search", {"max_results": 1})
        assert status == 503
        told = (
            f"Access denied for user '{database['user']}': another inventory with this backend has removed it "
            "(state: absent), or its password was changed; run the projects playbook"
        )
        assert told in json.loads(text)["message"]
        host, _colon, port = server.url.removeprefix("http://").partition(":")
        assert probe(host, int(port), 20).reason == f"HTTP 503: {told}"


@pytest.mark.parametrize("workers", WORKERS)
def test_keeps_the_password_to_itself(
    place: Place, schema: dict[str, Any], reader: dict[str, Any], workers: int
) -> None:
    """It is in one file that only the user can read, and that goes when the server ends."""
    settings = place.settings(schema["name"], reader, workers=workers)
    with place.serve(settings) as server:
        server.await_ready()
        tree = processes(server.process.pid)
        assert len(tree) >= workers
        for pid in tree:
            for name in ("environ", "cmdline"):
                place.seen.append(Path(f"/proc/{pid}/{name}").read_bytes().decode())
        (folder,) = place.run.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        option_file = folder / "my.cnf"
        assert stat.S_IMODE(option_file.stat().st_mode) == 0o400
        holding = [path.name for path in folder.iterdir() if AWKWARD in path.read_text()]
        assert holding == ["my.cnf"]
        server.stop()
    assert list(place.run.iterdir()) == []


@pytest.mark.thorough("test_private.py finds what a killed process left every time.")
def test_removes_what_a_killed_server_left(
    place: Place, schema: dict[str, Any], reader: dict[str, Any]
) -> None:
    """The next server on the host removes private folders that nobody holds."""
    with place.serve(place.settings(schema["name"], reader)) as server:
        server.await_ready()
        server.process.kill()
        server.process.wait(20)
    (left,) = place.run.iterdir()
    with place.serve(place.settings(schema["name"], reader)) as server:
        server.await_ready()
        assert not left.exists()
    assert list(place.run.iterdir()) == []


@pytest.mark.thorough(
    "It waits until idle sessions end; test_waits_for_a_sleeping_database runs every time."
)
def test_lets_the_database_sleep(
    place: Place, schema: dict[str, Any], reader: dict[str, Any]
) -> None:
    """An idle server has no session, whatever asks for its health; the next request works."""
    with place.serve(place.settings(schema["name"], reader)) as server:
        server.await_ready()
        assert place.call("health", server.settings).returncode == 0
        assert experiments(server.url) == {"Default"}
        assert place.sessions(reader["user"])
        old = time.time() - 100
        for path in place.run.glob("*/used"):
            os.utime(path, (old, old))
        await_(lambda: not place.sessions(reader["user"]), "sessions stay", seconds=30)
        assert place.call("health", server.settings).returncode == 0
        assert ask(server.url, "/health")[0] == 200
        assert not place.sessions(reader["user"])
        assert experiments(server.url) == {"Default"}
        with place.frozen():
            # Somebody has just used it, so the database is asked, and does not answer.
            assert place.call("health", server.settings).returncode == 1
        assert place.call("health", server.settings).returncode == 0
        server.stop()
        assert place.call("health", server.settings).returncode == 1


@pytest.mark.thorough(
    "It waits until idle sessions end; tests/unit/programs/test_health.py has the rest."
)
@pytest.mark.parametrize("workers", [1, 2])
def test_health_remembers_that_the_last_request_failed(
    place: Place,
    mysql_image: str,
    free_ports: Callable[[int], list[int]],
    workers: int,
) -> None:
    """A server that lost its database is not well though nobody uses it, until a request succeeds."""
    port = free_ports(1)[0]
    with database_server(mysql_image, port) as database:
        own = Place(place.python, place.entry, database, place.aws, place.folder, place.new_port)
        made = own.new_schema("mlflow_stopped")
        (record,) = own.migrate(made)
        assert record["error"] == ""
        settings = own.settings(made["name"], own.identity(made["name"], RUNTIME), workers=workers)
        with own.serve(settings, {"MLFLOW_AWS_DATABASE_RETRY": "1"}) as server:
            server.await_ready()
            assert own.call("health", server.settings).returncode == 0
            database.act("stop")
            # As long as nobody used it, it may just be asleep.
            not_used(own)
            assert own.call("health", server.settings).returncode == 0
            assert ask(server.url, SEARCH, {"max_results": 1})[0] == 429
            not_used(own)
            assert own.call("health", server.settings).returncode == 1
            # The page and artifacts need no database, and tell nothing of it.
            assert ask(server.url, "/version")[0] == 200
            assert ask(server.url, "/")[0] == 200
            not_used(own)
            assert own.call("health", server.settings).returncode == 1
            database.act("start")
            await_(lambda: ask(server.url, SEARCH, {"max_results": 1})[0] == 200, "no answer")
            not_used(own)
            assert own.call("health", server.settings).returncode == 0
            # It is let sleep again.
            await_(lambda: not own.sessions(settings["database"]["user"]), "sessions stay", 60)
            assert own.call("health", server.settings).returncode == 0
            assert not own.sessions(settings["database"]["user"])
        place.passwords += own.passwords
        place.seen += own.seen
        place.logs += own.logs


def not_used(place: Place) -> None:
    """Let the last use of all servers be two minutes ago."""
    old = time.time() - 120
    for path in place.run.glob("*/used"):
        os.utime(path, (old, old))


@pytest.mark.thorough("Health is asked of other servers every time.")
def test_health_asks_with_a_host_that_is_allowed(
    place: Place, schema: dict[str, Any], reader: dict[str, Any]
) -> None:
    """Where the settings name the allowed hosts, the question carries one of them."""
    hosts = ["mlflow.example.com", "mlflow.example.com:*"]
    with place.serve(place.settings(schema["name"], reader, allowed_hosts=hosts)) as server:
        await_(lambda: ask(server.url, "/health")[0] == 200, "no answer", START_SECONDS)
        assert place.call("health", server.settings).returncode == 0
        for path in place.run.glob("*/proved"):
            path.unlink()
        wrong = json.loads(server.settings.read_text()) | {"allowed_hosts": ["other.example.com"]}
        server.settings.write_text(json.dumps(wrong))
        assert place.call("health", server.settings).returncode == 1


def test_a_frozen_database_gives_errors(
    place: Place, schema: dict[str, Any], reader: dict[str, Any]
) -> None:
    """A request ends with an error within the time that is set, and works when it is over."""
    settings = place.settings(schema["name"], reader)
    limits = {"MLFLOW_AWS_DATABASE_TIMEOUT": "2", "MLFLOW_AWS_DATABASE_RETRY": "1"}
    with place.serve(settings, limits) as server:
        server.await_ready()
        with place.frozen():
            began = time.monotonic()
            status, _text = ask(server.url, "/api/2.0/mlflow/experiments/search", {})
            assert status >= 400
            assert time.monotonic() - began < 15
        assert experiments(server.url) == {"Default"}


@pytest.mark.parametrize(
    "text",
    left_out.params(["soon"], ["0", "-1", "inf", "nan", ""], "Numbers are read in one place."),
)
def test_refuses_a_limit_that_is_no_number(
    place: Place, schema: dict[str, Any], reader: dict[str, Any], text: str
) -> None:
    """A limit of the project's own stands in the settings, and is checked before anything."""
    limits = {"MLFLOW_AWS_DATABASE_TIMEOUT": text}
    settings = place.settings(schema["name"], reader, environment=limits)
    assert place.refuse(settings) == (
        f"MLFLOW_AWS_DATABASE_TIMEOUT is {text!r}; set it to a number of seconds up to 86400."
    )


def test_heals_when_the_database_restarts(
    place: Place, schema: dict[str, Any], reader: dict[str, Any]
) -> None:
    """After a database was killed and started again, the first request works."""
    with place.serve(place.settings(schema["name"], reader)) as server:
        server.await_ready()
        place.database.act("kill")
        place.database.act("start")
        place.database.await_ready()
        assert experiments(server.url) == {"Default"}


def test_waits_for_a_sleeping_database(
    place: Place, schema: dict[str, Any], reader: dict[str, Any]
) -> None:
    """A start waits, says so once, and goes on when the database wakes."""
    with ExitStack() as stack:
        with place.frozen():
            server = stack.enter_context(place.serve(place.settings(schema["name"], reader)))
            server.await_text("Waiting for the database")
        server.await_ready()
        assert server.text().count("Waiting for the database") == 1


def test_gives_up_on_a_database_that_is_not_there(
    place: Place, schema: dict[str, Any], reader: dict[str, Any]
) -> None:
    """The wait has an end; then the sentence says which database does not answer."""
    port = place.new_port(1)[0]
    uri = f"mysql+pymysql://127.0.0.1:{port}/{schema['name']}"
    settings = place.settings(schema["name"], reader, backend_store_uri=uri)
    sentence = place.refuse(settings, {"MLFLOW_AWS_DATABASE_WAIT": "2"})
    assert f"The database at 127.0.0.1:{port} does not answer" in sentence


def test_verifies_the_database(
    place: Place, schema: dict[str, Any], reader: dict[str, Any]
) -> None:
    """Another CA, Amazon's, and another name for the same host are all refused at once."""
    other = reader | {"ca": make_certificates("127.0.0.1").ca}
    sentence = place.refuse(place.settings(schema["name"], other))
    assert "not trusted" in sentence
    assert "check the CA" in sentence
    sentence = place.refuse(place.settings(schema["name"], reader | {"ca": ""}))
    assert "not trusted" in sentence
    uri = place.uri(schema["name"], host="localhost")
    sentence = place.refuse(place.settings(schema["name"], reader, backend_store_uri=uri))
    assert "Hostname mismatch" in sentence


def test_refuses_a_wrong_password(
    place: Place, schema: dict[str, Any], reader: dict[str, Any]
) -> None:
    """The sentence names user and secret; the password is not in the log."""
    wrong = reader | {"secret": place.make_secret(f"wrong {AWKWARD} {uuid.uuid4().hex}")}
    sentence = place.refuse(place.settings(schema["name"], wrong))
    assert f"refuses the user {reader['user']}" in sentence
    assert wrong["secret"] in sentence


def test_a_blocked_host_is_told(
    place: Place, schema: dict[str, Any], reader: dict[str, Any]
) -> None:
    """A server and a migration say in one sentence that broken connections locked them out."""
    mysql = place.database
    with mysql.connect() as kept, kept.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.max_connect_errors")
        (before,) = cursor.fetchone()
        cursor.execute("SET GLOBAL max_connect_errors = 2")
        try:
            for _attempt in range(5):
                with socket.create_connection((mysql.host, mysql.port), 10) as broken:
                    broken.recv(64)
            sentence = place.refuse(place.settings(schema["name"], reader))
            (record,) = place.migrate(schema)
        finally:
            cursor.execute(f"SET GLOBAL max_connect_errors = {before}")
            cursor.execute("TRUNCATE TABLE performance_schema.host_cache")
    for text in (sentence, record["error"]):
        assert "has blocked this machine's address after too many broken connections" in text


def test_refuses_a_schema_that_is_not_there(
    place: Place, schema: dict[str, Any], reader: dict[str, Any]
) -> None:
    """Neither a schema that does not exist nor one of another project is served."""
    place.copy(schema["name"], "mlflow_other")
    for name in ("mlflow_nowhere", "mlflow_other"):
        sentence = place.refuse(place.settings(name, reader))
        assert f"does not let the user {reader['user']} into the schema {name}" in sentence


@pytest.mark.parametrize(
    ("revision", "remedy"),
    left_out.params(
        [(OLDER, "run the deploy playbook")],
        [(NEWER, "a newer MLflow wrote it"), ("", "at revision none")],
        "test_mlflow_entry.py refuses each revision of SQLite every time.",
    ),
)
def test_refuses_another_revision(
    place: Place, schema: dict[str, Any], revision: str, remedy: str
) -> None:
    """A schema that is older, newer or empty is refused before the server starts, untouched."""
    name = f"mlflow_revision_{revision or 'none'}"
    place.copy(schema["name"], name)
    place.database.query(f"DELETE FROM `{name}`.alembic_version")
    if revision:
        place.database.query(f"INSERT INTO `{name}`.alembic_version VALUES (%s)", revision)
    database = place.identity(name, RUNTIME)
    for workers in (1, 2):
        sentence = place.refuse(place.settings(name, database, workers=workers))
        assert HEAD in sentence
        assert remedy in sentence


def test_a_server_cannot_change_the_schema(place: Place) -> None:
    """Its identity has no right to, whoever uses it to migrate."""
    name = "mlflow_untouched"
    place.make_schema(name)
    (record,) = place.migrate(
        {"name": name, "uri": place.uri(name), "database": place.identity(name, RUNTIME)}
    )
    assert "lacks ALTER, CREATE, DROP, INDEX, LOCK TABLES, REFERENCES, TRIGGER" in record["error"]
    assert not place.database.query(f"SHOW TABLES FROM `{name}`")


def test_secrets_that_cannot_be_read(
    place: Place, schema: dict[str, Any], reader: dict[str, Any]
) -> None:
    """Each fault is one sentence that names the secret and what to do."""
    deleted = place.make_secret(f"deleted {AWKWARD} {uuid.uuid4().hex}")
    place.aws.client("secretsmanager").delete_secret(SecretId=deleted)
    settings = {
        "missing": ({"secret": "test/none"}, {}, "there is none in eu-central-1"),
        "deleted": ({"secret": deleted}, {}, "is scheduled for deletion; restore it with"),
        "no object": (
            {"secret": place.make_secret("", "[1]")},
            {},
            'not a JSON object with a text "pass',
        ),
        "no JSON": (
            {"secret": place.make_secret("", "x")},
            {},
            'not a JSON object with a text "password"',
        ),
        "no text": ({"secret": place.make_secret("", '{"password": 1}')}, {}, "not a JSON object"),
        "unprintable": (
            {"secret": place.make_secret(f"a\nb {AWKWARD} {uuid.uuid4().hex}")},
            {},
            "rotate it to printable ASCII",
        ),
        "no profile": ({}, {"profile": "nobody"}, "has no profile nobody"),
        "no endpoint": (
            {},
            {"endpoint_url": f"http://127.0.0.1:{place.new_port(1)[0]}"},
            "be reached",
        ),
    }
    for what, (database, aws, expected) in settings.items():
        content = place.settings(schema["name"], reader | database, aws=place.aws.options() | aws)
        sentence = place.refuse(content)
        assert expected in sentence, what
        assert sentence.startswith(f"The secret {(reader | database)['secret']} cannot be read"), (
            what
        )
    sentence = place.refuse(
        place.settings(schema["name"], reader), {"HOME": str(place.folder / "nobody")}
    )
    assert "there are no AWS credentials" in sentence


ROLE = "arn:aws:iam::000000000000:role/mlflow/test/project"


@pytest.mark.thorough("The servers of the twin act as their roles every time.")
def test_acts_as_the_role(place: Place, schema: dict[str, Any], reader: dict[str, Any]) -> None:
    """The server's AWS clients, MLflow's own included, have what the broker gives, and nothing else."""
    place.aws.client("s3").create_bucket(
        Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    with ExitStack() as stack:
        broker = stack.enter_context(place.broker(ROLE))
        content = place.settings(
            schema["name"],
            reader,
            aws=place.by_broker(broker),
            artifacts_destination="s3://artifacts/projects/main",
        )
        # It has no home with credentials.
        home = {"HOME": str(place.folder / "nobody")}
        server = stack.enter_context(place.serve(content, home))
        server.await_ready()
        url = f"{server.url}/api/2.0/mlflow-artifacts/artifacts/0/file.txt"
        with OPENER.open(Request(url, b"content", method="PUT"), timeout=60) as answer:
            assert answer.status == 200
        (folder,) = place.run.iterdir()
        assert stat.S_IMODE((folder / "aws-config").stat().st_mode) == 0o400
        assert "aws_secret_access_key" not in (folder / "aws-config").read_text()
        assert not (folder / "aws-credentials").exists()
        told = json.loads(place.call("credentials", server.settings).stdout)
        assert told == broker.get("main")
        assert place.call("health", server.settings).returncode == 0
    listed = place.aws.client("s3").list_objects_v2(Bucket="artifacts")["Contents"]
    assert [item["Key"] for item in listed] == ["projects/main/0/file.txt"]
    assert told["Version"] == 1
    assert told["AccessKeyId"] != "test"
    assert told["Expiration"]


def test_a_server_waits_for_the_login(
    place: Place, schema: dict[str, Any], reader: dict[str, Any]
) -> None:
    """It says what to do, and starts by itself when somebody has logged in; so does the broker."""
    home = place.folder / "later"
    with place.broker(ROLE, HOME=str(home)) as broker:
        assert broker.state()["identity"].startswith("This host has no AWS credentials; log in")
        content = place.settings(schema["name"], reader, aws=place.by_broker(broker))
        with place.serve(content) as server:
            server.await_text("This host has no AWS credentials; log in")
            health = place.call("health", server.settings)
            assert (health.returncode, server.process.poll()) == (1, None)
            shutil.copytree(place.home / ".aws", home / ".aws")
            server.await_ready()
            assert server.text().count("This host has no AWS credentials") == 1
        assert broker.state() == {"identity": "", "projects": {"main": ""}, "ready": True}


KEY = "/mlflow/test/main/key"


def with_key(place: Place, value: str = "") -> dict[str, str]:
    """Return the settings' `aws` with the parameter of a key, which is made if there is a value."""
    if value:
        place.aws.client("ssm").put_parameter(
            Name=KEY, Value=value, Type="SecureString", Overwrite=True
        )
    return place.aws.options() | {"key_parameter": KEY}


@pytest.mark.thorough("test_project_key.py makes and reads the key every time.")
def test_every_host_has_the_same_key(place: Place, schema: dict[str, Any]) -> None:
    """What one server encrypted another decrypts, whatever its workers; the key is not seen."""
    name = "mlflow_keys"
    place.copy(schema["name"], name)
    reader = place.identity(name, RUNTIME)
    root = base64.b64encode(os.urandom(32)).decode()
    aws = with_key(place, root)
    settings = [
        place.settings(name, reader, aws=aws, environment=webhooks.ENVIRONMENT, workers=workers)
        for workers in (1, 2)
    ]
    with (
        webhooks.receiver() as received,
        place.serve(settings[0]) as first,
        place.serve(settings[1]) as second,
    ):
        first.await_ready()
        second.await_ready()
        webhooks.create(str(place.python), place.home, first.url, "told", received.url)
        for _try in range(8):
            assert ask(second.url, webhooks.WEBHOOKS)[0] == 200
        for number, server in enumerate((first, second, second)):
            webhooks.register(server.url, f"model-{number}")
        await_(lambda: len(received.verified) == 3, "not delivered")
        assert received.verified == [True] * 3
        folders = list(place.run.iterdir())
        held = [path for folder in folders for path in folder.iterdir() if root in path.read_text()]
        assert [path.name for path in held] == ["root-key"] * 2
        assert {stat.S_IMODE(path.stat().st_mode) for path in held} == {0o400}
        (folder, _other) = folders
        derived = keys.variables(settings[0], folder)
        for secret in (root, derived[keys.WEBHOOKS], derived[keys.PASSPHRASE]):
            assert traces(secret) == []
            place.passwords.append(secret)


def test_a_key_that_cannot_be_read(
    place: Place, schema: dict[str, Any], reader: dict[str, Any]
) -> None:
    """The server does not start without it, and says what to do; nor by something else."""
    place.aws.client("ssm").put_parameter(
        Name=KEY, Value="bm8ga2V5", Type="SecureString", Overwrite=True
    )
    for workers in (1, 2):
        content = place.settings(schema["name"], reader, aws=with_key(place), workers=workers)
        assert f"{KEY} does not hold a key of 32 bytes in base64" in place.refuse(content)
    place.aws.client("ssm").delete_parameter(Name=KEY)
    sentence = place.refuse(place.settings(schema["name"], reader, aws=with_key(place)))
    assert sentence.startswith(f"The project's key {KEY} cannot be read: there is none in {REGION}")
    assert "run the projects playbook" in sentence


@pytest.mark.thorough("A key that cannot be read is told every time.")
def test_a_key_that_the_role_may_not_read(
    guarded: Guarded, schema: dict[str, Any], reader: dict[str, Any]
) -> None:
    """As before the projects stack is updated: the sentence names the playbook that does it."""
    place = guarded.place
    deny = {"Effect": "Deny", "Action": "ssm:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    guarded.aws.client("iam").put_role_policy(
        RoleName="project", PolicyName="none", PolicyDocument=document
    )
    guarded.log_in()
    secret = place.make_secret(AWKWARD)
    with place.broker(guarded.role) as broker:
        aws = place.by_broker(broker, key_parameter=KEY)
        content = place.settings(schema["name"], {**reader, "secret": secret}, aws=aws)
        sentence = place.refuse(content)
    assert sentence.startswith(f"The project's key {KEY} cannot be read: AWS denies it")
    assert "run the projects playbook" in sentence


@dataclass
class Guarded:
    """An AWS that enforces IAM, with a clock of its own, and a role that takes on no one unknown."""

    place: Place
    clock: Clock
    role: str

    @property
    def aws(self) -> Ministack:
        """Return its emulator."""
        return self.place.aws

    def log_in(self) -> None:
        """Get a new session for the host, and keep its keys where AWS's tools look."""
        answer = self.aws.client("sts").assume_role(RoleArn=self.role, RoleSessionName="host")
        keys = answer["Credentials"]
        path = self.place.home / ".aws" / "credentials"
        path.write_text(
            f"[default]\naws_access_key_id = {keys['AccessKeyId']}\n"
            f"aws_secret_access_key = {keys['SecretAccessKey']}\n"
            f"aws_session_token = {keys['SessionToken']}\n"
        )


@pytest.fixture
def guarded(
    place: Place, tmp_path: Path, free_ports: Callable[[int], list[int]]
) -> Iterator[Guarded]:
    """Run such an AWS, with a bucket."""
    with ExitStack() as stack:
        try:
            clock = stack.enter_context(make_clock(tmp_path))
        except Problem as problem:
            pytest.fail(str(problem), pytrace=False)
        aws = stack.enter_context(
            ministack(free_ports(1)[0], tmp_path, auth=True, **clock.environment)
        )
        iam = aws.client("iam")
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}}
        every = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        told = [json.dumps({"Version": "2012-10-17", "Statement": [one]}) for one in (trust, every)]
        iam.create_role(RoleName="project", AssumeRolePolicyDocument=told[0])
        iam.put_role_policy(RoleName="project", PolicyName="all", PolicyDocument=told[1])
        where = {"LocationConstraint": REGION}
        aws.client("s3").create_bucket(Bucket="artifacts", CreateBucketConfiguration=where)
        other = Place(place.python, place.entry, place.database, aws, tmp_path, place.new_port)
        yield Guarded(other, clock, f"arn:aws:iam::{ACCOUNT}:role/project")
        place.passwords += other.passwords
        # Its folder goes before the last test reads them.
        place.seen += [log.read_text(errors="replace") for log in other.logs]


@pytest.mark.thorough("test_broker.py has a single sign-on that runs out every time.")
def test_a_session_that_ends_is_renewed(guarded: Guarded, schema: dict[str, Any]) -> None:
    """Artifacts fail with its reason and metrics go on; a new login heals it without a restart."""
    place, name = guarded.place, "mlflow_session"
    place.copy(schema["name"], name)
    guarded.log_in()
    with ExitStack() as stack:
        broker = stack.enter_context(place.broker(guarded.role, **guarded.clock.environment))
        content = place.settings(
            name,
            place.identity(name, RUNTIME),
            aws=place.by_broker(broker),
            artifacts_destination="s3://artifacts/p",
        )
        server = stack.enter_context(place.serve(content, guarded.clock.environment))
        server.await_ready()
        assert put(server.url, "before") == 200
        # Sessions last an hour: the host's and the server's own, which the server renews by it.
        guarded.clock.set(61)
        assert put(server.url, "between") >= 400
        server.await_text("The AWS credentials of this host have expired; log in there again.")
        assert experiments(server.url) == {"Default"}
        guarded.log_in()
        assert put(server.url, "after") == 200
    listed = guarded.aws.client("s3").list_objects_v2(Bucket="artifacts")["Contents"]
    assert [item["Key"] for item in listed] == ["p/0/after", "p/0/before"]


def put(url: str, name: str) -> int:
    """Send an artifact; return the status."""
    place = f"{url}/api/2.0/mlflow-artifacts/artifacts/0/{name}"
    try:
        with OPENER.open(Request(place, b"content", method="PUT"), timeout=60) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


@pytest.mark.thorough("test_stack.py has a wrong clock every time.")
def test_a_wrong_clock_is_told(
    guarded: Guarded, schema: dict[str, Any], reader: dict[str, Any]
) -> None:
    """By a server that cannot start because of it; what is revoked is told as such."""
    place = guarded.place
    guarded.log_in()
    guarded.clock.set(60)
    # The broker goes by this machine's clock.
    with place.broker(guarded.role) as broker:
        content = place.settings(schema["name"], reader, aws=place.by_broker(broker))
        with place.serve(content) as server:
            server.await_text("The clock of this host is wrong")
    guarded.clock.set(0)
    path = place.home / ".aws" / "credentials"
    path.write_text(path.read_text().replace("_key_id = ", "_key_id = A"))
    with place.broker(guarded.role) as broker:
        assert broker.state()["identity"] == (
            "AWS does not accept the credentials of this host (InvalidClientTokenId); correct them there."
        )


@pytest.mark.thorough("One schema at a time runs every time, and two runs at once with SQLite.")
def test_migrates_many_schemas_at_once(place: Place) -> None:
    """Several schemas at once, twice at once: each is migrated once, and all end current."""
    schemas = [place.new_schema(f"mlflow_many_{number}") for number in range(3)]
    both = [place.begin_migration(*schemas) for _number in range(2)]
    first, second = (place.finish(process) for process in both)
    for name, records in zip(
        [schema["name"] for schema in schemas], zip(first, second, strict=True), strict=True
    ):
        assert sorted(record["state"] for record in records) == ["current", "empty"], records
        for record in records:
            assert record["name"] == name
            assert record["after"] == HEAD
            assert record["error"] == ""
        assert len(place.database.query(f"SHOW TABLES FROM `{name}`")) == KNOWN["tables"][HEAD]
    assert [record["state"] for record in place.migrate(*schemas)] == ["current"] * 3


def test_migrates_an_older_schema(place: Place) -> None:
    """A schema of an older release, with data, comes to the head with its data."""
    schema = place.new_schema("mlflow_older")
    folder = place.folder / "older"
    folder.mkdir()
    script = (
        "import sys, sqlalchemy\n"
        "from alembic import command\n"
        "from mlflow.store.db.utils import _get_alembic_config\n"
        "from mlflow.store.tracking.dbmodels.initial_models import Base\n"
        "uri, revision = sys.argv[1:]\n"
        "Base.metadata.create_all(sqlalchemy.create_engine(uri))\n"
        "command.upgrade(_get_alembic_config(uri), revision)\n"
    )
    options = f"read_default_file={folder}/my.cnf&ssl_ca={folder}/ca.pem"
    (folder / "ca.pem").write_text(place.database.ca)
    user = schema["database"]["user"]
    (folder / "my.cnf").write_text(f'[client]\nuser="{user}"\npassword="{place.passwords[-1]}"\n')
    subprocess.run(
        [place.python, "-c", script, f"{schema['uri']}?{options}", OLDER],
        env=place.environment(),
        check=True,
        capture_output=True,
        timeout=300,
    )
    (folder / "my.cnf").unlink()
    place.database.query(
        "INSERT INTO mlflow_older.experiments (name, lifecycle_stage) VALUES ('kept', 'active')"
    )
    (record,) = place.migrate(schema)
    assert record == {
        "name": "mlflow_older",
        "state": "behind",
        "before": OLDER,
        "after": HEAD,
        "repaired": False,
        "error": "",
    }
    # The other one MLflow makes where there is none.
    names = {row[0] for row in place.database.query("SELECT name FROM mlflow_older.experiments")}
    assert names == {"Default", "kept"}


@pytest.mark.thorough(
    "It waits for a limit; test_schemas.py has two migrations at once every time."
)
def test_says_who_holds_the_lock(place: Place, schema: dict[str, Any]) -> None:
    """A migration that has to wait too long says who holds it up."""
    with (
        place.database.connect() as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT GET_LOCK(%s, 1)", (f"mlflow_aws:{schema['name']}",))
        (record,) = place.migrate(schema, timeout=40)
        (started,) = place.migrate(schema | {"name": "late"}, timeout=0)
    assert "Another run is migrating the schema " in record["error"]
    assert "within the time limit" in started["error"]
    assert [one["state"] for one in place.migrate(schema)] == ["current"]


@pytest.mark.parametrize(
    ("statements", "state", "expected"),
    [
        (
            ["UPDATE {}.alembic_version SET version_num = 'ffffffffffff'"],
            "ahead",
            "a newer one wrote it",
        ),
        (
            ["DELETE FROM {}.alembic_version"],
            "half",
            "is half-migrated: it is marked with revision none",
        ),
        (
            ["UPDATE {}.alembic_version SET version_num = '1bd49d398cd23'"],
            "half",
            "not 40, as after",
        ),
        (["DROP TABLE {}.alembic_version"], "half", "is half-migrated"),
    ],
)
def test_leaves_a_schema_that_it_does_not_understand(
    place: Place, schema: dict[str, Any], statements: list[str], state: str, expected: str
) -> None:
    """Newer and broken schemas are named and left as they are."""
    name = f"mlflow_left_{uuid.uuid4().hex[:8]}"
    place.copy(schema["name"], name)
    for statement in statements:
        place.database.query(statement.format(name))
    before = place.database.query(f"SHOW TABLES FROM `{name}`")
    migrator = place.identity(name, MIGRATOR, suffix="m")
    (record,) = place.migrate({"name": name, "uri": place.uri(name), "database": migrator})
    assert record["state"] == state
    assert expected in record["error"]
    assert place.database.query(f"SHOW TABLES FROM `{name}`") == before


def test_leaves_a_foreign_schema(place: Place) -> None:
    """A schema of something else is refused, repair or not."""
    schema = place.new_schema("mlflow_foreign")
    place.database.query("CREATE TABLE mlflow_foreign.orders (id INT PRIMARY KEY)")
    (record,) = place.migrate(schema, repair=True)
    assert record["state"] == "foreign"
    assert "1 tables of something else, such as orders" in record["error"]


def test_looks_before_it_begins(place: Place) -> None:
    """What would break a migration off half way is found while the schema is untouched."""
    lacking = place.new_schema("mlflow_lacking")
    place.database.query("REVOKE TRIGGER, REFERENCES ON `mlflow\\_lacking`.* FROM mlflow_lacking_m")
    folded = place.new_schema("mlflow_folded")
    place.database.query("ALTER DATABASE mlflow_folded COLLATE utf8mb4_0900_ai_ci")
    records = place.migrate(lacking, folded)
    assert "names that differ only in case clash" in records[0]["error"]
    assert "lacks REFERENCES, TRIGGER on mlflow_lacking" in records[1]["error"]
    for name in ("mlflow_lacking", "mlflow_folded"):
        assert not place.database.query(f"SHOW TABLES FROM `{name}`")


def test_refuses_tables_of_another_collation(place: Place, schema: dict[str, Any]) -> None:
    """New tables could not refer to tables whose text compares differently."""
    name = "mlflow_mixed"
    place.copy(schema["name"], name)
    place.database.query(f"UPDATE `{name}`.alembic_version SET version_num = '17e22815139b'")
    for (table,) in place.database.query(f"SHOW TABLES FROM `{name}`")[-6:]:
        place.database.query(f"DROP TABLE `{name}`.`{table}`")
    place.database.query(f"ALTER TABLE `{name}`.experiments CONVERT TO CHARACTER SET utf8mb3")
    migrator = place.identity(name, MIGRATOR, suffix="m")
    (record,) = place.migrate({"name": name, "uri": place.uri(name), "database": migrator})
    assert "The table experiments has the collation utf8mb3" in record["error"]


def test_a_migration_without_its_secret(place: Place, schema: dict[str, Any]) -> None:
    """One project's fault does not hold up the others."""
    lost = {**schema, "name": "lost", "database": {**schema["database"], "secret": "test/none"}}
    records = place.migrate(schema, lost)
    assert "Project 'lost': The secret test/none cannot be read" in records[0]["error"]
    assert records[1]["error"] == ""


@pytest.mark.thorough(
    "It needs another MySQL; tests/unit/programs has what is found and what is not emptied."
)
def test_the_binary_log(
    place: Place, mysql_image: str, free_ports: Callable[[int], list[int]]
) -> None:
    """It is found before a migration; one that broke off on it is repaired where nothing is lost."""
    with database_server(mysql_image, free_ports(1)[0], "--log-bin=binlog") as database:
        other = Place(place.python, place.entry, database, place.aws, place.folder, place.new_port)
        schema = other.new_schema("mlflow_logged")
        place.passwords += other.passwords
        (record,) = other.migrate(schema)
        assert "log_bin_trust_function_creators" in record["error"]
        assert not database.query("SHOW TABLES FROM mlflow_logged")

        # What `mlflow db upgrade` does, which looks for nothing.
        break_off(other, schema)
        assert database.query("SHOW TABLES FROM mlflow_logged")
        (record,) = other.migrate(schema)
        assert record["state"] == "half"
        assert "error 1419" in record["error"]
        database.query("SET GLOBAL log_bin_trust_function_creators = 1")
        (record,) = other.migrate(schema)
        assert record["state"] == "half"

        database.query("INSERT INTO mlflow_logged.experiments (name) VALUES ('mine')")
        (record,) = other.migrate(schema, repair=True)
        assert "holds data (in the table experiments)" in record["error"]
        assert database.query("SELECT name FROM mlflow_logged.experiments") == [("mine",)]
        database.query("DELETE FROM mlflow_logged.experiments")
        (record,) = other.migrate(schema, repair=True)
        assert record["repaired"]
        assert record["after"] == HEAD
        place.seen += other.seen


def break_off(place: Place, schema: dict[str, Any]) -> None:
    """Migrate without a look beforehand, which must fail."""
    folder = place.folder / "broken"
    folder.mkdir()
    user, password = schema["database"]["user"], place.passwords[-1]
    (folder / "ca.pem").write_text(schema["database"]["ca"])
    (folder / "my.cnf").write_text(f'[client]\nuser="{user}"\npassword="{password}"\n')
    uri = f"{schema['uri']}?read_default_file={folder}/my.cnf&ssl_ca={folder}/ca.pem"
    done = subprocess.run(
        [place.python, place.entry, "migrate"],
        input=json.dumps({"uri": uri}),
        env=place.environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    (folder / "my.cnf").unlink()
    assert "1419" in done.stderr


CLIENT = """
import sys
from concurrent.futures import ThreadPoolExecutor
from mlflow import MlflowClient

def work(number):
    client = MlflowClient()
    run = client.create_run("0", tags={"number": str(number)}).info.run_id
    for step in range(3):
        client.log_metric(run, "loss", number + step, step=step)
    client.set_terminated(run)

with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    list(pool.map(work, range(int(sys.argv[1]))))
"""


def begin_client(place: Place, url: str, runs: int) -> subprocess.Popen[str]:
    """Let MLflow's own client log so many runs at once, with its own settings for retries."""
    return subprocess.Popen(
        [place.python, "-c", CLIENT, str(runs)],
        env=place.environment(MLFLOW_TRACKING_URI=url, MLFLOW_DISABLE_TELEMETRY="true"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def require_all_logged(place: Place, schema: str, client: subprocess.Popen[str], runs: int) -> None:
    """Wait for the client, and find each run once, with each of its values once."""
    output, _none = client.communicate(timeout=240)
    assert client.returncode == 0, output
    numbers = place.database.query(f"SELECT value FROM `{schema}`.tags WHERE `key` = 'number'")
    assert sorted(int(number) for (number,) in numbers) == list(range(runs))
    finished = f"SELECT COUNT(*) FROM `{schema}`.runs WHERE status = 'FINISHED'"
    assert place.database.query(finished) == [(runs,)]
    values = place.database.query(f"SELECT value FROM `{schema}`.metrics")
    expected = [float(number + step) for number in range(runs) for step in range(3)]
    assert sorted(value for (value,) in values) == sorted(expected)


def fill(place: Place, database: Mapping[str, Any], held: list[Any]) -> None:
    """Open connections until the database has none left."""
    with suppress(pymysql.err.OperationalError):
        while len(held) < 100:
            held.append(place.database.connect(database["user"], place.passwords[-1]))
    assert 0 < len(held) < 100


def test_a_database_without_connections_loses_nothing(place: Place, schema: dict[str, Any]) -> None:
    """Clients get a status that they retry for every call; a start waits as for a sleeping one."""
    name = "mlflow_full"
    place.copy(schema["name"], name)
    database = place.identity(name, RUNTIME)
    settings = place.settings(name, database)
    held: list[Any] = []
    with (
        place.database.connect() as admin,
        admin.cursor() as cursor,
        place.serve(settings, {"MLFLOW_AWS_DATABASE_RETRY": "1"}) as server,
    ):
        server.await_ready()
        for (number,) in place.sessions(database["user"]):
            cursor.execute(f"KILL {number}")
        cursor.execute("SELECT @@GLOBAL.max_connections")
        (before,) = cursor.fetchone()
        try:
            cursor.execute("SET GLOBAL max_connections = 8")
            fill(place, database, held)
            request = {"experiment_ids": ["0"]}
            status, text = ask(server.url, "/api/2.0/mlflow/runs/search", request)
            assert status == 429
            assert "Too many connections" in text
            client = begin_client(place, server.url, 4)
            server.await_text('runs/create HTTP/1.1" 429', 4)
            late = place.settings(name, database)
            with place.serve(late, {"MLFLOW_AWS_DATABASE_WAIT": "1"}) as other:
                await_(lambda: "has no connection left" in other.text(), "no sentence")
        finally:
            for connection in held:
                connection.close()
            cursor.execute(f"SET GLOBAL max_connections = {before}")
        require_all_logged(place, name, client, 4)


@dataclass
class Writer:
    """Logs one run after the other in an experiment of its own, and repeats what it is told to repeat.

    done: runs whose every call was accepted, by the tag that each has; doubtful: tags of runs that may
    have been created by a call that was answered with 503.
    """

    url: str
    number: int
    over: threading.Event
    done: dict[str, str] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    statuses: set[int] = field(default_factory=set)

    def work(self) -> None:
        """Log until it is over."""
        experiment = self.call("experiments/create", {"name": f"cut {self.number}"}, "")
        for step in range(1, 1000):
            if self.over.is_set():
                return
            tag = f"{self.number}/{step}"
            tags = [{"key": "tag", "value": tag}]
            begun = {"experiment_id": experiment["experiment_id"], "tags": tags}
            run_id = self.call("runs/create", begun, tag)["run"]["info"]["run_id"]
            points = [
                {"key": key, "value": step, "timestamp": step, "step": step} for key in POINTS
            ]
            self.call("runs/log-batch", {"run_id": run_id, "metrics": points[1:]})
            self.call("runs/log-metric", {"run_id": run_id, **points[0]})
            self.done[tag] = run_id

    def call(self, path: str, body: object, tag: str | None = None) -> dict[str, Any]:
        """Return the answer of a call that is repeated as MLflow's clients do; 400 they would not."""
        while True:
            status, text = ask(self.url, f"{API}/{path}", body)
            self.statuses.add(status)
            if status == 200:
                found: dict[str, Any] = json.loads(text)
                return found
            assert status in (429, 503), text
            if status == 503 and tag:
                self.doubtful.add(tag)


def break_connections(place: Place, user: str, seconds: float) -> None:
    """Let the database end every connection of a user that it sees, for some time."""
    until = time.monotonic() + seconds
    with place.database.connect() as admin, admin.cursor() as cursor:
        while time.monotonic() < until:
            for (number,) in place.sessions(user):
                # It may be gone.
                with suppress(pymysql.err.OperationalError):
                    cursor.execute(f"KILL {number}")
            time.sleep(random.uniform(0.005, 0.05))


def test_a_connection_that_breaks_loses_nothing(place: Place, schema: dict[str, Any]) -> None:
    """Wherever in a request it breaks, the client is answered so that it asks again; nothing is done twice."""
    name = "mlflow_cut"
    place.copy(schema["name"], name)
    database = place.identity(name, RUNTIME)
    over = threading.Event()
    with place.serve(place.settings(name, database)) as server, ThreadPoolExecutor(4) as pool:
        server.await_ready()
        writers = [Writer(server.url, number, over) for number in range(4)]
        works = [pool.submit(writer.work) for writer in writers]
        try:
            break_connections(place, database["user"], CUT_SECONDS)
        finally:
            over.set()
        for work in works:
            work.result()
    assert 429 in set().union(*(writer.statuses for writer in writers))
    rows = place.database.query(f"SELECT value, run_uuid FROM `{name}`.tags WHERE `key` = 'tag'")
    runs = {run_id: tag for tag, run_id in rows}
    doubtful = set().union(*(writer.doubtful for writer in writers))
    assert {tag for tag, count in Counter(runs.values()).items() if count > 1} <= doubtful
    kept = Counter(place.database.query(f"SELECT run_uuid, `key` FROM `{name}`.metrics"))
    logged = [run_id for writer in writers for run_id in writer.done.values()]
    assert logged
    assert {kept[run_id, key] for run_id in logged for key in POINTS} == {1}


@pytest.mark.thorough(
    "test_a_database_without_connections_loses_nothing has the same pool every time."
)
def test_a_process_opens_as_many_connections_as_it_may(
    place: Place, schema: dict[str, Any]
) -> None:
    """Runs and models share a pool, and more clients than it serves lose nothing."""
    name = "mlflow_crowded"
    place.copy(schema["name"], name)
    database = place.identity(name, RUNTIME)
    pool = {"MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "5", "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "1"}
    most, runs = 0, 24
    with place.serve(place.settings(name, database, environment=pool)) as server:
        server.await_ready()
        client = begin_client(place, server.url, runs)
        while client.poll() is None:
            assert ask(server.url, "/api/2.0/mlflow/registered-models/search")[0] == 200
            most = max(most, len(place.sessions(database["user"])))
        require_all_logged(place, name, client, runs)
        assert " 400" not in server.text()
    assert 2 <= most <= 6


def test_a_probe_leaves_no_connection(place: Place, schema: dict[str, Any]) -> None:
    """Nor does a start: where a hundred servers start or are asked, none would be left."""
    name = "mlflow_probed"
    place.copy(schema["name"], name)
    database = place.identity(name, RUNTIME)
    with place.serve(place.settings(name, database)) as server:
        await_(lambda: ask(server.url, "/health")[0] == 200, "no answer", START_SECONDS)
        assert not place.sessions(database["user"])
        host, _colon, port = server.url.removeprefix("http://").partition(":")
        for _number in range(3):
            assert probe(host, int(port), 20).healthy
            await_(lambda: not place.sessions(database["user"]), "a session stays", 2)
        assert place.call("health", server.settings).returncode == 0
        await_(lambda: not place.sessions(database["user"]), "a session stays", 2)
        assert experiments(server.url) == {"Default"}
        assert place.sessions(database["user"])


def test_tries_again_while_the_database_wakes(place: Place, schema: dict[str, Any]) -> None:
    """Sessions that a waking database breaks off are opened again: of a start, a request, a migration."""
    name = "mlflow_waking"
    place.copy(schema["name"], name)
    database = place.identity(name, RUNTIME)
    far = place.new_port(1)[0]
    uri = f"mysql+pymysql://127.0.0.1:{far}/{name}"
    with link(far, place.database.port) as between:
        between.fall_asleep(2, drops=True)
        with place.serve(place.settings(name, database, backend_store_uri=uri)) as server:
            server.await_ready()
            assert between.dropped > 1
            for drops in (True, False):
                for (number,) in place.sessions(database["user"]):
                    place.database.query(f"KILL {number}")
                dropped = between.dropped
                between.fall_asleep(3, drops=drops)
                assert experiments(server.url) == {"Default"}
                assert (between.dropped > dropped) is drops
        dropped = between.dropped
        between.fall_asleep(3, drops=True)
        migrator = place.identity(name, MIGRATOR, suffix="m")
        (record,) = place.migrate({"name": name, "uri": uri, "database": migrator})
        assert (record["state"], record["error"]) == ("current", "")
        assert between.dropped > dropped


def test_a_server_that_refuses_lets_the_database_sleep(
    place: Place, schema: dict[str, Any]
) -> None:
    """Whatever asks for its health; it serves when what was wrong is over and a module asks."""
    name = "mlflow_ahead"
    place.copy(schema["name"], name)
    place.database.query(f"UPDATE `{name}`.alembic_version SET version_num = %s", NEWER)
    database = place.identity(name, RUNTIME)
    with (
        place.database.connect() as admin,
        admin.cursor() as cursor,
        place.serve(place.settings(name, database)) as server,
    ):

        def connections() -> int:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Connections'")
            return int(cursor.fetchone()[1])

        await_(lambda: refusal(server.url)[0], server.text(), START_SECONDS)
        before = connections()
        for _number in range(3):
            assert refusal(server.url)[0]
            assert ask(server.url, SEARCH, {"max_results": 1})[0] == 503
            assert place.call("health", server.settings).returncode == 1
        assert connections() == before
        host, _colon, port = server.url.removeprefix("http://").partition(":")
        answer = probe(host, int(port), 20)
        assert answer.refused
        assert "a newer MLflow wrote it" in answer.reason
        assert connections() > before
        # As after the snapshot of before is restored.
        place.database.query(f"UPDATE `{name}`.alembic_version SET version_num = %s", HEAD)
        await_(lambda: probe(host, int(port), 20).healthy, server.text(), START_SECONDS)
        assert place.call("health", server.settings).returncode == 0
        assert server.text().count("a newer MLflow wrote it") == 1


@pytest.mark.thorough(
    "A runner that is killed, and its successor, run each job once with SQLite every time."
)
def test_two_hosts_run_each_job_once(place: Place) -> None:
    """One runner at a time takes the jobs of a project, and another one when its server is killed."""
    name = "hosts_with_jobs"
    with model() as asked:
        (record,) = place.migrate(place.new_schema(name))
        assert record["error"] == ""
        database = place.identity(name, RUNTIME)
        settings = [
            place.settings(name, database, jobs=True, environment=asked.environment)
            for _host in range(2)
        ]
        with place.serve(settings[0]) as first:
            first.await_ready()
            first.await_text("The job runner takes this project's jobs.")
            with place.serve(settings[1]) as second:
                second.await_ready()
                generate_traces(second.url)
                # Of either server, by the runner of the first.
                jobs = [evaluate(server.url)[0] for server in (first, second)]
                for job in jobs:
                    await_end(second.url, job, first.text())
                assert asked.asked == len(jobs)
                assert "takes this project's jobs" not in second.text()
                asked.answers.clear()
                job, _run = evaluate(second.url)
                await_(lambda: asked.asked == len(jobs) + 1, "no judge was asked")
                first.process.kill()
                second.await_text("The job runner takes this project's jobs.")
                asked.answers.set()
                await_end(second.url, job, second.text())
                assert asked.asked == len(jobs) + 2
        # What was killed removes its secrets when it starts again.
        with place.serve(settings[0]) as first:
            first.await_ready()


def test_no_password_was_seen(place: Place) -> None:
    """Whatever the tests above made servers and migrations say, no password is in it."""
    texts = [*place.seen, *(log.read_text(errors="replace") for log in place.logs)]
    assert len(texts) > 20
    for password in place.passwords:
        forms = {password, quote(password), quote_plus(password)}
        assert not [text for text in texts if any(form in text for form in forms)]
    left = [path for path in place.folder.rglob("*") if path.is_file() and "home" not in path.parts]
    for path in left:
        assert AWKWARD not in path.read_text(errors="replace"), path
