# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that selects the projects behind a host's front door."""

from __future__ import annotations

import typing as t
from urllib.parse import urlsplit


def mlflow_door_projects(
    records: t.Iterable[t.Mapping[str, t.Any]], servers: t.Iterable[t.Mapping[str, t.Any]]
) -> list[dict[str, t.Any]]:
    """Return the option `projects` of mlflow_door, for projects that have a server on the host."""
    served = {
        server["name"]: urlsplit(server["url"]).netloc
        for server in servers
        if server["listed"] and server["state"] != "absent" and server["url"]
    }
    return [
        {
            **{key: record[key] for key in ("name", "owner", "description", "members")},
            "upstream": served[record["name"]],
        }
        for record in records
        if record["name"] in served
    ]


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_door_projects": mlflow_door_projects}
