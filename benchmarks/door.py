# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that log ten metrics, straight to a server and through the front door with TLS and a token.

The server is one, on SQLite. Median time of a request of one client, and requests per second of eight. Beside
it `mlflow server --app-name basic-auth`, which is MLflow's own way to log in, with its defaults but for one worker.
All take turns; figures are medians of the turns. Clients are threads with a connection of their own that stays open.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ansible_collections.mlops.mlflow_aws.benchmarks import _bench
from ansible_collections.mlops.mlflow_aws.tests.parts import door as doors
from ansible_collections.mlops.mlflow_aws.tests.parts.door import Door

API = "/api/2.0/mlflow"
METRICS = 10
CLIENTS = 8
WARMING = 10
NAME, PASSWORD = "admin", "a long password"
DIRECT, DOOR, BASIC = "direct", "through the door", "basic-auth"
_SECONDS = 120


class Figures(NamedTuple):
    """What one way did: milliseconds of one client's request, and requests per second of eight clients."""

    median: float
    rate: float


class Way(NamedTuple):
    """How a server is reached: what opens a connection, what comes before its paths, and the login."""

    connect: Callable[[], http.client.HTTPConnection]
    prefix: str
    login: str


class Client:
    """A run, and a connection that stays open."""

    def __init__(self, way: Way) -> None:
        """Connect, and begin a run."""
        self._way, self._connection, self._step = way, way.connect(), 0
        now = int(time.time() * 1000)
        made = self._post("runs/create", {"experiment_id": "0", "start_time": now})
        self._run = json.loads(made)["run"]["info"]["run_id"]

    def _post(self, verb: str, body: dict[str, object]) -> bytes:
        """Ask the server; anything but success ends the benchmark."""
        headers = {"Content-Type": "application/json"}
        if self._way.login:
            headers["Authorization"] = self._way.login
        path = f"{self._way.prefix}{API}/{verb}"
        self._connection.request("POST", path, json.dumps(body).encode(), headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{verb} was answered with {answer.status}: {content[:500]!r}")
        return content

    def log(self) -> float:
        """Log ten metrics at another step; return the seconds that it took."""
        self._step += 1
        metrics = [
            {"key": f"metric-{number}", "value": 1.5, "timestamp": 1, "step": self._step}
            for number in range(METRICS)
        ]
        began = time.perf_counter()
        self._post("runs/log-batch", {"run_id": self._run, "metrics": metrics})
        return time.perf_counter() - began

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


def measure(way: Way, requests: int, seconds: float) -> Figures:
    """Return what a way does."""
    one = Client(way)
    for _number in range(WARMING):
        one.log()
    median = statistics.median(one.log() for _number in range(requests))
    one.close()
    with ThreadPoolExecutor(CLIENTS) as pool:
        team = list(pool.map(lambda _number: Client(way), range(CLIENTS)))
        for _round in range(WARMING):
            list(pool.map(Client.log, team))
        began = time.monotonic()
        running = [pool.submit(client.log_until, began + seconds) for client in team]
        done = sum(each.result() for each in running)
        took = time.monotonic() - began
    for client in team:
        client.close()
    return Figures(median * 1000, done / took)


def plain(port: int) -> http.client.HTTPConnection:
    """Return a connection to a server, which does not wait for more to send."""
    return doors.quick(http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS))


def python() -> Path:
    """Install the door where it is missing; return its Python."""
    folder = _bench.ENVIRONMENTS / "door"
    lock = _bench.ROOT / "programs/door/requirements.txt"
    command = [sys.executable, str(_bench.ROOT / "scripts/_venv.py"), str(folder), str(lock)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return folder / "bin" / "python"


@contextlib.contextmanager
def door(port: int) -> Iterator[tuple[Way, Door]]:
    """Run a door before the server on a port."""
    members = {"ci": {"churn": "edit"}}
    upstreams = {"churn": f"127.0.0.1:{port}"}
    with doors.door(python(), _bench.free_port(), upstreams, members) as made:
        yield Way(made.connection, "/churn", f"Bearer {made.secrets['ci']}"), made


@contextlib.contextmanager
def basic_auth(kinds: _bench.Kinds, folder: Path) -> Iterator[Way]:
    """Run MLflow's server with its own login."""
    port, settings = _bench.free_port(), folder / "basic-auth.ini"
    settings.write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{folder}/users.db\n"
        f"admin_username = {NAME}\nadmin_password = {PASSWORD}\n"
    )
    command = [str(kinds.stock.with_name("mlflow")), "server", "--app-name", "basic-auth"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/basic.db", "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "basic"), "--host", "127.0.0.1"]
    variables = {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "benchmark",
    }
    login = "Basic " + base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
    with _bench.served([*command, "--port", str(port)], port, variables, login):
        yield Way(lambda: plain(port), "", login)


def medians(found: list[Figures]) -> Figures:
    """Return the median of each figure."""
    return Figures(*(statistics.median(values) for values in zip(*found, strict=True)))


def main() -> None:
    """Measure in turns and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each way (5)")
    parser.add_argument("--requests", type=int, default=300, help="requests of one client (300)")
    parser.add_argument("--seconds", type=float, default=15, help="with eight clients (15)")
    arguments = parser.parse_args()
    kinds, port = _bench.environments(), _bench.free_port()
    with _bench.workplace() as folder, contextlib.ExitStack() as stack:
        template = _bench.database(kinds, folder)
        command = _bench.command("ours", kinds, folder, template, port)
        stack.enter_context(_bench.served(command, port))
        through, _door = stack.enter_context(door(port))
        ways = {
            DIRECT: Way(lambda: plain(port), "", ""),
            DOOR: through,
            BASIC: stack.enter_context(basic_auth(kinds, folder)),
        }
        found: dict[str, list[Figures]] = {name: [] for name in ways}
        for _round in range(arguments.rounds):
            for name, way in ways.items():
                found[name].append(measure(way, arguments.requests, arguments.seconds))
                print(f"{name}: {found[name][-1]}", file=sys.stderr, flush=True)
    direct, front, basic = (medians(found[name]) for name in (DIRECT, DOOR, BASIC))
    unit = "requests per second"
    _bench.compare(
        "eight clients beside basic-auth", front.rate, basic.rate, unit, 1, at_least=True
    )
    _bench.compare("median beside basic-auth", front.median, basic.median, "ms", 1)
    print(f"added by the door: {front.median - direct.median:.2f} ms (aim: 5 ms or less)")
    _bench.compare("median", front.median, direct.median, "ms", (direct.median + 5) / direct.median)
    _bench.report("eight clients", front.rate, direct.rate, unit, 0.9, at_least=True)


if __name__ == "__main__":
    main()
