# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server without jobs says so, before MLflow has begun anything for one.

MLflow checks last whether jobs can run. Until then it has started a run, which nobody ends, and
which stays the active one of that thread: what the thread does next lands in it. Its answer, 500,
advises a variable that starts no runner. So what submits a job, or asks for what only the runner
does, is answered here: 501, as MLflow does for what is turned off, which its clients do not retry.

What reads or cancels jobs is left to MLflow: there may be some from a time when the project had them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from .refused import refuse

# What cannot be done, by method and path below /api/N.0 or /ajax-api/N.0. A test compares this with what
# reaches MLflow's job submission.
ROUTES = {
    ("POST", "/mlflow/genai/evaluate/invoke"): "Evaluation runs cannot be started",
    ("POST", "/mlflow/issues/invoke"): "Issues cannot be detected",
    ("POST", "/mlflow/prompt-optimization/jobs"): "Prompts cannot be optimized",
    ("POST", "/mlflow/scorer/invoke"): "Judges cannot be run on traces",
    ("POST", "/jobs/"): "Jobs cannot be submitted",
}
# Stored by MLflow and then never acted on; with a sample rate of 0, as the page sends it for a judge
# without automatic evaluation, it asks for nothing.
ONLINE_SCORING = ("PUT", "/mlflow/scorers/online-config")
_REFUSED = {**ROUTES, ONLINE_SCORING: "Judges cannot be run automatically on new traces"}
_REMEDY = "set 'server.jobs: true' for it in mlflow_projects and rerun the servers playbook"
_API = re.compile(r"/(?:ajax-)?api/[0-9]+\.[0-9]+(/.*)", re.DOTALL)
STATUS = 501
_CODE = "NOT_IMPLEMENTED"
_BODY_BYTES = 1 << 16


class JobsOff:
    """An ASGI application in which no request gets as far as submitting a job."""

    def __init__(self, application: Any, prefix: str = "") -> None:
        """Take the application, and the prefix of its paths, if it has one."""
        self._application = application
        self._prefix = prefix.rstrip("/")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Refuse the request, or pass it on."""
        route = self._route(scope) if scope["type"] == "http" else None
        if route == ONLINE_SCORING:
            messages = [message async for message in _bounded(receive)]
            if _asks_for_nothing(b"".join(message.get("body", b"") for message in messages)):
                await self._application(scope, _again(messages, receive), send)
                return
        if route is None:
            await self._application(scope, receive, send)
        else:
            await refuse(send, STATUS, _CODE, sentence(route))

    def _route(self, scope: Any) -> tuple[str, str] | None:
        """Return the route of a request that is refused, None for any other."""
        found = _API.fullmatch(scope["path"].removeprefix(self._prefix))
        route = (scope["method"], found[1] if found else "")
        return route if route in _REFUSED else None


def sentence(route: tuple[str, str]) -> str:
    """Return what a refused request is answered."""
    remedy = f"use a sample rate of 0, or {_REMEDY}" if route == ONLINE_SCORING else _REMEDY
    return f"{_REFUSED[route]} (this project's server runs no jobs); {remedy}."


async def _bounded(receive: Any) -> Any:
    """Yield the messages of a request's body, up to a size that none of these has."""
    size, more = 0, True
    while more and size <= _BODY_BYTES:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
        yield message


def _asks_for_nothing(body: bytes) -> bool:
    """Return whether a request's sample rate is 0, as MLflow reads it."""
    with suppress(ValueError, LookupError, TypeError, RecursionError):
        return float(json.loads(body)["sample_rate"]) == 0
    return False


def _again(messages: list[Any], receive: Any) -> Any:
    """Return what receives messages that were received, and then further ones."""
    waiting: Iterator[Any] = iter(messages)

    async def received() -> Any:
        for message in waiting:
            return message
        return await receive()

    return received
