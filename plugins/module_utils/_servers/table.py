# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: formats the servers of hosts as a table."""

from __future__ import annotations

import typing as t

_HEADER = ("PROJECT", "URL", "HEALTH", "MLFLOW", "RUN")
_FAILED = ("-", "-", "failed, see below", "-", "-")
_UNSEEN = ("-", "-", "not checked", "-", "-")


class HostRow(t.NamedTuple):
    """One host: `found` holds `servers` and `runs`, None where nothing is known of them."""

    host: str
    found: t.Mapping[str, t.Any] | None
    failure: str


class KeptData(t.NamedTuple):
    """Data of a project that is not listed: its name, where that is (a host, AWS), and the place there."""

    name: str
    where: str
    place: str


def fleet_table(hosts: t.Sequence[HostRow], kept: t.Iterable[KeptData] = ()) -> list[str]:
    """Return the lines of a table of all hosts' servers, and lines for data kept and for failed hosts."""
    rows: list[tuple[str, ...]] = [("HOST", *_HEADER)]
    for host in hosts:
        rows += [(host.host, *row) for row in _host_rows(host)]
    reasons = [f"{host.host} failed: {host.failure}" for host in hosts if host.failure]
    # The name of a single host is known.
    lines = _lines([row[1:] for row in rows] if len(hosts) == 1 else rows)
    return lines + _kept_line(kept) + reasons


def _kept_line(kept: t.Iterable[KeptData]) -> list[str]:
    """Return a line that says which data stay though no entry names their project."""
    wheres: dict[tuple[str, str], list[str]] = {}
    for one in kept:
        known = wheres.setdefault((one.name, one.place), [])
        if one.where not in known:
            known.append(one.where)
    said = [f"{name} ({', '.join(known)}: {place})" for (name, place), known in wheres.items()]
    return [f"Not in the list, data kept: {', '.join(said)}"] if said else []


def _host_rows(host: HostRow) -> list[tuple[str, ...]]:
    """Return the rows of one host: its servers, or that nothing is known of them."""
    if not host.found:
        return [_FAILED if host.failure else _UNSEEN]
    return _rows(host.found["servers"], host.found["runs"])


def _rows(
    servers: t.Iterable[t.Mapping[str, t.Any]], runs: t.Iterable[t.Mapping[str, t.Any]]
) -> list[tuple[str, ...]]:
    """Return a row for each server, with its last verification run."""
    run_ids = {run["name"]: run["run_id"] for run in runs}
    return [_row(server, run_ids.get(server["name"]) or "-") for server in servers]


def _row(server: t.Mapping[str, t.Any], run_id: str) -> tuple[str, ...]:
    """Return the row of one server."""
    up = server["state"] == "running"
    bad = "failed" if server.get("verified") is False else "not answering"
    bad = "refuses to serve" if server.get("refused") else bad
    health = "ok" if server["healthy"] else bad if up else server["state"]
    if server["planned"]:
        # In check mode nobody asked a server that would be changed.
        health = f"would {server['action']}"
    return (
        server["name"],
        server["url"] if up else "-",
        health if server["listed"] else f"{health}, not listed for this host",
        server["version"] or "-",
        run_id,
    )


def _lines(rows: t.Sequence[tuple[str, ...]]) -> list[str]:
    """Return each row as a line, its cells below those of the others."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    ]
