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
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.proof import Request
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.runs import (
    ProcessProver,
    log_all,
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


REQUESTS = [Request("demo", "http://127.0.0.1:1", "")]


def client(folder: Path, code: str) -> ProcessProver:
    """Return a client whose program is this code."""
    program = folder / "client.py"
    program.write_text(code)
    return ProcessProver(sys.executable, str(program))


def test_what_a_client_prints_is_read(tmp_path: Path) -> None:
    """Beside what others print."""
    answer = """print("a warning"); print('{"runs": [], "failures": []}')"""
    assert client(tmp_path, answer).prove(REQUESTS, "e", 1) == {"runs": [], "failures": []}


@pytest.mark.parametrize(
    "printed", ["{", "[]", '{"runs": 1, "failures": []}', '{"runs": [', "hello"]
)
def test_an_answer_that_cannot_be_read_is_a_sentence(tmp_path: Path, printed: str) -> None:
    """A client that was killed while it printed, or that is another program."""
    with pytest.raises(
        MlflowError, match=r"What the MLflow client printed cannot be read .*; run the"
    ):
        client(tmp_path, f"print({printed!r})").prove(REQUESTS, "e", 1)


def test_a_server_that_the_client_forgot_has_failed(tmp_path: Path) -> None:
    """An answer that names a server neither among runs nor among failures proves nothing."""
    prover = client(tmp_path, """print('{"runs": [], "failures": []}')""")
    with HTTPServer(("127.0.0.1", 0), Well) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        request = Request("demo", f"http://127.0.0.1:{server.server_port}", "")
        outcome = log_all([request], "e", 5, prover)
        server.shutdown()
    assert outcome.runs == []
    assert outcome.failures == [
        {"name": "demo", "reason": "the MLflow client said nothing about it"}
    ]


@pytest.mark.parametrize("code", ["", "raise SystemExit(3)", "raise ValueError('why')"])
def test_a_client_that_says_nothing_fails_with_a_reason(tmp_path: Path, code: str) -> None:
    """One sentence for each way to end without an answer."""
    with pytest.raises(
        MlflowError, match=r"The MLflow client failed \(.+\): run the deploy playbook"
    ):
        client(tmp_path, code).prove(REQUESTS, "e", 1)
