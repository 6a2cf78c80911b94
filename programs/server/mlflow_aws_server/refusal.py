# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that cannot serve stays up, says why on its port, and looks again.

If it ended, Docker or Supervisor would start it again about once a minute, for ever. Each start
would connect to the database, which then never pauses, and which may be all that it costs.

It answers 503 with the sentence: to a browser, to clients, to `health`, and with a header to
the collection's modules, which then do not wait. It looks again

    by itself   after pauses that grow with the time it has refused, up to the error's
                retry_seconds: minutes where the database is not asked, an hour where it is, and
                never where only another image or another schema helps
    when asked  at once, by a module's probe: somebody runs a playbook
"""

from __future__ import annotations

import json
import math
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from .errors import EntryError, say

# Sent with each answer of a server: see settings.py.
CONFIGURATION_HEADER = "mlflow-aws-configuration"
# Sent likewise by a server that Supervisor started: whether it is confined, see confinement.py.
CONFINED_HEADER = "mlflow-aws-confined"
# Sent with each answer of a server that does not serve and is not about to.
REFUSAL_HEADER = "mlflow-aws-refusal"
# Sent with a request that is a probe, not use: `health` sends 1, the modules what makes it look again.
PROBE_HEADER, LOOK = "mlflow-aws-probe", "look"
LEAST_SECONDS = 15.0
# A module's shortest probe takes 5 seconds.
_LOOK_SECONDS = 3.0
_BODY_BYTES = 1 << 20
_CLIENT_SECONDS = 10
_API = ("/api/", "/ajax-api/", "/graphql", "/v1/")


def headers(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a server sends with each answer."""
    found = [(CONFIGURATION_HEADER, str(settings["configuration"]))]
    if settings.get("confined") is not None:
        found.append((CONFINED_HEADER, "true" if settings["confined"] else "false"))
    return found


class Reply(NamedTuple):
    """What is answered: a sentence, and whether it stands, so that waiting is no use."""

    sentence: str
    stands: bool


def until_ready(settings: dict[str, Any], look: Callable[[], Any]) -> Any:
    """Return what look() returns, once it raises no EntryError; meanwhile answer with that.

    Raises the error if the settings' address cannot be listened on.
    """
    try:
        return look()
    except EntryError as error:
        refused = error
    door = Door(refused)
    try:
        server = _Server(settings, door)
    except OSError:
        raise refused from None
    say(str(refused))
    with server:
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        try:
            found = _look_again(look, door)
        finally:
            door.end()
            server.shutdown()
    say("What kept the server from serving is over; it starts.")
    return found


def _look_again(look: Callable[[], Any], door: Door) -> Any:
    """Look again and again, until look() raises no error; return what it returns."""
    while True:
        door.wait()
        try:
            return look()
        except EntryError as error:
            if door.refuse(error):
                say(str(error))


class Door:
    """What the threads that answer and the one that looks tell each other."""

    def __init__(self, error: EntryError) -> None:
        """Take why the server does not serve."""
        self._changed = threading.Condition()
        self._error = error
        self._since = self._looked = time.monotonic()
        self._asked = self._looking = self._over = False
        self._looks = 0

    @property
    def pause(self) -> float:
        """Return the seconds until the next look: as long as it has refused before, within bounds."""
        most = self._error.retry_seconds
        if math.isinf(most):
            return most
        return min(max(self._looked - self._since, LEAST_SECONDS), most)

    def wait(self) -> None:
        """Return when it is time to look, or somebody asks for it."""
        with self._changed:
            pause = None if math.isinf(self.pause) else self.pause
            self._changed.wait_for(lambda: self._asked, pause)
            self._asked, self._looking = False, True

    def refuse(self, error: EntryError) -> bool:
        """Take why the server still does not serve; returns whether the reason is another."""
        with self._changed:
            other = str(error) != str(self._error)
            self._error, self._looked = error, time.monotonic()
            self._looks, self._looking = self._looks + 1, False
            self._changed.notify_all()
        return other

    def end(self) -> None:
        """Let nobody wait any more: the server is about to serve."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def reply(self, asked: bool) -> Reply:
        """Return what to answer; if asked for it, after a look that begins now and may take long."""
        with self._changed:
            if not asked:
                return Reply(str(self._error), True)
            # One that has begun may have seen what was before.
            due = self._looks + (2 if self._looking else 1)
            self._asked = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over or self._looks >= due, _LOOK_SECONDS)
            if self._looks >= due:
                return Reply(str(self._error), True)
            return Reply(f"The server is trying again. So far: {self._error}", False)


class _Server(ThreadingHTTPServer):
    """Answers on the settings' address, and waits for no client when it ends."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, settings: dict[str, Any], door: Door) -> None:
        """Take the settings, and what to answer; raises OSError if the address is taken."""
        self.door, self.headers = door, headers(settings)
        self.address_family = socket.AF_INET6 if ":" in settings["host"] else socket.AF_INET
        super().__init__((settings["host"], settings["port"]), _Handler)

    def server_bind(self) -> None:
        """Bind without looking up this machine's name, which can take long."""
        socketserver.TCPServer.server_bind(self)


class _Handler(BaseHTTPRequestHandler):
    """Answers each request with 503 and why the server does not serve."""

    server: _Server
    timeout = _CLIENT_SECONDS
    server_version, sys_version = "mlflow-aws", ""

    def log_message(self, *_arguments: Any) -> None:
        """Log nothing: the log has the reason."""

    def _answer(self) -> None:
        """Answer one request, as MLflow's API reports errors, or as plain text."""
        length = self.headers.get("Content-Length", "0")
        self.rfile.read(min(int(length), _BODY_BYTES) if length.isdecimal() else 0)
        sentence, stands = self.server.door.reply(self.headers.get(PROBE_HEADER) == LOOK)
        kind, text = "text/plain; charset=utf-8", f"{sentence}\n"
        if self.path.startswith(_API):
            kind = "application/json"
            text = json.dumps({"error_code": "TEMPORARILY_UNAVAILABLE", "message": sentence})
        body = text.encode("utf-8")
        self.send_response(503)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, text in self.server.headers:
            self.send_header(name, text)
        if stands:
            self.send_header(REFUSAL_HEADER, "1")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_DELETE = do_GET = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = _answer
