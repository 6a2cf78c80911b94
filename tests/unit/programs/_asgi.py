# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request to an application behind another one, as an ASGI server sends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Exchange:
    """What the inner application saw, and what was sent to the client.

    scope is None, and body is empty, where the request did not get as far; early is whether the
    application begins its answer before it has read the request.
    """

    early: bool = False
    scope: Any = None
    body: bytes = b""
    sent: list[Any] = field(default_factory=list)

    @property
    def status(self) -> int:
        """Return the status that the client got."""
        return int(self.sent[0]["status"])

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        """Read the request and answer it; what fails meanwhile is answered, too, as frameworks do."""
        self.scope = scope
        start = {"type": "http.response.start", "status": 200, "headers": []}
        if self.early:
            await send(start)
        try:
            more = True
            while more:
                message = await receive()
                self.body += message["body"]
                more = message["more_body"]
        except Exception as error:
            await send({"type": "http.response.start", "status": 500, "headers": []})
            raise ExceptionGroup("task", [error]) from error
        if not self.early:
            await send(start)
        await send({"type": "http.response.body", "body": b"{}"})

    async def send(self, message: Any) -> None:
        """Take what is sent to the client."""
        self.sent.append(message)


def exchange(
    behind: Callable[[Any], Any],
    scope: dict[str, Any],
    parts: Sequence[bytes],
    *,
    early: bool = False,
) -> Exchange:
    """Send a request whose body comes in parts to an application that stands before the inner one."""
    made = Exchange(early)
    waiting = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)}
        for number, part in enumerate(parts, 1)
    ]

    async def receive() -> Any:
        return waiting.pop(0)

    asyncio.run(
        behind(made.application)({"type": "http", "headers": [], **scope}, receive, made.send)
    )
    return made
