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

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import jobs
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.container_spec import (
    VOLUME_PATH,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import (
    commands,
    environ,
    interpreter,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.proof import (
    Request,
    ask_all,
    record,
)

_REQUEST = "request.json"
_REMEDY = "run the deploy playbook"
_ANSWER = {"runs": list, "failures": list}
# Logging one run takes some ten requests.
_REQUESTS = 12
# As often as the client asks.
_ATTEMPTS = 3


class Prover(t.Protocol):
    """What has the MLflow client."""

    def prove(
        self, requests: t.Sequence[Request], experiment: str, timeout: int
    ) -> dict[str, t.Any]:
        """Log a run through each server; returns runs and failures, see docker/entry_proof.py."""


class Outcome(t.NamedTuple):
    """Run records of the servers that have a run, and of each other one its name and reason."""

    runs: list[dict[str, t.Any]]
    failures: list[dict[str, str]]


def log_all(
    requests: t.Sequence[Request], experiment: str, timeout: int, prover: Prover | None
) -> Outcome:
    """Have a run logged through each server that has none of its key; both lists are in order.

    Without a prover nothing is logged or fails, and run_id may be empty. A run has name, url, run_id,
    experiment_id, logged, and seconds for each step; timeout is in seconds for one request.
    """
    answers = ask_all(requests, experiment, timeout, _ATTEMPTS if prover else 1)
    if not prover:
        runs = [record(one, answers[one.name].run, not answers[one.name].run) for one in requests]
        return Outcome(runs, [])
    # One that cannot be asked is not worth the client's patience, and says why better than that.
    reasons = {name: answer.reason for name, answer in answers.items() if answer.reason}
    missing = [one for one in requests if one.name not in reasons and not answers[one.name].run]
    logged: dict[str, dict[str, t.Any]] = {}
    if missing:
        answer = prover.prove(missing, experiment, timeout)
        logged = {run["name"]: run for run in answer["runs"]}
        reasons |= {item["name"]: item["reason"] for item in answer["failures"]}
        silent = [one.name for one in missing if one.name not in logged and one.name not in reasons]
        reasons |= dict.fromkeys(silent, "the MLflow client said nothing about it")
        # The client says how often it asked, the server what is wrong with it by now.
        failed = [one for one in missing if one.name in reasons]
        again = ask_all([one._replace(key="") for one in failed], experiment, timeout, 1)
        reasons |= {name: told.reason for name, told in again.items() if told.reason}
    return Outcome(
        [
            record(one, answers[one.name].run or logged.get(one.name), one in missing)
            for one in requests
            if one.name not in reasons
        ],
        [
            {"name": one.name, "reason": reasons[one.name]}
            for one in requests
            if one.name in reasons
        ],
    )


class ProcessProver:
    """The client of an installed runtime."""

    def __init__(self, python: str, entrypoint: str) -> None:
        """Take the runtime's Python and its mlflow_entry.py."""
        self._command = interpreter.isolated(python, entrypoint, "prove", "/dev/stdin")

    def prove(
        self, requests: t.Sequence[Request], experiment: str, timeout: int
    ) -> dict[str, t.Any]:
        """Log all runs in one process."""
        done = commands.run(
            self._command,
            _bound(timeout),
            "The MLflow client did not end well",
            _REMEDY,
            text=_document(requests, experiment, timeout),
            environment=environ.clean(),
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
                pool.map(lambda request: self._try(request, experiment, timeout), requests)
            )
        return {
            key: [item for answer in answers for item in answer[key]]
            for key in ("runs", "failures")
        }

    def _try(self, request: Request, experiment: str, timeout: int) -> dict[str, t.Any]:
        """Log one run; what goes wrong with its container is that server's failure alone."""
        try:
            return self._prove(request, experiment, timeout)
        except MlflowError as error:
            return {"runs": [], "failures": [{"name": request.name, "reason": str(error)}]}

    def _prove(self, request: Request, experiment: str, timeout: int) -> dict[str, t.Any]:
        """Log one run."""
        name = f"{self._instance}-{request.name}"
        host = (self._engine.container(name) or {}).get("HostConfig", {})
        inside = request
        if host.get("NetworkMode") != "host":
            # A port is the same inside, where each server listens on all addresses.
            port = urllib.parse.urlsplit(request.url).port
            inside = request._replace(url=f"http://127.0.0.1:{port}")
        ran = jobs.run_once(
            self._engine,
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
        reason = commands.reason(errors, output)
        raise MlflowError(f"The MLflow client failed ({reason}): {_REMEDY}.")
    return commands.document(output, "What the MLflow client printed", _REMEDY, _ANSWER)


def _bound(timeout: int) -> float:
    """Return the seconds that logging a run may take, when one request may take timeout."""
    return 60.0 + timeout * _REQUESTS
