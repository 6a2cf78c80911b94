# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what changes in a stack, before and after, for Ansible's diff mode."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.model import (
    PROTECTION_PARAMETER,
    REMOVE,
    Plan,
    StackSpec,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import (
    SETTLED,
    Stack,
    phase,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template import (
    parse_template,
)


def difference(
    wanted: StackSpec, stack: Stack | None, plan_: Plan, records: t.Sequence[t.Mapping[str, t.Any]]
) -> dict[str, dict[str, t.Any]]:
    """Return what changes as before and after, for Ansible's diff mode."""
    if not plan_.changed:
        return {"before": {}, "after": {}}
    exists = stack if phase(stack) == SETTLED else None
    definitions = parse_template(wanted.body).get("Parameters") or {}
    goes = plan_.action == REMOVE
    before: dict[str, t.Any] = {"stack": wanted.name if exists or goes else ""}
    after: dict[str, t.Any] = {"stack": "" if goes else wanted.name}
    old = dict(exists.parameters) if exists else {}
    names = plan_.changed_parameters
    before["parameters"] = {name: old[name] for name in names if name in old}
    after["parameters"] = {
        name: "****" if _is_hidden(definitions[name]) else plan_.values[name] for name in names
    }
    if wanted.protection and PROTECTION_PARAMETER in after["parameters"]:
        # Where a create leaves it off, the same run turns it on.
        after["parameters"][PROTECTION_PARAMETER] = "true"
    before["tags"], after["tags"] = dict(exists.tags) if exists else {}, dict(plan_.tags)
    if plan_.protect is not None:
        before["termination_protection"] = not plan_.protect
        after["termination_protection"] = plan_.protect
    before["resources"] = {
        record["logical_id"]: record["type"] for record in records if record["action"] != "Add"
    }
    after["resources"] = {
        record["logical_id"]: _shown(record) for record in records if record["action"] != "Remove"
    }
    return {"before": before, "after": after}


def _shown(record: t.Mapping[str, t.Any]) -> str:
    """Return a changed resource as it stands in a diff."""
    if record["action"] == "Add":
        return str(record["type"])
    names = f": {', '.join(record['properties'])}" if record["properties"] else ""
    words = {"yes": "replaced", "no": "modified"}
    how = words.get(record["replacement"], "modified, may be replaced")
    return f"{record['type']} ({how}{names})"


def _is_hidden(definition: t.Mapping[str, t.Any]) -> bool:
    """Return whether AWS does not show a parameter's value."""
    return str(definition.get("NoEcho")).lower() == "true"
