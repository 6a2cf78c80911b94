# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server behind a front door answers those alone who know its secret."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import door
from ansible_collections.mlops.mlflow_aws.tests.unit.programs._asgi import exchange

SECRET = "s" * 64
RIGHT = (b"authorization", f"Bearer {SECRET}".encode())


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/version", [RIGHT], 200),
        ("/health", [], 200),
        ("/version", [], 401),
        ("//health", [], 401),
        ("/health/", [], 401),
        ("/version", [(b"authorization", b"Bearer x")], 401),
        ("/version", [(b"authorization", f"bearer {SECRET}".encode())], 401),
        ("/version", [(b"authorization", f"Bearer {SECRET} ".encode())], 401),
        ("/version", [(b"authorization", "Bearer ü".encode())], 401),
        ("/version", [RIGHT, RIGHT], 401),
        ("/version", [(b"x-authorization", RIGHT[1])], 401),
    ],
)
def test_the_secret_opens(path: str, headers: list[tuple[bytes, bytes]], status: int) -> None:
    """And nothing else does, but the question whether it runs; MLflow does not see it."""
    scope = {"method": "GET", "path": path, "headers": [(b"a", b"b"), *headers]}
    made = exchange(lambda inner: door.DoorOnly(inner, SECRET), scope, [b""])
    assert made.status == status
    if status == 200:
        assert made.scope["headers"] == [(b"a", b"b")]
    else:
        assert made.scope is None


@pytest.mark.parametrize(("kind", "passed"), [("lifespan", ["lifespan"]), ("websocket", [])])
def test_other_kinds(kind: str, passed: list[str]) -> None:
    """An application learns of its start; no other conversation begins."""
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        del receive, send
        seen.append(scope["type"])

    asyncio.run(door.DoorOnly(application, SECRET)({"type": kind, "path": "/"}, None, None))
    assert seen == passed


def test_what_asks_knows_it() -> None:
    """By the settings, whether there is a door or not."""
    assert door.header({"door": SECRET}) == {"Authorization": f"Bearer {SECRET}"}
    assert door.header({}) == {}
