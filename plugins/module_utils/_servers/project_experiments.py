# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the experiments of projects, created through the servers of a host, some at once.

These servers listen on the host itself, so they are asked without a proxy.
"""

from __future__ import annotations

import concurrent.futures
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._objects import (
    api,
    experiments,
    plans,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import (
    probe,
    verification_results,
)

_RECORDS = "experiments"
_KIND = experiments.kind(purge=False)
_SERVER = "the server"

Entries = t.Sequence[t.Mapping[str, t.Any]]


class _Outcome(t.NamedTuple):
    """The result of a project's experiments, in the form of a module's, and why not all are there, or ""."""

    project: str
    result: t.Mapping[str, t.Any]
    reason: str = ""


def lacking(talk: probe.Conversation, entries: Entries) -> str:
    """Return in a phrase what a server lacks of these experiments, empty for nothing."""
    if not entries:
        return ""
    wanted = experiments.wanted(entries, _RECORDS)
    try:
        planned = plans.foresee(_KIND, _asker(talk), wanted)
    except MlflowError as error:
        return str(error)
    due = [plan.name for plan in planned if plan.action != plans.KEEP]
    return f"its experiment '{due[0]}' is not as listed" if due else ""


def converge(servers: Entries, timeout: float, check: bool, token: str) -> dict[str, t.Any]:
    """Create the experiments of all servers, or in check mode plan that; return the module's result.

    token: what servers behind a front door want to see.
    """
    plans.require_distinct("servers", (server["name"] for server in servers))
    wanted = [experiments.wanted(server[_RECORDS], _RECORDS) for server in servers]
    with concurrent.futures.ThreadPoolExecutor(max(1, min(probe.AT_ONCE, len(servers)))) as pool:
        outcomes = list(
            pool.map(
                lambda one: _converge(one[0], one[1], timeout, check, token),
                zip(servers, wanted),
            )
        )
    result = _result(outcomes)
    failures = [
        {"name": outcome.project, "reason": outcome.reason}
        for outcome in outcomes
        if outcome.reason
    ]
    if failures:
        said = verification_results.describe({item["name"]: item["reason"] for item in failures})
        raise MlflowError(f"{said}.", {**result, "failures": failures})
    return result


def _converge(
    server: t.Mapping[str, t.Any],
    wanted: t.Sequence[experiments.Wanted],
    timeout: float,
    check: bool,
    token: str,
) -> _Outcome:
    """Create the experiments of one server, or in check mode plan that."""
    project = server["name"]
    try:
        with probe.conversation_at(server["url"], timeout, token) as talk:
            result = plans.result(
                _KIND, _asker(talk, check), wanted, check, _RECORDS, experiments.record
            )
            return _Outcome(project, result)
    except MlflowError as error:
        return _Outcome(project, error.details, str(error))


def _asker(talk: probe.Conversation, check: bool = False) -> api.Ask:
    """Return what sends requests about experiments, all of which are POSTs, over a conversation.

    In check mode a server that is to be started is not there yet, so none of its experiments are known.
    """

    def ask(request: api.Request) -> dict[str, t.Any]:
        try:
            status, text = talk.ask(f"{api.PREFIX}{request.path}", request.body, api.ANSWER_BYTES)
        except probe.FAILURES as error:
            if check and isinstance(error, ConnectionRefusedError):
                return {}
            raise MlflowError(
                f"{_SERVER} did not answer when asked to {request.about} ({probe.cause(error)}); look at its log"
            ) from None
        return api.answer(status, text, talk.refusal or _SERVER, request)

    return ask


def _result(outcomes: t.Iterable[_Outcome]) -> dict[str, t.Any]:
    """Return what was done as the result of the module."""
    parts = [(outcome.project, outcome.result) for outcome in outcomes]
    return {
        "changed": any(part["changed"] for _project, part in parts),
        _RECORDS: [
            {"project": project, **record} for project, part in parts for record in part[_RECORDS]
        ],
        "diff": [
            {
                **diff,
                "before_header": f"{project}: {diff['before_header']}",
                "after_header": f"{project}: {diff['after_header']}",
            }
            for project, part in parts
            for diff in part["diff"]
        ],
    }
