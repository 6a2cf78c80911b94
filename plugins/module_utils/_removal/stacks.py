# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the stacks that are to be removed, found by their names and proven by their tags."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal import model
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.model import Owned, Resource
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import StackApi
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.results import Progress
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import (
    BUSY,
    SHELL,
    Stack,
    phase,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.watch import Watch


class OwnedStacks:
    """The stacks of one backend. All of their deletions share a deadline."""

    def __init__(
        self, api: StackApi, owned: Owned, timeout: float, progress: t.Callable[[str], None]
    ) -> None:
        """Begin the time."""
        self._api = api
        self._owned = owned
        self._timeout = timeout
        self._show = progress
        self.deadline = time.monotonic() + timeout

    def members(self, stacks: t.Iterable[Stack]) -> list[Stack]:
        """Return those of the stacks that are ours, in the order of deletion; refuse if one of the names is not."""
        found = model.members(stacks, self._owned)
        for stack in found:
            model.require_ours(stack.name, self._tags(stack), self._owned)
        return found

    def history(self, deleted: t.Iterable[str]) -> list[Resource]:
        """Return the resources of those of the deleted stacks that were ours, from their events."""
        found: dict[Resource, None] = {}
        for stack_id in deleted:
            stack = self._api.describe(stack_id)
            if stack is not None and model.is_ours(stack.tags, self._owned):
                for event in self._api.events(stack_id):
                    kept = event["status"] == "DELETE_SKIPPED"
                    when = event["time"] if kept else ""
                    found[Resource(event["type"], event["physical_id"], kept, when)] = None
        return list(found)

    def watch(self, name: str) -> Watch:
        """Return what waits for a stack."""
        return Watch(self._api, name, self._timeout, Progress(), self._show, self.deadline)

    def delete(self, stack: Stack) -> None:
        """Delete a stack and wait for its end."""
        watch = self.watch(stack.name)
        if phase(stack) == BUSY:
            watch.others(stack)
            now = self._api.describe(stack.stack_id)
            if now is None or now.status == "DELETE_COMPLETE":
                return
        seen = self._api.last_event(stack.stack_id)
        self._api.delete(stack.stack_id)
        status, events = watch.operation(stack.stack_id, seen)
        if status != "DELETE_COMPLETE":
            reasons = [event["reason"] for event in events if event["status"] == "DELETE_FAILED"]
            why = next(iter(reasons), "AWS gave no reason")
            raise MlflowError(f"Stack '{stack.name}' is {status} ({why}).")

    def _tags(self, stack: Stack) -> list[t.Mapping[str, str]]:
        """Return a stack's tags, or those that each change set will give to one that holds nothing yet."""
        if phase(stack) == SHELL:
            return list(self._api.change_set_tags(stack.name))
        return [stack.tags]
