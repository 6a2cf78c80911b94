# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: brings a CloudFormation stack to its wanted state, and waits."""

from __future__ import annotations

import contextlib
import time
import typing as t
import uuid

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import plan as _plans
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import records as _records
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import (
    template,
    template_bucket,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import (
    OvertakenError,
    StackApi,
)

# A stack that others change this often in a row is nobody's to plan for.
_ROUNDS = 10
_FIRST_POLL, _POLL_GROWTH, _LAST_POLL = 0.3, 1.4, 10.0
_CHANGE_SET_SECONDS = 300.0


class Outcome(t.NamedTuple):
    """What was done, or in check mode would be.

    stack: as it is afterwards, or None; changes: of the operation that was asked for, not of
    switching protection on after a create; waited: seconds for somebody else's operation.
    """

    changed: bool
    plan: _plans.Plan
    stack: _records.Found | None
    changes: list[dict[str, t.Any]]
    diff: dict[str, dict[str, t.Any]]
    events: list[dict[str, t.Any]]
    retained: list[dict[str, str]]
    healed: bool
    waited: float


def converge(
    api: StackApi,
    bucket: t.Callable[[], template_bucket.TemplateBucket],
    wanted: _plans.Wanted,
    *,
    timeout: float,
    check_mode: bool,
    progress: t.Callable[[str], None],
) -> Outcome:
    """Bring the stack to its wanted state within timeout seconds; in check mode only say how.

    bucket gives the bucket for a long template, should one be needed; progress takes each
    event as a line while it waits.
    """
    return _Run(api, bucket, wanted, time.monotonic() + timeout, timeout, progress).run(check_mode)


class _Run:
    """One run over one stack; remembers what it did."""

    def __init__(
        self,
        api: StackApi,
        bucket: t.Callable[[], template_bucket.TemplateBucket],
        wanted: _plans.Wanted,
        deadline: float,
        timeout: float,
        progress: t.Callable[[str], None],
    ) -> None:
        """Begin with nothing done; deadline is a time.monotonic() value."""
        self._api = api
        self._bucket = bucket
        self._wanted = wanted
        self._deadline = deadline
        self._timeout = timeout
        self._progress = progress
        self._first: tuple[_plans.Plan, _records.Found | None] | None = None
        self._changes: list[dict[str, t.Any]] = []
        self._events: list[dict[str, t.Any]] = []
        self._retained: list[dict[str, str]] = []
        self._changed = False
        self._healed = False
        self._waited = 0.0

    def run(self, check_mode: bool) -> Outcome:
        """Read, plan and apply until there is nothing left to do."""
        _plans.require_name(self._wanted.name)
        template_bucket.is_long(self._wanted.body)
        overtaken = ""
        for _round in range(_ROUNDS):
            try:
                stack = self._read()
                plan = _plans.plan(self._wanted, stack)
                finished = self._foresee(stack, plan) if check_mode else self._finish(stack, plan)
            except OvertakenError as error:
                overtaken = str(error)
                continue
            if finished:
                if plan.changed and not check_mode:
                    # AWS had nothing to change where the plan had: somebody did it since the stack was read.
                    stack = self._read()
                return self._outcome(stack, plan)
        raise MlflowError(
            f"Stack '{self._wanted.name}' was changed by somebody else whenever it was to be changed here "
            f"({overtaken}): find out who, and run this again.",
            self._details(),
        )

    def _read(self) -> _records.Found | None:
        """Return the stack once nobody else is changing it; refuse one that is not ours to change."""
        while True:
            stack = self._api.describe(self._wanted.name)
            phase = _plans.phase(stack)
            if stack is None or phase == _plans.ABSENT:
                return None
            if phase == _plans.SHELL:
                _plans.require_our_shell(stack.name, self._api.change_sets(stack.name))
                return stack
            _plans.require_ours(stack, self._wanted.owner)
            if phase == _plans.BROKEN:
                _plans.require_usable(stack, self._api.events(stack.stack_id))
            if phase == _plans.SETTLED:
                return stack._replace(template=self._api.template(stack.stack_id))
            if phase != _plans.BUSY:
                return stack
            self._await_others(stack)

    def _foresee(self, stack: _records.Found | None, plan: _plans.Plan) -> bool:
        """Find out what would change, and leave nothing behind."""
        self._first = (plan, stack)
        self._changed = plan.changed
        update = plan.action == _plans.UPDATE
        # A long template that was never uploaded is not uploaded for a look either.
        if update and self._goes_by_bucket(plan):
            update = self._bucket().holds(self._wanted.body)
        if plan.action != _plans.KEEP and not update:
            self._changes = _plans.foreseen_changes(self._wanted, stack, plan)
        elif update:
            change_set, _stack_id = self._api.create_change_set(
                self._wanted.name, **self._request(plan)
            )
            try:
                changes = self._prepared(change_set)
            finally:
                self._api.delete_change_set(change_set)
            self._changes = changes or []
            self._changed = changes is not None or plan.protect is not None
        _plans.refuse_loss(self._wanted.name, self._changes, self._wanted.replace)
        return True

    def _finish(self, stack: _records.Found | None, plan: _plans.Plan) -> bool:
        """Do what the plan says; return whether nothing is left to do."""
        if self._first is None:
            self._first = (plan, stack)
        if not plan.changed:
            return True
        if stack is not None and _plans.phase(stack) == _plans.ROLLED_BACK:
            self._heal(stack)
        done = plan.action != _plans.KEEP and self._operate(plan)
        if plan.protect is not None:
            self._api.protect(self._wanted.name, plan.protect)
            done = True
        self._changed = self._changed or done
        return not done

    def _operate(self, plan: _plans.Plan) -> bool:
        """Create or update the stack by a change set; return whether there was anything to change."""
        create = plan.action == _plans.CREATE
        if self._goes_by_bucket(plan):
            self._bucket().put(self._wanted.body)
        change_set, stack_id = self._api.create_change_set(self._wanted.name, **self._request(plan))
        try:
            changes = self._prepared(change_set)
            _plans.refuse_loss(self._wanted.name, changes or [], self._wanted.replace)
        except MlflowError:
            with contextlib.suppress(MlflowError):
                self._discard(change_set, stack_id if create else "")
            raise
        if changes is None:
            self._api.delete_change_set(change_set)
            return False
        self._changes = self._changes or changes
        seen = self._api.last_event(stack_id)
        self._api.execute(change_set, create)
        self._changed = True
        status, events = self._follow(stack_id, seen)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise self._failure("created" if create else "updated", stack_id, status, events)
        return True

    def _heal(self, stack: _records.Found) -> None:
        """Delete what a failed first create left, which never held data."""
        self._retained = self._api.retained(stack.stack_id)
        seen = self._api.last_event(stack.stack_id)
        self._api.delete(stack.stack_id)
        self._healed = self._changed = True
        status, events = self._follow(stack.stack_id, seen)
        if status != "DELETE_COMPLETE":
            what = "deleted after its failed creation"
            raise self._failure(what, stack.stack_id, status, events)

    def _prepared(self, change_set: str) -> list[dict[str, t.Any]] | None:
        """Return a change set's records once it is there; None where there is nothing to change."""
        content = self._await_change_set(change_set)
        if content["Status"] == "CREATE_COMPLETE":
            return _records.changes(content["Changes"])
        reason = _records.tidy(content.get("StatusReason"))
        if _records.is_unchanged(reason):
            return None
        objection = ""
        if "alidation" in reason:
            objection = self._api.failed_validation(ChangeSetName=change_set)
        raise MlflowError(
            f"AWS refused to prepare the change of stack '{self._wanted.name}': {objection or reason}: "
            "correct template or parameters.",
            self._details(),
        )

    def _await_change_set(self, change_set: str) -> dict[str, t.Any]:
        """Return a change set that is ready, or that AWS could not make."""
        deadline = min(self._deadline, time.monotonic() + _CHANGE_SET_SECONDS)
        for pause in _pauses():
            content = self._api.change_set(change_set)
            if content["Status"] in ("CREATE_COMPLETE", "FAILED"):
                return content
            if time.monotonic() > deadline:
                raise MlflowError(
                    f"AWS is still working on the prepared change of stack '{self._wanted.name}' "
                    f"({content['Status']}): run this again.",
                    self._details(),
                )
            time.sleep(pause)
        raise AssertionError

    def _discard(self, change_set: str, shell: str) -> None:
        """Delete a change set that is not to be carried out, and the empty stack it may have made."""
        self._api.delete_change_set(change_set)
        stack = self._api.describe(shell) if shell else None
        if stack is not None and _plans.phase(stack) == _plans.SHELL:
            self._api.delete(shell)

    def _follow(self, stack_id: str, seen: str) -> tuple[str, list[dict[str, t.Any]]]:
        """Wait for the end of our operation; return the status that it gave the stack, and its events.

        The stack's events tell it: its status may still be the one before, or already the one
        of somebody else's next operation.
        """
        events: list[dict[str, t.Any]] = []
        for pause in _pauses():
            events += self._report(stack_id, events[-1]["id"] if events else seen)
            status = _records.ended(events, stack_id)
            if status:
                return status, events
            if time.monotonic() > self._deadline:
                raise MlflowError(
                    f"Stack '{self._wanted.name}' was not ready within {self._timeout:g} "
                    f"seconds{_records.where(events)}: AWS goes on by itself; run this again to wait for the "
                    "end, or raise 'timeout'.",
                    self._details(),
                )
            time.sleep(pause)
        raise AssertionError

    def _await_others(self, stack: _records.Found) -> None:
        """Wait for the end of an operation that this run did not begin."""
        begun = time.monotonic()
        seen = self._api.last_event(stack.stack_id)
        self._progress(
            f"Waiting for stack {stack.name}, which is {stack.status} by somebody else or an earlier run"
        )
        events: list[dict[str, t.Any]] = []
        now: _records.Found | None = stack
        for pause in _pauses():
            if now is None or _plans.phase(now) != _plans.BUSY:
                break
            if time.monotonic() > self._deadline:
                raise MlflowError(
                    f"Stack '{stack.name}' is still {now.status} after {self._timeout:g} "
                    f"seconds{_records.where(events)}, by somebody else or an earlier run: run this again "
                    "later, or raise 'timeout'.",
                    self._details(),
                )
            time.sleep(pause)
            events += self._report(stack.stack_id, events[-1]["id"] if events else seen)
            now = self._api.describe(stack.stack_id)
        self._waited += time.monotonic() - begun

    def _report(self, stack_id: str, seen: str) -> list[dict[str, t.Any]]:
        """Show the events since one that was seen, remember and return them."""
        events = self._api.events(stack_id, seen)
        for event in events:
            self._progress(_records.event_line(event))
        self._events += events
        return events

    def _failure(
        self, what: str, stack_id: str, status: str, events: t.Sequence[t.Mapping[str, t.Any]]
    ) -> MlflowError:
        """Return the sentence about an operation that failed, with the resource that failed first."""
        failure = _records.first_failure(events)
        cause = _records.describe_failure(failure) if failure else "AWS gave no reason"
        if failure and failure["detail"] == "VALIDATION_FAILED":
            cause = self._api.failed_validation(StackName=stack_id) or cause
        rolled_back = status.endswith("ROLLBACK_COMPLETE")
        then = "AWS rolled it back" if rolled_back else f"it is left in status {status}"
        first = ", which first deletes the empty stack" if status == "ROLLBACK_COMPLETE" else ""
        return MlflowError(
            f"Stack '{self._wanted.name}' could not be {what}: {cause}; {then}: correct that and run this "
            f"again{first}.",
            self._details(status=status),
        )

    def _goes_by_bucket(self, plan: _plans.Plan) -> bool:
        """Say whether the plan's change set takes its template from the bucket."""
        return not plan.reuse_template and template_bucket.is_long(self._wanted.body)

    def _request(self, plan: _plans.Plan) -> dict[str, t.Any]:
        """Return the request for the plan's change set."""
        body = self._wanted.body
        request: dict[str, t.Any] = {
            "ChangeSetName": f"{_plans.CHANGE_SET_PREFIX}{uuid.uuid4().hex[:12]}",
            "ChangeSetType": "CREATE" if plan.action == _plans.CREATE else "UPDATE",
            "Capabilities": template.capabilities(template.parse(body)),
            "Tags": [{"Key": key, "Value": text} for key, text in sorted(plan.tags.items())],
            "Parameters": [
                {"ParameterKey": name, "UsePreviousValue": True}
                if parameter.source == template.PREVIOUS
                else {"ParameterKey": name, "ParameterValue": parameter.value}
                for name, parameter in plan.parameters.items()
            ],
        }
        if plan.reuse_template:
            return {**request, "UsePreviousTemplate": True}
        if self._goes_by_bucket(plan):
            return {**request, "TemplateURL": self._bucket().url(body)}
        return {**request, "TemplateBody": body}

    def _outcome(self, stack: _records.Found | None, plan: _plans.Plan) -> Outcome:
        """Return what this run did."""
        first, before = self._first or (plan, stack)
        diff = (
            _plans.difference(self._wanted, before, first, self._changes)
            if self._changed
            else {"before": {}, "after": {}}
        )
        return Outcome(
            changed=self._changed,
            plan=plan,
            stack=stack,
            changes=self._changes,
            diff=diff,
            events=_records.shown(self._events),
            retained=self._retained,
            healed=self._healed,
            waited=self._waited,
        )

    def _details(self, **more: t.Any) -> dict[str, t.Any]:
        """Return what was done so far, for the result of a failed run; of events the failed ones."""
        failed = [event for event in self._events if event["status"].endswith("_FAILED")]
        return {
            "changed": self._changed,
            "events": _records.shown(failed),
            "retained": self._retained,
            **more,
        }


def _pauses() -> t.Iterator[float]:
    """Return ever longer pauses between two looks, up to a bound, for ever."""
    pause = _FIRST_POLL
    while True:
        yield pause
        pause = min(pause * _POLL_GROWTH, _LAST_POLL)
