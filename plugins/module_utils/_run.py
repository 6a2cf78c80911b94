# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: finds servers' proof runs, and has those that are missing logged.

Finding takes plain HTTP. Logging takes the MLflow client, which a Prover finds in an installed
runtime or in the image; docker/entry_proof.py does it there.
"""

from __future__ import annotations

import concurrent.futures
import http.client
import json
import subprocess
import typing as t
import urllib.parse

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._container import VOLUME_PATH
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._probe import read_answer

# docker/entry_proof.py writes it.
_KEY_TAG = "mlflow_aws.key"
_API = "/api/2.0/mlflow"
_REQUEST = "request.json"
# Logging one run takes some ten requests.
_REQUESTS = 12


class Request(t.NamedTuple):
    """One server to log through: the project's name, its URL, and the run's key, or ""."""

    name: str
    url: str
    key: str


class Prover(t.Protocol):
    """What has the MLflow client."""

    def prove(
        self, requests: t.Sequence[Request], experiment: str, timeout: int
    ) -> dict[str, t.Any]:
        """Log a run through each server; returns runs and failures, see docker/entry_proof.py."""


def requests_of(servers: t.Iterable[t.Mapping[str, t.Any]], always: bool = False) -> list[Request]:
    """Return whom to log through: servers that run, or in check mode would, by their records.

    The key is the server's configuration, unless always.
    """
    return [
        Request(server["name"], server["url"], "" if always else server["configuration"])
        for server in servers
        if server["state"] == "running" or server["action"] in ("start", "restart")
    ]


def log_all(
    requests: t.Sequence[Request], experiment: str, timeout: int, prover: Prover | None
) -> list[dict[str, t.Any]]:
    """Return a record for each server, in order; where it has no run of its key, one is logged.

    Without a prover nothing is logged, and run_id may be empty. A record has name, url, run_id,
    experiment_id, logged, and seconds for each step; timeout is in seconds for one request.
    Raises MlflowError naming every server that failed.
    """
    found = _find_all(requests, experiment, timeout)
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
        self._command = [python, entrypoint, "prove", "/dev/stdin"]

    def prove(
        self, requests: t.Sequence[Request], experiment: str, timeout: int
    ) -> dict[str, t.Any]:
        """Log all runs in one process."""
        try:
            done = subprocess.run(  # pylint: disable=ansible-bad-function
                self._command,
                input=_document(requests, experiment, timeout),
                capture_output=True,
                text=True,
                timeout=_bound(timeout),
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise MlflowError(
                f"The MLflow client of {self._command[0]} did not end well ({error}): run the deploy playbook."
            ) from error
        return _answer(done.returncode, done.stdout, done.stderr)


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
        # A port is the same inside, where each server listens on loopback too.
        port = urllib.parse.urlsplit(request.url).port
        inside = request._replace(url=f"http://127.0.0.1:{port}")
        ran = self._engine.run_once(
            self._image,
            ["prove", f"{VOLUME_PATH}/{_REQUEST}"],
            {_REQUEST: _document([inside], experiment, timeout)},
            binds={},
            network=f"container:{self._instance}-{request.name}",
            user="",
            environment={},
            timeout=_bound(timeout),
        )
        return _answer(ran.code, ran.stdout, ran.stderr)


def _find_all(
    requests: t.Sequence[Request], experiment: str, timeout: int
) -> dict[str, dict[str, str]]:
    """Return the finished run of each server's key, by name; nothing for servers that fail."""
    keyed = [request for request in requests if request.key]
    with concurrent.futures.ThreadPoolExecutor(max(1, min(16, len(keyed)))) as pool:
        runs = pool.map(lambda request: _find(request, experiment, timeout), keyed)
    return {request.name: run for request, run in zip(keyed, runs) if run}


def _find(request: Request, experiment: str, timeout: int) -> dict[str, str] | None:
    """Return the finished run of a server's key, reading the database through the server."""

    def call(path: str, body: t.Mapping[str, t.Any] | None) -> dict[str, t.Any] | None:
        return _call(request.url, path, body, timeout)

    return find(call, lambda: request.key, experiment)


def find(
    call: t.Callable[[str, t.Mapping[str, t.Any] | None], dict[str, t.Any] | None],
    key: t.Callable[[], str],
    experiment: str,
) -> dict[str, str] | None:
    """Return the finished run of a key by a server's API, None where it has none.

    call asks the server, with a path and a body; key is asked after the first answer.
    """
    query = urllib.parse.urlencode({"experiment_name": experiment})
    found = call(f"{_API}/experiments/get-by-name?{query}", None)
    if not found:
        return None
    search = {
        "experiment_ids": [found["experiment"]["experiment_id"]],
        "filter": f"tags.`{_KEY_TAG}` = '{key()}' and attributes.status = 'FINISHED'",
        "max_results": 1,
    }
    answer = call(f"{_API}/runs/search", search)
    runs = (answer or {}).get("runs") or []
    return runs[0]["info"] if runs else None


def _call(
    url: str, path: str, body: t.Mapping[str, t.Any] | None, timeout: int
) -> dict[str, t.Any] | None:
    """Ask a server; None where it does not answer, or not with what was asked for."""
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request(
            "POST" if body else "GET",
            f"{parts.path.rstrip('/')}{path}",
            json.dumps(body) if body else None,
            {"Content-Type": "application/json"},
        )
        response = connection.getresponse()
        text = read_answer(response, timeout)
        answer: dict[str, t.Any] | None = json.loads(text) if response.status == 200 else None
        return answer
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


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
    lines = output.strip().splitlines()
    if code != 0 or not lines:
        last = (errors.strip().splitlines() or lines or ["it printed nothing"])[-1]
        raise MlflowError(f"The MLflow client failed ({last}): run the deploy playbook.")
    answer: dict[str, t.Any] = json.loads(lines[-1])
    return answer


def _bound(timeout: int) -> float:
    """Return the seconds that logging a run may take, when one request may take timeout."""
    return 60.0 + timeout * _REQUESTS


def record(request: Request, run: t.Mapping[str, t.Any] | None, missing: bool) -> dict[str, t.Any]:
    """Return the record of one server's run."""
    return {
        "name": request.name,
        "url": request.url,
        "run_id": run["run_id"] if run else "",
        "experiment_id": run["experiment_id"] if run else "",
        "logged": missing,
        "seconds": run.get("seconds", {}) if run else {},
    }
