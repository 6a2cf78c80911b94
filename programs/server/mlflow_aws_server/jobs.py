# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MLflow's job runner beside a server, for a project with `server.jobs: true`.

    server     `jobs`, a child of the server that is started again when it ends, and ends with it
    runner     waits until no other runner serves the project, on whichever host: see jobs_turn.py
    job        `job`, a child of the runner for each job; ends with it, and begins again with the next

MLflow has two engines. By its default one, a server puts a job into a queue on its own host, and a
runner that starts puts all unfinished ones of the project into its own, also those that run elsewhere.
Here it is the other one, which takes jobs from the database, with the same restriction: a runner that
starts takes what is unfinished for abandoned. It is, since there is one runner at a time.

The processes of jobs are not MLflow's own command but a verb of this program, so that they log in to the
database as the server does, and inherit no secret that they would show in their environment.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import (
    application,
    connections,
    environment,
    installation,
    jobs_runs,
    jobs_submission,
    jobs_turn,
    keys,
    processes,
    settings,
)
from .access import access
from .errors import say
from .option_file import OptionFile

# How often the runner asks the database for new jobs, and for those that were cancelled.
POLL_SECONDS = 5.0
_LEAST_PAUSE, _MOST_PAUSE = 1.0, 300.0
# MLflow gives jobs 5 seconds to end, and then notes that they are to begin again.
_END_SECONDS = 15.0
# What MLflow sets for one job, beside what all processes of a server get.
_OF_A_JOB = ("_MLFLOW_SERVER_JOB_", "_MLFLOW_ORIGINAL_PARENT_PID", "MLFLOW_WORKSPACE")


@contextlib.contextmanager
def beside(given: dict[str, Any], settings_path: Path, variables: dict[str, str]) -> Iterator[None]:
    """Keep a runner with these variables while the context lasts, if the settings ask for jobs."""
    if not given.get("jobs"):
        yield
        return
    keeper = _Keeper(installation.command("jobs", settings_path), variables)
    try:
        yield
    finally:
        keeper.end()


