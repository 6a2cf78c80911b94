# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that lays servers out as a table."""

from __future__ import annotations

import typing as t

_HEADER = ("PROJECT", "URL", "HEALTH", "MLFLOW", "RUN")


def mlflow_server_table(
    servers: t.Iterable[t.Mapping[str, t.Any]], runs: t.Iterable[t.Mapping[str, t.Any]] = ()
) -> list[str]:
    """Return the lines of a table of servers, each with its last proof run."""
    run_ids = {run["name"]: run["run_id"] for run in runs}
    rows = [_HEADER]
    for server in servers:
        up = server["state"] == "running"
        health = "ok" if server["healthy"] else "not answering" if up else server["state"]
        rows.append(
            (
                server["name"],
                server["url"] if up else "-",
                health if server["listed"] else f"{health}, not in mlflow_projects",
                server["version"] or "-",
                run_ids.get(server["name"]) or "-",
            )
        )
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    ]


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_server_table": mlflow_server_table}
