# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: reads the stacks of a series, for those who only use them."""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import (
    DeniedError,
    StackApi,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.series import (
    members,
    readable,
    stack_name,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import Stack


def read_series(
    api: StackApi, names: t.Sequence[str], first: str, owner: str
) -> tuple[dict[str, Stack | None], dict[int, Stack]]:
    """Return the named stacks, and a series by number, with one listing of all stacks.

    Credentials that may not list them read each by its name. Then a series ends where a number
    is missing or may not be read.
    """
    try:
        everything = api.stacks()
    except DeniedError:
        named = {name: api.describe(name) for name in names}
        return named, readable(members(first, _counted(api, first)), owner)
    found = {stack.name: stack for stack in everything}
    return {name: found.get(name) for name in names}, readable(members(first, everything), owner)


def _counted(api: StackApi, first: str) -> t.Iterator[Stack]:
    """Yield the stacks of a series one by one; the first may have gone before the others."""
    for number in itertools.count(1):
        try:
            stack = api.describe(stack_name(first, number))
        except DeniedError:
            if number == 1:
                raise
            return
        if stack is not None:
            yield stack
        elif number > 1:
            return


def outputs_of(stacks: t.Iterable[Stack]) -> dict[str, str]:
    """Return the outputs of stacks together; of two that have the same project, the first counts."""
    together: dict[str, str] = {}
    for stack in stacks:
        together = {**stack.outputs, **together}
    return together
