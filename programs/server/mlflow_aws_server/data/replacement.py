# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that is made beside a project's own, and takes its place when it is complete.

A run that is killed leaves the project's own as it was; the next run makes the other one anew.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import EntryError
from ..revisions import create_at, known_head, migrate
from .content import differing
from .mysql_database import NEXT, PREVIOUS, MysqlDatabase
from .projects import Project, file_beside
from .sqlite_database import SqliteDatabase
from .tables import Table

_PRIVATE = 0o600


class Replacement:
    """What takes the place of a project's database."""

    def __init__(self, project: Project, revision: str) -> None:
        """Make it, empty, at a revision that this MLflow knows."""
        self._project = project
        self._require_known(revision)
        own = project.database
        self.database: SqliteDatabase | MysqlDatabase
        if isinstance(own, MysqlDatabase):
            self.database = own.sibling(NEXT)
            self.database.recreate()
        else:
            path = file_beside(own.path)
            path.unlink(missing_ok=True)
            self.database = SqliteDatabase(path)
        create_at(project.uri(NEXT), revision)

    def migrate(self) -> None:
        """Bring it to the head revision."""
        migrate(self._project.uri(NEXT))

    def empty(self) -> None:
        """Remove the rows that MLflow's migrations wrote themselves."""
        with self.database.writing() as writer:
            for table in self.tables():
                writer.execute(f"DELETE FROM {table.name}")

    def tables(self) -> list[Table]:
        """Return its tables but that of the revision."""
        return [table for table in self.database.tables() if table.name != "alembic_version"]

    def copy(self) -> None:
        """Fill it with the rows of the project's own database, whose schema is the same."""
        self.database.copy_from(self._project.database, self.tables())  # type: ignore[arg-type]

    def differences(self, tables: list[Table], expected: dict[str, str]) -> list[str]:
        """Return the tables of which these columns do not hold what they are expected to hold."""
        return differing(expected, self.database.digests(tables))

    def put_in_place(
        self, keep: Callable[[Path], Path], release: Callable[[], object] = lambda: None
    ) -> str:
        """Let it take the project's place; returns where the former one is, empty if there was none.

        keep returns the path of the copy that is kept of an SQLite file; release lets go of the locks of
        unchanged().
        """
        own = self._project.database
        if isinstance(own, MysqlDatabase) and isinstance(self.database, MysqlDatabase):
            previous = own.sibling(PREVIOUS)
            previous.recreate()
            self.database.take_place_of(own, previous, release)
            return previous.schema
        assert isinstance(own, SqliteDatabase)
        assert isinstance(self.database, SqliteDatabase)
        self.database.path.chmod(_PRIVATE)
        with self.database.path.open("rb") as stream:
            os.fsync(stream.fileno())
        kept = ""
        if own.path.exists():
            backup = keep(own.path)
            with contextlib.suppress(FileExistsError):
                os.link(own.path, backup)
            kept = str(backup)
        os.replace(self.database.path, own.path)
        return kept

    def require_nothing_lost(self, tables: list[Table], expected: dict[str, str]) -> None:
        """Take an exchange back if something wrote to the former database until its last moment."""
        own = self._project.database
        if not isinstance(own, MysqlDatabase):
            return
        previous = own.sibling(PREVIOUS)
        if not differing(expected, previous.digests(tables)):
            return
        following = own.sibling(NEXT)
        following.recreate()
        previous.take_place_of(own, following, lambda: None)
        raise EntryError(
            f"Something wrote to project '{self._project.name}' at the last moment, so it is as it was; stop "
            "the servers of other hosts that are not in the inventory, then rerun."
        )

    def discard(self) -> None:
        """Remove it."""
        if isinstance(self.database, MysqlDatabase):
            self.database.drop()
        else:
            self.database.path.unlink(missing_ok=True)

    def _require_known(self, revision: str) -> None:
        """Refuse a revision of a newer MLflow."""
        if revision not in known_head().known:
            raise EntryError(
                f"The data of project '{self._project.name}' is at revision {revision}, which this MLflow does "
                "not know, so a newer one wrote it; use the release of the collection that carries that MLflow."
            )


@contextlib.contextmanager
def replacement(project: Project, revision: str) -> Iterator[Replacement]:
    """Yield what is to take the place of a project's database; an error removes it."""
    end_exchange(project)
    made = Replacement(project, revision)
    try:
        yield made
    except BaseException:
        with contextlib.suppress(Exception):
            made.discard()
        raise


def end_exchange(project: Project) -> None:
    """End what an exchange that was killed left half done."""
    own = project.database
    if isinstance(own, MysqlDatabase):
        own.sibling(NEXT).end_exchange(own)
