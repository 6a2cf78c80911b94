# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests wait for their turn at the database, and are answered so that clients retry them.

As many requests as the pool can serve use the database at once. Without that, requests that need a
second connection could all wait for each other.

MLflow answers 400 where its pool is exhausted or where it goes on after a lost connection, which its
clients do not retry, and 503 where the database refuses a connection, which from 3.18 on they retry for
calls that create nothing. Here a request that got no connection, or lost it before anything was
committed, and so changed nothing, is answered 429, which all clients retry for all calls. One that may
have changed something is answered 503.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from .connections import OVERFLOW, POOL, POOL_SIZE, Request, begin
from .refusal import PROBE_HEADER
from .refused import refuse

# Of these, for calls that have no turn, and for requests that need a second connection.
_SPARE = 4
# A request may wait so long for its turn, and then for a connection: together less than the 120
# seconds for which MLflow's clients wait.
TURN_SECONDS = 20.0
RETRY_AFTER = {b"retry-after": b"5"}
# Requests that have a turn; those for artifacts and to models do not wait for the database.
_PATHS = ("/api/", "/ajax-api/", "/graphql", "/v1/")
_WITHOUT_TURN = ("/mlflow-artifacts/", "/gateway")
_TURN_MESSAGE = (
    "The server has as many requests as its database connections can serve; retry in a few seconds."
)


class Turns:
    """An ASGI application in which as many requests use the database as there are connections for."""

    def __init__(self, application: Any) -> None:
        """Take the application; the pool's size is read from MLflow's variables."""
        self._application = application
        self._turns = asyncio.Semaphore(at_once(os.environ))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on when it is its turn."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        request = Request(
            probe=any(name == PROBE_HEADER.encode() for name, _value in scope["headers"])
        )
        begin(request)
        # A probe says whether the server works, not whether it is busy.
        if request.probe or not _takes_turn(scope["path"]):
            await self._application(scope, receive, _answering(request, send))
            return
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            await refuse(send, 429, "REQUEST_LIMIT_EXCEEDED", _TURN_MESSAGE, RETRY_AFTER)
            return
        turn = _Turn(self._turns)
        try:
            await self._application(scope, receive, _answering(request, send, turn))
        finally:
            turn.end()


class _Turn:
    """A request's turn, which ends once: with the head of its answer, or with the request."""

    def __init__(self, turns: asyncio.Semaphore) -> None:
        """Take what it was taken from."""
        self._turns: asyncio.Semaphore | None = turns

    def end(self) -> None:
        """Let another request have its turn."""
        turns, self._turns = self._turns, None
        if turns:
            turns.release()


def at_once(environment: Mapping[str, str]) -> int:
    """Return how many requests may use the database at once, by the size of the pool."""
    names = (POOL_SIZE, OVERFLOW)
    sizes = [str(environment.get(name, "")) for name in names]
    size, overflow = (
        int(text) if text.isdecimal() else int(POOL[name])
        for name, text in zip(names, sizes, strict=True)
    )
    return max(1, size + overflow - _SPARE)


def _takes_turn(path: str) -> bool:
    """Return whether a request uses the database, and not for long."""
    return path.startswith(_PATHS) and not any(part in path for part in _WITHOUT_TURN)


def _status(request: Request, status: int) -> int:
    """Return the status of an answer, which for want of a connection is one that clients retry."""
    if status < 400 or not (request.starved or request.cut):
        return status
    return 503 if request.committed else 429


def _answering(request: Request, send: Any, turn: _Turn | None = None) -> Any:
    """Return what sends an answer, with a status that says whether it failed for want of a connection."""

    async def sent(message: Any) -> None:
        if message["type"] == "http.response.start":
            if turn:
                # What follows, such as a file, needs no connection.
                turn.end()
            status = _status(request, message["status"])
            if status != message["status"]:
                headers = [*message.get("headers", ()), *RETRY_AFTER.items()]
                message = {**message, "status": status, "headers": headers}
        await send(message)

    return sent
