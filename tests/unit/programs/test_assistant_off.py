# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server without the assistant passes on what the page reads of it, as from another host, and no more."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import assistant_off
from ansible_collections.mlops.mlflow_aws.tests.unit.programs._asgi import exchange

ROOT = "/ajax-api/3.0/mlflow/assistant"


def ask(method: str, path: str, prefix: str = "") -> tuple[int, Any]:
    """Return the status of the answer, and the client that the application saw, None if it was not asked."""
    scope = {"method": method, "path": path, "client": ("127.0.0.1", 1)}
    made = exchange(lambda inner: assistant_off.AssistantOff(inner, prefix), scope, [b""])
    return made.status, made.scope and made.scope["client"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{ROOT}/message"),
        ("GET", f"{ROOT}/sessions/x/stream"),
        ("PUT", f"{ROOT}/config"),
        ("POST", f"{ROOT}/skills/install"),
        ("GET", f"{ROOT}/config/"),
        ("GET", ROOT),
        ("POST", "/api/4.0/mlflow/assistant/message"),
        ("POST", f"/{ROOT}/message"),
        ("GET", f"{ROOT}/\\nconfig"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/team", "/team/"])
def test_nothing_is_asked_of_the_assistant(method: str, path: str, prefix: str) -> None:
    """By no path, with a prefix and without."""
    assert ask(method, prefix.rstrip("/") + path, prefix) == (403, None)


@pytest.mark.parametrize("path", ["/config", "/providers"])
def test_what_the_page_reads_has_no_secrets_of_the_host(path: str) -> None:
    """MLflow answers it as to another host."""
    assert ask("GET", ROOT + path) == (200, ("192.0.2.1", 0))


def test_others_pass_untouched() -> None:
    """Whatever else is in the path."""
    for path in ("/ajax-api/3.0/mlflow/assistants", "/api/2.0/mlflow/runs/search", "/assistant"):
        assert ask("POST", path) == (200, ("127.0.0.1", 1))
