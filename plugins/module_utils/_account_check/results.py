# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the results of checks, and which check is due, purely.

A result has the keys name, claim, result (passed, failed, not here or not reached), evidence,
seconds, and ended (seconds since the epoch), from which the next one's duration is taken.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check.catalog import (
    BY_NAME,
    CHECKS,
    FAILED,
    NOT_HERE,
    NOT_REACHED,
    PASSED,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

Result = t.Dict[str, t.Any]
Results = t.Sequence[Result]


def result(name: str, outcome: str, evidence: str, seconds: float, ended: float = 0.0) -> Result:
    """Return the result of a check."""
    return {
        "name": name,
        "claim": BY_NAME[name].claim,
        "result": outcome,
        "evidence": " ".join(evidence.split()),
        "seconds": round(seconds, 1),
        "ended": ended,
    }


def require_known(names: t.Iterable[str]) -> None:
    """Refuse names that are no checks."""
    unknown = sorted(set(names) - set(BY_NAME))
    if unknown:
        raise MlflowError(
            f"There is no check {', '.join(unknown)} for mlflow_account_check_skip; choose from "
            f"{', '.join(check.name for check in CHECKS if not check.by_hand)}."
        )


def reason_against(
    name: str, results: Results, skip: t.Container[str], now: float, deadline: float
) -> tuple[str, str]:
    """Return why a check does not run, as its result and evidence; empty if it is due."""
    check = BY_NAME[name]
    if check.by_hand:
        return NOT_HERE, check.by_hand
    if name in skip:
        return NOT_HERE, "left out by mlflow_account_check_skip"
    outcomes = {entry["name"]: entry["result"] for entry in results}
    for needed in check.needs:
        if outcomes.get(needed) != PASSED:
            return NOT_REACHED, f"needs {needed}, which is {outcomes.get(needed, NOT_REACHED)}"
    if now >= deadline:
        return NOT_REACHED, "the time limit was reached"
    return "", ""


def complete(results: Results, skip: t.Container[str], now: float, deadline: float) -> list[Result]:
    """Return the results in the order of the checks, with those that did not run."""
    done = {entry["name"]: entry for entry in results}
    for check in CHECKS:
        if check.name not in done:
            outcome, why = reason_against(check.name, list(done.values()), skip, now, deadline)
            done[check.name] = result(
                check.name, outcome or NOT_REACHED, why or "the run ended before", 0.0, now
            )
    return [done[check.name] for check in CHECKS]


def failures(results: Results) -> list[str]:
    """Return the names of the checks that failed."""
    return [entry["name"] for entry in results if entry["result"] == FAILED]
