# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that log ten metrics, per second, against `mlflow server` with its defaults on one MySQL.

The database is the twin's: a real MySQL in a container, over TLS, whose commits wait for the
disk. All servers use the same schema as the same user. Ours is mlflow_entry.py with one
worker, which takes its password from a secret; for eight clients also with as many workers as
there are processors. Beside it all of MLflow with the drivers that it needs, and no setting but
where its database is.

Each server runs alone, is used once it has settled, and they take turns; figures are medians.
Clients are threads, each with a run and a connection of its own that stays open, like that of
MLflow's own client; they only count what is answered, so that they are not what is measured.
Memory is the proportional set size of all processes of a server while eight clients run.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.mlops.mlflow_aws.benchmarks import _bench
from ansible_collections.mlops.mlflow_aws.tests.parts import (
    base_images,
    docker_engine,
    emulator,
    mysql_server,
)
from ansible_collections.mlops.mlflow_aws.tests.support import Ports

API = "/api/2.0/mlflow"
METRICS = 10
CLIENTS = 8
TIMEOUT = 120
# Requests of each client before it is measured.
WARMING = 5
# A server that uses less than a tenth of a processor for some seconds has started.
SETTLE_SECONDS, PAUSE, IDLE_SHARE = 300, 4.0, 0.1
SCHEMA = USER = "mlflow_bench"
OURS, STOCK, WORKERS = "one worker", "mlflow server", "more workers"
KINDS = (OURS, STOCK, WORKERS)


class Figures(NamedTuple):
    """What one server did: requests per second of one and of eight clients, and its MiB then."""

    one: float
    eight: float
    memory: float


@dataclass(frozen=True)
class Place:
    """The database and the secret in it, the emulated AWS, and a folder for all files."""

    kinds: _bench.Kinds
    folder: Path
    database: mysql_server.Mysql
    aws: emulator.Ministack
    password: str
    secret: str

    @property
    def uri(self) -> str:
        """Return the schema's URI, without user and options."""
        return f"mysql+pymysql://{self.database.host}:{self.database.port}/{SCHEMA}"

    @property
    def full_uri(self) -> str:
        """Return the schema's URI with user and CA by name, for what reads no secret."""
        options = f"read_default_file={self.folder}/my.cnf&ssl_ca={self.folder}/ca.pem"
        return f"{self.uri}?{options}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of our server: whom AWS takes it for."""
        skipped = [os.environ.get("NO_PROXY", ""), "127.0.0.1"]
        return {**self.aws.environment(), "NO_PROXY": ",".join(filter(None, skipped))}

    def prepare(self) -> None:
        """Make the schema, its user and its tables, and the files that name both."""
        defaults = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        self.database.query(f"CREATE DATABASE {SCHEMA} {defaults}")
        self.database.query(f"CREATE USER {USER}@'%%' IDENTIFIED BY %s REQUIRE SSL", self.password)
        self.database.query(f"GRANT ALL ON {SCHEMA}.* TO {USER}@'%'")
        (self.folder / "ca.pem").write_text(self.database.ca)
        options = self.folder / "my.cnf"
        options.touch(0o600)
        options.write_text(f"[client]\nuser={USER}\npassword={self.password}\n")
        request = json.dumps({"uri": self.full_uri})
        command = [str(self.kinds.ours), "-I", self.kinds.entry, "migrate"]
        subprocess.run(command, input=request, text=True, check=True, capture_output=True)

    def command(self, kind: str, port: int) -> list[str]:
        """Return the command line of a kind of server."""
        artifacts = str(self.folder / "artifacts")
        if kind == STOCK:
            program = [str(self.kinds.stock.with_name("mlflow")), "server"]
            program += ["--backend-store-uri", self.full_uri, "--artifacts-destination", artifacts]
            return [*program, "--host", "127.0.0.1", "--port", str(port)]
        path = self.folder / f"settings-{port}.json"
        settings = {
            "configuration": "benchmark",
            "host": "127.0.0.1",
            "port": port,
            "workers": 1 if kind == OURS else os.cpu_count() or 1,
            "backend_store_uri": self.uri,
            "artifacts_destination": artifacts,
            "allowed_hosts": [],
            "environment": {},
            "database": {"secret": self.secret, "user": USER, "ca": self.database.ca},
            "aws": self.aws.options(),
        }
        path.write_text(json.dumps(settings))
        return [str(self.kinds.ours), "-I", self.kinds.entry, "serve", str(path)]


