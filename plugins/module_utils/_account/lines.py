# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: an account and the costs in it as lines that a person reads, purely."""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account import costs, quotas
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account.prices import LIST

_SHOWN = 6
# A working month: 8 hours on 22 days.
_AWAKE_HOURS = 176
_LOGINS = {"iam": "IAM login", "password": "passwords", "either": "IAM login and passwords"}

Record = t.Mapping[str, t.Any]


def account_lines(record: Record) -> list[str]:
    """Return the lines of an account's record, of which permissions and quotas may be missing."""
    lines = [f"Account {record['account']}, region {record['region']}, as {record['identity']}"]
    if record.get("permissions"):
        lines.append(f"Permissions: {_permissions(record['permissions'])}")
    return lines + _quotas(record.get("quotas") or ())


def cost_lines(
    found: t.Mapping[str, costs.Costs],
    projects: t.Mapping[str, int],
    parameters: t.Mapping[str, str],
) -> list[str]:
    """Return the lines of what a backend costs in a month.

    found: costs by the projects' login; projects: how many log in so; parameters: of the backend
    stack, by name. Both of the first have the same logins.
    """
    some = next(iter(found.values()))
    fixed, unit = some.dollars(some.fixed), some.prices["acu_hour"]
    shares = [
        f"{count} {'project' if count == 1 else 'projects'} with {_LOGINS[login]} x "
        f"{found[login].dollars(found[login].project):.2f}"
        for login, count in projects.items()
    ]
    idle = fixed + sum(
        count * found[login].dollars(found[login].project) for login, count in projects.items()
    )
    lines = [
        f"Costs in US dollars a month by list prices of {LIST.region}: {idle:.2f} idle = backend "
        + " + ".join([f"{fixed:.2f}", *shares])
    ]
    if not parameters.get("ExistingDatabaseEndpoint"):
        lines.append(_awake(parameters, idle, unit))
    lines.append("Not included: requests, data transfer, storage beyond a few GB, EC2 hosts")
    return lines


def counted(logins: t.Iterable[str]) -> dict[str, int]:
    """Return how many projects log in how, the most frequent first."""
    return dict(Counter(logins).most_common())


def _awake(parameters: t.Mapping[str, str], idle: float, unit: float) -> str:
    """Return the line of what the database's capacity costs."""
    low, high = float(parameters["MinCapacity"]), float(parameters["MaxCapacity"])
    base = low or costs.SMALLEST
    hour = (
        f"{base * unit:.2f} ({base:g} ACU) to {high * unit:.2f} ({high:g} ACU, MaxCapacity) an hour"
    )
    if low:
        least = idle + costs.HOURS * low * unit
        return f"Database: {hour}, and never pauses with MinCapacity {low:g}: {least:.2f} a month at least"
    some = idle + _AWAKE_HOURS * base * unit
    return (
        f"Database: + {unit:.2f} x ACU x hours awake, {hour}; {_AWAKE_HOURS} hours at {base:g} ACU make "
        f"{some:.2f} a month"
    )


def _permissions(record: Record) -> str:
    """Return what a simulation found."""
    if not record["simulated"]:
        return f"not simulated ({record['reason']})"
    total = record["allowed"] + len(record["denied"]) + len(record["undecided"])
    if record["denied"]:
        return f"{len(record['denied'])} of {total} actions denied in a simulation: {_listed(record['denied'])}"
    open_ = f", {len(record['undecided'])} depend on conditions" if record["undecided"] else ""
    return f"none of {total} actions denied in a simulation{open_}"


def _quotas(records: t.Sequence[Record]) -> list[str]:
    """Return the lines of quotas: those that are known, those that are close, and the others by reason."""
    known = [record for record in records if record["status"] != quotas.UNKNOWN]
    close = [record["name"] for record in known if record["status"] == quotas.CLOSE]
    unknown: dict[str, list[str]] = {}
    for record in records:
        if record["status"] == quotas.UNKNOWN:
            unknown.setdefault(record["reason"], []).append(record["name"])
    lines = []
    if known:
        counts = [
            f"{record['name']} {record['used']:,} + {record['needed']:,} of {record['limit']:,}"
            for record in known
        ]
        lines.append(f"Quotas: {', '.join(counts)}")
    if close:
        lines.append(f"Close to its quota after this run: {', '.join(close)}")
    if unknown:
        reasons = [f"{', '.join(names)} ({reason})" for reason, names in unknown.items()]
        lines.append(f"Unknown quotas: {'; '.join(reasons)}")
    return lines


def _listed(names: t.Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
