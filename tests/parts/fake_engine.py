# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A socket that speaks HTTP as a Docker engine does, for answers that a real one seldom gives."""

from __future__ import annotations

import http.server
import json
import socketserver
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each request as its engine was told to."""

    server: FakeEngine

    def answer(self) -> None:
        """Send the answer that stands for this method and path."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        status, text = self.server.answers.get((self.command, path), (404, "page not found"))
        if status == 0:
            time.sleep(2)
            return
        if status == -1:
            self._break_off(text)
            return
        data = text if isinstance(text, bytes) else text.encode()
        self.send_response(status)
        self.send_header("Api-Version", self.server.api)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _break_off(self, text: str | bytes) -> None:
        """Send a chunk of an answer and nothing more, as an engine does that is killed."""
        data = text if isinstance(text, bytes) else text.encode()
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def address_string(self) -> str:
        """Return something for the log: a Unix socket has no peer's name."""
        return "-"

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


class FakeEngine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A socket that speaks HTTP; what it answers is set by the test."""

    daemon_threads = True
    api = "1.41"

    def __init__(self, path: Path) -> None:
        """Listen on the path."""
        super().__init__(str(path), Handler)
        self.host = f"unix://{path}"
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: dict[tuple[str, str], tuple[int, str | bytes]] = {
            ("GET", "/_ping"): (200, "OK")
        }

    def handle_error(self, *_arguments: Any) -> None:
        """Say nothing: a client that waits no longer has gone."""


@contextmanager
def fake_engine() -> Iterator[FakeEngine]:
    """Run an engine that answers no more than a ping yet."""
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        FakeEngine(Path(folder) / "s") as engine,
    ):
        thread = threading.Thread(target=engine.serve_forever, args=(0.01,))
        thread.start()
        yield engine
        engine.shutdown()
        thread.join()


def say(message: str) -> str:
    """Return the body of an engine's refusal."""
    return json.dumps({"message": message})
