# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: carries out the plan for one stack, or says what it would do."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import answers
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import (
    OvertakenError,
    StackApi,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.changes import (
    change_records,
    removed,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.diff import difference
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.events import (
    describe_failure,
    first_failure,
    shown_events,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.foresight import (
    foreseen_changes,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.loss import refuse_loss
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.model import (
    CREATE,
    KEEP,
    REMOVAL,
    UPDATE,
    Plan,
    StackSpec,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.request import (
    change_set_request,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.results import (
    Progress,
    StackResult,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import (
    ABSENT,
    ROLLED_BACK,
    SHELL,
    Stack,
    phase,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template_bucket import (
    TemplateBucket,
    goes_by_bucket,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.watch import Watch


class Run:
    """One run over one stack, of which others decide when it is read and planned."""

    def __init__(
        self,
        api: StackApi,
        bucket: t.Callable[[], TemplateBucket],
        wanted: StackSpec,
        watch: Watch,
        done: Progress,
    ) -> None:
        """Begin with nothing done."""
        self._api = api
        self._bucket = bucket
        self.wanted = wanted
        self._watch = watch
        self._first: tuple[Plan, Stack | None] | None = None
        self.done = done

    def foresee(self, stack: Stack | None, planned: Plan) -> bool:
        """Find out what would change, and leave nothing behind."""
        self._remember(planned, stack)
        self.done.changed = planned.changed
        update = planned.action == UPDATE
        # A template that was never uploaded is not uploaded for a look either.
        if update and self._needs_bucket(planned):
            update = self._bucket().holds(self.wanted.body)
        if planned.action != KEEP and not update:
            self.done.changes = foreseen_changes(self.wanted, stack, planned)
        elif update:
            change_set, _stack_id = self._request(planned)
            try:
                changes = self._prepared(change_set)
            finally:
                self._api.delete_change_set(change_set)
            self.done.changes = changes or []
            self.done.changed = changes is not None or planned.protect is not None
        refuse_loss(self.wanted.name, self.done.changes, self.wanted.replace)
        return True

    def finish(self, stack: Stack | None, planned: Plan) -> bool:
        """Do what the plan says; return whether nothing is left to do."""
        self._remember(planned, stack)
        if not planned.changed:
            return True
        if stack is not None and phase(stack) == ROLLED_BACK:
            self._heal(stack)
        done = planned.action != KEEP and self._operate(stack, planned)
        if planned.protect is not None:
            self._api.protect(self.wanted.name, planned.protect)
            done = True
        self.done.changed = self.done.changed or done
        return not done

    def _remember(self, planned: Plan, stack: Stack | None) -> None:
        """Keep what the first plan with a change is made of, which the diff shows."""
        if self._first is None or not self._first[0].changed:
            self._first = (planned, stack)

    def foresee_removal(self, stack: Stack) -> None:
        """Say what goes with a stack that is deleted."""
        self._remember(REMOVAL, stack)
        self.done.changed = True
        changes = foreseen_changes(self.wanted, stack, REMOVAL)
        refuse_loss(self.wanted.name, changes, self.wanted.replace)
        self.done.changes = self.done.changes or changes

    def remove(self, stack: Stack) -> bool:
        """Delete a stack that holds nothing any more; return whether nothing is left to do."""
        now = self._api.describe(stack.stack_id)
        if now is None or phase(now) == ABSENT:
            return False
        if now.parameters != stack.parameters or phase(now) != phase(stack):
            raise OvertakenError(f"its status is {now.status}")
        self.foresee_removal(stack)
        if phase(stack) == ROLLED_BACK:
            self._heal(stack)
            return False
        if now.protected:
            self._api.protect(stack.name, False)
        self._delete(stack, "deleted after its last project")
        return False

    def _operate(self, stack: Stack | None, planned: Plan) -> bool:
        """Create or update the stack by a change set; return whether there was anything to change."""
        create = planned.action == CREATE
        if self._needs_bucket(planned):
            self._bucket().put(self.wanted.body)
        change_set, stack_id = self._request(planned)
        try:
            changes = self._prepared(change_set)
            refuse_loss(self.wanted.name, changes or [], self.wanted.replace)
            self._refuse_surprise(stack, planned, changes or [])
        except (MlflowError, OvertakenError):
            with contextlib.suppress(MlflowError, OvertakenError):
                self._discard(change_set, stack_id if create else "")
            raise
        if changes is None:
            self._api.delete_change_set(change_set)
            return False
        self.done.changes = self.done.changes or changes
        seen = self._api.last_event(stack_id)
        self._api.execute(change_set, create)
        self.done.changed = True
        status, events = self._watch.operation(stack_id, seen)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise self._failure("created" if create else "updated", stack_id, status, events)
        return True

    def _heal(self, stack: Stack) -> None:
        """Delete what a failed first create left, which never held data."""
        self.done.retained = self._api.retained(stack.stack_id)
        self.done.healed = True
        self._delete(stack, "deleted after its failed creation")

    def _delete(self, stack: Stack, what: str) -> None:
        """Delete a stack and wait for its end; what says so in the sentence if it fails."""
        seen = self._api.last_event(stack.stack_id)
        self._api.delete(stack.stack_id)
        self.done.changed = True
        status, events = self._watch.operation(stack.stack_id, seen)
        if status != "DELETE_COMPLETE":
            raise self._failure(what, stack.stack_id, status, events)

    def _refuse_surprise(
        self, stack: Stack | None, planned: Plan, changes: t.Sequence[t.Mapping[str, t.Any]]
    ) -> None:
        """Plan again if the change set removes what was not in the stack when it was read."""
        if not self.wanted.watchful:
            return
        planned_ones = removed(foreseen_changes(self.wanted, stack, planned))
        surprise = sorted(removed(changes) - planned_ones)
        if surprise:
            raise OvertakenError(f"{surprise[0]} was added meanwhile")

    def _prepared(self, change_set: str) -> list[dict[str, t.Any]] | None:
        """Return a change set's records once it is there; None where there is nothing to change."""
        content = self._watch.change_set(change_set)
        if content["Status"] == "CREATE_COMPLETE":
            return change_records(content["Changes"])
        reason = answers.tidy(content.get("StatusReason"))
        if answers.is_unchanged(reason):
            return None
        objection = ""
        if "alidation" in reason:
            objection = self._api.failed_validation(ChangeSetName=change_set)
        raise MlflowError(
            f"AWS rejected the change set of stack '{self.wanted.name}' ({objection or reason}); correct "
            "the template or its parameters.",
            self.done.details(),
        )

    def _discard(self, change_set: str, shell: str) -> None:
        """Delete a change set that is not to be carried out, and the empty stack it may have made."""
        self._api.delete_change_set(change_set)
        stack = self._api.describe(shell) if shell else None
        if stack is not None and phase(stack) == SHELL:
            self._api.delete(shell)

    def _failure(
        self, what: str, stack_id: str, status: str, events: t.Sequence[t.Mapping[str, t.Any]]
    ) -> MlflowError:
        """Return the sentence about an operation that failed, with the resource that failed first."""
        failure = first_failure(events)
        cause = describe_failure(failure) if failure else "AWS gave no reason"
        if failure and failure["detail"] == "VALIDATION_FAILED":
            cause = self._api.failed_validation(StackName=stack_id) or cause
        rolled_back = status.endswith("ROLLBACK_COMPLETE")
        then = "AWS rolled it back" if rolled_back else f"its status is now {status}"
        first = ", which first deletes the empty stack" if status == "ROLLBACK_COMPLETE" else ""
        return MlflowError(
            f"Stack '{self.wanted.name}' could not be {what} ({cause}), and {then}; fix the cause and "
            f"rerun{first}.",
            self.done.details(status=status),
        )

    def _needs_bucket(self, planned: Plan) -> bool:
        """Return whether the plan's change set takes its template from the bucket."""
        return not planned.reuse_template and goes_by_bucket(self.wanted.body)

    def _request(self, planned: Plan) -> tuple[str, str]:
        """Ask for the plan's change set; return its id and the stack's."""
        body = self.wanted.body
        url = self._bucket().url(body) if self._needs_bucket(planned) else ""
        request = change_set_request(planned, body, url)
        return self._api.create_change_set(self.wanted.name, **request)

    def result(self, stack: Stack | None, planned: Plan) -> StackResult:
        """Return what this run did, or would do."""
        first, before = self._first or (planned, stack)
        done = self.done
        nothing: dict[str, dict[str, t.Any]] = {"before": {}, "after": {}}
        changed = difference(self.wanted, before, first, done.changes) if done.changed else nothing
        return StackResult(
            changed=done.changed,
            plan=planned,
            stack=stack,
            changes=done.changes,
            diff=changed,
            events=shown_events(done.events),
            retained=done.retained,
            healed=done.healed,
            waited=done.waited,
        )
