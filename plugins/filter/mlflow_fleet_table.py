# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that formats the servers of all hosts as one table."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.table import (
    HostRow,
    KeptData,
    fleet_table,
)

Variables = t.Mapping[str, t.Any]


def mlflow_fleet_table(hosts: t.Iterable[Variables]) -> list[str]:
    """Return the lines of a table of all hosts' servers, of data that is kept, and of hosts that failed."""
    hosts = list(hosts)
    found = [_row(host) for host in hosts]
    # One backend on AWS serves all hosts.
    backend: Variables = next(
        (host["mlflow_backend_record"] for host in hosts if "mlflow_backend_record" in host), {}
    )
    return fleet_table(found, [*_on_hosts(found), *_on_aws(backend)])


def _on_hosts(found: t.Iterable[HostRow]) -> t.Iterator[KeptData]:
    """Return the data that hosts keep of projects that are not listed."""
    for one in found:
        for data in (one.found or {}).get("kept", ()):
            yield KeptData(data["name"], one.host, data["place"])


def _on_aws(backend: Variables) -> t.Iterator[KeptData]:
    """Return the data that a backend of kind aws keeps of projects that are not listed."""
    for data in backend.get("kept", ()):
        yield KeptData(data["name"], "AWS", data["place"])


def _row(host: Variables) -> HostRow:
    """Read one host's variables, which Ansible renders one by one, so only those needed."""
    return HostRow(
        str(host["inventory_hostname"]),
        host.get("mlflow_fleet_host") or host.get("mlflow_verify_host") or _up_to_date(host),
        str(host.get("mlflow_fleet_failure", "")),
    )


def _up_to_date(host: Variables) -> Variables | None:
    """Return what mlflow_server_check reported of a host that was skipped."""
    check: Variables = host.get("mlflow_server_check") or {}
    return check if check.get("up_to_date") else None


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_fleet_table": mlflow_fleet_table}
