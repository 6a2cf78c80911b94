# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements that a server sends its database while nobody uses it, to those of `mlflow server`.

On the MySQL of log_batch.py, which logs every statement with its user meanwhile. Each server
answers one request, is left alone for 100 seconds, and is then watched for five minutes.
Ours is asked for its health twice a minute, as its container is. Aurora pauses only when this
is nothing at all, so the sessions that are open at any look are told too, and how long the first
request afterwards takes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

from ansible_collections.mlops.mlflow_aws.benchmarks import _bench, log_batch

# Its health check asks the database for a minute after a request; 20 seconds later the database
# closes the idle sessions.
SETTLE_SECONDS = 100
HEALTH_SECONDS = 30
LOOK_SECONDS = 5


class Idle(NamedTuple):
    """What a server did while nobody used it, and the seconds of the first request afterwards."""

    statements: int
    sessions: int
    first: float


def ask(port: int) -> float:
    """Ask a server for an experiment; return the seconds until it answered."""
    url = f"http://127.0.0.1:{port}{log_batch.API}/experiments/get?experiment_id=0"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    began = time.monotonic()
    with opener.open(url, timeout=log_batch.TIMEOUT) as answer:
        answer.read()
    return time.monotonic() - began


def watch(place: log_batch.Place, kind: str, seconds: float) -> Idle:
    """Start a server, use it once, and watch the database for some time."""
    port = _bench.free_port()
    command = place.command(kind, port)
    health = [*command[:-2], "health", command[-1]] if kind == log_batch.OURS else []
    variables = place.environment if health else {}
    with _bench.served(command, port, variables) as (pid, _seconds):
        log_batch.settle(pid)
        # The first one asks the database in any case, as it does while a container starts.
        look(health, variables)
        ask(port)
        time.sleep(SETTLE_SECONDS)
        place.database.query("TRUNCATE mysql.general_log")
        most, began = 0, time.monotonic()
        asked = began
        while time.monotonic() < began + seconds:
            if time.monotonic() > asked + HEALTH_SECONDS:
                asked = time.monotonic()
                look(health, variables)
            most = max(most, count(place, "information_schema.processlist WHERE user = %s"))
            time.sleep(LOOK_SECONDS)
        statements = count(place, "mysql.general_log WHERE user_host LIKE CONCAT(%s, '[%%')")
        found = Idle(statements, most, ask(port))
    told = f"{statements} statements, {most} sessions, then {found.first:.3f} s"
    print(f"{kind}: {told}", file=sys.stderr, flush=True)
    return found


def look(health: list[str], variables: dict[str, str]) -> None:
    """Run a server's health check, if it has one."""
    if health:
        subprocess.run(health, check=True, env=variables, capture_output=True)


def count(place: log_batch.Place, what: str) -> int:
    """Return the number of rows of the servers' user."""
    ((rows,),) = place.database.query(f"SELECT COUNT(*) FROM {what}", log_batch.USER)
    return int(rows)


def main() -> None:
    """Watch one after the other and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300, help="of watching each (300)")
    seconds = parser.parse_args().seconds
    with _bench.workplace() as folder, log_batch.placed(Path(folder)) as place:
        place.prepare()
        place.database.query("SET GLOBAL log_output = 'TABLE'")
        place.database.query("SET GLOBAL general_log = 'ON'")
        ours, stock = (watch(place, kind, seconds) for kind in (log_batch.OURS, log_batch.STOCK))
    _bench.compare("sessions, the most seen", ours.sessions, stock.sessions, "sessions", 0)
    what = f"idle for {seconds:.0f} s (the next request: {ours.first:.3f} s)"
    _bench.report(what, ours.statements, stock.statements, "statements", 0)


if __name__ == "__main__":
    main()
