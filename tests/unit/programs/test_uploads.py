# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The largest body of a request: announced, or counted as it comes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import uploads

MOST = 10


async def exchange(parts: list[bytes], announced: int | None, early: bool) -> tuple[Any, list[Any]]:
    """Return the body that the application got, None for none, and the messages of the answer."""
    waiting = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)}
        for number, part in enumerate(parts, 1)
    ]
    got: list[bytes] = []
    sent: list[Any] = []

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        more = True
        start = {"type": "http.response.start", "status": 200, "headers": []}
        if early:
            await send(start)
        try:
            while more:
                message = await receive()
                got.append(message["body"])
                more = message["more_body"]
        except uploads._TooLargeError as error:
            # As a framework does that answers for what fails inside it, in a task of its own.
            await send({"type": "http.response.start", "status": 500, "headers": []})
            raise ExceptionGroup("task", [error]) from error
        if not early:
            await send(start)
        await send({"type": "http.response.body", "body": b"{}"})

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [] if announced is None else [(b"content-length", str(announced).encode())]
    scope = {"type": "http", "method": "PUT", "path": "/", "headers": headers}
    await uploads.UploadLimit(application, MOST)(scope, receive, send)
    return (b"".join(got) if got else None), sent


@pytest.mark.parametrize(
    ("parts", "announced"), [([b"x" * 10], 10), ([b"x" * 5, b"x" * 5], None), ([b""], None)]
)
def test_up_to_the_limit_all_is_passed_on(parts: list[bytes], announced: int | None) -> None:
    """Whole, and with the application's own answer."""
    got, sent = asyncio.run(exchange(parts, announced, early=False))
    assert got == b"".join(parts) or (got is None and parts == [b""])
    assert [message.get("status") for message in sent] == [200, None]


def test_what_is_announced_as_too_large_is_not_begun() -> None:
    """The application gets nothing of it."""
    got, sent = asyncio.run(exchange([b"x" * 11], 11, early=False))
    assert got is None
    assert sent[0]["status"] == 413
    said = json.loads(sent[1]["body"])
    assert said == {"error_code": "INVALID_PARAMETER_VALUE", "message": uploads.sentence(MOST)}
    assert "server.max_upload_size" in said["message"]


def test_what_is_not_announced_is_counted() -> None:
    """One answer, although the framework would send another one."""
    got, sent = asyncio.run(exchange([b"x" * 6, b"x" * 6, b"x"], None, early=False))
    assert got == b"x" * 6
    assert [message.get("status") for message in sent] == [413, None]


def test_an_answer_that_has_begun_is_broken_off() -> None:
    """There is no second head; the connection ends."""
    with pytest.raises(ExceptionGroup):
        asyncio.run(exchange([b"x" * 6, b"x" * 6], None, early=True))
