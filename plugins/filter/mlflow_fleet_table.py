# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that lays the servers of all hosts out as one table."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.table import (
    HostServers,
    Kept,
    fleet_table,
)


def mlflow_fleet_table(hosts: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    """Return the lines of a table of all hosts' servers, which data are kept beside, and why hosts have none."""
    hosts = list(hosts)
    found = [_servers(host) for host in hosts]
    # One backend on AWS serves all hosts.
    backend: t.Mapping[str, t.Any] = next(
        (host["mlflow_backend_record"] for host in hosts if "mlflow_backend_record" in host), {}
    )
    return fleet_table(found, [*_on_hosts(found), *_on_aws(backend)])


def _on_hosts(found: t.Iterable[HostServers]) -> t.Iterator[Kept]:
    """Return the data that hosts keep of projects that are not listed."""
    for one in found:
        for data in (one.found or {}).get("kept", ()):
            yield Kept(data["name"], one.host, data["place"])


def _on_aws(backend: t.Mapping[str, t.Any]) -> t.Iterator[Kept]:
    """Return the data that a backend of kind aws keeps of projects that are not listed."""
    for data in backend.get("kept", ()):
        yield Kept(data["name"], "AWS", data["place"])


def _servers(host: t.Mapping[str, t.Any]) -> HostServers:
    """Read one host's variables, which Ansible renders one by one, so only those needed."""
    return HostServers(
        str(host["inventory_hostname"]),
        host.get("mlflow_verify_host") or _settled(host.get("__mlflow_server_looked")),
        str(host.get("mlflow_verify_failure", "")),
    )


def _settled(looked: t.Mapping[str, t.Any] | None) -> t.Mapping[str, t.Any] | None:
    """Return what was seen of a host by `look` of mlflow_server, if it then was left as it is."""
    return looked if looked and looked.get("settled") else None


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_fleet_table": mlflow_fleet_table}
