# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's program as a process, at a real MySQL and an emulated Secrets Manager."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pymysql
import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.tests.parts import server_program
from ansible_collections.mlops.mlflow_aws.tests.parts.broker import Broker, broker
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import Ministack, ministack
from ansible_collections.mlops.mlflow_aws.tests.parts.host import OPENER, ask, await_
from ansible_collections.mlops.mlflow_aws.tests.parts.mysql_server import (
    UNSAFE,
    Mysql,
    make_certificates,
    running,
)
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, clean_environment

KNOWN = json.loads((CHECKOUT / "docker" / "mlflow.json").read_text())
HEAD = KNOWN["head"]
AWKWARD = "%/@:?#&\"'\\ ; =x"
MIGRATOR = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, TRIGGER, LOCK TABLES"
)
RUNTIME = "SELECT, INSERT, UPDATE, DELETE"
START_SECONDS = 120


@dataclass
class Started:
    """A running entry point and its log."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str
    settings: Path

    def text(self) -> str:
        """Return the log."""
        return self.log.read_text(errors="replace")

    def await_ready(self) -> None:
        """Wait until the server answers for its database."""
        deadline = time.monotonic() + START_SECONDS
        while ask(self.url, "/api/2.0/mlflow/experiments/search", {"max_results": 1})[0] != 200:
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.1)

    def await_text(self, text: str, times: int = 1) -> None:
        """Wait until the log holds a text so many times."""
        await_(lambda: self.text().count(text) >= times, f"{text!r} was not told", START_SECONDS)

    def stop(self) -> int:
        """Ask it to end and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@dataclass
