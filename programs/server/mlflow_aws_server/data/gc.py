# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove for good what users deleted, and artifacts that nothing refers to any more.

First everything is read: the database, then the artifacts. Rows are removed next, in small
transactions that foreign keys bind, then the artifacts of these rows. A list of what is to go is
kept beside the project's backups until that is done, by which the next run ends what a killed one
began. Artifacts that cannot be deleted stay on it; the others go.

Orphans are artifacts of a run, a logged model or a trace that the database does not have. What is
younger than a day never is one, as it may be part of something that is being written. Artifacts
whose path does not tell whose they are stay.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from ..errors import EntryError
from . import deleted, parallel
from .deleted import DAY_SECONDS, GONE, Deleted, References
from .owners import MODEL, RUN, TRACE, Owner, owner, within
from .places import Entry
from .progress import Pace
from .projects import Project
from .repository import Repository

# Beside a project's backups, while artifacts are being removed.
JOURNAL = "gc.json"
# Runs, models and traces that go in one transaction, and rows of a table in one statement.
_BATCH, _ROWS = 100, 5000
# A paths' list of one request.
_OBJECTS = 1000
_EXAMPLES = 10
_RUN_TABLES = ("latest_metrics", "params", "tags")
_ROLLUPS = (
    "sql_trace_rollup_rebuild_queue",
    "sql_trace_metric_daily_rollups",
    "sql_span_cost_daily_rollups",
    "sql_assessment_daily_rollups",
)
# What MLflow calls a run or a model at either end of `inputs`.
_INPUTS = {RUN: ("RUN", "RUN_INPUT", "RUN_OUTPUT"), MODEL: ("MODEL_INPUT", "MODEL_OUTPUT")}


class Files:
    """Artifacts of one kind, with their number, bytes and the first of their paths."""

    def __init__(self) -> None:
        """Begin without any."""
        self.paths: list[str] = []
        self.size = 0

    def add(self, entry: Entry) -> None:
        """Take one into account."""
        self.paths.append(entry.path)
        self.size += entry.size

    def told(self) -> dict[str, Any]:
        """Return them as part of a record."""
        return {
            "objects": len(self.paths),
            "bytes": self.size,
            "examples": sorted(self.paths)[:_EXAMPLES],
        }


class Found(NamedTuple):
    """What is there: what goes, its artifacts, orphans, and artifacts that nobody can be asked for."""

    deleted: Deleted
    gone: Files
    orphans: Files
    unknown: Files
    owners: dict[str, Owner]


def look(project: Project, repository: Repository, days: int) -> Found:
    """Return what goes of a project, and what is orphaned."""
    gone, refers = deleted.read(project, days)
    begun = journal(repository)
    doomed = {
        *(Owner(RUN, name) for name in gone.runs),
        *(Owner(MODEL, name) for name in gone.models),
        *(Owner(TRACE, name) for name in gone.traces),
    }
    found = Found(gone, Files(), Files(), Files(), {})
    for entry, age in project.artifacts.aged():
        whose = owner(entry.path, refers.bases)
        if whose in doomed or (whose in begun and whose not in refers.owners):
            found.gone.add(entry)
        elif whose in refers.owners or within(entry.path, refers.paths):
            continue
        elif whose is None:
            found.unknown.add(entry)
        elif age > DAY_SECONDS:
            found.orphans.add(entry)
        else:
            continue
        if whose is not None:
            found.owners[entry.path] = whose
    return found


def remove(project: Project, repository: Repository, found: Found, *, orphans: bool) -> str:
    """Remove what was found; returns a sentence about what could not be, empty if nothing."""
    gone = found.deleted
    owners = [
        *(Owner(RUN, name) for name in gone.runs),
        *(Owner(MODEL, name) for name in gone.models),
        *(Owner(TRACE, name) for name in gone.traces),
    ]
    if found.gone.paths:
        _write_journal(repository, {*journal(repository), *owners})
    _Rows(project, gone).remove()
    left = _still_there(project, [*owners, *found.owners.values()])
    chosen = [*found.gone.paths, *(found.orphans.paths if orphans else ())]
    # A row that somebody restored in the meantime keeps its artifacts.
    paths = [path for path in chosen if found.owners[path] not in left]
    failed = _delete(project, paths)
    if failed:
        path, reason = failed[0]
        return (
            f"{len(failed)} artifacts of project '{project.name}' could not be deleted, the first is {path}: "
            f"{reason.rstrip('.')}; the others are gone. Rerun to delete the rest."
        )
    repository.place.delete([JOURNAL])
    return ""


