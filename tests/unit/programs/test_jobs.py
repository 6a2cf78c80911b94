# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job runner is kept, takes turns with others, and hands jobs what they need and no more."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import (
    jobs,
    jobs_submission,
    jobs_turn,
)

# Writes its process id, and waits for a signal.
RUNNER = "import os, sys, time; print(os.getpid(), file=open(sys.argv[1], 'a')); time.sleep(60)"


def wait(done: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pids(path: Path) -> list[int]:
    """Return the process ids that runners have written."""
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_a_runner_that_ends_is_started_again(tmp_path: Path, capfd: Any) -> None:
    """And none is left when its server ends."""
    noted = tmp_path / "pids"
    keeper = jobs._Keeper([sys.executable, "-c", RUNNER, str(noted)], dict(os.environ))
    wait(lambda: len(pids(noted)) == 1)
    os.kill(pids(noted)[0], signal.SIGKILL)
    wait(lambda: len(pids(noted)) == 2)
    keeper.end()
    with pytest.raises(ProcessLookupError):
        os.kill(pids(noted)[1], 0)
    assert (
        "The job runner ended with code -9; it is started again in 1 s." in capfd.readouterr().err
    )


def test_without_jobs_nothing_is_started(tmp_path: Path) -> None:
    """The settings file is not even looked for."""
    threads = threading.active_count()
    with jobs.beside({"jobs": False}, tmp_path / "none", {}):
        assert threading.active_count() == threads


def test_one_runner_of_a_file_at_a_time(tmp_path: Path) -> None:
    """The next one has its turn when the first is gone, or none when it is to stop."""
    given = {"backend_store_uri": f"sqlite:///{tmp_path}/mlflow.db"}
    stop, order = threading.Event(), []

    def take(number: int) -> None:
        with jobs_turn.turn(given, None, stop) as mine:
            order.append((number, mine))

    with jobs_turn.turn(given, None, threading.Event()) as mine:
        assert mine
        second = threading.Thread(target=take, args=(2,))
        second.start()
        time.sleep(0.3)
        assert order == []
    second.join(10)
    assert order == [(2, True)]
    with jobs_turn.turn(given, None, threading.Event()):
        third = threading.Thread(target=take, args=(3,))
        third.start()
        time.sleep(0.1)
        stop.set()
        third.join(10)
    assert order == [(2, True), (3, False)]


def test_the_lock_is_named_after_the_schema() -> None:
    """MySQL takes 64 characters, which is what a schema's name may have too."""
    uri = "mysql+pymysql://db.example.com:3306/{}"
    assert jobs_turn.lock_name(uri.format("mlflow_demo")) == "mlflow jobs mlflow_demo"
    long = [jobs_turn.lock_name(uri.format("x" * 63 + end)) for end in "ab"]
    assert [len(name) for name in long] == [64, 64]
    assert long[0] != long[1]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What MLflow's own function returns, as far as it is used."""

    command: list[str]
    env: dict[str, str]
    result_path: str = "r"


def test_a_job_inherits_no_secret() -> None:
    """Only what describes it, and what the runner itself was started with."""

    def theirs(**options: str) -> Prepared:
        own = {"_MLFLOW_SERVER_JOB_ID": options["job_id"], "MLFLOW_WORKSPACE": "default"}
        return Prepared(["python"], {"PATH": "/x", "OPENAI_API_KEY": "s3cr3t", **own})

    prepare = jobs._preparing(theirs, Path("/s/settings.json"), {"PATH": "/bin"})
    made = prepare(job_id="1")
    assert made.command[-2:] == ["job", "/s/settings.json"]
    assert made.env == {"PATH": "/bin", "_MLFLOW_SERVER_JOB_ID": "1", "MLFLOW_WORKSPACE": "default"}
    assert made.result_path == "r"


def test_periodic_tasks_run_when_they_are_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """As MLflow registers them with huey: a calendar, and a lock that is not needed here."""
    periodic, stop = jobs._Periodic(), threading.Event()
    ran: list[str] = []
    looked: list[datetime.datetime] = []

    def is_due(when: datetime.datetime) -> bool:
        looked.append(when)
        return len(looked) % 2 == 1

    def task() -> None:
        ran.append("task")

    kept = periodic.periodic_task(is_due)(periodic.lock_task("a-lock")(task))
    assert kept is task
    # Each look is a minute later.
    monkeypatch.setattr(stop, "wait", lambda _seconds: len(looked) == 5)
    ((due, registered),) = periodic._tasks
    periodic._repeat(due, registered, stop)
    assert ran == ["task"] * 3
    # huey's calendars compare with UTC that does not say so.
    assert all(when.tzinfo is None for when in looked)


def test_a_job_without_a_key_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow is not even loaded for it."""
    text = json.dumps({"trace_ids": ["tr-1"]})
    monkeypatch.setenv(jobs_submission._PARAMETERS, text)
    jobs_submission.take_credentials()
    assert os.environ[jobs_submission._PARAMETERS] == text
