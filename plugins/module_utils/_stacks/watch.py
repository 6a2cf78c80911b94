# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: waits for CloudFormation, and shows a stack's events meanwhile."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import StackApi
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.events import (
    current_resource,
    end_status,
    event_line,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.results import Progress
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import (
    BUSY,
    Stack,
    phase,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._wait import growing, wait

Events = t.List[t.Dict[str, t.Any]]

_FIRST_POLL, _POLL_GROWTH, _LAST_POLL = 0.3, 1.4, 10.0
_CHANGE_SET_SECONDS = 300.0


class Watch:
    """Waits for one stack, until a deadline that all of its waits share."""

    def __init__(
        self,
        api: StackApi,
        name: str,
        timeout: float,
        progress: Progress,
        show: t.Callable[[str], None],
        deadline: float | None = None,
    ) -> None:
        """Begin the time, unless it has begun; show takes each event as a line."""
        self._api = api
        self._name = name
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout if deadline is None else deadline
        self._progress = progress
        self._show = show

    def change_set(self, change_set: str) -> dict[str, t.Any]:
        """Return a change set that is ready, or that AWS could not make."""
        content: dict[str, t.Any] = {}

        def ready() -> dict[str, t.Any] | None:
            content.update(self._api.change_set(change_set))
            return content if content["Status"] in ("CREATE_COMPLETE", "FAILED") else None

        def late() -> MlflowError:
            return MlflowError(
                f"The change set of stack '{self._name}' is still {content['Status']}; rerun later.",
                self._progress.details(),
            )

        deadline = min(self._deadline, time.monotonic() + _CHANGE_SET_SECONDS)
        return wait(ready, deadline, late, _pauses())

    def operation(self, stack_id: str, seen: str) -> tuple[str, Events]:
        """Wait for the end of our operation; return the status that it gave the stack, and its events.

        The stack's events tell it: its status may still be the one before, or already the one
        of somebody else's next operation.
        """
        events: Events = []

        def ended() -> str | None:
            self._report(stack_id, seen, events)
            return end_status(events, stack_id) or None

        def late() -> MlflowError:
            return MlflowError(
                f"Stack '{self._name}' was not ready within {self._timeout:g} "
                f"seconds{current_resource(events)}; AWS continues with it, so rerun to wait for its end, "
                "or raise 'timeout'.",
                self._progress.details(),
            )

        return wait(ended, self._deadline, late, _pauses()), events

    def others(self, stack: Stack) -> None:
        """Wait for the end of an operation that this run did not begin."""
        begun = time.monotonic()
        seen = self._api.last_event(stack.stack_id)
        self._say(
            f"Waiting for stack {stack.name}: another user or an earlier run has it {stack.status}"
        )
        events: Events = []
        statuses = [stack.status]

        def settled() -> bool | None:
            now = self._api.describe(stack.stack_id)
            self._report(stack.stack_id, seen, events)
            if now is None or phase(now) != BUSY:
                return True
            statuses.append(now.status)
            return None

        def late() -> MlflowError:
            return MlflowError(
                f"Stack '{stack.name}' is still {statuses[-1]} after {self._timeout:g} "
                f"seconds{current_resource(events)}, because of another user or an earlier run; rerun "
                "later, or raise 'timeout'.",
                self._progress.details(),
            )

        wait(settled, self._deadline, late, _pauses())
        self._progress.waited += time.monotonic() - begun

    def _say(self, line: str) -> None:
        """Show a line, with the stack's name before it."""
        self._show(f"[{self._name}] {line}")

    def _report(self, stack_id: str, seen: str, events: Events) -> None:
        """Show the events since the last one of events, or since one that was seen; add them."""
        new = self._api.events(stack_id, events[-1]["id"] if events else seen)
        for event in new:
            self._say(event_line(event))
        events += new
        self._progress.events += new


def _pauses() -> t.Iterator[float]:
    """Return ever longer pauses between two looks at AWS."""
    return growing(_FIRST_POLL, _POLL_GROWTH, _LAST_POLL)
