# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: which of the stacks NAME, NAME-2, NAME-3 and so on holds which project.

Together they are the series NAME. A project never moves: its secrets and its role would be
others.
"""

from __future__ import annotations

import itertools
import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.model import (
    OWNER_TAG,
    PROJECTS_PARAMETER,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.projects import (
    project_item,
    project_name,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import (
    BROKEN,
    SETTLED,
    Stack,
    phase,
)


class Room(t.NamedTuple):
    """How many projects a stack takes, and how long their list may be as a parameter."""

    projects: int = 100
    list_bytes: int = 4096


ROOM = Room()


def stack_name(first: str, number: int) -> str:
    """Return the name of one stack of a series; the first has no number."""
    return first if number == 1 else f"{first}-{number}"


def stack_number(first: str, name: str) -> int | None:
    """Return the number of a stack in a series, or None if it has no part in it."""
    found = re.fullmatch(rf"{re.escape(first)}(?:-([2-9]|[1-9][0-9]+))?", name)
    return int(found[1] or 1) if found else None


def members(first: str, stacks: t.Iterable[Stack]) -> dict[int, Stack]:
    """Return the stacks that are named as those of a series are, by their number, in order."""
    numbered = ((stack_number(first, stack.name), stack) for stack in stacks)
    return {number: stack for number, stack in sorted(numbered, key=_first) if number is not None}


def owned(stacks: t.Mapping[int, Stack], owner: str) -> dict[int, Stack]:
    """Return the stacks of a series that this collection made for this deployment."""
    return {number: stack for number, stack in stacks.items() if stack.tags.get(OWNER_TAG) == owner}


def readable(stacks: t.Mapping[int, Stack], owner: str) -> dict[int, Stack]:
    """Return the stacks of a series less those of other deployments.

    One without our tag may have been deployed from the same template by another tool.
    """
    return {
        number: stack
        for number, stack in stacks.items()
        if stack.tags.get(OWNER_TAG, owner) == owner
    }


def projects_in(stack: Stack) -> list[str]:
    """Return the names of the projects that a stack holds, in the order of its parameter."""
    # What a failed or a mere announced create has as a parameter was never made, or is undone.
    if phase(stack) not in (SETTLED, BROKEN):
        return []
    items = stack.parameters.get(PROJECTS_PARAMETER, "").split(",")
    return [project_name(item) for item in items if item.strip()]


def place(
    existing: t.Mapping[int, t.Sequence[str]],
    present: t.Iterable[str],
    absent: t.Iterable[str],
    room: Room = ROOM,
) -> dict[int, list[str]]:
    """Return the projects of each stack by its number; one without any is to be deleted.

    existing are the projects of the stacks that there are. They stay where they are until they are
    absent; new ones go to the first stack with room, in the order of present.
    """
    gone = set(absent)
    known: set[str] = set()
    placed: dict[int, list[str]] = {}
    for number in sorted(existing):
        # If two runs at once added one project to two stacks, the first keeps it.
        stay = [name for name in dict.fromkeys(existing[number]) if name not in {*gone, *known}]
        placed[number] = stay
        known.update(stay)
    for name in dict.fromkeys(present):
        if name not in gone and name not in known:
            number = next(n for n in itertools.count(1) if _fits(name, placed.get(n, []), room))
            placed.setdefault(number, []).append(name)
    return dict(sorted(placed.items()))


def _fits(name: str, names: t.Sequence[str], room: Room) -> bool:
    """Return whether a stack has room for one more project; an empty one always has."""
    if not names:
        return True
    size = sum(len(project_item(other)) + 1 for other in names) + len(project_item(name))
    return len(names) < room.projects and size <= room.list_bytes


def _first(pair: tuple[int | None, Stack]) -> int:
    """Return what numbered stacks are sorted by."""
    return pair[0] or 0
