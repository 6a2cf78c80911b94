# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: judges a host's servers by their verification runs, purely."""

from __future__ import annotations

import typing as t

DOWN = "the server is not running"
_ABSENT = "this host has no server for it"
_ANSWERS_BADLY = "look at the server's log, then run the verify playbook."
_IS_DOWN = "run the servers playbook."


class VerifiedServers(t.NamedTuple):
    """Server records, those that failed marked by verified=False and a reason; and what is wrong, or ""."""

    servers: list[dict[str, t.Any]]
    problem: str


def judge(
    servers: t.Sequence[t.Mapping[str, t.Any]],
    expected: t.Iterable[str],
    logged: t.Mapping[str, t.Any],
) -> VerifiedServers:
    """Judge servers by their records, the projects whose servers are to run, and mlflow_run's result."""
    failed = {item["name"]: item["reason"] for item in logged.get("failures", [])}
    verified = {run["name"] for run in logged.get("runs", []) if run["run_id"]}
    known = {server["name"]: server for server in servers}
    names = list(expected)
    down = {name: _down(known.get(name)) for name in names}
    down = {name: reason for name, reason in down.items() if reason}
    # In check mode no run is logged, and a server's record alone says how it is.
    unverified = [name for name in names if not {name} & {*down, *verified, *failed}]
    mute = {name: _mute(known[name]) for name in unverified}
    failed |= {name: reason for name, reason in mute.items() if reason}
    absent = [_absent(name) for name in down if name not in known]
    reasons = failed | down
    return VerifiedServers(
        [_judged(server, reasons, verified) for server in [*servers, *absent]],
        " ".join(
            f"{describe(group)}; {remedy}"
            for group, remedy in ((failed, _ANSWERS_BADLY), (down, _IS_DOWN))
            if group
        ),
    )


def _judged(
    server: t.Mapping[str, t.Any], reasons: t.Mapping[str, str], verified: t.Container[str]
) -> dict[str, t.Any]:
    """Return a server's record as its run has shown it; an earlier probe may have been too short."""
    name = server["name"]
    if name in reasons:
        return {**server, "healthy": False, "verified": False, "reason": reasons[name]}
    if name in verified:
        return {**server, "healthy": True, "reason": ""}
    return dict(server)


def problem(failures: t.Iterable[t.Mapping[str, str]]) -> str:
    """Return the sentence about servers through which no run could be logged."""
    return f"{describe({item['name']: item['reason'] for item in failures})}; {_ANSWERS_BADLY}"


def describe(reasons: t.Mapping[str, str]) -> str:
    """Name projects with their reasons, each reason once."""
    projects: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        projects.setdefault(reason.rstrip(".: "), []).append(f"'{name}'")
    return "; ".join(f"{_named(names)}: {reason}" for reason, names in projects.items())


def _named(names: t.Sequence[str]) -> str:
    """Name projects as a sentence does."""
    if len(names) == 1:
        return f"Project {names[0]}"
    return f"Projects {', '.join(names[:-1])} and {names[-1]}"


def _down(server: t.Mapping[str, t.Any] | None) -> str:
    """Return why a server that is to run does not, or ""; in check mode it may be about to start."""
    if server is None:
        return _ABSENT
    runs = server["state"] == "running" or server["action"] in ("start", "restart")
    return "" if runs else DOWN


def _mute(server: t.Mapping[str, t.Any]) -> str:
    """Return why a server that runs, and that nothing is to change, is not well, or ""."""
    if server["healthy"] or server["planned"] or server["state"] != "running":
        return ""
    return str(server.get("reason") or "the server does not answer")


def _absent(name: str) -> dict[str, t.Any]:
    """Return the record of a server that is not there, with what a table shows."""
    return {
        "name": name,
        "action": "keep",
        "planned": False,
        "state": "absent",
        "url": "",
        "healthy": False,
        "version": "",
        "listed": True,
    }