class _Keeper:
    """Starts a process, and starts it again when it ends."""

    def __init__(self, command: list[str], variables: dict[str, str]) -> None:
        """Start it."""
        self._command, self._variables = command, variables
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self._keep, name="job-runner", daemon=True).start()

    def _keep(self) -> None:
        """Run it again and again, after pauses that grow while it ends at once."""
        pause = _LEAST_PAUSE
        while True:
            with self._lock:
                if self._over.is_set():
                    return
                # A session of its own: Supervisor asks the server's whole group to end, and a runner that
                # ends before its server would be started again.
                self._process = subprocess.Popen(
                    self._command,
                    env=self._variables,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            began = time.monotonic()
            code = self._process.wait()
            if time.monotonic() - began > _MOST_PAUSE:
                pause = _LEAST_PAUSE
            if self._over.is_set():
                return
            say(f"The job runner ended with code {code}; it is started again in {pause:.0f} s.")
            self._over.wait(pause)
            pause = min(2 * pause, _MOST_PAUSE)

    def end(self) -> None:
        """End it, and let it note what it leaves unfinished."""
        with self._lock:
            self._over.set()
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def run(settings_path: Path) -> None:
    """Be the job runner of the server that the settings file describes, until that ends."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    processes.end_with_parent(os.getppid())
    given = settings.read(settings_path)
    outset = dict(os.environ)
    with access(given, settings_path) as options, jobs_turn.turn(given, options, stop) as mine:
        if mine:
            _take_up(given, options)
            _run_jobs(settings_path, outset, stop)
            # The jobs' processes end with this one; nothing else is to be noted of them.
            os._exit(0)


def run_one(settings_path: Path) -> None:
    """Be the process of the one job that MLflow's variables describe."""
    given = settings.read(settings_path)
    with access(given, settings_path) as options:
        _take_up(given, options)
        keys.read_older(given)
        from mlflow.server.jobs import _job_subproc_entry

        jobs_submission.take_credentials()
        _job_subproc_entry._main()


def _take_up(given: dict[str, Any], options: OptionFile | None) -> None:
    """Make this process one that reaches the project's database as its server does."""
    environment.apply(given)
    if options:
        options.attend()
        given["backend_store_uri"] = options.uri(given["backend_store_uri"])
    uri = given["backend_store_uri"]
    os.environ.update(application.internal_environment(given))
    # MLflow's jobs work on the database; models behind the gateway are asked through the server.
    host = settings.own_host(given)
    host = f"[{host}]" if ":" in host else host
    os.environ.update(MLFLOW_TRACKING_URI=uri, MLFLOW_BACKEND_STORE_URI=uri)
    os.environ.setdefault("MLFLOW_GATEWAY_URI", f"http://{host}:{given['port']}")
    if options:
        connections.share(uri)


def _run_jobs(settings_path: Path, outset: dict[str, str], stop: threading.Event) -> None:
    """Run jobs and MLflow's periodic tasks until told to stop."""
    # There is no other runner, so whatever is unfinished is abandoned, by whichever host's clock.
    from mlflow.server.constants import MLFLOW_SERVER_UP_TIME

    os.environ[MLFLOW_SERVER_UP_TIME] = str(int((time.time() + 86400) * 1000))
    from mlflow.server.jobs import _executor_runner, local_executor
    from mlflow.server.jobs.logging_utils import configure_logging_for_jobs
    from mlflow.server.jobs.utils import register_periodic_tasks

    configure_logging_for_jobs()
    jobs_runs.end_with_jobs()
    local_executor._prepare_job_subprocess = _preparing(
        local_executor._prepare_job_subprocess, settings_path, outset
    )
    periodic = _Periodic()
    register_periodic_tasks(periodic)
    periodic.start(stop)
    executor = _executor_runner._select_executor()
    executor.start_executor()
    say("The job runner takes this project's jobs.")
    _executor_runner.run_executor_loop(executor, stop, POLL_SECONDS)


def _preparing(
    theirs: Callable[..., Any], settings_path: Path, outset: dict[str, str]
) -> Callable[..., Any]:
    """Return what prepares a job's process as MLflow does, but as a verb of this program."""

    def prepare(*arguments: Any, **options: Any) -> Any:
        made = theirs(*arguments, **options)
        own = {name: text for name, text in made.env.items() if name.startswith(_OF_A_JOB)}
        command = installation.command("job", settings_path)
        return dataclasses.replace(made, command=command, env={**outset, **own})

    return prepare


class _Periodic:
    """Takes what MLflow registers with huey, and runs each task in a thread of its own when it is due."""

    def __init__(self) -> None:
        """Have no task yet."""
        self._tasks: list[tuple[Callable[[Any], bool], Callable[[], None]]] = []

    def periodic_task(self, is_due: Callable[[Any], bool], **_options: Any) -> Any:
        """Return what takes a task that is due when is_due(time) says so."""

        def take(task: Callable[[], None]) -> Callable[[], None]:
            self._tasks.append((is_due, task))
            return task

        return take

    def lock_task(self, _name: str) -> Any:
        """Return what keeps a task from running twice at once: it has one thread, and there is one runner."""
        return lambda task: task

    def start(self, stop: threading.Event) -> None:
        """Look once a minute which tasks are due, until told to stop."""
        for is_due, task in self._tasks:
            threading.Thread(target=self._repeat, args=(is_due, task, stop), daemon=True).start()

    @staticmethod
    def _repeat(
        is_due: Callable[[Any], bool], task: Callable[[], None], stop: threading.Event
    ) -> None:
        """Run a task in each minute in which it is due."""
        while not stop.wait(60 - time.time() % 60):
            # As huey asks: in UTC, without saying so.
            if is_due(datetime.datetime.now(datetime.UTC).replace(tzinfo=None)):
                task()
