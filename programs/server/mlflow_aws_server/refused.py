# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that MLflow never gets: how their paths are read, and what they are answered."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# As MLflow matches paths: after any number of slashes.
_API = re.compile(r"/+(?:ajax-)?api/[0-9]+\.[0-9]+(/.*)", re.DOTALL)


def below_api(path: str, prefix: str) -> str:
    """Return a request's path below /api/N.0 or /ajax-api/N.0, which a prefix may precede; empty for others."""
    found = _API.fullmatch(path.removeprefix(prefix.rstrip("/")))
    return found[1] if found else ""


async def refuse(
    send: Any, status: int, code: str, message: str, headers: Mapping[bytes, bytes] | None = None
) -> None:
    """Send an answer as MLflow's API reports errors: this status, one of its error codes and a sentence."""
    body = json.dumps({"error_code": code, "message": message}).encode()
    sent = {
        b"content-type": b"application/json",
        b"content-length": str(len(body)).encode(),
        **(headers or {}),
    }
    start = {"type": "http.response.start", "status": status, "headers": list(sent.items())}
    await send(start)
    await send({"type": "http.response.body", "body": body})
