# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the changes of a stack, foreseen from the templates alone."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.changes import change_record
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.evaluation import (
    template_resources,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.model import (
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


def foreseen_changes(wanted: StackSpec, stack: Stack | None, plan_: Plan) -> list[dict[str, t.Any]]:
    """Return the records of a change set that was not made, from the templates alone.

    Where a resource stays but its definition differs, only AWS knows whether that replaces it.
    """
    after = {}
    if plan_.action != REMOVE:
        after = template_resources(parse_template(wanted.body), plan_.values)
    before = {}
    if phase(stack) == SETTLED and stack is not None and stack.template:
        content = stack.template
        content = parse_template(content) if isinstance(content, str) else content
        before = template_resources(content, stack.parameters)
    records = []
    for name in sorted({*after, *before}):
        entry, old = after.get(name), before.get(name)
        if entry != old:
            action = "Remove" if entry is None else "Modify" if old else "Add"
            replaced = old and entry and old.get("Type") != entry.get("Type")
            kind = (entry or old or {}).get("Type", "")
            answer = "yes" if replaced else "unknown" if action == "Modify" else "no"
            records.append(change_record(action, name, "", kind, answer, _differing(old, entry)))
    return records


def _differing(old: t.Mapping[str, t.Any] | None, new: t.Mapping[str, t.Any] | None) -> list[str]:
    """Return the names of the properties in which two definitions of a resource differ."""
    if not old or not new:
        return []
    before, after = old.get("Properties") or {}, new.get("Properties") or {}
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
