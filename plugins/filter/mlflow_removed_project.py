# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that selects the project to remove."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

_STATES = ("archived", "absent")


def mlflow_removed_project(
    records: t.Iterable[t.Mapping[str, t.Any]], name: str, state: str = "absent"
) -> list[dict[str, t.Any]]:
    """Return the record of the project to remove alone, in a state of the removal; or fail with one sentence."""
    if not name:
        raise AnsibleFilterError("No project is named; pass `-e project=NAME -e confirm=NAME`.")
    found = [dict(record) for record in records if record["name"] == name]
    if not found:
        raise AnsibleFilterError(
            f"There is no project '{name}' in mlflow_projects; to remove its data, list it with 'state: absent'."
        )
    if found[0]["state"] not in _STATES:
        raise AnsibleFilterError(
            f"Project '{name}' is {found[0]['state']} in mlflow_projects, so the next deploy would create it again; "
            "set 'state: absent', then rerun."
        )
    return [{**found[0], "state": state}]


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_removed_project": mlflow_removed_project}
