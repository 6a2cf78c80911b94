# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters that describe the state of all projects, and format that description."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data import (
    estimate,
    status,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.projects import projects_of

Variables = t.Mapping[str, t.Any]
_UNSEEN = "nothing was read of it; see its error above."


def mlflow_status(
    hosts: t.Iterable[Variables], backend: Variables, account: Variables | None = None
) -> dict[str, t.Any]:
    """Return the state of all projects as one document; see status.py."""
    seen = [_host(host) for host in hosts]
    return status.document(seen, backend, _account(account, seen), int(time.time()))


def _host(host: Variables) -> status.Host:
    """Read one host's variables, which Ansible renders one by one, so only those needed."""
    name = str(host["inventory_hostname"])
    told = host.get("mlflow_data_status")
    if not told:
        return status.Host(name, [], [], [], str(host.get("mlflow_fleet_failure") or _UNSEEN))
    return status.Host(name, told["records"], told["kept"], told["found"], told["failure"])


def _account(account: Variables | None, hosts: t.Sequence[status.Host]) -> status.Account | None:
    """Return what was read of the database, with an estimate of the costs."""
    if not account:
        return None
    # A module that failed as a whole has one sentence.
    read = account["read"]
    database = read.get("database") or {"cluster": "", "sessions": None}
    problems = read["problems"] if "problems" in read else [str(read.get("msg", ""))]
    found = [record for host in hosts for record in host.found]
    known = projects_of(account["projects"])
    basis = estimate.Basis(
        parameters=account["parameters"],
        logins=[record.get("login") or "password" for record in known.values()],
        # The parser of YAML takes no tagged strings of Ansible.
        templates={name: str(text) for name, text in account["templates"].items()},
        database=database,
        stored=status.stored_bytes(found),
    )
    cost = estimate.estimate(basis) if basis.parameters else None
    return status.Account(database, bool(read.get("asleep")), cost, problems)


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_status": mlflow_status}
