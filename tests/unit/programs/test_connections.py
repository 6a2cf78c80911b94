# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns at the database, and what is answered where there is no connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import (
    connections,
    refused,
    turns,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.refusal import (
    PROBE_HEADER,
)

SEARCH = "/api/2.0/mlflow/runs/search"
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Any, Any, Send], Coroutine[Any, Any, None]]


async def ask(application: turns.Turns, path: str, *headers: str) -> tuple[int, dict[bytes, bytes]]:
    """Return status and headers of the answer to one request."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [(name.encode(), b"1") for name in headers]}
    await application(scope, None, send)
    return sent[0]["status"], dict(sent[0]["headers"])


def answering(status: int, **noted: bool) -> Application:
    """Return an application that answers so, and notes this about its request."""

    async def application(_scope: Any, _receive: Any, send: Send) -> None:
        request = connections._request.get()
        assert request
        for name, value in noted.items():
            setattr(request, name, value)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    return application


@pytest.mark.parametrize(
    ("status", "noted", "expected"),
    [
        (200, {}, 200),
        (400, {}, 400),
        (503, {}, 503),
        # The pool was exhausted; the database refused.
        (400, {"starved": True}, 429),
        (503, {"starved": True}, 429),
        # Repeating it could do twice what was done.
        (503, {"starved": True, "committed": True}, 503),
        # It went without.
        (200, {"starved": True}, 200),
        # The database forgets what was begun on a connection that broke.
        (400, {"cut": True}, 429),
        (503, {"cut": True}, 429),
        (400, {"cut": True, "committed": True}, 503),
        (500, {"cut": True, "committed": True}, 503),
        (200, {"cut": True}, 200),
    ],
)
def test_what_is_answered_without_a_connection(
    status: int, noted: dict[str, bool], expected: int
) -> None:
    """A status that clients retry for every call, if the request has changed nothing."""
    found, headers = asyncio.run(ask(turns.Turns(answering(status, **noted)), SEARCH))
    assert found == expected
    assert (headers.get(b"retry-after") is not None) is (expected != status)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two requests use the database at once, and the others wait for a moment."""
    monkeypatch.setenv(connections.POOL_SIZE, "5")
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.05)


@pytest.mark.usefixtures("small")
def test_requests_wait_for_their_turn() -> None:
    """And are answered with what clients retry if it does not come."""

    async def main() -> None:
        over, most, now = asyncio.Event(), 0, 0

        async def application(_scope: Any, _receive: Any, send: Send) -> None:
            nonlocal most, now
            now += 1
            most = max(most, now)
            await over.wait()
            now -= 1
            await send({"type": "http.response.start", "status": 200, "headers": []})

        waiting = turns.Turns(application)
        tasks = [asyncio.create_task(ask(waiting, SEARCH)) for _number in range(5)]
        await asyncio.sleep(0.5)
        # Artifacts and models do not wait for others.
        paths = ("/api/2.0/mlflow-artifacts/artifacts/1/a", "/gateway/a/invocations", "/")
        tasks += [asyncio.create_task(ask(waiting, path)) for path in paths]
        await asyncio.sleep(0.1)
        assert most == 5
        over.set()
        answers = await asyncio.gather(*tasks)
        assert [status for status, _headers in answers] == [200, 200, 429, 429, 429, 200, 200, 200]
        assert (await ask(waiting, SEARCH))[0] == 200

    asyncio.run(main())


@pytest.mark.usefixtures("small")
def test_a_file_that_is_sent_holds_up_nobody() -> None:
    """A turn ends with the head of the answer, and with a request that fails."""

    async def main() -> None:
        slow = asyncio.Event()

        async def application(scope: Any, _receive: Any, send: Send) -> None:
            if scope["path"].endswith("fails"):
                raise ValueError(scope["path"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await slow.wait()

        waiting = turns.Turns(application)
        sending = [asyncio.create_task(ask(waiting, SEARCH)) for _number in range(4)]
        for _number in range(4):
            with pytest.raises(ValueError, match="fails"):
                await ask(waiting, f"{SEARCH}/fails")
        slow.set()
        assert [status for status, _headers in await asyncio.gather(*sending)] == [200] * 4

    asyncio.run(main())


def test_a_request_without_a_turn_is_told_as_mlflow_does() -> None:
    """In JSON, with the header that says when to ask again."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = turns.RETRY_AFTER
    asyncio.run(refused.refuse(send, 429, "REQUEST_LIMIT_EXCEEDED", turns._TURN_MESSAGE, headers))
    start, body = sent
    got = dict(start["headers"])
    assert start["status"] == 429
    assert got[b"content-length"] == str(len(body["body"])).encode()
    assert got[b"retry-after"] == b"5"
    assert "retry in a few seconds" in json.loads(body["body"])["message"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, 16),
        (connections.POOL, 16),
        ({connections.POOL_SIZE: "36"}, 33),
        ({connections.POOL_SIZE: "2", connections.OVERFLOW: "1"}, 1),
        ({connections.POOL_SIZE: "many"}, 16),
    ],
)
def test_turns_follow_the_pool(environment: dict[str, str], expected: int) -> None:
    """A few connections are left for requests that need two."""
    assert turns.at_once(environment) == expected


def test_a_probe_does_not_wait() -> None:
    """For a connection, as it asks again; anybody else does."""
    patient: list[bool] = []

    async def application(_scope: Any, _receive: Any, send: Send) -> None:
        patient.append(connections.is_patient())
        await send({"type": "http.response.start", "status": 200})

    waiting = turns.Turns(application)
    for headers in ((), (PROBE_HEADER,)):
        asyncio.run(ask_quietly(waiting, *headers))
    assert patient == [True, False]
    assert connections.is_patient()
    with connections.impatient():
        assert not connections.is_patient()
    assert connections.is_patient()


async def ask_quietly(application: turns.Turns, *headers: str) -> None:
    """Ask, whatever comes back."""

    async def send(_message: Any) -> None:
        """Take the answer."""

    scope = {"type": "http", "path": SEARCH, "headers": [(name.encode(), b"1") for name in headers]}
    await application(scope, None, send)
