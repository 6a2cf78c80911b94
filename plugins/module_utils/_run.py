# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: has the proof runs that servers lack logged.

That takes the MLflow client, which a Prover finds in an installed runtime or in the image;
docker/entry_proof.py does it there.
"""

from __future__ import annotations

import concurrent.futures
import json
import typing as t
import urllib.parse

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import (
    _programs,
    _python,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._container import VOLUME_PATH
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._proof import (
    Request,
    find_all,
    record,
)

_REQUEST = "request.json"
_REMEDY = "run the deploy playbook"
_ANSWER = {"runs": list, "failures": list}
# Logging one run takes some ten requests.
_REQUESTS = 12


class Prover(t.Protocol):
    """What has the MLflow client."""

    def prove(
        self, requests: t.Sequence[Request], experiment: str, timeout: int
    ) -> dict[str, t.Any]:
        """Log a run through each server; returns runs and failures, see docker/entry_proof.py."""


def log_all(
    requests: t.Sequence[Request], experiment: str, timeout: int, prover: Prover | None
) -> list[dict[str, t.Any]]:
    """Return a record for each server, in order; where it has no run of its key, one is logged.

    Without a prover nothing is logged, and run_id may be empty. A record has name, url, run_id,
    experiment_id, logged, and seconds for each step; timeout is in seconds for one request.
    Raises MlflowError naming every server that failed.
    """
    found = find_all(requests, experiment, timeout)
    missing = [request for request in requests if request.name not in found]
    logged: dict[str, dict[str, t.Any]] = {}
    failures: list[dict[str, str]] = []
    if missing and prover:
        answer = prover.prove(missing, experiment, timeout)
        logged = {run["name"]: run for run in answer["runs"]}
        failures = answer["failures"]
    records = [
        record(request, found.get(request.name) or logged.get(request.name), request in missing)
        for request in requests
        if not prover or request.name in found or request.name in logged
    ]
    if failures:
        urls = {request.name: request.url for request in requests}
        causes = [
            f"Project '{item['name']}' at {urls[item['name']]}: {item['reason']}"
            for item in failures
        ]
        raise MlflowError(
            f"{'; '.join(causes)}: look at the server's log, then run the verify playbook.",
            {"runs": records},
        )
    return records


class ProcessProver:
    """The client of an installed runtime."""

    def __init__(self, python: str, entrypoint: str) -> None:
        """Take the runtime's Python and its mlflow_entry.py."""
        self._command = _python.isolated(python, entrypoint, "prove", "/dev/stdin")

    def prove(
        self, requests: t.Sequence[Request], experiment: str, timeout: int
    ) -> dict[str, t.Any]:
        """Log all runs in one process."""
        done = _programs.run(
            self._command,
            _bound(timeout),
            "The MLflow client did not end well",
            _REMEDY,
            text=_document(requests, experiment, timeout),
        )
        return _answer(done.code, done.output, done.errors)


class ContainerProver:
    """The client of the image, in containers beside the servers' own, without their identity."""

    def __init__(self, engine: Engine, image: str, instance: str) -> None:
        """Take the engine, the image, and what the names of the servers' containers start with."""
        self._engine, self._image, self._instance = engine, image, instance

    def prove(
        self, requests: t.Sequence[Request], experiment: str, timeout: int
    ) -> dict[str, t.Any]:
        """Log each run in a container of its own, as each server has a network of its own."""
        with concurrent.futures.ThreadPoolExecutor(min(4, len(requests))) as pool:
            answers = list(
                pool.map(lambda request: self._prove(request, experiment, timeout), requests)
            )
        return {
            key: [item for answer in answers for item in answer[key]]
            for key in ("runs", "failures")
        }

    def _prove(self, request: Request, experiment: str, timeout: int) -> dict[str, t.Any]:
        """Log one run."""
        name = f"{self._instance}-{request.name}"
        host = (self._engine.container(name) or {}).get("HostConfig", {})
        inside = request
        if host.get("NetworkMode") != "host":
            # A port is the same inside, where each server listens on all addresses.
            port = urllib.parse.urlsplit(request.url).port
            inside = request._replace(url=f"http://127.0.0.1:{port}")
        ran = self._engine.run_once(
            self._image,
            ["prove", f"{VOLUME_PATH}/{_REQUEST}"],
            {_REQUEST: _document([inside], experiment, timeout)},
            binds={},
            network=f"container:{name}",
            user="",
            environment={},
            timeout=_bound(timeout),
        )
        return _answer(ran.code, ran.stdout, ran.stderr)


def _document(requests: t.Sequence[Request], experiment: str, timeout: int) -> str:
    """Return the request of docker/entry_proof.py."""
    return json.dumps(
        {
            "servers": [request._asdict() for request in requests],
            "experiment": experiment,
            "timeout": timeout,
        }
    )


def _answer(code: int, output: str, errors: str) -> dict[str, t.Any]:
    """Return what docker/entry_proof.py printed."""
    if code != 0 or not output.strip():
        reason = _programs.reason(errors, output)
        raise MlflowError(f"The MLflow client failed ({reason}): {_REMEDY}.")
    return _programs.document(output, "What the MLflow client printed", _REMEDY, _ANSWER)


def _bound(timeout: int) -> float:
    """Return the seconds that logging a run may take, when one request may take timeout."""
    return 60.0 + timeout * _REQUESTS
