# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server behind a front door answers those alone who know its secret: the door, and what manages the host."""

from __future__ import annotations

import hmac
from typing import Any

from .refused import refuse

_CODE = "UNAUTHENTICATED"
_OPEN = "/health"
SENTENCE = "This server answers its front door alone; use the address of the door, with a token."


def header(settings: dict[str, Any]) -> dict[str, str]:
    """Return the header that a server with these settings wants, none if it is behind no door."""
    secret = settings.get("door")
    return {"Authorization": f"Bearer {secret}"} if secret else {}


class DoorOnly:
    """An ASGI application that no request passes without the secret, but a question whether it runs."""

    def __init__(self, application: Any, secret: str) -> None:
        """Take the application, and the secret."""
        self._application = application
        self._wanted = f"Bearer {secret}".encode("ascii")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Refuse the request, or pass it on without the secret."""
        if scope["type"] == "lifespan" or (scope["type"], scope.get("path")) == ("http", _OPEN):
            await self._application(scope, receive, send)
            return
        if scope["type"] != "http":
            # MLflow has no other kind; to return without an answer is to refuse it.
            return
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1 or not hmac.compare_digest(given[0], self._wanted):
            await refuse(send, 401, _CODE, SENTENCE)
            return
        headers = [pair for pair in scope["headers"] if pair[0] != b"authorization"]
        await self._application({**scope, "headers": headers}, receive, send)
