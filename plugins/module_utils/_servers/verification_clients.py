# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the MLflow clients that log verification runs.

A client is that of an installed runtime, or that of the image; its program is
verification.py of programs/server/mlflow_aws_server.
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
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.verification_runs import (
    RunRequest,
)

_REQUEST = "request.json"
_REMEDY = "run the deploy playbook"
_ANSWER = {"runs": list, "failures": list}
# Logging one run takes some ten requests.
_REQUESTS = 12


class ProcessClient:
    """The client of an installed runtime."""

    def __init__(self, python: str, entrypoint: str, token: str) -> None:
        """Take the runtime's Python, its mlflow_entry.py, and what servers behind a front door want to see."""
        self._token = token
        self._command = interpreter.isolated(python, entrypoint, "prove", "/dev/stdin")

    def log(
        self, requests: t.Sequence[RunRequest], experiment: str, timeout: int
    ) -> dict[str, t.Any]:
        """Log all runs in one process."""
        done = commands.run(
            self._command,
            _bound(timeout),
            "The MLflow client failed",
            _REMEDY,
            text=_document(requests, experiment, timeout, self._token),
            environment=environ.clean(),
        )
        return _answer(done.code, done.output, done.errors)


class ContainerClient:
    """The client of the image, in containers beside the servers' own, without their identity."""

    def __init__(self, engine: Engine, image: str, instance: str, token: str) -> None:
        """Take the engine, the image, what the names of the servers' containers start with, and a token.

        token: what servers behind a front door want to see.
        """
        self._engine, self._image, self._instance, self._token = engine, image, instance, token

    def log(
        self, requests: t.Sequence[RunRequest], experiment: str, timeout: int
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

    def _try(self, request: RunRequest, experiment: str, timeout: int) -> dict[str, t.Any]:
        """Log one run; what goes wrong with its container is that server's failure alone."""
        try:
            return self._log(request, experiment, timeout)
        except MlflowError as error:
            return {"runs": [], "failures": [{"name": request.name, "reason": str(error)}]}

    def _log(self, request: RunRequest, experiment: str, timeout: int) -> dict[str, t.Any]:
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
            {_REQUEST: _document([inside], experiment, timeout, self._token)},
            binds={},
            network=f"container:{name}",
            user="",
            environment={},
            timeout=_bound(timeout),
        )
        return _answer(ran.code, ran.stdout, ran.stderr)


def _document(requests: t.Sequence[RunRequest], experiment: str, timeout: int, token: str) -> str:
    """Return the request of programs/server/mlflow_aws_server/verification.py."""
    return json.dumps(
        {
            "servers": [request._asdict() for request in requests],
            "experiment": experiment,
            "timeout": timeout,
            "token": token,
        }
    )


def _answer(code: int, output: str, errors: str) -> dict[str, t.Any]:
    """Return what programs/server/mlflow_aws_server/verification.py printed."""
    if code != 0 or not output.strip():
        reason = commands.reason(errors, output)
        raise MlflowError(f"The MLflow client failed ({reason}); {_REMEDY}.")
    return commands.document(output, "The output of the MLflow client", _REMEDY, _ANSWER)


def _bound(timeout: int) -> float:
    """Return the seconds that logging a run may take, when one request may take timeout."""
    return 60.0 + timeout * _REQUESTS
