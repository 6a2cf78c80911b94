# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that is made beside a project's own, and takes its place when it is complete.

A run that is killed leaves the project's own as it was; the next run makes the other one anew.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator

from ..errors import EntryError
from ..revisions import create_at, known_head, migrate
from ..schema_state import VERSIONS
from .content import differing
from .mysql_database import NEXT, PREVIOUS, Digests, MysqlDatabase
from .own_tables import require_own
from .projects import Project, file_beside
from .sqlite_database import SqliteDatabase
from .tables import Table

_PRIVATE = 0o600


class Replacement:
    """What takes the place of a project's database."""

    def __init__(self, project: Project) -> None:
        """Remove what a run that was killed left of another one."""
        self._project = project
        own = project.database
        self.database: SqliteDatabase | MysqlDatabase
        if isinstance(own, MysqlDatabase):
            self.database = own.sibling(NEXT)
            self.database.recreate()
        else:
            self.database = SqliteDatabase(file_beside(own.path))
            self.database.remove()

    def create(self, revision: str) -> None:
        """Make it without a row, at a revision; raises EntryError if this MLflow does not know that."""
        self._require_known(revision)
        create_at(self._project.uri(NEXT), revision)
        # Some migrations write rows.
        with self.database.writing() as writer:
            for table in self.tables():
                writer.clear(table)

    def copy(self, revision: str) -> None:
        """Make it a copy of the project's own database, which is at this revision.

        In MySQL it is created anew, so that it has all indexes that belong there, and filled by the database.
        """
        own = self._project.database
        self._require_known(revision)
        if isinstance(self.database, SqliteDatabase) and isinstance(own, SqliteDatabase):
            self.database.copy_file(own)
        elif isinstance(self.database, MysqlDatabase) and isinstance(own, MysqlDatabase):
            require_own(self._project.name, revision, {table.name for table in own.tables()})
            self.create(revision)
            self.database.copy_from(own, self.tables())

    def migrate(self) -> None:
        """Bring it to the head revision; whatever its content does to a migration is one sentence."""
        try:
            migrate(self._project.uri(NEXT))
        except Exception as error:
            reason = " ".join(str(getattr(error, "orig", None) or error).split()).rstrip(".")
            raise EntryError(
                f"The migration of a copy of project '{self._project.name}' failed "
                f"({reason or type(error).__name__}), so the project is as it was; correct that, then rerun."
            ) from error

    def tables(self) -> list[Table]:
        """Return its tables but that of the revision."""
        return [table for table in self.database.tables() if table.name != VERSIONS]

    def differences(self, tables: list[Table], expected: dict[str, str]) -> list[str]:
        """Return the tables of which these columns do not hold what they are expected to hold."""
        return differing(expected, self.database.digests(tables))

    def put_in_place(
        self,
        label: str,
        release: Callable[[], object] = lambda: None,
        expected: tuple[list[Table], dict[str, str]] = ([], {}),
    ) -> str:
        """Let it take the project's place; returns where the former one is, empty if there was none.

        label: part of the name under which an SQLite file is kept; release lets go of the locks of
        unchanged(); expected are tables of the project and their digests, which they must still have then.
        """
        own = self._project.database
        if isinstance(own, MysqlDatabase) and isinstance(self.database, MysqlDatabase):
            previous = own.sibling(PREVIOUS)
            previous.recreate()

            def check(digests: Digests) -> None:
                tables, before = expected
                if differing(before, digests(tables)):
                    raise EntryError(
                        f"Something wrote to project '{self._project.name}' at the last moment, so it was not "
                        "exchanged; stop the servers of other hosts that are not in the inventory, then rerun."
                    )

            self.database.take_place_of(own, previous, release, check)
            return previous.schema
        assert isinstance(own, SqliteDatabase)
        assert isinstance(self.database, SqliteDatabase)
        self.database.path.chmod(_PRIVATE)
        with self.database.path.open("rb") as stream:
            os.fsync(stream.fileno())
        kept = ""
        if own.path.exists():
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            name = f"{own.path.name}.{label}.{stamp}.bak"
            kept = str(own.keep(own.path.with_name(name)))
        os.replace(self.database.path, own.path)
        return kept

    def discard(self) -> None:
        """Remove it."""
        if isinstance(self.database, MysqlDatabase):
            self.database.drop()
        else:
            self.database.remove()

    def _require_known(self, revision: str) -> None:
        """Refuse a revision of a newer MLflow."""
        if revision not in known_head().known:
            raise EntryError(
                f"The data of project '{self._project.name}' is at revision {revision}, which this MLflow does "
                "not know, so a newer one wrote it; use the release of the collection that carries that MLflow."
            )


@contextlib.contextmanager
def replacement(project: Project) -> Iterator[Replacement]:
    """Yield what is to take the place of a project's database; an error removes it."""
    end_exchange(project)
    made = Replacement(project)
    try:
        yield made
    except BaseException:
        with contextlib.suppress(Exception):
            # What it dropped is written down in what is removed then.
            end_exchange(project)
            made.discard()
        raise


def end_exchange(project: Project) -> None:
    """End what an exchange that was killed left half done."""
    own = project.database
    if isinstance(own, MysqlDatabase):
        for suffix in (NEXT, PREVIOUS):
            own.sibling(suffix).end_exchange(own)
