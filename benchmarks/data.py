# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup, restore and upgrade of a large project, to what they cost without checks.

Beside a backup: a plain dump of the database and a plain copy of the same artifacts. Beside a restore: loading
that dump into an empty database, and copying the artifacts there. Beside a second backup of what has not changed: the
first one. Beside an upgrade: `mlflow db upgrade` of the same database where it lies, from release 3.16. All are
processes of their own, from their start to their end.

By default an SQLite file and folders, whose dump is that of Python's sqlite3 module. With --mysql a MySQL in a
container and a bucket of an emulated S3, whose dump is mysqldump's, and whose artifacts are copied by boto3 with as
many threads as a backup has; requires a Docker engine or root, and MySQL's own client: MariaDB's also dumps
generated columns, which MySQL does not load.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import secrets
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.mlops.mlflow_aws.benchmarks import _bench
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.data.places import (
    Bucket,
)
from ansible_collections.mlops.mlflow_aws.tests.parts import (
    base_images,
    bulk,
    docker_engine,
    emulator,
    mysql_server,
    seeds,
    server_program,
)
from ansible_collections.mlops.mlflow_aws.tests.support import new_environment

SECONDS = 1800
BUCKET = "bench"
DUMP = """
import sqlite3, sys
with open(sys.argv[2], "w", encoding="utf-8") as stream:
    for line in sqlite3.connect(sys.argv[1]).iterdump():
        stream.write(line + "\\n")
"""
LOAD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[2])
with open(sys.argv[1], encoding="utf-8") as stream:
    connection.executescript(stream.read())
"""
# Get or put all objects of a prefix, each in one request.
COPY = """
import boto3, os, sys
from botocore.config import Config
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
direction, endpoint, bucket, prefix, folder, threads = sys.argv[1:]
client = boto3.client("s3", endpoint_url=endpoint, config=Config(max_pool_connections=int(threads)))
root = Path(folder)
def get(key):
    path = root / key[len(prefix):]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())
def put(path):
    client.put_object(Bucket=bucket, Key=prefix + str(path.relative_to(root)), Body=path.read_bytes())
with ThreadPoolExecutor(int(threads)) as pool:
    if direction == "get":
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        list(pool.map(get, keys))
    else:
        list(pool.map(put, [path for path in root.rglob("*") if path.is_file()]))
"""


class Cost(NamedTuple):
    """What processes took: seconds by the clock, and the most MiB of one of them."""

    seconds: float
    memory: float


@dataclass
class Space:
    """Programs, folders and environment of all that is measured."""

    folder: Path
    ours: Path
    entry: Path
    older: seeds.Release
    newest: seeds.Release
    environment: dict[str, str]

    def run(self, *commands: Sequence[str | Path], **files: Any) -> Cost:
        """Run commands to their ends, one after the other; return what they took together."""
        began, memory = time.monotonic(), 0.0
        for command in commands:
            process = subprocess.Popen(
                command, env=self.environment, cwd=self.folder, start_new_session=True, **files
            )
            deadline = time.monotonic() + SECONDS
            while True:
                pid, status, used = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                if time.monotonic() > deadline:
                    os.killpg(process.pid, 9)
                time.sleep(0.01)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise SystemExit(f"{' '.join(map(str, command))[:200]} failed.")
            memory = max(memory, used.ru_maxrss / 1024)
        return Cost(time.monotonic() - began, memory)

    def verb(self, verb: str, request: Mapping[str, Any]) -> Cost:
        """Run a verb of ours."""
        path, output = self.folder / "request.json", self.folder / "records.txt"
        path.touch(0o600)
        path.write_text(json.dumps(request))
        with output.open("w") as stream:
            cost = self.run([self.ours, "-I", self.entry, verb, path], stdout=stream)
        for line in output.read_text().splitlines():
            if json.loads(line)["error"]:
                raise SystemExit(line)
        say(f"{verb}: {cost.seconds:.1f} s, {cost.memory:.0f} MiB")
        return cost


def say(text: str) -> None:
    """Report progress."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def prepared() -> Iterator[Space]:
    """Install what is needed, and give a folder."""
    with _bench.workplace() as folder:
        home = folder / "home"
        home.mkdir()
        entry = server_program.lay_out(folder / "program")
        newest, older = (
            seeds.Release(new_environment(*seeds.ENVIRONMENTS[name]) / "python", home)
            for name in (seeds.NEWEST, seeds.OLDER[2])
        )
        variables = {**newest.environment(), "XDG_RUNTIME_DIR": str(folder)}
        yield Space(folder, newest.python, entry, older, newest, variables)


