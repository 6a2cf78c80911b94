# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: brings a CloudFormation stack to its wanted state, and waits."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import checks
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import (
    OvertakenError,
    StackApi,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.apply import Run
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.model import StackSpec
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.plan import plan
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.results import (
    Progress,
    StackResult,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import (
    ABSENT,
    BROKEN,
    BUSY,
    SETTLED,
    SHELL,
    Stack,
    phase,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template_bucket import (
    TemplateBucket,
    goes_by_bucket,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.watch import Watch

# A stack that others change this often in a row is nobody's to plan for.
ROUNDS = 10


def converge(
    api: StackApi,
    bucket: t.Callable[[], TemplateBucket],
    wanted: StackSpec,
    *,
    timeout: float,
    check_mode: bool,
    progress: t.Callable[[str], None],
) -> StackResult:
    """Bring the stack to its wanted state within timeout seconds; in check mode only say how.

    bucket gives the bucket for a template that needs one; progress takes each event as a line
    while it waits.
    """
    checks.require_name(wanted.name)
    goes_by_bucket(wanted.body)
    done = Progress()
    watch = Watch(api, wanted.name, timeout, done, progress)
    run = Run(api, bucket, wanted, watch, done)
    overtaken = ""
    for _round in range(ROUNDS):
        try:
            stack = _settled(api, wanted, watch)
            planned = plan(wanted, stack)
            apply = run.foresee if check_mode else run.finish
            finished = apply(stack, planned)
            if finished and planned.changed and not check_mode:
                # AWS had nothing to change where the plan had: somebody did it since the stack was read.
                stack = _settled(api, wanted, watch)
        except OvertakenError as error:
            overtaken = str(error)
            continue
        if finished:
            return run.result(stack, planned)
    raise kept_changing(wanted.name, overtaken, done)


def examined(api: StackApi, stack: Stack | None, owner: str) -> Stack | None:
    """Return a stack as it is to be planned for, with its template; None if there is none.

    Refuses one that is not ours to change, or that only a person can repair.
    """
    now = phase(stack)
    if stack is None or now == ABSENT:
        return None
    if now == SHELL:
        checks.require_our_shell(stack.name, api.change_sets(stack.name))
        return stack
    checks.require_ours(stack, owner)
    if now == BROKEN:
        checks.require_usable(stack, api.events(stack.stack_id))
    if now == SETTLED:
        return stack._replace(template=api.template(stack.stack_id))
    return stack


def kept_changing(name: str, overtaken: str, done: Progress) -> MlflowError:
    """Return the error of a stack that others change again and again."""
    return MlflowError(
        f"Stack '{name}' kept changing during the update ({overtaken}); find out who else "
        "changes it, then rerun.",
        done.details(),
    )


def _settled(api: StackApi, wanted: StackSpec, watch: Watch) -> Stack | None:
    """Return the stack once nobody else is changing it."""
    while True:
        stack = examined(api, api.describe(wanted.name), wanted.owner)
        if stack is None or phase(stack) != BUSY:
            return stack
        watch.others(stack)
