# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: asks a server a question that only its database can answer."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import time
import typing as t
import urllib.parse

# programs/server sends the first with each answer, and the second while it refuses to serve and is not
# about to. The third asks a server that refuses to look again, and any other one to keep no connection to
# its database: a probe of all servers at once must not leave one for each.
CONFIGURATION_HEADER = "mlflow-aws-configuration"
_REFUSAL_HEADER = "mlflow-aws-refusal"
# Sent by a server that Supervisor started: whether it has given up what is not its project's.
_CONFINED_HEADER = "mlflow-aws-confined"
_CONFINED = {"true": True, "false": False}
_PROBE_HEADERS = {"mlflow-aws-probe": "look"}
# Servers to ask at once: each needs a connection to the one database.
AT_ONCE = 16
_SEARCH = "/api/2.0/mlflow/experiments/search"
# What a conversation can end with; something else than MLflow answers in other forms.
FAILURES = (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, AttributeError)
# What MLflow passes on of its database's driver, and those numbers of it that say there is no connection.
_DRIVER = re.compile(
    r"""\(pymysql\.err\.\w+\) \((?P<number>\d+), (?P<quote>["'])(?P<text>.+?)(?P=quote)\)"""
)
_LOST_DATABASE = ("2002", "2003", "2005", "2006", "2013")
# An experiment's tags and a server's error fit in.
_ANSWER_BYTES = 1 << 20


class Answer(t.NamedTuple):
    """What a server said: healthy is true when its database answered through the API.

    configuration is the hash of the settings it runs with, empty where it sent none;
    reason says in a phrase why it is not healthy; refused is true when the server has looked
    again and still refuses to serve for that reason, so that waiting is no use; confined is whether
    a process is kept from what is not its project's, None of a container or where it was not told.
    """

    healthy: bool
    configuration: str
    version: str
    reason: str
    refused: bool = False
    confined: bool | None = None


def probe(host: str, port: int, timeout: float, token: str = "") -> Answer:
    """Ask the server on host and port for one experiment and its version.

    /health would answer while the database is gone. timeout is in seconds for each of
    the two requests and for what is read of its answer. token: what a server behind a front door
    wants to see.
    """
    with conversation(host, port, timeout, token) as talk:
        try:
            reason = talk.trouble()
            if reason:
                refused = bool(talk.refusal)
                return Answer(False, talk.configuration, "", reason, refused, talk.confined)
            return Answer(True, talk.configuration, talk.version(), "", confined=talk.confined)
        except (OSError, http.client.HTTPException) as error:
            return Answer(False, "", "", cause(error))


class Conversation:
    """Several questions to a server over one connection.

    configuration and confined are what its last answer said, as in Answer; refusal why it refuses to
    serve, or "".
    """

    def __init__(
        self,
        connection: http.client.HTTPConnection,
        timeout: float,
        prefix: str = "",
        token: str = "",
    ) -> None:
        """Take the connection, the seconds that each answer may take, what paths begin with, and a token."""
        self._connection, self._timeout, self._prefix = connection, timeout, prefix
        self._login = {"Authorization": f"Bearer {token}"} if token else {}
        self.configuration = self.refusal = ""
        self.confined: bool | None = None

    def ask(
        self, path: str, body: t.Mapping[str, t.Any] | None, limit: int = _ANSWER_BYTES
    ) -> tuple[int, bytes]:
        """Return status and text of the answer, up to limit bytes; with a body it is a POST."""
        self._connection.request(
            "POST" if body else "GET",
            f"{self._prefix}{path}",
            json.dumps(body) if body else None,
            {"Content-Type": "application/json", **_PROBE_HEADERS, **self._login},
        )
        response = self._connection.getresponse()
        text = read_answer(response, self._timeout, limit)
        self.configuration = response.getheader(CONFIGURATION_HEADER, "") or ""
        self.confined = _CONFINED.get(response.getheader(_CONFINED_HEADER, ""))
        self.refusal = _first_line(text) if response.getheader(_REFUSAL_HEADER) else ""
        return response.status, text

    def call(self, path: str, body: t.Mapping[str, t.Any] | None) -> dict[str, t.Any] | None:
        """Return what the API answers, None where it does not know what was asked for."""
        status, text = self.ask(path, body)
        answer: dict[str, t.Any] | None = json.loads(text) if status == 200 else None
        return answer

    def trouble(self) -> str:
        """Ask for one experiment, which is in the database; return why there is no answer, or ""."""
        status, body = self.ask(_SEARCH, {"max_results": 1})
        return "" if status == 200 else self.refusal or f"HTTP {status}: {_message(body)}"

    def version(self) -> str:
        """Return MLflow's version."""
        return self.ask("/version", None)[1].decode("utf-8", "replace").strip()


@contextlib.contextmanager
def conversation(host: str, port: int, timeout: float, token: str = "") -> t.Iterator[Conversation]:
    """Yield a conversation with the server on host and port; timeout is in seconds for each answer."""
    connection = http.client.HTTPConnection(reachable_host(host), port, timeout=timeout)
    try:
        yield Conversation(connection, timeout, token=token)
    finally:
        connection.close()


@contextlib.contextmanager
def conversation_at(url: str, timeout: float, token: str = "") -> t.Iterator[Conversation]:
    """Yield a conversation with the server at url; timeout is in seconds for each answer."""
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    try:
        yield Conversation(connection, timeout, parts.path.rstrip("/"), token)
    finally:
        connection.close()


def reachable_host(host: str) -> str:
    """Return the address under which this host reaches a server bound to host."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def server_url(host: str, port: int) -> str:
    """Return the URL of the server as this host reaches it."""
    address = reachable_host(host)
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def read_answer(
    response: http.client.HTTPResponse, timeout: float, limit: int = _ANSWER_BYTES
) -> bytes:
    """Read an answer; one that comes byte by byte or never ends is given up."""
    deadline = time.monotonic() + timeout
    body = b""
    while chunk := response.read1(_ANSWER_BYTES):
        body += chunk
        if len(body) > limit or time.monotonic() > deadline:
            raise TimeoutError("its answer does not end")
    response.close()
    return body


def cause(error: Exception) -> str:
    """Return in a phrase how a conversation ended."""
    return str(error) or type(error).__name__


def _message(body: bytes) -> str:
    """Return the message of MLflow's error, or the first line of the answer, cut short."""
    first = _first_line(body)
    driver = _DRIVER.search(first)
    if not driver:
        return first[:200]
    lost = "the database is not reachable: " if driver["number"] in _LOST_DATABASE else ""
    return f"{lost}{driver['text']}"[:200]


def _first_line(body: bytes) -> str:
    """Return the first line of an error's message, or of the answer."""
    text = body.decode("utf-8", "replace").strip()
    try:
        message = json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        message = text
    return (str(message or "").strip().splitlines() or ["no message"])[0]
