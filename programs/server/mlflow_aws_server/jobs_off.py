# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server without jobs says so, before MLflow has begun anything for one.

MLflow checks last whether jobs can run. Until then it has started a run, which nobody ends, and
which stays the active one of that thread: what the thread does next lands in it. Its answer, 500,
advises a variable that starts no runner. So what submits a job, or asks for what only the runner
does, is answered here: 501, as MLflow does for what is turned off, which its clients do not retry.

What reads or cancels jobs is left to MLflow: there may be some from a time when the project had them.

With jobs, what needs a package that is not installed is answered in the same way.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from .refused import below_api, refuse

# What cannot be done, by method and path below /api/N.0 or /ajax-api/N.0. A test compares this with what
# reaches MLflow's job submission.
ROUTES = {
    ("POST", "/mlflow/genai/evaluate/invoke"): "Evaluation runs cannot be started",
    ("POST", "/mlflow/issues/invoke"): "Issues cannot be detected",
    ("POST", "/mlflow/prompt-optimization/jobs"): "Prompts cannot be optimized",
    ("POST", "/mlflow/scorer/invoke"): "Judges cannot be run on traces",
    ("POST", "/jobs/"): "Jobs cannot be submitted",
}
# Stored by MLflow and then never acted on, if the body asks for it: see _BY_BODY. With a sample rate of 0, as
# the page sends it for a judge without automatic evaluation, it does not; tags are mostly others.
ONLINE_SCORING = ("PUT", "/mlflow/scorers/online-config")
ARCHIVAL = ("POST", "/mlflow/experiments/set-experiment-tag")
CREATION = ("POST", "/mlflow/experiments/create")
_ORDERS = (ARCHIVAL, CREATION)
ARCHIVAL_TAGS = ("mlflow.trace.archiveNow", "mlflow.trace.archivalRetention")
_REFUSED = {
    **ROUTES,
    ONLINE_SCORING: "Judges cannot be run automatically on new traces",
    **dict.fromkeys(_ORDERS, "Traces cannot be archived"),
}
# The job imports it in any case, and fails before it takes its run up; others do without, or use it if it is there.
PACKAGES = {("POST", "/mlflow/prompt-optimization/jobs"): "litellm"}
_NO_ARCHIVAL = "this project's server archives none"
_ARCHIVAL_REMEDY = (
    "set 'server.jobs: true' and 'server.trace_archival' for it in mlflow_projects and rerun the servers "
    "playbook"
)
_REMEDY = "set 'server.jobs: true' for it in mlflow_projects and rerun the servers playbook"
STATUS = 501
_CODE = "NOT_IMPLEMENTED"
# More than MLflow takes in such a request.
_BODY_BYTES = 1 << 20


class JobsOff:
    """An ASGI application in which no request gets as far as what cannot be done."""

    def __init__(
        self, application: Any, refused: Mapping[tuple[str, str], str], prefix: str = ""
    ) -> None:
        """Take the application, what is answered by method and path, and the prefix of its paths, if any."""
        self._application = application
        self._refused = refused
        self._prefix = prefix

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Refuse the request, or pass it on."""
        route = ("", "")
        if scope["type"] == "http":
            route = _route(scope["method"], scope["path"], self._prefix)
        if route not in self._refused:
            await self._application(scope, receive, send)
            return
        if route in _BY_BODY:
            messages = [message async for message in _bounded(receive)]
            body = b"".join(message.get("body", b"") for message in messages)
            if len(body) <= _BODY_BYTES and not _BY_BODY[route](body):
                await self._application(scope, _again(messages, receive), send)
                return
        await refuse(send, STATUS, _CODE, self._refused[route])


def refusals(jobs: bool, archival: bool = False) -> dict[tuple[str, str], str]:
    """Return what a server with or without jobs, and with or without trace archival, cannot do, and its answers."""
    if not jobs:
        return {route: sentence(route) for route in _REFUSED}
    found = {
        route: lacking(route)
        for route, package in PACKAGES.items()
        if importlib.util.find_spec(package) is None
    }
    if archival:
        return found
    return {**found, **{route: sentence(route) for route in _ORDERS}}


def sentence(route: tuple[str, str]) -> str:
    """Return what a request is answered by a server without jobs, or without trace archival."""
    if route in _ORDERS:
        return f"{_REFUSED[route]} ({_NO_ARCHIVAL}); {_ARCHIVAL_REMEDY}."
    remedy = f"use a sample rate of 0, or {_REMEDY}" if route == ONLINE_SCORING else _REMEDY
    return f"{_REFUSED[route]} (this project's server runs no jobs); {remedy}."


def lacking(route: tuple[str, str]) -> str:
    """Return what a request is answered whose job needs a package that is not there."""
    return (
        f"{_REFUSED[route]} (the package '{PACKAGES[route]}' is not installed with this project's server); "
        "add it by mlflow_image_requirements and rerun the deploy playbook."
    )


def is_submission(method: str, path: str, prefix: str = "") -> bool:
    """Return whether a request submits a job."""
    return _route(method, path, prefix) in ROUTES


def _route(method: str, path: str, prefix: str) -> tuple[str, str]:
    """Return method and path of a request below its API, an empty path if it is for none."""
    # Flask takes a method in any case, and a path with a line feed at its end.
    return method.upper(), below_api(path, prefix).removesuffix("\n")


async def _bounded(receive: Any) -> Any:
    """Yield the messages of a request's body, up to a size that none of these has."""
    size, more = 0, True
    while more and size <= _BODY_BYTES:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
        yield message


def _samples(body: bytes) -> bool:
    """Return whether a request's sample rate is not 0, as MLflow reads it."""
    with suppress(ValueError, LookupError, TypeError, RecursionError):
        return float(_read(body)["sample_rate"]) != 0
    return True


def _archives(body: bytes) -> bool:
    """Return whether a request sets a tag that only archival acts on."""
    with suppress(ValueError, LookupError, TypeError, RecursionError, AttributeError):
        said = _read(body)
        tags = [said] if "key" in said else said.get("tags") or []
        return any(tag.get("key") in ARCHIVAL_TAGS for tag in tags)
    return False


def _read(body: bytes) -> Any:
    """Return what a body says, which may be JSON in a string of JSON: old clients of MLflow send that."""
    said = json.loads(body)
    return json.loads(said) if isinstance(said, str) else said


# What is refused by what its body says.
_BY_BODY = {ONLINE_SCORING: _samples, **dict.fromkeys(_ORDERS, _archives)}


def _again(messages: list[Any], receive: Any) -> Any:
    """Return what receives messages that were received, and then further ones."""
    waiting: Iterator[Any] = iter(messages)

    async def received() -> Any:
        for message in waiting:
            return message
        return await receive()

    return received
