# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what mlflow_stack did, or in check mode would do."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.events import shown_events
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.model import Plan
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.plan import notes
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import Stack

Records = t.List[t.Dict[str, t.Any]]


class StackResult(t.NamedTuple):
    """What was done, or in check mode would be.

    stack: as it is afterwards, or None; changes: of the operation that was asked for, not of
    switching protection on after a create; waited: seconds for somebody else's operation.
    """

    changed: bool
    plan: Plan
    stack: Stack | None
    changes: Records
    diff: dict[str, dict[str, t.Any]]
    events: Records
    retained: list[dict[str, str]]
    healed: bool
    waited: float

    def as_dict(self) -> dict[str, t.Any]:
        """Return the module's result; its form is the module's documentation."""
        stack = self.stack
        return {
            "changed": self.changed,
            "up_to_date": not self.changed,
            "changes": self.changes,
            "diff": self.diff,
            "events": self.events,
            "retained": self.retained,
            "status": stack.status if stack else "ABSENT",
            "stack_id": stack.stack_id if stack else "",
            "outputs": dict(stack.outputs) if stack else {},
            "parameters": {
                name: parameter._asdict() for name, parameter in self.plan.parameters.items()
            },
            "notes": notes(self.plan),
            "healed": self.healed,
            "waited": round(self.waited, 1),
        }


class Progress:
    """What a run has done so far; a failure returns it beside its message."""

    def __init__(self) -> None:
        """Begin with nothing done."""
        self.changed = False
        self.healed = False
        self.changes: Records = []
        self.events: Records = []
        self.retained: list[dict[str, str]] = []
        self.waited = 0.0

    def details(self, **more: t.Any) -> dict[str, t.Any]:
        """Return what a failed run returns; of events those that failed."""
        failed = [event for event in self.events if event["status"].endswith("_FAILED")]
        return {
            "changed": self.changed,
            "events": shown_events(failed),
            "retained": self.retained,
            **more,
        }