def measure(
    space: Space,
    request: dict[str, Any],
    clone: dict[str, Any],
    plain: Callable[[], tuple[Cost, Cost]],
    migration: Cost,
) -> None:
    """Run the verbs, and print them beside the plain ways: dump and copy, load and copy, upgrade.

    Dumps are of the upgraded database, so that no restore migrates.
    """
    upgraded = space.verb("upgrade", request)
    dump, load = plain()
    say(f"plain: {migration.seconds:.1f}, {dump.seconds:.1f} and {load.seconds:.1f} s")
    first = space.verb("backup", request)
    second = space.verb("backup", request)
    restored = space.verb("restore", clone)
    rehearsed = space.verb("rehearse", request)
    memory = max(cost.memory for cost in (first, second, restored, rehearsed, upgraded))
    _bench.report("backup to dump and copy", first.seconds, dump.seconds, "s", 1.5)
    _bench.compare("restore to load and copy", restored.seconds, load.seconds, "s", 2.0)
    _bench.compare(
        "second backup, without changes, to the first", second.seconds, first.seconds, "s", 0.1
    )
    _bench.compare("upgrade to mlflow db upgrade", upgraded.seconds, migration.seconds, "s", 1.5)
    _bench.compare("peak memory to 300 MiB", memory, 300.0, "MiB", 1.0)


def sqlite(space: Space, size: bulk.Size) -> None:
    """Measure an SQLite file and folders."""
    project = seeds.in_folder(space.folder / "demo")
    project.artifacts.mkdir(parents=True)
    seeds.upgrade(space.older, project)
    bulk.bulk(project, size)
    with contextlib.closing(sqlite3.connect(project.database)) as connection:
        connection.execute(seeds.DEFAULT_EXPERIMENT)
        connection.commit()
    say(f"{project.database.stat().st_size >> 20} MiB of rows")
    clone = space.folder / "clone"
    (clone / "artifacts").mkdir(parents=True)
    requests = [
        {
            "projects": [
                {
                    "name": folder.name,
                    "backend_store_uri": f"sqlite:///{folder}/mlflow.db",
                    "artifacts_destination": f"{folder}/artifacts",
                }
            ],
            "destination": str(space.folder / "backups"),
            "source": "demo",
        }
        for folder in (space.folder / "demo", clone)
    ]
    copy = seeds.in_folder(space.folder / "upgraded")
    copy.artifacts.mkdir(parents=True)
    shutil.copyfile(project.database, copy.database)
    migrated = space.run([space.newest.python, "-m", "mlflow", "db", "upgrade", copy.uri])

    def plain() -> tuple[Cost, Cost]:
        dump, loaded = space.folder / "dump.sql", space.folder / "loaded.db"
        taken = space.run(
            [space.ours, "-c", DUMP, project.database, dump],
            ["cp", "-r", project.artifacts, space.folder / "copy"],
        )
        put = space.run(
            [space.ours, "-c", LOAD, dump, loaded],
            ["cp", "-r", space.folder / "copy", space.folder / "copy2"],
        )
        for name in ("copy", "copy2"):
            shutil.rmtree(space.folder / name)
        return taken, put

    measure(space, requests[0], requests[1], plain, migrated)