def journal(repository: Repository) -> set[Owner]:
    """Return whose artifacts a run that was killed, or could not delete all, had yet to delete."""
    if not repository.place.exists(JOURNAL):
        return set()
    with contextlib.suppress(ValueError, TypeError):
        return {Owner(*item) for item in json.loads(b"".join(repository.place.read(JOURNAL)))}
    return set()


def told(found: Found) -> dict[str, Any]:
    """Return what was found as part of a record."""
    gone = found.deleted
    return {
        "runs": len(gone.runs),
        "experiments": len(gone.experiments),
        "logged_models": len(gone.models),
        "traces": len(gone.traces),
        "model_versions": len(gone.versions),
        "artifacts": found.gone.told(),
        "orphans": found.orphans.told(),
        "unknown": found.unknown.told(),
        "elsewhere": gone.elsewhere,
        "kept": [
            f"{number} deleted {kind} stay, since {reason}"
            for (kind, reason), number in sorted(gone.kept.items())
        ],
    }


def _write_journal(repository: Repository, owners: Iterable[Owner]) -> None:
    """Write down whose artifacts are about to go."""
    repository.place.write(JOURNAL, [json.dumps(sorted(owners)).encode()])
    repository.place.settle()


def _still_there(project: Project, owners: Iterable[Owner]) -> set[Owner]:
    """Return those of some owners that the database has now."""
    wanted = set(owners)
    if not wanted:
        return set()
    with project.database.glance() as snapshot:
        refers: References = deleted.references(snapshot, project.artifacts)
    return wanted & refers.owners


def _delete(project: Project, paths: Sequence[str]) -> list[tuple[str, str]]:
    """Delete artifacts; returns those that could not be, with the reason."""
    place = project.artifacts

    def delete(batch: Sequence[str]) -> list[tuple[str, str]]:
        try:
            place.delete(batch)
        except (EntryError, OSError) as error:
            if len(batch) == 1:
                return [(batch[0], getattr(error, "strerror", None) or str(error))]
            # One by one, to see which.
            return [failed for path in batch for failed in delete([path])]
        return []

    failed = []
    for some in parallel.each(place.workers, delete, _batches(paths, _OBJECTS)):
        failed += some
    return failed


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Return items in batches."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


class _Rows:
    """The rows of what goes, in the tables of MLflow's schema."""

    def __init__(self, project: Project, gone: Deleted) -> None:
        """Take what goes."""
        self._database = project.database
        self._gone = gone
        self.removed: Counter[str] = Counter()

    def remove(self) -> None:
        """Remove all, each batch on its own."""
        pace = Pace()
        for batch in _batches(self._gone.runs, _BATCH):
            self._runs(batch)
            pace.tell(f"{self.removed['runs']:,} of {len(self._gone.runs):,} runs removed")
        for batch in _batches(self._gone.models, _BATCH):
            self._models(batch)
        for batch in _batches(self._gone.traces, _BATCH):
            self._traces(batch)
        for experiment in self._gone.experiments:
            self._experiment(experiment)
        for name, version, stays in self._gone.versions:
            self._version(name, version, stays=stays)

    def _runs(self, batch: Sequence[str]) -> None:
        """Remove runs, unless they were restored in the meantime."""
        with self._changes() as change:
            gone = [
                str(row[0])
                for row in change.fetch(
                    f"SELECT run_uuid FROM runs WHERE run_uuid IN ({_marks(batch)}) "
                    "AND lifecycle_stage = 'deleted' AND deleted_time <= ? AND NOT EXISTS (SELECT 1 FROM "
                    "model_versions v WHERE v.run_id = runs.run_uuid AND v.current_stage <> ?)",
                    (*batch, self._gone.cutoff, GONE),
                    lock=True,
                )
            ]
            if not gone:
                return
            if change.delete_some("metrics", "run_uuid", gone) < _ROWS:
                self._run_rows(change, gone)
                return
        # A long history goes in many transactions; from the first one on the run is gone.
        while True:
            with self._changes() as change:
                if change.delete_some("metrics", "run_uuid", gone) < _ROWS:
                    self._run_rows(change, gone)
                    return

    def _run_rows(self, change: _Changes, gone: Sequence[str]) -> None:
        """Remove what is left of runs; foreign keys see to what else names them."""
        for table in _RUN_TABLES:
            change.delete(table, "run_uuid", gone)
        change.unlink(RUN, gone)
        change.delete("runs", "run_uuid", gone)

    def _models(self, batch: Sequence[str]) -> None:
        """Remove logged models with parameters, tags and metrics, which foreign keys see to."""
        with self._changes() as change:
            change.unlink(MODEL, batch)
            change.delete("logged_models", "model_id", batch)

    def _traces(self, batch: Sequence[str]) -> None:
        """Remove traces with their spans and assessments, which foreign keys see to."""
        with self._changes() as change:
            change.unlink(TRACE, batch)
            change.delete("review_queue_items", "item_id", batch)
            change.delete("trace_info", "request_id", batch)

    def _experiment(self, experiment: int) -> None:
        """Remove an experiment, unless it was restored in the meantime."""
        one = (experiment,)
        with self._changes() as change:
            if not change.fetch(
                "SELECT experiment_id FROM experiments WHERE experiment_id = ? "
                "AND lifecycle_stage = 'deleted' AND last_update_time <= ? "
                "AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.experiment_id = experiments.experiment_id)",
                (experiment, self._gone.cutoff),
                lock=True,
            ):
                return
            change.execute(
                "DELETE FROM endpoint_bindings WHERE resource_type = 'scorer' AND resource_id IN "
                "(SELECT scorer_id FROM scorers WHERE experiment_id = ?)",
                one,
            )
            for table in ("online_scoring_configs", "experiment_tags", *_ROLLUPS):
                change.delete(table, "experiment_id", one)
            change.unlink("experiment", [str(experiment)])
            change.delete("experiments", "experiment_id", one)

    def _version(self, name: str, version: int, *, stays: bool) -> None:
        """Remove a deleted version of a registered model, or only its tags."""
        where, one = "WHERE name = ? AND version = ?", (name, version)
        with self._changes() as change:
            change.execute(f"DELETE FROM model_version_tags {where}", one)
            if not stays:
                change.execute(
                    f"DELETE FROM model_versions {where} AND current_stage = ?", (*one, GONE)
                )

    @contextlib.contextmanager
    def _changes(self) -> Iterator[_Changes]:
        """Yield one transaction."""
        with self._database.changing() as writer:
            yield _Changes(writer, mysql=self._database.engine == "mysql")