class Place:
    """The parts that stay up for all tests, and every password that was ever in use."""

    python: Path
    entry: Path
    database: Mysql
    aws: Ministack
    folder: Path
    new_port: Callable[[int], list[int]]
    passwords: list[str] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """Return a home folder that holds AWS credentials and nothing else."""
        home = self.folder / "home"
        if not home.exists():
            (home / ".aws").mkdir(parents=True)
            keys = "aws_access_key_id = test\naws_secret_access_key = test\n"
            (home / ".aws" / "credentials").write_text(f"[default]\n{keys}[team]\n{keys}")
        return home

    @property
    def run(self) -> Path:
        """Return the folder in which servers make their private ones."""
        return self.folder / "run"

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of an entry point."""
        own = {"AWS_EC2_METADATA_DISABLED": "true", "TMPDIR": str(self.folder)}
        # Elsewhere servers of other tests may keep theirs.
        self.run.mkdir(mode=0o700, exist_ok=True)
        own["XDG_RUNTIME_DIR"] = str(self.run)
        return clean_environment(self.home) | {"LC_ALL": "C.UTF-8"} | own | more

    @contextmanager
    def broker(self, role: str, **environment: str) -> Iterator[Broker]:
        """Run a credential broker for the project `main` with the identity of this home."""
        own = self.environment(**environment)
        with broker(self.python, {"main": role}, self.aws.options(), own) as made:
            yield made

    def by_broker(self, made: Broker, **more: str) -> dict[str, str]:
        """Return the settings' `aws` of a server whose role that broker gives."""
        return {**self.aws.options(), "broker": made.socket("main"), **more}

    def make_secret(self, password: str, text: str | None = None) -> str:
        """Make a secret and return its name."""
        name = f"test/{uuid.uuid4().hex}"
        content = text if text is not None else json.dumps({"project": "x", "password": password})
        self.aws.client("secretsmanager").create_secret(Name=name, SecretString=content)
        if password:
            self.passwords.append(password)
        return name

    def change_secret(self, name: str, password: str) -> None:
        """Give a secret another version."""
        text = json.dumps({"project": "x", "password": password})
        self.aws.client("secretsmanager").put_secret_value(SecretId=name, SecretString=text)
        self.passwords.append(password)

    def make_schema(self, name: str) -> None:
        """Make an empty schema as mlflow_project_schema does."""
        self.database.query(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")

    def set_password(self, user: str, password: str) -> None:
        """Give a user another password; sessions that are open would go on, so they are ended."""
        self.database.query("ALTER USER %s@'%%' IDENTIFIED BY %s", user, password)
        for (number,) in self.sessions(user):
            with suppress(pymysql.err.OperationalError):
                self.database.query(f"KILL {number}")

    def sessions(self, user: str) -> list[tuple[Any, ...]]:
        """Return the ids of a user's sessions."""
        return self.database.query(
            "SELECT id FROM information_schema.processlist WHERE user = %s", user
        )

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze the database meanwhile: sessions stay, and nothing answers."""
        self.database.act("pause")
        try:
            yield
        finally:
            self.database.act("unpause")

    def uri(self, schema: str, host: str = "127.0.0.1") -> str:
        """Return the plain URI of a schema."""
        return f"mysql+pymysql://{host}:{self.database.port}/{schema}"

    def identity(
        self, schema: str, privileges: str, password: str = "", suffix: str = "r"
    ) -> dict[str, Any]:
        """Make a user of a schema and its secret; return the settings' `database`."""
        password = password or f"{uuid.uuid4().hex} {AWKWARD}"
        user = f"{schema}_{suffix}"
        self.database.query("CREATE USER %s@'%%' IDENTIFIED BY %s REQUIRE SSL", user, password)
        names = [schema, *(_names.schemas_beside(schema) if privileges == MIGRATOR else [])]
        for name in names:
            # Its underscores are meant literally.
            pattern = name.replace("_", r"\_")
            self.database.query(f"GRANT {privileges} ON `{pattern}`.* TO `{user}`@'%'")
        return {"secret": self.make_secret(password), "user": user, "ca": self.database.ca}

    def migrate(self, *schemas: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
        """Run migrate-all and return its records, sorted by name."""
        return self.finish(self.begin_migration(*schemas, **more))

    def begin_migration(self, *schemas: dict[str, Any], **more: Any) -> subprocess.Popen[str]:
        """Start migrate-all."""
        environment = more.pop("environment", {})
        request = {"schemas": schemas, "aws": self.aws.options(), "workers": 2, "timeout": 300}
        path = self.folder / f"request-{uuid.uuid4().hex}.json"
        path.write_text(json.dumps({**request, **more}))
        return subprocess.Popen(
            [self.python, self.entry, "migrate-all", path],
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> list[dict[str, Any]]:
        """Return the records of a migration that was started."""
        output, errors = process.communicate(timeout=400)
        self.seen += [output, errors]
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
        records: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines()]
        return sorted(records, key=lambda record: str(record["name"]))

    def new_schema(self, name: str) -> dict[str, Any]:
        """Make an empty schema and its migrator; return it as migrate-all takes it."""
        self.make_schema(name)
        identity = self.identity(name, MIGRATOR, suffix="m")
        return {"name": name, "uri": self.uri(name), "database": identity}

    def copy(self, source: str, name: str) -> None:
        """Make a schema that says the same revision as another and has its tables, empty."""
        self.make_schema(name)
        with (
            self.database.connect(database=name) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"SHOW TABLES FROM `{source}`")
            for (table,) in cursor.fetchall():
                cursor.execute(f"CREATE TABLE `{table}` LIKE `{source}`.`{table}`")
            cursor.execute(f"INSERT INTO alembic_version VALUES ('{HEAD}')")

    def settings(self, schema: str, database: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Return the content of a server's settings file."""
        return {
            "configuration": "0123456789abcdef",
            "host": "127.0.0.1",
            "port": self.new_port(1)[0],
            "workers": 1,
            "backend_store_uri": self.uri(schema),
            "artifacts_destination": str(self.folder / "artifacts"),
            "allowed_hosts": [],
            "environment": {},
            "database": database,
            "aws": self.aws.options(),
            **more,
        }

    @contextmanager
    def serve(
        self, settings: Mapping[str, Any], environment: Mapping[str, str] | None = None
    ) -> Iterator[Started]:
        """Start a server and end it; it may not have become ready yet."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        path, log = folder / "settings.json", folder / "server.log"
        path.write_text(json.dumps(settings))
        self.logs.append(log)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self.python, self.entry, "serve", path],
                env=self.environment(**(environment or {})),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield Started(process, log, f"http://127.0.0.1:{settings['port']}", path)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(40)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)

    def refuse(
        self,
        settings: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
        seconds: float = 60,
    ) -> str:
        """Start a server that must refuse to serve, within a time; return its one sentence.

        It says the same on its port, to health checks and in its log, and stays up.
        """
        with self.serve(settings, environment) as server:
            await_(lambda: refusal(server.url)[0], server.text(), seconds)
            _status, sentence = refusal(server.url)
            assert server.process.poll() is None
            checked = self.call("health", server.settings)
            assert (checked.returncode, checked.stderr) == (1, f"mlflow_entry: {sentence}\n")
        text = server.text()
        assert "Traceback" not in text
        lines = [line for line in text.splitlines() if line.startswith("mlflow_entry: ")]
        assert lines[-1] == f"mlflow_entry: {sentence}"
        return sentence

    def call(self, verb: str, path: Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a verb of the entry point to its end."""
        done = subprocess.run(
            [self.python, self.entry, verb, path],
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.seen += [done.stdout, done.stderr] if verb != "credentials" else [done.stderr]
        return done


def refusal(url: str) -> tuple[bool, str]:
    """Ask as a browser does; return whether the server refuses to serve for now, and what it says."""
    try:
        with OPENER.open(url, timeout=20) as answer:
            return False, answer.read().decode()
    except HTTPError as error:
        with error:
            refused = error.code == 503 and error.headers["mlflow-aws-refusal"] == "1"
            return refused, error.read().decode().rstrip("\n")
    except OSError as error:
        return False, str(error)


@contextmanager
def database_server(
    image: str,
    port: int,
    *options: str,
    names: Sequence[str] = ("127.0.0.1",),
    volumes: Mapping[str, str] | None = None,
) -> Iterator[Mysql]:
    """Run a MySQL whose certificate is good for these host names and addresses alone."""
    name, password = f"mlflow-entry-{port}", uuid.uuid4().hex
    certificates = make_certificates(*names)
    with running(
        image, name, port, password=password, options=(*UNSAFE, *options),
        certificates=certificates, volumes=volumes,
    ) as database:  # fmt: skip
        yield database


@pytest.fixture(scope="module")
def place(
    runtime: Mapping[str, Any],
    mysql_image: str,
    free_ports: Callable[[int], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """Start MySQL and the emulated AWS for all tests."""
    with (
        database_server(mysql_image, free_ports(1)[0]) as database,
        ministack(free_ports(1)[0], tmp_path_factory.mktemp("aws")) as aws,
    ):
        entry = server_program.lay_out(tmp_path_factory.mktemp("program"))
        program = (Path(runtime["python"]), entry)
        yield Place(*program, database, aws, tmp_path_factory.mktemp("place"), free_ports)
