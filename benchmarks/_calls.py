# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts the calls of the AWS API that go through it, by service and operation.

The emulator's own log would not do: servers ask it for their secrets whenever they like. Here
only those are counted who were given this address.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_SECONDS = 120
# What concerns one connection, and not what it carries.
_OWN = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}


class Calls(ThreadingHTTPServer):
    """An HTTP server that hands each request on to another, and remembers it."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        """Listen on a free loopback port for what is meant for the target's URL."""
        super().__init__(("127.0.0.1", 0), _Relay)
        self.target = urlsplit(target).netloc
        self._lock = threading.Lock()
        self._counted: Counter[str] = Counter()

    @property
    def url(self) -> str:
        """Return its URL."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def count(self, name: str) -> None:
        """Remember one call."""
        with self._lock:
            self._counted[name] += 1

    def take(self) -> Counter[str]:
        """Return what was counted since the last time."""
        with self._lock:
            counted, self._counted = self._counted, Counter()
        return counted


class _Relay(BaseHTTPRequestHandler):
    """Hands on the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server: Calls

    def _relay(self) -> None:
        """Hand on one request, and its answer."""
        if self.headers.get("Transfer-Encoding"):
            self.send_error(411)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target = self.headers.get("X-Amz-Target", "")
        self.server.count(operation(f"{self.command} {self.path}", target, body))
        headers = {name: text for name, text in self.headers.items() if name.lower() not in _OWN}
        # One for each request: the target closes a connection that rests for long.
        far = http.client.HTTPConnection(self.server.target, timeout=_SECONDS)
        with contextlib.closing(far):
            far.request(self.command, self.path, body or None, headers)
            answer = far.getresponse()
            content = answer.read()
        length = str(len(content))
        if self.command == "HEAD":
            length = answer.getheader("Content-Length") or length
        self.send_response_only(answer.status, answer.reason)
        for name, text in answer.getheaders():
            if name.lower() not in _OWN:
                self.send_header(name, text)
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content)

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = _relay

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def operation(line: str, target: str, body: bytes) -> str:
    """Return what a request asks of AWS.

    JSON protocols name it in a header, which is the target, the query protocol in the body; of
    others, method and path tell it.
    """
    action = parse_qs(body.decode("utf-8", "replace")).get("Action", [""])[0]
    return target or action or line.partition("?")[0]


@contextlib.contextmanager
def counted(target: str) -> Iterator[Calls]:
    """Count the calls that go to the target through it while the block runs."""
    with Calls(target) as calls:
        thread = threading.Thread(target=calls.serve_forever, name="calls", daemon=True)
        thread.start()
        try:
            yield calls
        finally:
            calls.shutdown()
            thread.join()
