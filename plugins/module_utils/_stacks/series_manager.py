# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: brings the stacks of a series to their wanted state, several at once.

AWS changes different stacks at the same time. Only what else goes on in one of them is waited for.
"""

from __future__ import annotations

import functools
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import checks
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import (
    OvertakenError,
    StackApi,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.apply import Run
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.manager import (
    ROUNDS,
    examined,
    kept_changing,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.model import (
    CREATE,
    REMOVAL,
    REMOVE,
    UPDATE,
    Plan,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.plan import plan
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.results import Progress
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.series import (
    members,
    owned,
    place,
    projects_in,
    stack_name,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.series_model import (
    SeriesSpec,
    member_spec,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.series_results import (
    SeriesResult,
    joined,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import (
    BROKEN,
    BUSY,
    Stack,
    phase,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template_bucket import (
    TemplateBucket,
    goes_by_bucket,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.watch import Watch

# Each waits for AWS nearly all the time.
_AT_ONCE = 8


class Step(t.NamedTuple):
    """What one stack of the series needs now; stack is None where there is none yet."""

    number: int
    run: Run
    stack: Stack | None
    plan: Plan


def converge_series(
    api: StackApi,
    bucket: t.Callable[[], TemplateBucket],
    wanted: SeriesSpec,
    *,
    timeout: float,
    check_mode: bool,
    progress: t.Callable[[str], None],
) -> SeriesResult:
    """Bring a series to its wanted state within timeout seconds; in check mode only say how.

    bucket gives the bucket for a template that needs one; progress takes each event as a line
    while it waits. Raises MlflowError if a stack fails, once the others have ended.
    """
    checks.require_name(wanted.name)
    goes_by_bucket(wanted.body)
    return _SeriesRun(api, bucket, wanted, timeout, progress).run(check_mode)


class _SeriesRun:
    """One run over the stacks of one series."""

    def __init__(
        self,
        api: StackApi,
        bucket: t.Callable[[], TemplateBucket],
        wanted: SeriesSpec,
        timeout: float,
        progress: t.Callable[[str], None],
    ) -> None:
        """Begin the time that all of its stacks share."""
        self._api = api
        self._wanted = wanted
        deadline = time.monotonic() + timeout
        self._watch = functools.partial(
            Watch, api, timeout=timeout, show=progress, deadline=deadline
        )
        self._bucket = bucket
        self._runs: dict[int, Run] = {}
        self._dones: dict[int, Progress] = {}
        self._placed: dict[int, list[str]] = {}

    def run(self, check_mode: bool) -> SeriesResult:
        """List, plan and apply until there is nothing left to do."""
        overtaken = ("", Progress())
        act = _foresee if check_mode else _apply
        for _round in range(ROUNDS):
            try:
                steps = self._plan(self._list())
                finished, errors = self._each(act, steps)
                if errors:
                    number, error = errors[0]
                    overtaken = (str(error), self._done(number))
                    continue
                if all(finished) and not check_mode and any(step.plan.changed for step in steps):
                    # AWS had nothing to change where the plan had: somebody did it since the listing.
                    steps = self._plan(self._list())
            except OvertakenError as error:
                overtaken = (str(error), Progress())
                continue
            if all(finished):
                return self._result(steps)
        raise kept_changing(self._wanted.name, *overtaken)

    def _list(self) -> dict[int, Stack]:
        """Return the stacks that are named as ours, once nobody else is changing one of ours."""
        while True:
            found = members(self._wanted.name, self._api.stacks())
            busy = [
                (number, stack)
                for number, stack in owned(found, self._wanted.owner).items()
                if phase(stack) == BUSY
            ]
            if not busy:
                return found
            for number, stack in busy:
                self._watch(name=stack.name, progress=self._done(number)).others(stack)

    def _plan(self, found: t.Mapping[int, Stack]) -> list[Step]:
        """Return what each stack needs, before any of them is touched."""
        wanted = self._wanted
        ours = owned(found, wanted.owner)
        self._placed = place(
            {number: projects_in(stack) for number, stack in ours.items()},
            wanted.present,
            wanted.absent,
            wanted.room,
        )
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(
                pool.map(lambda number: self._step(number, found.get(number)), self._placed)
            )

    def _step(self, number: int, stack: Stack | None) -> Step:
        """Return what one stack needs."""
        names = self._placed[number]
        spec = member_spec(self._wanted, number, names)
        checks.require_name(spec.name)
        if number not in self._runs:
            done = self._done(number)
            watch = self._watch(name=spec.name, progress=done)
            self._runs[number] = Run(self._api, self._bucket, spec, watch, done)
        run = self._runs[number]
        run.wanted = spec
        # What could not be deleted is deleted again.
        if stack is not None and not names and phase(stack) == BROKEN:
            return Step(number, run, stack, REMOVAL)
        stack = examined(self._api, stack, self._wanted.owner)
        if stack is not None and not names:
            return Step(number, run, stack, REMOVAL)
        return Step(number, run, stack, plan(spec, stack))

    def _each(
        self, act: t.Callable[[Step], bool], steps: t.Sequence[Step]
    ) -> tuple[list[bool], list[tuple[int, OvertakenError]]]:
        """Act on all stacks at once; return which were finished, and whom others overtook.

        Raises MlflowError where one fails, once all have ended.
        """
        if any(step.plan.action in (CREATE, UPDATE) for step in steps):
            # One bucket for all, before they ask for it at once.
            self._bucket()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            outcomes = list(pool.map(functools.partial(_outcome, act), steps))
        ends = [(step.number, outcome) for step, outcome in zip(steps, outcomes)]
        failed = {
            stack_name(self._wanted.name, number): end
            for number, end in ends
            if isinstance(end, MlflowError)
        }
        if failed:
            raise joined(failed, self._dones.values())
        overtaken = [(number, end) for number, end in ends if isinstance(end, OvertakenError)]
        return [end is True for _number, end in ends], overtaken

    def _result(self, steps: t.Sequence[Step]) -> SeriesResult:
        """Return what this run did; a stack that it deleted is listed no more."""
        last = {step.number: step for step in steps}
        results = {}
        for number, run in sorted(self._runs.items()):
            step = last.get(number, Step(number, run, None, REMOVAL))
            results[number] = run.result(step.stack, step.plan)
        return SeriesResult(results, self._wanted.name, self._placed)

    def _done(self, number: int) -> Progress:
        """Return what was done to one stack so far."""
        return self._dones.setdefault(number, Progress())


def _outcome(act: t.Callable[[Step], bool], step: Step) -> bool | MlflowError | OvertakenError:
    """Return what came of one stack, without ending the others."""
    try:
        return act(step)
    except (MlflowError, OvertakenError) as error:
        return error


def _foresee(step: Step) -> bool:
    """Find out what would change, and leave nothing behind."""
    if step.plan.action == REMOVE and step.stack is not None:
        step.run.foresee_removal(step.stack)
        return True
    return step.run.foresee(step.stack, step.plan)


def _apply(step: Step) -> bool:
    """Do what the plan says; return whether nothing is left to do."""
    if step.plan.action == REMOVE and step.stack is not None:
        return step.run.remove(step.stack)
    return step.run.finish(step.stack, step.plan)
