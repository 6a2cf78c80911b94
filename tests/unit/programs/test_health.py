# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The health check: which answers show the state of the database, and how often it is asked."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.health import (
    RETRY_SECONDS,
    Noted,
    Notes,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.refusal import (
    PROBE_HEADER,
)

SEARCH = "/api/2.0/mlflow/runs/search"


def request(folder: Path, path: str, status: int, *headers: str) -> None:
    """Let an application behind Noted answer one request."""

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status})

    async def send(_message: Any) -> None:
        """Take the answer."""

    scope = {"type": "http", "path": path, "headers": [(name.encode(), b"1") for name in headers]}
    asyncio.run(Noted(application, folder)(scope, None, send))


@pytest.mark.parametrize(
    ("path", "status", "headers", "fails"),
    [
        (SEARCH, 500, (), True),
        (SEARCH, 503, (), True),
        ("/ajax-api/2.0/mlflow/runs/search", 500, (), True),
        ("/graphql", 500, (), True),
        ("/v1/traces", 503, (), True),
        # What was refused for itself, and what the database has no part in.
        (SEARCH, 400, (), False),
        (SEARCH, 403, (), False),
        ("/api/2.0/mlflow-artifacts/artifacts/1/a", 500, (), False),
        ("/health", 500, (), False),
        ("/gateway/demo/mlflow/invocations", 502, (), False),
        (SEARCH, 500, (PROBE_HEADER,), False),
    ],
)
def test_what_is_noted_as_a_failure(
    tmp_path: Path, path: str, status: int, headers: tuple[str, ...], fails: bool
) -> None:
    """An error of the server in an answer that the database has a part in."""
    request(tmp_path, path, status, *headers)
    assert Notes(tmp_path).failed.exists() is fails


@pytest.mark.parametrize(
    ("path", "status", "ends"),
    [
        (SEARCH, 200, True),
        (SEARCH, 404, False),
        ("/", 200, False),
        ("/static-files/favicon.ico", 200, False),
        ("/api/2.0/mlflow-artifacts/artifacts/1/a", 200, False),
    ],
)
@pytest.mark.parametrize("headers", [(), (PROBE_HEADER,)])
def test_what_ends_a_failure(
    tmp_path: Path, path: str, status: int, ends: bool, headers: tuple[str, ...]
) -> None:
    """A request that the database answered, a module's probe as well; the page alone does not need it."""
    Notes(tmp_path).fail()
    request(tmp_path, path, status, *headers)
    # A probe is not use, after which the database would be asked.
    assert Notes(tmp_path).used.exists() is not bool(headers)
    assert Notes(tmp_path).failed.exists() is not ends


def test_a_database_that_fails_is_asked_more_and_more_seldom(tmp_path: Path) -> None:
    """Each pause is as long as it has failed before, up to the bound."""
    notes, now = Notes(tmp_path), time.time()
    notes.proved.touch()
    notes.fail()
    assert notes.is_due()
    notes.answered(False)
    for failed, asked, due in (
        (100, 50, True),
        (100, 49, False),
        (1000, 100, False),
        (10 * RETRY_SECONDS, RETRY_SECONDS + 1, True),
        (10 * RETRY_SECONDS, RETRY_SECONDS - 1, False),
    ):
        os.utime(notes.failed, (now - failed, now - failed))
        os.utime(notes.asked, (now - asked, now - asked))
        assert notes.is_due() is due, (failed, asked)
    notes.answered(True)
    assert not notes.failed.exists()
    assert not notes.asked.exists()


def test_a_server_that_starts_is_asked_each_time(tmp_path: Path) -> None:
    """Until it has answered once, a failure is not held against it."""
    notes = Notes(tmp_path)
    notes.answered(False)
    assert not notes.failed.exists()
