# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that finds variables that refer to unknown facts."""

from __future__ import annotations

import re
import typing as t

from ansible.errors import AnsibleError
from jinja2.exceptions import UndefinedError

# What Ansible says of a fact that is not there, by either of a fact's names. Another variable
# that is not defined yet may be by the time it is used.
_FACT = re.compile(r"has no attribute|'ansible_\w+' is undefined")


class Unreadable(t.TypedDict):
    """A variable of a host that cannot be read; gathered says whether the host's facts are known."""

    host: str
    name: str
    reason: str
    gathered: bool


def mlflow_unreadable(hosts: t.Iterable[t.Mapping[str, t.Any]]) -> list[Unreadable]:
    """Return the variables of this collection that refer to unknown facts."""
    return [found for host in hosts for found in _of_host(host)]


def _of_host(host: t.Mapping[str, t.Any]) -> t.Iterator[Unreadable]:
    """Return one host's, reading of its variables, which Ansible renders one by one, only ours."""
    for name in sorted(str(name) for name in host if str(name).startswith("mlflow_")):
        reason = _missing(host, name)
        if _FACT.search(reason):
            yield Unreadable(
                host=str(host["inventory_hostname"]),
                name=name,
                reason=reason,
                gathered="module_setup" in (host.get("ansible_facts") or {}),
            )


def _missing(host: t.Mapping[str, t.Any], name: str) -> str:
    """Return what a variable refers to that is not there, in Ansible's words, else an empty text."""
    try:
        _read(host[name])
    except UndefinedError as error:
        return str(error)
    except AnsibleError:
        # The task that uses it says what is wrong with it; many use none of it.
        return ""
    return ""


def _read(value: t.Any) -> None:
    """Read a value to its leaves; what is undefined raises its reason when it is used."""
    if isinstance(value, t.Mapping):
        for key in value:
            _read(value[key])
    elif isinstance(value, (list, tuple)):
        for item in value:
            _read(item)
    else:
        str(value)


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_unreadable": mlflow_unreadable}
