# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: logs one small run through a server and reads all of it back."""

from __future__ import annotations

import concurrent.futures
import platform
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

if t.TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

KEY_TAG = "mlflow_aws.key"
_METRIC = "roundtrip"
_VALUES = (0.5, 0.25, 0.125)
_ARTIFACT = "proof.txt"


class Request(t.NamedTuple):
    """One server to log through: the project's name, its URL, and the run's key, or ""."""

    name: str
    url: str
    key: str


def log_all(requests: t.Sequence[Request], experiment: str) -> list[dict[str, t.Any]]:
    """Log one run through each server, all at once; a server that has a run of its key is left alone.

    Returns a record for each, in order: name, url, run_id, experiment_id, logged, and seconds
    for each step. Raises MlflowError naming every server that failed.
    """
    with concurrent.futures.ThreadPoolExecutor(max(1, len(requests))) as pool:
        futures = [pool.submit(_prove, request, experiment) for request in requests]
    records, failures = [], []
    for request, future in zip(requests, futures):
        error = future.exception()
        if error is None:
            records.append(future.result())
        else:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            failures.append(f"Project '{request.name}' at {request.url}: {first}")
    if failures:
        raise MlflowError(
            f"{'; '.join(failures)}: look at the server's log, then run the verify playbook.",
            {"runs": records},
        )
    return records


def find(requests: t.Sequence[Request], experiment: str) -> list[dict[str, t.Any]]:
    """Return a record for each server as log_all() does, without logging: run_id may be empty.

    For check mode, in which a server may not be up yet: then its run would be logged.
    """
    with concurrent.futures.ThreadPoolExecutor(max(1, len(requests))) as pool:
        futures = [
            pool.submit(_existing, _client(request.url), experiment, request.key)
            for request in requests
        ]
    runs = [None if future.exception() else future.result() for future in futures]
    return [_record(request, run, run is None, {}) for request, run in zip(requests, runs)]


def _prove(request: Request, experiment: str) -> dict[str, t.Any]:
    """Log a run and compare what comes back, unless one of this key is there."""
    client = _client(request.url)
    run = _existing(client, experiment, request.key)
    if run is not None:
        return _record(request, run, False, {})
    seconds: dict[str, float] = {}
    parameters = {"project": request.name, "client": platform.python_version()}
    with _timed(seconds, "create"):
        run = client.create_run(
            _experiment_id(client, experiment),
            run_name=f"verify-{request.name}",
            tags={KEY_TAG: request.key},
        )
    run_id = run.info.run_id
    proof = f"{request.name} {run_id}\n"
    with _timed(seconds, "log"):
        for name, text in parameters.items():
            client.log_param(run_id, name, text)
        for step, value in enumerate(_VALUES):
            client.log_metric(run_id, _METRIC, value, step=step)
        client.log_text(run_id, proof, _ARTIFACT)
    with _timed(seconds, "read"):
        found = _read_back(client, run_id)
    wanted = (parameters, list(enumerate(_VALUES)), proof)
    for what, sent, got in zip(("parameters", "metric", "artifact"), wanted, found):
        if sent != got:
            raise MlflowError(f"its {what} came back as {got!r} instead of {sent!r}")
    # Only a run that came back whole counts as proof at the next search.
    client.set_terminated(run_id)
    return _record(request, run, True, seconds)


def _client(url: str) -> MlflowClient:
    """Return a client of one server; nothing of it is global."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=url, registry_uri=url)


def _existing(client: MlflowClient, experiment: str, key: str) -> Run | None:
    """Return the finished run of this key, reading the database through the server."""
    found = client.get_experiment_by_name(experiment)
    if found is None or not key:
        return None
    query = f"tags.`{KEY_TAG}` = '{key}' and attributes.status = 'FINISHED'"
    runs = client.search_runs([found.experiment_id], query, max_results=1)
    return runs[0] if runs else None


def _experiment_id(client: MlflowClient, name: str) -> str:
    """Return the experiment's id, making it where it is missing."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:
            # Another host made it meanwhile; where it did not, the next line says so.
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _read_back(
    client: MlflowClient, run_id: str
) -> tuple[dict[str, str], list[tuple[int, float]], str]:
    """Return the run's parameters, metric steps and artifact as the server has them."""
    parameters = dict(client.get_run(run_id).data.params)
    history = sorted(
        (metric.step, metric.value) for metric in client.get_metric_history(run_id, _METRIC)
    )
    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(client.download_artifacts(run_id, _ARTIFACT, folder)).read_text(
            encoding="utf-8"
        )
    return parameters, history, artifact


def _record(
    request: Request, run: Run | None, logged: bool, seconds: dict[str, float]
) -> dict[str, t.Any]:
    """Return the record of one server's run."""
    return {
        "name": request.name,
        "url": request.url,
        "run_id": run.info.run_id if run else "",
        "experiment_id": run.info.experiment_id if run else "",
        "logged": logged,
        "seconds": seconds,
    }


class _timed:
    """Add the seconds that a block took to a dictionary."""

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self._seconds, self._name = seconds, name

    def __enter__(self) -> None:
        self._start = time.monotonic()

    def __exit__(self, *_exception: object) -> None:
        self._seconds[self._name] = round(time.monotonic() - self._start, 3)
