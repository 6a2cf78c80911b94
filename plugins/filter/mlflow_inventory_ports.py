# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that selects from project records what a host records of the whole inventory."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._projects.records import server_state

_KEYS = ("name", "port", "port_fixed")


def mlflow_inventory_ports(
    records: t.Iterable[t.Mapping[str, t.Any]], backend: str = "local"
) -> dict[str, t.Any]:
    """Return the option `inventory` of mlflow_server; it holds no setting of a server."""
    return {
        "backend": backend,
        "projects": [
            {**{key: record[key] for key in _KEYS}, "state": server_state(record["state"])}
            for record in records
        ],
    }


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_inventory_ports": mlflow_inventory_ports}
