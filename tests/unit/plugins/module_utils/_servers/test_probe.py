# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe against real HTTP servers on loopback that behave well and badly."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import answers, probe
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    KEEP,
    FoundServer,
    Step,
)

TIMEOUT = 0.5
SEARCH = "/api/2.0/mlflow/experiments/search"


class Server(http.server.BaseHTTPRequestHandler):
    """Answers the API with what the class attributes say, and remembers what it was asked."""

    status = 200
    body = b"{}"
    configuration = "0123456789abcdef"
    refuses = False
    asked: list[tuple[str, str, bytes]]

    def do_POST(self) -> None:
        """Answer the search."""
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.path, self.headers["Content-Type"], sent))
        self._answer(self.status, self.body)

    def do_GET(self) -> None:
        """Answer the version."""
        self.asked.append((self.path, "", b""))
        self._answer(200, b"1.20.3\n")

    def log_message(self, *_arguments: object) -> None:
        """Keep the test's output clean."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if self.configuration:
            self.send_header("mlflow-aws-configuration", self.configuration)
        if self.refuses:
            self.send_header("mlflow-aws-refusal", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def http_server(**behaviour: object) -> Iterator[tuple[int, list[tuple[str, str, bytes]]]]:
    """Run a server and give its port, and the list of what it was asked."""
    asked: list[tuple[str, str, bytes]] = []
    handler = type("Handler", (Server,), {"asked": asked, **behaviour})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1], asked
        finally:
            server.shutdown()
            thread.join(timeout=10)


@contextmanager
def raw_server(speak: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run a server that accepts connections and speaks as told, and give its port."""
    over = threading.Event()

    def serve(listener: socket.socket) -> None:
        while not over.is_set():
            try:
                connection, _address = listener.accept()
            except TimeoutError:
                continue
            with connection:
                try:
                    speak(connection)
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            thread.join(timeout=10)


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
def test_a_healthy_server(protocol: str) -> None:
    """It was asked through the API; it keeps the connection or closes it."""
    with http_server(protocol_version=protocol) as (port, asked):
        answer = probe.probe("127.0.0.1", port, TIMEOUT)
    assert answer == probe.Answer(True, "0123456789abcdef", "1.20.3", "")
    assert asked == [
        (SEARCH, "application/json", json.dumps({"max_results": 1}).encode()),
        ("/version", "", b""),
    ]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            """(pymysql.err.OperationalError) (1045, "Access denied for user 'a': it was removed")\n(Background""",
            "Access denied for user 'a': it was removed",
        ),
        ("(pymysql.err.ProgrammingError) (1146, 'Table is gone')", "Table is gone"),
        ("(sqlite3.OperationalError) no such table", "(sqlite3.OperationalError) no such table"),
        ("\n", "no message"),
    ],
)
def test_what_the_database_said_is_the_reason(message: str, reason: str) -> None:
    """Without what its driver and SQLAlchemy put around it."""
    body = json.dumps({"error_code": "TEMPORARILY_UNAVAILABLE", "message": message}).encode()
    with http_server(status=503, body=body) as (port, _asked):
        answer = probe.probe("127.0.0.1", port, TIMEOUT)
    assert answer.reason == f"HTTP 503: {reason}"


def test_a_server_that_sends_no_configuration() -> None:
    """One that is not ours is told by the missing header."""
    with http_server(configuration="") as (port, _asked):
        assert probe.probe("127.0.0.1", port, TIMEOUT).configuration == ""


# What MLflow answers while MySQL is stopped, at its restart, and with another password.
REFUSAL = "Can't connect to MySQL server on 'db' ([Errno 111] Connection refused)"
ERROR = "(pymysql.err.OperationalError) (%s)\n(Background on this error at: https://sqlalche.me/e/20/e3q8)"
REFUSED, LOST, DENIED = (
    json.dumps({"error_code": "TEMPORARILY_UNAVAILABLE", "message": ERROR % told}).encode()
    for told in (
        f'2003, "{REFUSAL}"',
        "2013, 'Lost connection to MySQL server during query'",
        "1045, \"Access denied for user 'demo'@'%'\"",
    )
)
BODIES: list[tuple[int, bytes, str]] = [
    (500, b'{"error_code": "X", "message": "no such table: runs\\nmore"}', "no such table: runs"),
    (403, b"Invalid Host header - DNS rebinding attack detected", "Invalid Host header - DNS"),
    (500, b"", "no message"),
    (500, b"[1, 2]", "[1, 2]"),
    (500, b'"text"', '"text"'),
    (500, b'{"message": null}', "no message"),
    (503, b"\xff\xfe\x00", "\ufffd\ufffd\x00"),
    (500, b"x" * 5000, "x" * 200),
    (404, b"first\nsecond", "first"),
    (503, REFUSED, f"the database is not reachable: {REFUSAL}"),
    (503, LOST, "the database is not reachable: Lost connection to MySQL server during query"),
    (503, DENIED, "Access denied for user 'demo'@'%'"),
]


