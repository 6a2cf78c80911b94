# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: asks servers for their verification runs, by plain HTTP."""

from __future__ import annotations

import concurrent.futures
import time
import typing as t
import urllib.parse

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import probe

# programs/server/mlflow_aws_server/verification.py writes it.
_KEY_TAG = "mlflow_aws.key"
_API = "/api/2.0/mlflow"
_PAUSE_SECONDS = 2.0


class RunRequest(t.NamedTuple):
    """One server to verify: the project's name, its URL, and the run's key, or ""."""

    name: str
    url: str
    key: str


def requests_of(
    servers: t.Iterable[t.Mapping[str, t.Any]], always: bool = False
) -> list[RunRequest]:
    """Return the requests for servers that run, or in check mode would, by their records.

    The key is the server's configuration, unless always.
    """
    return [
        RunRequest(server["name"], server["url"], "" if always else server["configuration"])
        for server in servers
        if server["action"] in ("start", "restart")
        or (server["state"] == "running" and server["action"] not in ("stop", "remove"))
    ]


class FoundRun(t.NamedTuple):
    """What a server said: the finished run of its key, if it has one, else why it can log none.

    stands: whether the server refuses to serve for that reason, so that asking again is no use.
    """

    run: dict[str, t.Any] | None
    reason: str
    stands: bool = False


def ask_all(
    requests: t.Sequence[RunRequest], experiment: str, timeout: int, attempts: int, token: str
) -> dict[str, FoundRun]:
    """Return what each server says, by name; one that refuses is asked again, up to attempts times.

    token: what servers behind a front door want to see.
    """
    with concurrent.futures.ThreadPoolExecutor(max(1, min(probe.AT_ONCE, len(requests)))) as pool:
        answers = pool.map(lambda one: _ask(one, experiment, timeout, attempts, token), requests)
        return {request.name: answer for request, answer in zip(requests, answers)}


def _ask(request: RunRequest, experiment: str, timeout: int, attempts: int, token: str) -> FoundRun:
    """Ask one server, a few times if need be: it may be starting, or its database waking up."""
    deadline = time.monotonic() + timeout * attempts
    while True:
        answer = _ask_once(request, experiment, timeout, token)
        attempts -= 1
        if not answer.reason or answer.stands or attempts < 1 or time.monotonic() > deadline:
            return answer
        time.sleep(_PAUSE_SECONDS)


def _ask_once(request: RunRequest, experiment: str, timeout: int, token: str) -> FoundRun:
    """Ask one server for what only its database can answer, then for the run of its key."""
    try:
        with probe.conversation_at(request.url, timeout, token) as talk:
            reason = talk.trouble()
            if reason or not request.key:
                return FoundRun(None, reason, bool(talk.refusal))
            return FoundRun(find(talk.call, lambda: request.key, experiment), "")
    except probe.FAILURES as error:
        return FoundRun(None, probe.cause(error))


def find(
    call: t.Callable[[str, t.Mapping[str, t.Any] | None], dict[str, t.Any] | None],
    key: t.Callable[[], str],
    experiment: str,
) -> dict[str, str] | None:
    """Return the finished run of a key by a server's API, None where it has none.

    call asks the server, with a path and a body; key is asked after the first answer.
    """
    query = urllib.parse.urlencode({"experiment_name": experiment})
    found = call(f"{_API}/experiments/get-by-name?{query}", None)
    if not found:
        return None
    search = {
        "experiment_ids": [found["experiment"]["experiment_id"]],
        "filter": f"tags.`{_KEY_TAG}` = '{key()}' and attributes.status = 'FINISHED'",
        "max_results": 1,
    }
    answer = call(f"{_API}/runs/search", search)
    runs = (answer or {}).get("runs") or []
    return runs[0]["info"] if runs else None


def record(
    request: RunRequest, run: t.Mapping[str, t.Any] | None, missing: bool
) -> dict[str, t.Any]:
    """Return the record of one server's run."""
    return {
        "name": request.name,
        "url": request.url,
        "run_id": run["run_id"] if run else "",
        "experiment_id": run["experiment_id"] if run else "",
        "logged": missing,
        "seconds": run.get("seconds", {}) if run else {},
    }
