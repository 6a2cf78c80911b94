# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: a stack as CloudFormation describes it, and which phase of its life it is in."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.answers import tidy

ABSENT, SHELL, BUSY, SETTLED, ROLLED_BACK, BROKEN = (
    "absent",
    "shell",
    "busy",
    "settled",
    "rolled back",
    "broken",
)
_SETTLED = {
    "CREATE_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
}


def phase(stack: Stack | None) -> str:
    """Return the phase that a stack is in, as far as a change of it goes."""
    if stack is None or stack.status == "DELETE_COMPLETE":
        return ABSENT
    if stack.status == "REVIEW_IN_PROGRESS":
        return SHELL
    if stack.status.endswith("_IN_PROGRESS"):
        return BUSY
    if stack.status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED"):
        return ROLLED_BACK
    return SETTLED if stack.status in _SETTLED else BROKEN


class Stack(t.NamedTuple):
    """A stack as it is; template is its text or content, read only where it is needed."""

    name: str
    stack_id: str
    status: str
    reason: str
    parameters: t.Mapping[str, str]
    tags: t.Mapping[str, str]
    outputs: t.Mapping[str, str]
    protected: bool
    template: t.Any = None


def stack_of(description: t.Mapping[str, t.Any]) -> Stack:
    """Return a stack from one entry of DescribeStacks."""
    return Stack(
        name=description["StackName"],
        stack_id=description["StackId"],
        status=description["StackStatus"],
        reason=tidy(description.get("StackStatusReason", "")),
        parameters={
            entry["ParameterKey"]: entry.get("ParameterValue", "")
            for entry in description.get("Parameters", [])
        },
        tags={entry["Key"]: entry["Value"] for entry in description.get("Tags", [])},
        outputs={
            entry["OutputKey"]: entry["OutputValue"] for entry in description.get("Outputs", [])
        },
        protected=bool(description.get("EnableTerminationProtection", False)),
    )
