# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands before a tracking server at a team: a login, a proxy, another client that is faster."""

from __future__ import annotations

import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.request import Request

from ansible_collections.mlops.mlflow_aws.tests.parts.host import OPENER

Answer = tuple[int, bytes]


@dataclass
class Gate:
    """Hands requests on to a server, and records them as method and path.

    login: the Authorization header that it requires, "" for none; before: what answers in place of
    the server, or is done before it is asked, None to go on.
    """

    upstream: str
    login: str = ""
    before: Callable[[str], Answer | None] = lambda _path: None
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def answer(
        self, method: str, path: str, body: bytes | None, authorization: str | None
    ) -> Answer:
        """Answer one request."""
        self.requests.append(f"{method} {path.partition('?')[0]}")
        if self.login and authorization != self.login:
            return 401, b"You are not authenticated.\nPlease see the documentation."
        return self.before(path) or self.ask(method, path, body)

    def ask(self, method: str, path: str, body: bytes | None) -> Answer:
        """Ask the server."""
        request = Request(
            self.upstream + path, body, {"Content-Type": "application/json"}, method=method
        )
        try:
            with OPENER.open(request, timeout=60) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()


@contextmanager
def gate(upstream: str, tls: ssl.SSLContext | None = None) -> Iterator[Gate]:
    """Run a gate before the server at upstream; it is a proxy for other addresses, too."""
    running = Gate(upstream)

    class Handler(BaseHTTPRequestHandler):
        """Takes requests for the gate."""

        def handle_one(self) -> None:
            """Answer a request of any method; a proxy gets the whole URL."""
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            parts = urllib.parse.urlsplit(self.path)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            status, text = running.answer(
                self.command, path, body, self.headers.get("Authorization")
            )
            self.send_response(status)
            if status in (301, 302):
                self.send_header("Location", "https://elsewhere.example/")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_one

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        running.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()
