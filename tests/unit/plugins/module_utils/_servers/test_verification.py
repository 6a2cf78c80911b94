# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the verification's client prints, whole or not."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.verification import verify
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.verification_clients import (
    ProcessClient,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.verification_runs import (
    RunRequest,
)


class Well(BaseHTTPRequestHandler):
    """A server that answers every question."""

    def do_POST(self) -> None:
        """Answer that there is no experiment."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet."""


REQUESTS = [RunRequest("demo", "http://127.0.0.1:1", "")]


def client(folder: Path, code: str) -> ProcessClient:
    """Return a client whose program is this code."""
    program = folder / "client.py"
    program.write_text(code)
    return ProcessClient(sys.executable, str(program), "")


def test_what_a_client_prints_is_read(tmp_path: Path) -> None:
    """Beside what others print."""
    answer = """print("a warning"); print('{"runs": [], "failures": []}')"""
    assert client(tmp_path, answer).log(REQUESTS, "e", 1) == {"runs": [], "failures": []}


@pytest.mark.parametrize(
    "printed", ["{", "[]", '{"runs": 1, "failures": []}', '{"runs": [', "hello"]
)
def test_an_answer_that_cannot_be_read_is_a_sentence(tmp_path: Path, printed: str) -> None:
    """A client that was killed while it printed, or that is another program."""
    with pytest.raises(
        MlflowError, match=r"The output of the MLflow client cannot be read .*; run the"
    ):
        client(tmp_path, f"print({printed!r})").log(REQUESTS, "e", 1)


def test_a_server_that_the_client_forgot_has_failed(tmp_path: Path) -> None:
    """An answer that names a server neither among runs nor among failures verifies nothing."""
    made = client(tmp_path, """print('{"runs": [], "failures": []}')""")
    with HTTPServer(("127.0.0.1", 0), Well) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        request = RunRequest("demo", f"http://127.0.0.1:{server.server_port}", "")
        found = verify([request], "e", 5, made, "")
        server.shutdown()
    assert found.runs == []
    assert found.failures == [{"name": "demo", "reason": "the MLflow client said nothing about it"}]


@pytest.mark.parametrize("code", ["", "raise SystemExit(3)", "raise ValueError('why')"])
def test_a_client_that_says_nothing_fails_with_a_reason(tmp_path: Path, code: str) -> None:
    """One sentence for each way to end without an answer."""
    with pytest.raises(
        MlflowError, match=r"The MLflow client failed \(.+\); run the deploy playbook"
    ):
        client(tmp_path, code).log(REQUESTS, "e", 1)
