# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: a connection to an MLflow server, with the options of MLflow's clients.

The options' documentation is plugins/doc_fragments/tracking.py.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request

from ansible.module_utils import urls
from ansible.module_utils.common.parameters import env_fallback
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._objects import api

_AGENT = "mlops.mlflow_aws"
# What a proxy, or a server under load, answers in place of MLflow: a search is asked again.
_BUSY = (429, 502, 503, 504)
_ATTEMPTS = 3
_PAUSE_SECONDS = 2.0
_CHUNK = 1 << 20


def _variable(name: str, **option: t.Any) -> dict[str, t.Any]:
    """Return an option whose default is a variable of MLflow's clients."""
    return {"fallback": (env_fallback, [name]), **option}


OPTIONS: dict[str, t.Any] = {
    "tracking_uri": _variable("MLFLOW_TRACKING_URI", type="str"),
    "username": _variable("MLFLOW_TRACKING_USERNAME", type="str"),
    "password": _variable("MLFLOW_TRACKING_PASSWORD", type="str", no_log=True),
    "token": _variable("MLFLOW_TRACKING_TOKEN", type="str", no_log=True),
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": _variable("MLFLOW_TRACKING_SERVER_CERT_PATH", type="path"),
    "use_proxy": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 60},
}
TOGETHER = [("username", "password")]


def secrets(params: t.Mapping[str, t.Any]) -> list[str]:
    """Return the password in tracking_uri, as it is there and as it is meant."""
    login, _at, _host = (params["tracking_uri"] or "").rpartition("@")
    password = login.partition("://")[2].partition(":")[2]
    return [password, urllib.parse.unquote(password)] if password else []


class Client:
    """Sends requests to one server; url is its address without credentials."""

    def __init__(self, params: t.Mapping[str, t.Any]) -> None:
        """Take the options; refuse an address that is not a server's."""
        self.url, username, password = _address(params["tracking_uri"] or "")
        if params["timeout"] < 1:
            raise MlflowError(
                f"timeout is {params['timeout']}; set it to a number of seconds above 0."
            )
        if params["ca_path"] and not os.path.isfile(params["ca_path"]):
            raise MlflowError(
                f"ca_path names {params['ca_path']}, which is not a file on this host; correct the path."
            )
        self._timeout = params["timeout"]
        self._proxied = params["use_proxy"]
        self._how: dict[str, t.Any] = {
            "use_proxy": params["use_proxy"],
            "validate_certs": params["validate_certs"],
            "ca_path": params["ca_path"],
            "timeout": params["timeout"],
            "url_username": params["username"] or username,
            "url_password": params["password"] or password,
            "force_basic_auth": True,
            # Only what the options and MLflow's variables say counts.
            "use_netrc": False,
            "follow_redirects": "none",
            "http_agent": _AGENT,
        }
        self._headers = {"Content-Type": "application/json"}
        # As with MLflow's clients, a user goes before a token.
        if params["token"] and not self._how["url_username"]:
            self._headers["Authorization"] = f"Bearer {params['token']}"

    def ask(self, request: api.Request) -> dict[str, t.Any]:
        """Return what the server answers, or raise an ApiError; only a search is asked again."""
        attempts = _ATTEMPTS if request.path.endswith("/search") else 1
        while True:
            attempts -= 1
            status, text = self._send(request)
            if status in _BUSY and attempts > 0:
                time.sleep(_PAUSE_SECONDS)
                continue
            return api.answer(status, text, self._shown(status), request)

    def _send(self, request: api.Request) -> tuple[int, bytes]:
        """Send a request once; return status and text of the answer."""
        try:
            return self._exchange(request)
        except (OSError, http.client.HTTPException, urls.ConnectionError, ValueError) as error:
            raise MlflowError(
                f"{self.url} is not reachable{self._way()} ({_reason(error)}); check that the MLflow server "
                "runs and that this host can reach it."
            ) from None

    def _exchange(self, request: api.Request) -> tuple[int, bytes]:
        """Send a request and read the answer, which may be an error of HTTP."""
        url, data = f"{self.url}{api.PREFIX}{request.path}", None
        if request.method == "GET":
            url = f"{url}?{urllib.parse.urlencode(request.body, doseq=True)}"
        else:
            data = json.dumps(request.body)
        try:
            with urls.open_url(
                url, data, dict(self._headers), request.method, **self._how
            ) as response:
                return response.status, self._read(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, self._read(error)

    def _read(self, response: t.Any) -> bytes:
        """Read an answer; one that does not end is given up."""
        deadline = time.monotonic() + self._timeout
        parts: list[bytes] = []
        size = 0
        while chunk := response.read(_CHUNK):
            parts.append(chunk)
            size += len(chunk)
            if size > api.ANSWER_BYTES or time.monotonic() > deadline:
                raise TimeoutError("its answer does not end")
        return b"".join(parts)

    def _shown(self, status: int) -> str:
        """Return the server for a message; what a proxy answers may not be the server's."""
        return f"{self.url}{self._way()}" if status in (*_BUSY, 407) else self.url

    def _way(self) -> str:
        """Return how requests go to the server, where that is not directly."""
        parts = urllib.parse.urlsplit(self.url)
        proxied = (
            self._proxied
            and parts.scheme in urllib.request.getproxies()
            and not urllib.request.proxy_bypass(parts.hostname or "")
        )
        return f" through the proxy of {parts.scheme}_proxy" if proxied else ""


def _address(uri: str) -> tuple[str, str, str]:
    """Return a server's URL without credentials, and the user and password that were in it."""
    if not uri:
        raise MlflowError(
            "tracking_uri is not set; set it, or MLFLOW_TRACKING_URI in the environment of the task."
        )
    try:
        parts = urllib.parse.urlsplit(uri)
        host = parts.hostname
        port = parts.port
    except ValueError:
        host = port = None
        parts = urllib.parse.urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise MlflowError(
            f"tracking_uri {_without_password(uri)!r} is not the address of an MLflow server; write one such as "
            "https://mlflow.example.com."
        )
    place = f"[{host}]" if ":" in host else host
    place = place if port is None else f"{place}:{port}"
    user, password = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}", user, password


def _without_password(uri: str) -> str:
    """Return an address for a message, without what precedes an @."""
    scheme, colon, rest = uri.partition("://")
    return f"{scheme}{colon}{rest.rpartition('@')[2]}"


def _reason(error: Exception) -> str:
    """Return in a phrase how a connection ended."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0].rstrip(".")
