# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that refuses to serve: what it answers, and when it looks again."""

from __future__ import annotations

import http.client
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import probe
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import refusal
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.errors import (
    DatabaseError,
    EntryError,
    LastingError,
)

SENTENCE = "The schema is newer; serve it with that MLflow."


@dataclass
class Looking:
    """What decides whether a server can serve, and how often it was asked."""

    error: EntryError | None
    seconds: float = 0.0
    times: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> None:
        """Look."""
        self.times += 1
        if self.times > 1:
            time.sleep(self.seconds)
        if self.error:
            raise self.error


@pytest.fixture
def start(free_ports: Callable[[int], list[int]]) -> Iterator[Callable[[Looking], int]]:
    """Return a function that starts a server that looks, and returns its port; they serve at last."""
    started: list[tuple[int, Looking, threading.Thread]] = []

    def begin(look: Looking) -> int:
        (port,) = free_ports(1)
        settings = {"host": "127.0.0.1", "port": port, "configuration": "0123"}

        def run() -> None:
            refusal.until_ready(settings, look)
            look.done.set()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        started.append((port, look, thread))
        deadline = time.monotonic() + 10
        while not look.done.is_set() and not request(port, "/")[0]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return port

    yield begin
    for port, look, thread in started:
        look.error, look.seconds = None, 0.0
        if thread.is_alive():
            ask(port)
        thread.join(10)
        assert not thread.is_alive()


def request(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, bool]:
    """Return status and body of an answer, and whether it says that the server refuses; 0 for none."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        try:
            connection.request(method, path, b"{}" if method == "POST" else None, headers)
            answer = connection.getresponse()
        except OSError:
            return 0, b"", False
        return answer.status, answer.read(), answer.getheader(refusal.REFUSAL_HEADER) == "1"


def ask(port: int) -> probe.Answer:
    """Ask as the modules do."""
    return probe.probe("127.0.0.1", port, 5)


def test_nobody_listens_where_nothing_is_wrong(start: Callable[[Looking], int]) -> None:
    """The port is for the server itself."""
    look = Looking(None)
    port = start(look)
    assert look.done.wait(10)
    assert request(port, "/") == (0, b"", False)


def test_what_a_server_that_refuses_answers(start: Callable[[Looking], int]) -> None:
    """The sentence: to a browser as text, to clients as MLflow's API reports errors."""
    port = start(Looking(LastingError(SENTENCE)))
    text = f"{SENTENCE}\n".encode()
    for path in ("/", "/health", "/version", "/static-files/x.js"):
        assert request(port, path) == (503, text, True)
    assert request(port, "/", "HEAD") == (503, b"", True)
    for path in ("/api/2.0/mlflow/runs/create", "/ajax-api/2.0/mlflow/runs/search", "/graphql"):
        status, body, refuses = request(port, path, "POST")
        assert (status, refuses) == (503, True)
        assert json.loads(body) == {"error_code": "TEMPORARILY_UNAVAILABLE", "message": SENTENCE}


def test_a_module_makes_it_look_again(start: Callable[[Looking], int]) -> None:
    """Nobody else does: neither a client nor a health check."""
    look = Looking(LastingError(SENTENCE))
    port = start(look)
    request(port, "/api/2.0/mlflow/runs/create", "POST")
    request(port, "/", **{refusal.PROBE_HEADER: "1"})
    assert look.times == 1
    answer = ask(port)
    assert look.times == 2
    assert (answer.refused, answer.reason, answer.configuration) == (True, SENTENCE, "0123")
    look.error = EntryError("Another reason; do something.")
    assert ask(port).reason == "Another reason; do something."
    look.error = None
    assert not ask(port).refused
    assert look.done.wait(10)
    assert look.times == 4


def test_a_look_that_takes_long_is_no_refusal(start: Callable[[Looking], int]) -> None:
    """As where the database wakes up: whoever asked has to ask again."""
    port = start(Looking(DatabaseError(SENTENCE), seconds=refusal._LOOK_SECONDS + 1))
    answer = ask(port)
    assert not answer.healthy
    assert not answer.refused
    assert answer.reason == f"HTTP 503: The server is trying again. So far: {SENTENCE}"


def test_an_address_that_is_taken(free_ports: Callable[[int], list[int]]) -> None:
    """The reason is raised, as there is no other place to say it."""
    (port,) = free_ports(1)
    settings = {"host": "127.0.0.1", "port": port, "configuration": ""}
    with (
        refusal._Server(settings, refusal.Door(EntryError(""))),
        pytest.raises(EntryError) as caught,
    ):
        refusal.until_ready(settings, Looking(EntryError(SENTENCE)))
    assert str(caught.value) == SENTENCE


@pytest.mark.parametrize(
    ("error", "refused", "pause"),
    [
        (DatabaseError(""), 0, refusal.LEAST_SECONDS),
        (DatabaseError(""), 120, 120),
        (DatabaseError(""), 86400, 3600),
        (EntryError(""), 120, 120),
        (EntryError(""), 86400, 300),
        (LastingError(""), 0, math.inf),
        (LastingError(""), 86400, math.inf),
    ],
)
def test_it_looks_more_and_more_seldom(error: EntryError, refused: float, pause: float) -> None:
    """An hour apart where that wakes the database, and never by itself where no time heals it."""
    door = refusal.Door(error)
    door._since = door._looked - refused
    assert door.pause == pytest.approx(pause)
