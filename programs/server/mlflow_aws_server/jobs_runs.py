# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run whose job does not come to its end is ended.

MLflow creates the run of an evaluation, an issue detection or a prompt optimization before it submits the
job. If anything fails before it has answered, the run goes on for ever, and that of an issue detection stays
the active one of its thread: what the thread does next lands in it. Nor does MLflow end the run of a job that
fails before it takes the run up, whose process is killed, or that is cancelled.
"""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from typing import Any

from . import jobs_off
from .errors import say

# What ends a job in the database, whoever calls it.
_ENDINGS = (
    "cancel_job",
    "fail_job",
    "mark_job_timed_out",
    "report_job_result",
    "retry_or_fail_job",
)
# The status of a run by that of its job.
_LEFT = {"FAILED": "FAILED", "TIMEOUT": "FAILED", "CANCELED": "KILLED"}
# While the database does not answer: ten minutes.
_PAUSE_SECONDS, _TIMES = 5.0, 120
# Of a request: the IDs of what it created.
_RUNS, _JOBS = "mlflow_aws_runs", "mlflow_aws_jobs"


def end_with_requests(prefix: str) -> None:
    """Let no request for a job that fails leave a run that it created, and none an active run.

    prefix: that of the paths, if any.
    """
    from flask import g, request
    from mlflow.server import app
    from mlflow.store.jobs.sqlalchemy_store import SqlAlchemyJobStore
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.tracking.fluent import _active_run_stack

    run_id, job_id = attrgetter("info.run_id"), attrgetter("job_id")
    SqlAlchemyStore.create_run = _noting(SqlAlchemyStore.create_run, _RUNS, run_id)
    SqlAlchemyJobStore.create_job = _noting(SqlAlchemyJobStore.create_job, _JOBS, job_id)

    def settle(response: Any) -> Any:
        failed = response.status_code >= 400
        if failed and jobs_off.is_submission(request.method, request.path, prefix):
            for run in g.get(_RUNS, []):
                _soon(_end, run, "FAILED")
            for job in g.get(_JOBS, []):
                _soon(_cancel, job)
        return response

    app.after_request(settle)
    app.teardown_request(lambda _error: _active_run_stack.get().clear())


def _noting(create: Callable[..., Any], key: str, name: Callable[[Any], str]) -> Callable[..., Any]:
    """Return what creates something, and notes its ID for the request that it is created for."""
    from flask import g, has_request_context

    @functools.wraps(create)
    def created(*arguments: Any, **options: Any) -> Any:
        made = create(*arguments, **options)
        if has_request_context():
            g.setdefault(key, []).append(name(made))
        return made

    return created


def end_with_jobs() -> None:
    """End the run of each job that ends in this process and has not succeeded."""
    from mlflow.store.jobs.sqlalchemy_store import SqlAlchemyJobStore

    for name in _ENDINGS:
        setattr(SqlAlchemyJobStore, name, _ending(getattr(SqlAlchemyJobStore, name)))


def _ending(theirs: Callable[..., Any]) -> Callable[..., Any]:
    """Return what ends a job, and then its run."""

    @functools.wraps(theirs)
    def ended(store: Any, job_id: str, *arguments: Any, **options: Any) -> Any:
        result = theirs(store, job_id, *arguments, **options)
        # Whatever becomes of the run, the job has ended.
        _soon(_end_run_of, job_id)
        return result

    return ended


def _soon(act: Callable[..., None], *words: str) -> None:
    """Do it, now or when the database answers again."""
    with suppress(Exception):
        act(*words)
        return
    threading.Thread(target=_later, args=(act, *words), daemon=True).start()


def _later(act: Callable[..., None], *words: str) -> None:
    """Try it again and again."""
    for _time in range(_TIMES):
        time.sleep(_PAUSE_SECONDS)
        with suppress(Exception):
            act(*words)
            return
    say(f"The database did not answer, and what a job left could not be ended ({words[0]}).")


def _cancel(job: str) -> None:
    """Cancel a job that has not ended."""
    from mlflow.entities._job_status import JobStatus
    from mlflow.server.handlers import _get_job_store

    store = _get_job_store()
    if not JobStatus.is_finalized(store.get_job(job).status):
        store.cancel_job(job)


def _end_run_of(job: str) -> None:
    """End the run of a job that has ended without success, if it has one."""
    from mlflow.server.handlers import _get_job_store

    found = _get_job_store().get_job(job)
    status, run = _LEFT.get(str(found.status)), json.loads(found.params).get("run_id")
    if status and run:
        _end(run, status)


def _end(run: str, status: str) -> None:
    """End a run that has not ended, and was not deleted; a job may name one that there is not."""
    from mlflow.entities import RunStatus
    from mlflow.exceptions import MlflowException
    from mlflow.server.handlers import _get_tracking_store

    store = _get_tracking_store()
    try:
        found = store.get_run(run).info
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return
        raise
    if found.status in ("RUNNING", "SCHEDULED") and found.lifecycle_stage == "active":
        now = int(time.time() * 1000)
        store.update_run_info(run, RunStatus.from_string(status), now, None)
