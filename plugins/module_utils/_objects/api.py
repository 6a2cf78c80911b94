# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: requests to MLflow's REST API, and what its answers mean."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

PREFIX = "/api/2.0/mlflow/"
# Codes by which MLflow says that an object is not what was read of it: another run was faster.
ALREADY_EXISTS = "RESOURCE_ALREADY_EXISTS"
OUTDATED = (ALREADY_EXISTS, "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE")
# A page of objects, each with tags of up to 100,000 characters.
ANSWER_BYTES = 1 << 28
_UNAUTHORIZED = (401, 403, 407)
_SHOWN = 300


class Request(t.NamedTuple):
    """A request: method, path below PREFIX, its JSON, and what it does as `create the experiment 'a'`.

    The body of a GET request is its query; a list is a parameter that occurs several times.
    """

    method: str
    path: str
    body: t.Mapping[str, t.Any]
    about: str


Ask = t.Callable[[Request], dict[str, t.Any]]


class ApiError(MlflowError):
    """What the server answered in place of a result; code is MLflow's, or "" where MLflow sent none."""

    def __init__(self, message: str, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code


def answer(status: int, text: bytes, server: str, request: Request) -> dict[str, t.Any]:
    """Return the JSON of an answer, or raise ApiError with one sentence; server is the server's URL."""
    document = _document(text)
    if status == 200 and document is not None:
        return document
    code = str((document or {}).get("error_code") or "")
    if status == 200:
        raise ApiError(
            f"{server} does not answer as an MLflow server does ({_first_line(text)}); check tracking_uri.",
            status,
        )
    if 300 <= status < 400:
        raise ApiError(
            f"{server} redirects to another address (HTTP {status}); write that one as tracking_uri.",
            status,
        )
    if status in (404, 405) and not code:
        raise ApiError(
            f"{server} cannot {request.about}, as it does not know {PREFIX}{request.path} (HTTP {status}); "
            "check tracking_uri and the server's version.",
            status,
        )
    said = str((document or {}).get("message") or "") or _first_line(text)
    raise ApiError(
        f"{server} refused to {request.about} (HTTP {status}: {_phrase(said)}); {_remedy(status)}.",
        status,
        code,
    )


def _remedy(status: int) -> str:
    """Return what to do about an error, by its status."""
    if status in _UNAUTHORIZED:
        return "set username and password, or token, to credentials that may do this"
    return (
        "look at the server's log, then rerun" if status >= 500 else "correct the entry and rerun"
    )


def _document(text: bytes) -> dict[str, t.Any] | None:
    """Return a JSON object, None where it is anything else."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _first_line(text: bytes) -> str:
    """Return the first line of an answer that is not MLflow's."""
    lines = text[:_SHOWN].decode("utf-8", "replace").strip().splitlines()
    return _phrase(lines[0]) if lines else "an empty answer"


def _phrase(message: str) -> str:
    """Return a message as part of a sentence: its first line, not too long, without a full stop."""
    line = (message.strip().splitlines() or [""])[0]
    shown = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
    return shown if shown.endswith("...") else shown.rstrip(".: ")


def pages(ask: Ask, request: Request, key: str) -> t.Iterator[list[dict[str, t.Any]]]:
    """Yield the lists under key of all pages of a search."""
    token = ""
    while True:
        body = {**request.body, **({"page_token": token} if token else {})}
        found = ask(request._replace(body=body))
        yield found.get(key) or []
        following = str(found.get("next_page_token") or "")
        if not following or following == token:
            return
        token = following