@contextlib.contextmanager
def placed(folder: Path) -> Iterator[Place]:
    """Give a database and an emulated AWS while the block runs."""
    kinds = _bench.environments(drivers=True)
    ports = Ports()
    with contextlib.ExitStack() as stack:
        engine = docker_engine.find()
        if engine is None:
            engine = docker_engine.start(folder)
            stack.callback(docker_engine.stop, engine)
        os.environ.update(engine.environment)
        aws = stack.enter_context(emulator.ministack(ports(1)[0], folder))
        image = base_images.provide(engine, base_images.mysql())
        name, administrator = f"mlflow-bench-{ports(1)[0]}", secrets.token_urlsafe(24)
        running = mysql_server.running(image, name, ports(1)[0], password=administrator)
        database = stack.enter_context(running)
        password = secrets.token_urlsafe(24)
        secret = aws.client("secretsmanager").create_secret(
            Name="benchmark", SecretString=json.dumps({"password": password})
        )["ARN"]
        yield Place(kinds, folder, database, aws, password, secret)


class Client:
    """One client of a server: a run, and a connection that stays open."""

    def __init__(self, port: int) -> None:
        """Connect, and begin a run."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        now = int(time.time() * 1000)
        answer = self.post("runs/create", {"experiment_id": "0", "start_time": now})
        self._run = answer["run"]["info"]["run_id"]
        self._step = 0

    def post(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask the server; anything but success ends the benchmark."""
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", f"{API}/{verb}", json.dumps(body), headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise SystemExit(f"{verb} was answered with {response.status}: {content[:500]!r}")
        answer: dict[str, Any] = json.loads(content)
        return answer

    def log(self) -> None:
        """Log ten metrics at another step."""
        self._step += 1
        now = int(time.time() * 1000)
        metrics = [
            {"key": f"metric-{number}", "value": now, "timestamp": now, "step": self._step}
            for number in range(METRICS)
        ]
        self.post("runs/log-batch", {"run_id": self._run, "metrics": metrics})

    def log_until(self, deadline: float) -> int:
        """Log until a point of time.monotonic(); return how often."""
        done = 0
        while time.monotonic() < deadline:
            self.log()
            done += 1
        return done

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def rate(
    port: int, clients: int, seconds: float, look: Callable[[], float] = float
) -> tuple[float, float]:
    """Return how many requests so many clients have answered per second, and what `look` saw.

    It looks once, in the middle.
    """
    with ThreadPoolExecutor(clients) as pool:
        team = list(pool.map(lambda _number: Client(port), range(clients)))
        # What each worker and each new connection does once is not what is measured.
        for _round in range(WARMING):
            list(pool.map(Client.log, team))
        began = time.monotonic()
        running = [pool.submit(client.log_until, began + seconds) for client in team]
        time.sleep(seconds / 2)
        seen = look()
        done = sum(one.result() for one in running)
        took = time.monotonic() - began
    for client in team:
        client.close()
    return done / took, seen


def settle(pid: int) -> None:
    """Wait until a server has done what it does after its first answer, such as start a job runner."""
    deadline = time.monotonic() + SETTLE_SECONDS
    before = _bench.processor_seconds(pid)
    while time.monotonic() < deadline:
        time.sleep(PAUSE)
        now = _bench.processor_seconds(pid)
        if now - before < IDLE_SHARE * PAUSE:
            return
        before = now
    raise SystemExit("A server is still busy with its start: try on a quiet machine.")


def measure(place: Place, kind: str, seconds: float) -> Figures:
    """Start a server, have it used, and end it."""
    port = _bench.free_port()
    variables = place.environment if kind != STOCK else {}
    with _bench.served(place.command(kind, port), port, variables) as (pid, _seconds):
        settle(pid)
        one, _nothing = rate(port, 1, seconds)
        eight, memory = rate(port, CLIENTS, seconds, lambda: _bench.memory(pid))
    told = f"{one:.1f} and {eight:.1f} requests per second, {memory:.0f} MiB"
    print(f"{kind}: {told}", file=sys.stderr, flush=True)
    return Figures(one, eight, memory)


def medians(found: list[Figures]) -> Figures:
    """Return the median of each figure."""
    return Figures(*(statistics.median(values) for values in zip(*found, strict=True)))


def main() -> None:
    """Measure in turns and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each server (5)")
    parser.add_argument("--seconds", type=float, default=15, help="of each measurement (15)")
    arguments = parser.parse_args()
    found: dict[str, list[Figures]] = {kind: [] for kind in KINDS}
    with _bench.workplace() as folder, placed(folder) as place:
        place.prepare()
        for _round in range(arguments.rounds):
            for kind, figures in found.items():
                figures.append(measure(place, kind, arguments.seconds))
    ours, stock, more = (medians(found[kind]) for kind in KINDS)
    unit = "requests per second"
    _bench.compare("one client", ours.one, stock.one, unit, 2.5, at_least=True)
    _bench.compare("eight clients", ours.eight, stock.eight, unit, 0.9, at_least=True)
    _bench.compare("memory meanwhile", ours.memory, stock.memory, "MiB", 0.2)
    what = "eight clients, as many workers as processors"
    _bench.compare(what, more.eight, stock.eight, unit, 1.0, at_least=True)
    _bench.report("memory meanwhile", more.memory, stock.memory, "MiB", 0.2)


if __name__ == "__main__":
    main()