@pytest.mark.parametrize(("status", "body", "message"), BODIES)
def test_an_error_is_told_in_a_phrase(status: int, body: bytes, message: str) -> None:
    """Status and MLflow's own message, or the first line of whatever came."""
    with http_server(status=status, body=body) as (port, _asked):
        answer = probe.probe("127.0.0.1", port, TIMEOUT)
    assert not answer.healthy
    assert answer.version == ""
    assert answer.configuration == "0123456789abcdef"
    assert answer.reason.startswith(f"HTTP {status}: {message}")
    assert "\n" not in answer.reason
    assert len(answer.reason) < 250


def say(data: bytes) -> Callable[[socket.socket], None]:
    """Return a behaviour: read the request, send these bytes, close."""

    def speak(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(data)

    return speak


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\x01\x02\x03",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_junk_is_no_answer(data: bytes) -> None:
    """Whatever speaks on the port, the probe says why it is not healthy and raises nothing."""
    with raw_server(say(data)) as port:
        answer = probe.probe("127.0.0.1", port, TIMEOUT)
    assert not answer.healthy
    assert answer.reason


def wait(connection: socket.socket) -> None:
    """Behave like a server whose database hangs."""
    connection.settimeout(3)
    while connection.recv(65536):
        pass


def test_a_server_that_hangs_is_given_up() -> None:
    """After the timeout, not after minutes."""
    with raw_server(wait) as port:
        began = time.monotonic()
        answer = probe.probe("127.0.0.1", port, TIMEOUT)
        seconds = time.monotonic() - began
    assert not answer.healthy
    assert "timed out" in answer.reason
    assert TIMEOUT * 0.9 <= seconds < TIMEOUT * 4


def drip(connection: socket.socket) -> None:
    """Send an answer byte by byte, each in time, for longer than anybody should wait."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    until = time.monotonic() + 5
    while time.monotonic() < until:
        connection.sendall(b"x")
        time.sleep(TIMEOUT / 5)


def test_a_server_that_drips_is_given_up() -> None:
    """The timeout bounds the request and not only each of its bytes."""
    with raw_server(drip) as port:
        began = time.monotonic()
        answer = probe.probe("127.0.0.1", port, TIMEOUT)
        seconds = time.monotonic() - began
    assert not answer.healthy
    assert seconds < TIMEOUT * 4


def test_nobody_listens() -> None:
    """The reason is the system's."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        answer = probe.probe("127.0.0.1", unused.getsockname()[1], TIMEOUT)
    assert answer == probe.Answer(False, "", "", answer.reason)
    assert "refused" in answer.reason


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:5001"),
        ("0.0.0.0", "http://127.0.0.1:5001"),
        ("::", "http://[::1]:5001"),
        ("::1", "http://[::1]:5001"),
        ("10.0.0.5", "http://10.0.0.5:5001"),
    ],
)
def test_the_url_is_one_that_this_host_reaches(host: str, url: str) -> None:
    """A server on all addresses is reached on loopback; IPv6 is put in brackets."""
    assert probe.server_url(host, 5001) == url


def test_a_server_that_refuses_to_serve() -> None:
    """Its whole sentence is the reason, and waiting is no use."""
    sentence = "The schema is newer than this MLflow, " * 10 + "so serve it with that one."
    body = json.dumps({"message": sentence}).encode()
    with http_server(status=503, body=body, refuses=True) as (port, _asked):
        answer = probe.probe("127.0.0.1", port, TIMEOUT)
    assert answer == probe.Answer(False, "0123456789abcdef", "", sentence, refused=True)


def test_servers_are_asked_some_at_once() -> None:
    """Each needs a connection to the one database; a server that refuses is asked once."""
    most, now, lock = 0, 0, threading.Lock()

    def ask(_host: str, port: int) -> probe.Answer:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1
        return probe.Answer(False, "", "", f"it refuses {port}", refused=True)

    settings = {"host": "127.0.0.1"}
    steps = [
        Step(
            str(port), KEEP, None, FoundServer(str(port), True, settings={**settings, "port": port})
        )
        for port in range(140)
    ]
    found = answers.ask_kept(steps, ask)
    assert {name: answer.reason for name, answer in found.items()} == {
        str(port): f"it refuses {port}" for port in range(140)
    }
    assert most == probe.AT_ONCE
