# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: refuses names and stacks that must not be touched."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.events import (
    describe_failure,
    first_failure,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.model import (
    CHANGE_SET_PREFIX,
    OWNER_TAG,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import (
    BROKEN,
    SETTLED,
    Stack,
    phase,
)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}\Z")
_REMEDIES = {
    "CREATE_FAILED": "delete it with 'aws cloudformation delete-stack' and rerun",
    "DELETE_FAILED": (
        "remove what blocks it and delete it again with 'aws cloudformation delete-stack'"
    ),
    "UPDATE_FAILED": "end that update with 'aws cloudformation rollback-stack'",
    "UPDATE_ROLLBACK_FAILED": (
        "fix that resource and run 'aws cloudformation continue-update-rollback'"
    ),
}


def require_name(name: str) -> None:
    """Refuse a name that CloudFormation does not take."""
    if not _NAME.match(name):
        raise MlflowError(
            f"'{name}' is not a valid stack name; start with a letter, followed by letters, digits and "
            "dashes, 128 characters at most."
        )


def require_ours(stack: Stack, owner: str) -> None:
    """Refuse a stack that this collection did not create for this deployment."""
    tag = stack.tags.get(OWNER_TAG)
    if tag == owner:
        return
    why = f"its tag {OWNER_TAG} is '{tag}'" if tag else f"it has no tag {OWNER_TAG}"
    raise MlflowError(
        f"Stack '{stack.name}' exists but is not managed here ({why}); choose another name, or set its tag "
        f"{OWNER_TAG} to '{owner}' to manage it here."
    )


def require_our_shell(name: str, change_sets: t.Iterable[str]) -> None:
    """Refuse a stack that somebody else is about to create by their own change set."""
    foreign = [entry for entry in change_sets if not entry.startswith(CHANGE_SET_PREFIX)]
    if foreign:
        raise MlflowError(
            f"Stack '{name}' is being created by somebody else's change set ({foreign[0]}); choose "
            "another name, or delete that change set and its stack."
        )


def require_deployed(name: str, stack: Stack | None, where: str) -> None:
    """Refuse a stack that has no outputs to use."""
    status = stack.status if stack else ""
    if phase(stack) == SETTLED or status.startswith("UPDATE_"):
        return
    what = f"is in status {status}" if status else "is not deployed"
    raise MlflowError(
        f"Stack '{name}' {what} in {where}; deploy it first, with the playbook mlops.mlflow_aws.backend or "
        "mlops.mlflow_aws.deploy, or correct its name, region and profile."
    )


def require_usable(stack: Stack, events: t.Sequence[t.Mapping[str, t.Any]]) -> None:
    """Refuse a stack in a state that only a person can resolve, and say how."""
    if phase(stack) != BROKEN:
        return
    failure = first_failure(events)
    cause = describe_failure(failure) if failure else stack.reason or "no reason given"
    remedy = _REMEDIES.get(stack.status, "bring it to a complete state in the AWS console")
    raise MlflowError(
        f"Stack '{stack.name}' is in status {stack.status} ({cause}) and cannot be changed; {remedy}."
    )
