# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that lists what a removal found or left, one line each."""

from __future__ import annotations

import typing as t

Records = t.Iterable[t.Mapping[str, str]]


def mlflow_removal_list(
    hosts: t.Mapping[str, t.Mapping[str, t.Any]], cloud: Records, key: str, away: t.Iterable[str]
) -> list[str]:
    """Return one line for each record of the key, of AWS first; hosts that are away have one too."""
    lines = [f"AWS: {_line(record)}" for record in cloud]
    for name, result in hosts.items():
        lines += [f"{name}: {_line(record)}" for record in result.get(key, [])]
    lines += [
        f"{name}: not reachable, so what is there stays; rerun when it answers, unless the host is gone"
        for name in away
    ]
    return lines or ["Nothing is left." if key == "leftovers" else "There is nothing to remove."]


def _line(record: t.Mapping[str, str]) -> str:
    """Return one record as a line: what is found with its fate, what is left with what to do."""
    what = f"{record['kind']} {record['name']}"
    if "remedy" in record:
        return f"{what} is left: {record['remedy']}"
    return f"{what} is {'kept' if record['action'] == 'keep' else 'deleted'}: {record['meaning']}"


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_removal_list": mlflow_removal_list}
