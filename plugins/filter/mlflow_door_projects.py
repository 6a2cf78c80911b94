# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that selects the projects behind a host's front door."""

from __future__ import annotations

import typing as t
from urllib.parse import urlsplit


def mlflow_door_projects(
    records: t.Collection[t.Mapping[str, t.Any]],
    servers: t.Iterable[t.Mapping[str, t.Any]] | None = None,
) -> list[dict[str, t.Any]]:
    """Return the option `projects` of mlflow_door, for projects that have a server on the host.

    Where servers are not known yet, all projects are returned.
    """
    if servers is None:
        served = {record["name"]: f"127.0.0.1:{record['port']}" for record in records}
    else:
        served = _served(servers)
    return [
        {
            **{key: record[key] for key in ("name", "owner", "description", "members")},
            "upstream": served[record["name"]],
        }
        for record in records
        if record["name"] in served
    ]


def _served(servers: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, str]:
    """Return the addresses of servers by their projects."""
    return {
        server["name"]: urlsplit(server["url"]).netloc
        for server in servers
        if server["listed"] and server["state"] != "absent" and server["url"]
    }


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_door_projects": mlflow_door_projects}
