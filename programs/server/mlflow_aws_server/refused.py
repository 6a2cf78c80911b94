# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of our own to requests that MLflow never gets, in the shape of its API's errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


async def refuse(
    send: Any, status: int, code: str, message: str, headers: Mapping[bytes, bytes] | None = None
) -> None:
    """Send a whole answer with this status, one of MLflow's error codes and a sentence."""
    body = json.dumps({"error_code": code, "message": message}).encode()
    sent = {
        b"content-type": b"application/json",
        b"content-length": str(len(body)).encode(),
        **(headers or {}),
    }
    start = {"type": "http.response.start", "status": status, "headers": list(sent.items())}
    await send(start)
    await send({"type": "http.response.body", "body": body})
