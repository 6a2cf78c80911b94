# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: HTTP to a Docker engine, in the API version that both sides speak."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import re
import time
import typing as t
import urllib.parse

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import hosts
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.errors import (
    EngineError,
    Overdue,
    unreachable,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

CALL_SECONDS = 60.0
# 20.10 brought 1.41; newer engines refuse versions that are too old, so theirs is used up to
# the newest that we know.
_OLDEST_API, _NEWEST_API = (1, 41), (1, 51)
# What remains of a deadline must not be zero, which means no timeout at all.
_LEAST_SECONDS = 0.1
_PIECE = 65536


class Transport:
    """Calls to one engine. action completes the sentence "Docker could not ..." of an error."""

    def __init__(self, host: str) -> None:
        self.host = host
        # As it stands in a sentence.
        self.place = hosts.socket_path(host) or host

    @functools.cached_property
    def _api(self) -> str:
        """Return the version of the API to use: the engine's, as far as we know it."""
        with self._send("answer", "GET", "/_ping", {}, CALL_SECONDS) as (answer, _socket):
            text = answer.getheader("Api-Version", "")
        match = re.fullmatch(r"(\d+)\.(\d+)", text)
        theirs = (int(match.group(1)), int(match.group(2))) if match else (0, 0)
        if theirs < _OLDEST_API:
            raise MlflowError(
                f"Docker on {self.place} speaks API {text or 'of no version'}; update it to 20.10 or newer."
            )
        major, minor = min(theirs, _NEWEST_API)
        return f"{major}.{minor}"

    def ping(self) -> str:
        """Make sure that the engine answers and is new enough; return the API's version."""
        return self._api

    def find(self, action: str, path: str) -> dict[str, t.Any] | None:
        """Return what is at a path, or None where the engine has nothing there."""
        try:
            found: dict[str, t.Any] = self.read(action, "GET", path)
        except EngineError as error:
            if error.status != 404:
                raise
            return None
        return found

    def read(self, *request: t.Any, **more: t.Any) -> t.Any:
        """Call the engine and return its JSON."""
        text = self.call(*request, **more)
        try:
            return json.loads(text)
        except ValueError as error:
            raise MlflowError(
                f"Docker did not answer with JSON when asked to {request[0]} ({error}); make sure that "
                f"{self.place} is Docker's socket, then rerun."
            ) from error

    def value(self, key: str, *request: t.Any, **more: t.Any) -> t.Any:
        """Call the engine and return one value of its answer."""
        answer = self.read(*request, **more)
        if not isinstance(answer, dict) or key not in answer:
            raise MlflowError(
                f"Docker did not return {key} when asked to {request[0]}; make sure that {self.place} is "
                "Docker's socket, then rerun."
            )
        return answer[key]

    def call(
        self,
        action: str,
        method: str,
        path: str,
        query: t.Mapping[str, str] | None = None,
        body: t.Mapping[str, t.Any] | bytes | None = None,
        *,
        timeout: float = CALL_SECONDS,
    ) -> bytes:
        """Call the engine and return its whole answer."""
        with self._open(action, method, path, query, body, {}, timeout) as (answer, _socket):
            return answer.read()

    def events(
        self,
        action: str,
        path: str,
        query: t.Mapping[str, str],
        *,
        headers: t.Mapping[str, str],
        timeout: float,
        advice: str,
        body: bytes | None = None,
        idle: float | None = None,
    ) -> t.Iterator[dict[str, t.Any]]:
        """Yield the lines of progress that the engine sends while it works.

        Raises Overdue with this advice where it is not done within timeout seconds, or says
        nothing for idle seconds. What a line says of errors is the caller's to judge.
        """
        deadline = time.monotonic() + timeout
        first = min(timeout, idle or timeout)
        try:
            with self._open(action, "POST", path, query, body, headers, first) as (answer, socket):
                rest = b""
                while True:
                    left = max(_LEAST_SECONDS, deadline - time.monotonic())
                    socket.settimeout(min(left, idle or left))
                    # Unlike readline, this does not take a broken connection for the end.
                    data = answer.read1(_PIECE)
                    if time.monotonic() > deadline:
                        raise Overdue(action, timeout, advice)
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines if data else [*lines, rest]:
                        yield from _event(line)
                    if not data:
                        return
        except Overdue:
            is_over = time.monotonic() >= deadline
            raise Overdue(action, timeout if is_over else first, advice) from None

    @contextlib.contextmanager
    def _open(
        self,
        action: str,
        method: str,
        path: str,
        query: t.Mapping[str, str] | None,
        body: t.Mapping[str, t.Any] | bytes | None,
        headers: t.Mapping[str, str],
        timeout: float,
    ) -> t.Iterator[tuple[http.client.HTTPResponse, t.Any]]:
        """Send a request and give the answer, and the socket that it comes from."""
        url = f"/v{self._api}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        sent = dict(headers)
        data = None
        if body is not None:
            is_raw = isinstance(body, bytes)
            sent["Content-Type"] = "application/x-tar" if is_raw else "application/json"
            data = body if isinstance(body, bytes) else json.dumps(body).encode("utf-8")
        with self._send(action, method, url, sent, timeout, data) as (answer, socket):
            if answer.status >= 400:
                raise EngineError(action, _message(answer), answer.status)
            yield answer, socket

    @contextlib.contextmanager
    def _send(
        self,
        action: str,
        method: str,
        url: str,
        headers: t.Mapping[str, str],
        timeout: float,
        data: bytes | None = None,
    ) -> t.Iterator[tuple[http.client.HTTPResponse, t.Any]]:
        """Yield the answer to one request; what fails on the socket becomes one sentence."""
        try:
            with hosts.connected(self.host, timeout) as connection:
                connection.request(method, url, data, dict(headers))
                # An answer that closes the connection takes it away from there.
                socket = connection.sock
                yield connection.getresponse(), socket
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(self.place, action, timeout, error) from error


@contextlib.contextmanager
def accepting(*statuses: int) -> t.Iterator[None]:
    """Ignore the refusals that mean that there is nothing to do."""
    try:
        yield
    except EngineError as error:
        if error.status not in statuses:
            raise


def _message(answer: http.client.HTTPResponse) -> str:
    """Return the engine's own words about a refusal."""
    text = answer.read().decode("utf-8", "replace")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["message"])
    return text.strip() or f"HTTP {answer.status}"


def _event(line: bytes) -> t.Iterator[dict[str, t.Any]]:
    """Yield the object in a line of progress, nothing where there is none."""
    with contextlib.suppress(ValueError):
        event = json.loads(line)
        if isinstance(event, dict):
            yield event
