# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: verifies servers by a run through each, logged where one is missing."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.verification_runs import (
    FoundRun,
    RunRequest,
    ask_all,
    record,
)

# As often as the client asks.
_ATTEMPTS = 3

Run = dict[str, t.Any]


class Client(t.Protocol):
    """An MLflow client, wherever it is installed."""

    def log(
        self, requests: t.Sequence[RunRequest], experiment: str, timeout: int
    ) -> dict[str, t.Any]:
        """Log a run through each server; returns runs and failures, see verification.py of programs/server."""


class Verification(t.NamedTuple):
    """Run records of the servers that have a run, and of each other one its name and reason."""

    runs: list[Run]
    failures: list[dict[str, str]]


def verify(
    requests: t.Sequence[RunRequest],
    experiment: str,
    timeout: int,
    client: Client | None,
    token: str,
) -> Verification:
    """Have a run logged through each server that has none of its key; both lists are in order.

    Without a client nothing is logged or fails, and run_id may be empty. A run has name, url, run_id,
    experiment_id, logged, and seconds for each step; timeout is in seconds for one request; token: what
    servers behind a front door want to see.
    """
    answers = ask_all(requests, experiment, timeout, _ATTEMPTS if client else 1, token)
    if not client:
        runs = [record(one, answers[one.name].run, not answers[one.name].run) for one in requests]
        return Verification(runs, [])
    # One that cannot be asked is not worth the client's patience, and says why better than that.
    reasons = {name: answer.reason for name, answer in answers.items() if answer.reason}
    missing = [one for one in requests if one.name not in reasons and not answers[one.name].run]
    logged: dict[str, Run] = {}
    if missing:
        logged, failed = _log(missing, experiment, timeout, client, token)
        reasons |= failed
    return _verification(requests, answers, logged, reasons)


def _log(
    missing: t.Sequence[RunRequest], experiment: str, timeout: int, client: Client, token: str
) -> tuple[dict[str, Run], dict[str, str]]:
    """Log the missing runs; return them, and the reasons of those that failed, by project."""
    answer = client.log(missing, experiment, timeout)
    logged = {run["name"]: run for run in answer["runs"]}
    reasons = {item["name"]: item["reason"] for item in answer["failures"]}
    silent = [one.name for one in missing if one.name not in logged and one.name not in reasons]
    reasons |= dict.fromkeys(silent, "the MLflow client said nothing about it")
    # The client says how often it asked, the server what is wrong with it by now.
    failed = [one._replace(key="") for one in missing if one.name in reasons]
    again = ask_all(failed, experiment, timeout, 1, token)
    reasons |= {name: found.reason for name, found in again.items() if found.reason}
    return logged, reasons


def _verification(
    requests: t.Sequence[RunRequest],
    answers: t.Mapping[str, FoundRun],
    logged: t.Mapping[str, Run],
    reasons: t.Mapping[str, str],
) -> Verification:
    """Return runs and failures in the order of the requests."""
    return Verification(
        [
            record(one, answers[one.name].run or logged.get(one.name), one.name in logged)
            for one in requests
            if one.name not in reasons
        ],
        [
            {"name": one.name, "reason": reasons[one.name]}
            for one in requests
            if one.name in reasons
        ],
    )
