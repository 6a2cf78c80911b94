# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: brings a CloudFormation stack to its wanted state, and waits."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import (
    answers,
    checks,
    template_bucket,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import (
    OvertakenError,
    StackApi,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.changes import (
    change_records,
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
    UPDATE,
    Plan,
    StackSpec,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.plan import plan
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.request import (
    change_set_request,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.results import (
    Progress,
    StackResult,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import (
    ABSENT,
    BROKEN,
    BUSY,
    ROLLED_BACK,
    SETTLED,
    SHELL,
    Stack,
    phase,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.watch import Watch

# A stack that others change this often in a row is nobody's to plan for.
_ROUNDS = 10


def converge(
    api: StackApi,
    bucket: t.Callable[[], template_bucket.TemplateBucket],
    wanted: StackSpec,
    *,
    timeout: float,
    check_mode: bool,
    progress: t.Callable[[str], None],
) -> StackResult:
    """Bring the stack to its wanted state within timeout seconds; in check mode only say how.

    bucket gives the bucket for a long template, should one be needed; progress takes each
    event as a line while it waits.
    """
    done = Progress()
    return _Run(api, bucket, wanted, Watch(api, wanted.name, timeout, done, progress), done).run(
        check_mode
    )


class _Run:
    """One run over one stack."""

    def __init__(
        self,
        api: StackApi,
        bucket: t.Callable[[], template_bucket.TemplateBucket],
        wanted: StackSpec,
        watch: Watch,
        done: Progress,
    ) -> None:
        """Begin with nothing done."""
        self._api = api
        self._bucket = bucket
        self._wanted = wanted
        self._watch = watch
        self._done = done
        self._first: tuple[Plan, Stack | None] | None = None

    def run(self, check_mode: bool) -> StackResult:
        """Read, plan and apply until there is nothing left to do."""
        checks.require_name(self._wanted.name)
        template_bucket.is_long(self._wanted.body)
        overtaken = ""
        for _round in range(_ROUNDS):
            try:
                stack = self._read()
                planned = plan(self._wanted, stack)
                apply = self._foresee if check_mode else self._finish
                finished = apply(stack, planned)
            except OvertakenError as error:
                overtaken = str(error)
                continue
            if finished:
                if planned.changed and not check_mode:
                    # AWS had nothing to change where the plan had: somebody did it since the stack was read.
                    stack = self._read()
                return self._result(stack, planned)
        raise MlflowError(
            f"Stack '{self._wanted.name}' kept changing during the update ({overtaken}); find out who else "
            "changes it, then rerun.",
            self._done.details(),
        )

    def _read(self) -> Stack | None:
        """Return the stack once nobody else is changing it; refuse one that is not ours to change."""
        while True:
            stack = self._api.describe(self._wanted.name)
            now = phase(stack)
            if stack is None or now == ABSENT:
                return None
            if now == SHELL:
                checks.require_our_shell(stack.name, self._api.change_sets(stack.name))
                return stack
            checks.require_ours(stack, self._wanted.owner)
            if now == BROKEN:
                checks.require_usable(stack, self._api.events(stack.stack_id))
            if now == SETTLED:
                return stack._replace(template=self._api.template(stack.stack_id))
            if now != BUSY:
                return stack
            self._watch.others(stack)

    def _foresee(self, stack: Stack | None, planned: Plan) -> bool:
        """Find out what would change, and leave nothing behind."""
        self._first = (planned, stack)
        self._done.changed = planned.changed
        update = planned.action == UPDATE
        # A long template that was never uploaded is not uploaded for a look either.
        if update and self._goes_by_bucket(planned):
            update = self._bucket().holds(self._wanted.body)
        if planned.action != KEEP and not update:
            self._done.changes = foreseen_changes(self._wanted, stack, planned)
        elif update:
            change_set, _stack_id = self._request(planned)
            try:
                changes = self._prepared(change_set)
            finally:
                self._api.delete_change_set(change_set)
            self._done.changes = changes or []
            self._done.changed = changes is not None or planned.protect is not None
        refuse_loss(self._wanted.name, self._done.changes, self._wanted.replace)
        return True

    def _finish(self, stack: Stack | None, planned: Plan) -> bool:
        """Do what the plan says; return whether nothing is left to do."""
        if self._first is None:
            self._first = (planned, stack)
        if not planned.changed:
            return True
        if stack is not None and phase(stack) == ROLLED_BACK:
            self._heal(stack)
        done = planned.action != KEEP and self._operate(planned)
        if planned.protect is not None:
            self._api.protect(self._wanted.name, planned.protect)
            done = True
        self._done.changed = self._done.changed or done
        return not done

    def _operate(self, planned: Plan) -> bool:
        """Create or update the stack by a change set; return whether there was anything to change."""
        create = planned.action == CREATE
        if self._goes_by_bucket(planned):
            self._bucket().put(self._wanted.body)
        change_set, stack_id = self._request(planned)
        try:
            changes = self._prepared(change_set)
            refuse_loss(self._wanted.name, changes or [], self._wanted.replace)
        except MlflowError:
            with contextlib.suppress(MlflowError):
                self._discard(change_set, stack_id if create else "")
            raise
        if changes is None:
            self._api.delete_change_set(change_set)
            return False
        self._done.changes = self._done.changes or changes
        seen = self._api.last_event(stack_id)
        self._api.execute(change_set, create)
        self._done.changed = True
        status, events = self._watch.operation(stack_id, seen)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise self._failure("created" if create else "updated", stack_id, status, events)
        return True

    def _heal(self, stack: Stack) -> None:
        """Delete what a failed first create left, which never held data."""
        self._done.retained = self._api.retained(stack.stack_id)
        seen = self._api.last_event(stack.stack_id)
        self._api.delete(stack.stack_id)
        self._done.healed = self._done.changed = True
        status, events = self._watch.operation(stack.stack_id, seen)
        if status != "DELETE_COMPLETE":
            what = "deleted after its failed creation"
            raise self._failure(what, stack.stack_id, status, events)

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
            f"AWS rejected the change set of stack '{self._wanted.name}' ({objection or reason}); correct "
            "the template or its parameters.",
            self._done.details(),
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
            f"Stack '{self._wanted.name}' could not be {what} ({cause}), and {then}; fix the cause and "
            f"rerun{first}.",
            self._done.details(status=status),
        )

    def _goes_by_bucket(self, planned: Plan) -> bool:
        """Return whether the plan's change set takes its template from the bucket."""
        return not planned.reuse_template and template_bucket.is_long(self._wanted.body)

    def _request(self, planned: Plan) -> tuple[str, str]:
        """Ask for the plan's change set; return its id and the stack's."""
        body = self._wanted.body
        url = self._bucket().url(body) if self._goes_by_bucket(planned) else ""
        request = change_set_request(planned, body, url)
        return self._api.create_change_set(self._wanted.name, **request)

    def _result(self, stack: Stack | None, planned: Plan) -> StackResult:
        """Return what this run did."""
        first, before = self._first or (planned, stack)
        done = self._done
        nothing: dict[str, dict[str, t.Any]] = {"before": {}, "after": {}}
        changed = difference(self._wanted, before, first, done.changes) if done.changed else nothing
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