class _Changes:
    """Statements of one transaction, written with ? for values."""

    def __init__(self, writer: Any, *, mysql: bool) -> None:
        """Take what carries them out."""
        self._writer = writer
        self._mysql = mysql

    def execute(self, statement: str, values: Sequence[Any]) -> int:
        """Carry out a statement; returns the number of rows that it changed."""
        return int(self._writer.execute(self._own(statement), values))

    def fetch(self, query: str, values: Sequence[Any], *, lock: bool) -> Sequence[Any]:
        """Return the rows of a query, which nothing else changes until the end of the transaction."""
        # An SQLite file is locked as a whole.
        more = " FOR UPDATE" if lock and self._mysql else ""
        rows: Sequence[Any] = self._writer.fetch(self._own(query + more), values)
        return rows

    def delete(self, table: str, column: str, values: Sequence[Any]) -> None:
        """Remove the rows of a table that have one of these values."""
        self.execute(f"DELETE FROM {table} WHERE {column} IN ({_marks(values)})", values)

    def delete_some(self, table: str, column: str, values: Sequence[Any]) -> int:
        """Remove up to as many rows as one statement may; returns how many."""
        where = f"{column} IN ({_marks(values)}) LIMIT {_ROWS}"
        if self._mysql:
            return self.execute(f"DELETE FROM {table} WHERE {where}", values)
        return self.execute(
            f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE {where})", values
        )

    def unlink(self, kind: str, names: Sequence[str]) -> None:
        """Remove what links other things to these, which no foreign key sees to."""
        marks = _marks(names)
        for end in ("source", "destination"):
            self.execute(
                f"DELETE FROM entity_associations WHERE {end}_type = ? AND {end}_id IN ({marks})",
                (kind, *names),
            )
            types = _INPUTS.get(kind, ())
            if types:
                where = f"{end}_type IN ({_marks(types)}) AND {end}_id IN ({marks})"
                self.execute(
                    "DELETE FROM input_tags WHERE input_uuid IN (SELECT input_uuid FROM inputs "
                    f"WHERE {where})",
                    (*types, *names),
                )
                self.execute(f"DELETE FROM inputs WHERE {where}", (*types, *names))

    def _own(self, statement: str) -> str:
        """Return a statement as the driver takes it."""
        return statement.replace("?", "%s") if self._mysql else statement


def _marks(values: Sequence[Any]) -> str:
    """Return a mark for each value."""
    return ", ".join("?" * len(values))
