# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that tests whether any host has some values."""

from __future__ import annotations

import typing as t

Variables = t.Mapping[str, t.Any]


def mlflow_any_host(hosts: t.Iterable[Variables], wanted: Variables, defaults: Variables) -> bool:
    """Return whether one host has all the wanted values; defaults apply where it sets none."""
    return any(_has(host, wanted, defaults) for host in hosts)


def _has(host: Variables, wanted: Variables, defaults: Variables) -> bool:
    """Read of a host's variables, which Ansible renders one by one, only those needed."""
    return all(host.get(name, defaults.get(name)) == value for name, value in wanted.items())


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_any_host": mlflow_any_host}
