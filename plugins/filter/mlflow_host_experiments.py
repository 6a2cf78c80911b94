# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that selects the experiments to create through a host's servers."""

from __future__ import annotations

import typing as t

_PRESENT = "present"


def mlflow_host_experiments(
    records: t.Iterable[t.Mapping[str, t.Any]],
    served: t.Container[str],
    host: str = "",
    hosts: t.Iterable[t.Mapping[str, t.Any]] | None = None,
) -> dict[str, list[dict[str, t.Any]]]:
    """Return by project the experiments that this host creates.

    With hosts, whose servers share one backend, each project belongs to the first of them that serves it.
    """
    listed = {
        record["name"]: record["experiments"]
        for record in records
        if record["experiments"] and record["state"] == _PRESENT and record["name"] in served
    }
    others = _others(listed, host, hosts) if listed and hosts is not None else set()
    return {name: experiments for name, experiments in listed.items() if name not in others}


def _others(
    projects: t.Iterable[str], host: str, hosts: t.Iterable[t.Mapping[str, t.Any]]
) -> set[str]:
    """Return the projects that hosts before this one serve; variables of later hosts are not read."""
    taken: set[str] = set()
    for variables in hosts:
        if variables["inventory_hostname"] == host:
            break
        taken |= {name for name in projects if name not in taken and _serves(variables, name)}
        if taken.issuperset(projects):
            break
    return taken


def _serves(variables: t.Mapping[str, t.Any], project: str) -> bool:
    """Return whether a host runs the server of a project, by its variables."""
    if variables.get("mlflow_server_state", _PRESENT) != _PRESENT:
        return False
    served = variables.get("mlflow_server_projects")
    if served is not None and project not in served:
        return False
    # A host may have a list of its own.
    entries = [
        entry
        for entry in variables.get("mlflow_projects") or [{"name": project}]
        if isinstance(entry, t.Mapping) and entry.get("name") == project
    ]
    return any((entry.get("state") or _PRESENT) == _PRESENT for entry in entries)


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_host_experiments": mlflow_host_experiments}
