# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a project to this MLflow's schema, by a copy that takes its place when it is complete.

Nothing is migrated where it lies: in MySQL a migration that breaks off leaves a schema that no
MLflow can use. A copy is made at the project's revision, which gives it all indexes that belong there, filled
by the database itself, migrated, and compared. What was there before stays beside it until the next
upgrade or restore.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from ..errors import EntryError
from ..revisions import known_head
from . import progress
from .content import core
from .mysql_database import NEXT, PREVIOUS, MysqlDatabase
from .projects import Project
from .replacement import end_exchange, replacement
from .trial import try_out


class Upgraded(NamedTuple):
    """What an upgrade did: revisions before and after, where the former database is, and its parts in seconds."""

    before: str
    after: str
    previous: str
    seconds: dict[str, float]


def upgrade(project: Project) -> Upgraded:
    """Bring a project's schema to the head revision; its servers must have been stopped."""
    end_exchange(project)
    head = known_head().revision
    database = project.database
    with database.glance() as snapshot:
        before = snapshot.revision()
    if not before:
        raise EntryError(
            f"The schema of project '{project.name}' is empty; run the deploy playbook, which creates it."
        )
    if before == head:
        return Upgraded(before, head, "", {})
    clock = _Clock()
    with replacement(project) as made, database.unchanged() as release:
        made.copy(before)
        clock.lap("copy")
        tables = core(database.tables())
        expected = database.digests(tables)
        clock.lap("read")
        with progress.beating(f"the migration of a copy from {before} to {head}"):
            made.migrate()
        clock.lap("migrate")
        different = made.differences(tables, expected)
        if different:
            raise EntryError(
                f"After its migration the copy of project '{project.name}' differs in "
                f"{', '.join(different)}, so it was not put in place, and the project is as it was; "
                "report this."
            )
        clock.lap("compare")
        # Afterwards, as MLflow makes the experiment Default where there is none.
        try_out(project.uri(NEXT), project.name)
        clock.lap("try out")
        previous = made.put_in_place(before, release, (tables, expected))
        clock.lap("exchange")
    return Upgraded(before, head, previous, clock.laps)


def revert(project: Project, done: Upgraded) -> None:
    """Take an upgrade back, of a project to which nothing was written since."""
    own = project.database
    if isinstance(own, MysqlDatabase):
        following = own.sibling(NEXT)
        following.recreate()
        own.sibling(PREVIOUS).take_place_of(own, following)
        following.drop()
    elif done.previous:
        own.remove_journals()
        Path(done.previous).replace(own.path)


class _Clock:
    """Seconds of each part."""

    def __init__(self) -> None:
        """Begin the first one."""
        self._begun = time.monotonic()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """End a part."""
        now = time.monotonic()
        self.laps[name] = round(now - self._begun, 3)
        self._begun = now
