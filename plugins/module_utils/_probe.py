# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: asks a server a question that only its database can answer."""

from __future__ import annotations

import http.client
import json
import time
import typing as t

# docker/mlflow_entry.py sends it with each answer.
CONFIGURATION_HEADER = "mlflow-aws-configuration"
_SEARCH = "/api/2.0/mlflow/experiments/search"
# An experiment's tags and a server's error fit in.
_ANSWER_BYTES = 1 << 20


class Answer(t.NamedTuple):
    """What a server said: healthy is true when its database answered through the API.

    configuration is the hash of the settings it runs with, empty where it sent none;
    reason says in a phrase why it is not healthy.
    """

    healthy: bool
    configuration: str
    version: str
    reason: str


def probe(host: str, port: int, timeout: float) -> Answer:
    """Ask the server on host and port for one experiment and its version.

    /health would answer while the database is gone. timeout is in seconds for each of
    the two requests and for what is read of its answer.
    """
    address = reachable_host(host)
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request(
            "POST", _SEARCH, json.dumps({"max_results": 1}), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        body = read_answer(response, timeout)
        configuration = response.getheader(CONFIGURATION_HEADER, "")
        if response.status != 200:
            return Answer(False, configuration, "", f"HTTP {response.status}: {_message(body)}")
        connection.request("GET", "/version")
        version = read_answer(connection.getresponse(), timeout).decode("utf-8", "replace").strip()
        return Answer(True, configuration, version, "")
    except (OSError, http.client.HTTPException) as error:
        return Answer(False, "", "", str(error) or type(error).__name__)
    finally:
        connection.close()


def reachable_host(host: str) -> str:
    """Return the address under which this host reaches a server bound to host."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def server_url(host: str, port: int) -> str:
    """Return the URL of the server as this host reaches it."""
    address = reachable_host(host)
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def read_answer(response: http.client.HTTPResponse, timeout: float) -> bytes:
    """Read an answer; one that comes byte by byte or never ends is given up."""
    deadline = time.monotonic() + timeout
    body = b""
    while chunk := response.read1(_ANSWER_BYTES):
        body += chunk
        if len(body) > _ANSWER_BYTES or time.monotonic() > deadline:
            raise TimeoutError("its answer does not end")
    response.close()
    return body


def _message(body: bytes) -> str:
    """Return the message of MLflow's error, or the first line of the answer."""
    text = body.decode("utf-8", "replace").strip()
    try:
        message = json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        message = text
    return str(message).splitlines()[0][:200] if message else "no message"
