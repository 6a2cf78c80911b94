# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log one small run through servers with the MLflow client and read all of it back.

The request of `prove` (JSON) holds:

    servers     list of: name (the project), url, key (kept in a tag; may be empty)
    experiment  name of the experiment that holds the runs; created if it is missing
    timeout     timeout in seconds for each request
    token       what the servers of a host with a front door want to see; may be empty

and prints one JSON document: `runs`, a list of name, run_id, experiment_id and seconds (of
create, log and read), and `failures`, a list of name and reason.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

KEY_TAG = "mlflow_aws.key"
_METRIC = "roundtrip"
_VALUES = (0.5, 0.25, 0.125)
_ARTIFACT = "proof.txt"
# Each needs connections to the one database.
_AT_ONCE = 16


class VerificationError(Exception):
    """Something came back other than it was sent."""


def prove(request_path: Path) -> None:
    """Log one run through each server of the request, some at once, and print the outcome."""
    request: dict[str, Any] = json.loads(request_path.read_text(encoding="utf-8"))
    servers = request["servers"]
    with tempfile.TemporaryDirectory() as home:
        _configure_client(request["timeout"], home, request.get("token", ""))
        with concurrent.futures.ThreadPoolExecutor(max(1, min(_AT_ONCE, len(servers)))) as pool:
            futures = [pool.submit(_verify, server, request["experiment"]) for server in servers]
    runs, failures = [], []
    for server, future in zip(servers, futures, strict=True):
        error = future.exception()
        if error is None:
            runs.append(future.result())
        else:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            failures.append({"name": server["name"], "reason": first})
    print(json.dumps({"runs": runs, "failures": failures}))


def _configure_client(timeout: int, home: str, token: str) -> None:
    """Set up the client, before it is imported, to fail in time and to fetch through the server.

    The rest of its environment is clean: see environment.py.
    """
    os.environ.update(
        # Without the passwords of ~/.netrc and ~/.mlflow/credentials, which are for other servers.
        HOME=home,
        # macOS has proxies without a variable.
        NO_PROXY="*",
        MLFLOW_HTTP_REQUEST_TIMEOUT=str(timeout),
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="2",
        MLFLOW_DISABLE_TELEMETRY="true",
        # A client that cannot reach the store of artifacts itself would retry for minutes.
        MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD="false",
        MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
        GIT_PYTHON_REFRESH="quiet",
        **({"MLFLOW_TRACKING_TOKEN": token} if token else {}),
    )


def _verify(server: dict[str, str], experiment: str) -> dict[str, Any]:
    """Log a run and compare what comes back."""
    from mlflow.tracking import MlflowClient

    # Without global state.
    client = MlflowClient(tracking_uri=server["url"], registry_uri=server["url"])
    seconds: dict[str, float] = {}
    parameters = {"project": server["name"], "client": platform.python_version()}
    with _timed(seconds, "create"):
        run = client.create_run(
            _experiment_id(client, experiment),
            run_name=f"verify-{server['name']}",
            tags={KEY_TAG: server["key"]},
        )
    run_id = run.info.run_id
    content = f"{server['name']} {run_id}\n"
    with _timed(seconds, "log"):
        for name, text in parameters.items():
            client.log_param(run_id, name, text)
        for step, value in enumerate(_VALUES):
            client.log_metric(run_id, _METRIC, value, step=step)
        client.log_text(run_id, content, _ARTIFACT)
    with _timed(seconds, "read"):
        found = _read_back(client, run_id)
    wanted = (parameters, list(enumerate(_VALUES)), content)
    for what, sent, got in zip(("parameters", "metric", "artifact"), wanted, found, strict=True):
        if sent != got:
            raise VerificationError(f"its {what} came back as {got!r} instead of {sent!r}")
    # Only a run that came back whole counts as verified at the next search.
    client.set_terminated(run_id)
    return {
        "name": server["name"],
        "run_id": run_id,
        "experiment_id": run.info.experiment_id,
        "seconds": seconds,
    }


def _experiment_id(client: MlflowClient, name: str) -> str:
    """Return the experiment's id; create it if it is missing."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:
            # Another host has created it meanwhile; if not, the next line raises.
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
        path = Path(client.download_artifacts(run_id, _ARTIFACT, folder))
        return parameters, history, path.read_text(encoding="utf-8")


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Record the seconds that a block takes."""
    start = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - start, 3)
