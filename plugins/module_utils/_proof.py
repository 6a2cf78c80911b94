# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: finds the runs that prove servers, by plain HTTP."""

from __future__ import annotations

import concurrent.futures
import http.client
import typing as t
import urllib.parse

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _probe

# docker/entry_proof.py writes it.
_KEY_TAG = "mlflow_aws.key"
_API = "/api/2.0/mlflow"


class Request(t.NamedTuple):
    """One server to log through: the project's name, its URL, and the run's key, or ""."""

    name: str
    url: str
    key: str


def requests_of(servers: t.Iterable[t.Mapping[str, t.Any]], always: bool = False) -> list[Request]:
    """Return whom to log through: servers that run, or in check mode would, by their records.

    The key is the server's configuration, unless always.
    """
    return [
        Request(server["name"], server["url"], "" if always else server["configuration"])
        for server in servers
        if server["action"] in ("start", "restart")
        or (server["state"] == "running" and server["action"] not in ("stop", "remove"))
    ]


def find_all(
    requests: t.Sequence[Request], experiment: str, timeout: int
) -> dict[str, dict[str, str]]:
    """Return the finished run of each server's key, by name; nothing for servers that fail."""
    keyed = [request for request in requests if request.key]
    with concurrent.futures.ThreadPoolExecutor(max(1, min(16, len(keyed)))) as pool:
        runs = pool.map(lambda request: _find(request, experiment, timeout), keyed)
    return {request.name: run for request, run in zip(keyed, runs) if run}


def _find(request: Request, experiment: str, timeout: int) -> dict[str, str] | None:
    """Return the finished run of a server's key; None where the server does not answer, too."""
    parts = urllib.parse.urlsplit(request.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    talk, prefix = _probe.Conversation(connection, timeout), parts.path.rstrip("/")
    try:
        return find(
            lambda path, body: talk.call(f"{prefix}{path}", body), lambda: request.key, experiment
        )
    except _probe.FAILURES:
        return None
    finally:
        connection.close()


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


def record(request: Request, run: t.Mapping[str, t.Any] | None, missing: bool) -> dict[str, t.Any]:
    """Return the record of one server's run."""
    return {
        "name": request.name,
        "url": request.url,
        "run_id": run["run_id"] if run else "",
        "experiment_id": run["experiment_id"] if run else "",
        "logged": missing,
        "seconds": run.get("seconds", {}) if run else {},
    }