def in_mysql(
    space: Space, size: bulk.Size, mysql: mysql_server.Mysql, aws: emulator.Ministack
) -> None:
    """Measure a schema of MySQL and a bucket."""
    tools = {name: shutil.which(name) for name in ("mysqldump", "mysql")}
    if not all(tools.values()):
        raise SystemExit("There is no mysqldump; install MySQL's client.")
    space.environment |= {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": emulator.REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    project = seeds.in_mysql(mysql, "demo", space.folder)
    seeds.upgrade(space.older, project)
    bulk.bulk(project, size, mysql)
    with mysql.connect(database="demo") as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')")
        cursor.execute(seeds.DEFAULT_EXPERIMENT)
    client = aws.client("s3")
    where = {"LocationConstraint": emulator.REGION}
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    options = f"--defaults-file={space.folder / 'plain.cnf'}"
    (space.folder / "plain.cnf").touch(0o600)
    (space.folder / "plain.cnf").write_text(
        f'[client]\nuser = {mysql.user}\npassword = "{mysql.password}"\nhost = {mysql.host}\n'
        f"port = {mysql.port}\nssl-ca = {space.folder / 'ca.pem'}\n"
    )

    def copy(direction: str, prefix: str) -> list[str | Path]:
        where = [aws.url, BUCKET, prefix, str(project.artifacts), str(Bucket.workers)]
        return [space.ours, "-c", COPY, direction, *where]

    say("Filling the bucket")
    space.run(copy("put", "projects/demo/"))
    shutil.rmtree(project.artifacts)
    for name in ("upgraded", "loaded", "clone"):
        mysql.query(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    dumper, loader = ([str(tools[name]), options] for name in ("mysqldump", "mysql"))
    dumper += ["--single-transaction", "--no-tablespaces", "--triggers", "demo"]

    def dumped() -> Cost:
        with (space.folder / "dump.sql").open("wb") as stream:
            return space.run(dumper, stdout=stream)

    def loaded(name: str) -> Cost:
        with (space.folder / "dump.sql").open("rb") as stream:
            return space.run([*loader, name], stdin=stream)

    def plain() -> tuple[Cost, Cost]:
        taken = dumped().seconds + space.run(copy("get", "projects/demo/")).seconds
        put = loaded("loaded").seconds + space.run(copy("put", "projects/loaded/")).seconds
        mysql.query("DROP DATABASE loaded")
        shutil.rmtree(project.artifacts)
        return Cost(taken, 0), Cost(put, 0)

    dumped()
    loaded("upgraded")
    uri = project.uri.replace("/demo?", "/upgraded?")
    migrated = space.run([space.newest.python, "-m", "mlflow", "db", "upgrade", uri])
    mysql.query("DROP DATABASE upgraded")
    secret = f"bench/{secrets.token_hex(4)}"
    aws.client("secretsmanager").create_secret(
        Name=secret, SecretString=json.dumps({"project": "x", "password": mysql.password})
    )
    requests = [
        {
            "projects": [
                {
                    "name": name,
                    "backend_store_uri": f"mysql+pymysql://{mysql.host}:{mysql.port}/{name}",
                    "artifacts_destination": f"s3://{BUCKET}/projects/{name}",
                    "database": {"secret": secret, "user": mysql.user, "ca": mysql.ca},
                }
            ],
            "destination": f"s3://{BUCKET}/backups",
            "source": "demo",
            "aws": aws.options(),
        }
        for name in ("demo", "clone")
    ]
    measure(space, requests[0], requests[1], plain, migrated)


def main() -> None:
    """Parse the arguments, prepare and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mysql", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the whole size")
    arguments = parser.parse_args()
    whole = bulk.Size()
    size = bulk.Size(*(max(1, round(number * arguments.scale)) for number in (
        whole.runs, whole.points, whole.spans, whole.objects
    )))  # fmt: skip
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with prepared() as space:
        if not arguments.mysql:
            sqlite(space, size)
            return
        engine = docker_engine.find() or docker_engine.start(space.folder)
        os.environ["DOCKER_HOST"] = engine.host
        try:
            image = base_images.provide(engine, base_images.mysql())
            password = secrets.token_hex(16)
            name = f"mlflow-bench-{secrets.token_hex(4)}"
            with (
                mysql_server.running(image, name, _bench.free_port(), password=password) as mysql,
                emulator.ministack(_bench.free_port(), space.folder / "home") as aws,
            ):
                in_mysql(space, size, mysql, aws)
        finally:
            docker_engine.stop(engine)


if __name__ == "__main__":
    main()
