# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the content of one database, at the head revision, into a project's own.

Experiments are known by their names and get IDs of the project; runs, models and traces keep theirs.
What is not there is added, whole units in short transactions, so that the project's servers can go on and a
killed run leaves nothing half done; a unit's artifacts are stored before its rows. What is there is
compared, and never changed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..errors import EntryError
from . import kinds
from .arrival import Copier, Origin, Unit, plain_location
from .kinds import Kind, Part, Sums, chunks
from .mysql_database import MysqlWriter
from .progress import Pace
from .projects import Project
from .sqlite_database import SqliteDatabase, SqliteSnapshot, SqliteWriter
from .tables import Snapshot, Table

Writer = SqliteWriter | MysqlWriter
# Units and rows of one transaction; a unit with more rows is one by itself.
_UNITS, _ROWS = 200, 20_000
_WORKSPACE = "default"
# Of a column of MySQL.
_LARGEST_EXPERIMENT = 2_147_483_647
_ATTEMPTS = 3
_EXPERIMENT = "experiment"
# Columns that this import or later work gives other values.
_OWN_OF_EXPERIMENTS = ("experiment_id", "artifact_location", "last_update_time")


class Merged:
    """What became of units, by their kinds: added, there already, and those of them that differ."""

    def __init__(self) -> None:
        """Begin without one."""
        self.added: dict[str, int] = {}
        self.there: dict[str, int] = {}
        self.differing: dict[str, list[str]] = {}
        self.relocated = 0

    def count(self, kind: str, *, added: int = 0, there: int = 0) -> None:
        """Add to the numbers of a kind."""
        for numbers, number in ((self.added, added), (self.there, there)):
            if number:
                numbers[kind] = numbers.get(kind, 0) + number

    def differ(self, kind: str, keys: Iterable[str]) -> None:
        """Take note of units that are not as in the source."""
        found = [*self.differing.get(kind, []), *keys]
        if found:
            self.differing[kind] = sorted(set(found))


class Merge:
    """One import, from a database into a project."""

    def __init__(
        self, source: SqliteDatabase, project: Project, origin: Origin, *, dry: bool
    ) -> None:
        """Look at the tables of both; dry: whether to write nothing."""
        self._source = source
        self._project = project
        self._origin = origin
        self._dry = dry
        self.merged = Merged()
        self.copier = Copier(project.artifacts, content=origin.content, dry=dry)
        self._tables = {table.name: table for table in source.tables()}
        with project.database.glance() as target:
            theirs = {table.name: table for table in target.tables()}
        if theirs.keys() != self._tables.keys():
            raise EntryError(
                f"The schema of project '{project.name}' has other tables than this MLflow makes; run the upgrade "
                "playbook first."
            )
        self._theirs = theirs
        # By the source's ID, or UUID, the project's.
        self._experiments: dict[int, int] = {}
        self._datasets: dict[str, str] = {}
        # By a location of the source, that in the project.
        self._moved: dict[str, str] = {}
        self._pace = Pace()

    def left_out(self) -> dict[str, int]:
        """Return the rows of tables that are not brought."""
        with self._source.glance() as snapshot:
            return kinds.left_out(snapshot, self._tables)

    def require_artifacts(self) -> None:
        """Refuse a source whose artifacts cannot be read, before anything is touched."""
        with self._source.glance() as snapshot:
            for kind in (kinds.RUNS, kinds.LOGGED_MODELS):
                query = (
                    f"SELECT `{kind.key}`, `experiment_id`, `{kind.location}` FROM `{kind.table}`"
                )
                self._origin.require(
                    (location, kind.place.format(experiment=experiment, key=key))
                    for key, experiment, location in snapshot.fetch(query)
                    if location
                )

    def experiments(self) -> None:
        """Add the experiments that are not there, with their tags and datasets."""
        with self._source.glance() as source:
            table = self._tables["experiments"]
            rows = [
                dict(zip(table.columns, row, strict=True))
                for batch in source.rows(table)
                for row in batch
            ]
        rows = [row for row in rows if row["workspace"] == _WORKSPACE]
        # Whatever an attempt that fails has found stays so in the next one.
        there: list[int] = []
        for attempt in range(_ATTEMPTS):
            try:
                self._add_experiments(rows, there)
                self._compare_experiments(there)
                break
            except _integrity_errors():
                # A server made one with this name or ID meanwhile.
                if attempt == _ATTEMPTS - 1:
                    raise
        self.merged.count("experiments", there=len(there))

    def _add_experiments(self, rows: Sequence[dict[str, Any]], there: list[int]) -> None:
        """Map experiments to those of the same name, which go to `there`, and add the others."""
        with self._project.database.glance() as target:
            found = target.fetch("SELECT `name`, `experiment_id`, `workspace` FROM `experiments`")
        names = {name: number for name, number, workspace in found if workspace == _WORKSPACE}
        used = {number for _name, number, _workspace in found}
        for row in rows:
            own = int(row["experiment_id"])
            if own in self._experiments:
                continue
            if row["name"] in names:
                self._experiments[own] = names[row["name"]]
                there.append(own)
                continue
            number = (
                own
                if own not in used and 0 < own <= _LARGEST_EXPERIMENT
                else max(used, default=0) + 1
            )
            used.add(number)
            self._add_experiment(row, number)
            self._experiments[own] = number
            self.merged.count("experiments", added=1)

    def _add_experiment(self, row: dict[str, Any], number: int) -> None:
        """Add one experiment with tags and datasets, in one transaction."""
        own = int(row["experiment_id"])
        self._experiments[own] = number
        location = row["artifact_location"]
        if location:
            self._moved[plain_location(location)] = _proxied(str(number))
        if self._dry:
            self.merged.relocated += 1
            del self._experiments[own]
            return
        try:
            with (
                self._source.glance() as source,
                self._project.database.writing(in_use=True) as writer,
            ):
                for name in kinds.EXPERIMENT_TABLES:
                    part = Part(name, "`t`.`experiment_id`")
                    for _owners, rows in self._read(source, part, [own]):
                        writer.insert(self._theirs[name], self._aligned(name, rows))
        except BaseException:
            del self._experiments[own]
            raise

    def _compare_experiments(self, there: Sequence[int]) -> None:
        """Compare experiments that are there; datasets that they lack are added."""
        for own in there:
            number = self._experiments[own]
            with self._source.glance() as source, self._project.database.glance() as target:
                sums = Sums(), Sums()
                for name in ("experiments", "experiment_tags"):
                    # Every project has made its default experiment itself.
                    if number == 0 and name == "experiments":
                        continue
                    part = Part(name, "`t`.`experiment_id`", made_up=_OWN_OF_EXPERIMENTS)
                    self._add_up(source, sums[0], self._tables[name], part, [own], str(own))
                    self._add_up(target, sums[1], self._theirs[name], part, [number], str(own))
                self._match_datasets(source, target, own, number)
                (label,) = source.fetch(
                    "SELECT `name` FROM `experiments` WHERE `experiment_id` = ?", [own]
                )
            if sums[0].differing(sums[1]):
                self.merged.differ("experiments", [label[0]])

    def _match_datasets(
        self, source: SqliteSnapshot, target: Snapshot, own: int, number: int
    ) -> None:
        """Map datasets to those of the same name and digest, and add the others."""
        query = "SELECT `name`, `digest`, `dataset_uuid` FROM `datasets` WHERE `experiment_id` = ?"
        theirs = {(name, digest): uuid for name, digest, uuid in target.fetch(query, [number])}
        table = self._tables["datasets"]
        missing = []
        part = Part("datasets", "`t`.`experiment_id`")
        for _owners, rows in self._read(source, part, [own]):
            for row in rows:
                known = dict(zip(table.columns, row, strict=True))
                uuid = theirs.get((known["name"], known["digest"]))
                if uuid is None:
                    missing.append(row)
                else:
                    self._datasets[known["dataset_uuid"]] = uuid
        if missing and not self._dry:
            with self._project.database.writing(in_use=True) as writer:
                writer.insert(self._theirs["datasets"], self._aligned("datasets", missing))
        self.merged.count("datasets", added=len(missing))

    def datasets(self, experiment: int) -> None:
        """Map the datasets of an experiment to the project's; those that it lacks are added."""
        number = self._experiments.get(experiment)
        if number is not None:
            with self._source.glance() as source, self._project.database.glance() as target:
                self._match_datasets(source, target, experiment, number)

    def units(self, kind: Kind) -> None:
        """Add the units of a kind that are not there, and compare the others."""
        with self._source.glance() as source:
            owners = self._owners(source, kind)
            weights = self._weights(source, kind)
        done = 0
        for group in _groups(owners, weights):
            self._group(kind, group, owners)
            done += len(group)
            self._pace.tell(f"{done:,} of {len(owners):,} {kind.name} imported")

    def _owners(self, source: SqliteSnapshot, kind: Kind) -> dict[str, int | None]:
        """Return the units that are brought, with the experiments in which the source has them."""
        if kind is kinds.EVALUATION_DATASETS:
            query = f"SELECT `{kind.key}`, NULL FROM `{kind.table}` WHERE `workspace` = ?"
            found = source.fetch(query, [_WORKSPACE])
        else:
            found = source.fetch(f"SELECT `{kind.key}`, `experiment_id` FROM `{kind.table}`")
        known = self._experiments.keys() | self._planned
        return {key: number for key, number in found if number is None or number in known}

    @property
    def _planned(self) -> set[int]:
        """Return the experiments that a real run would have made."""
        if not self._dry:
            return set()
        with self._source.glance() as source:
            query = "SELECT `experiment_id` FROM `experiments` WHERE `workspace` = ?"
            return {int(row[0]) for row in source.fetch(query, [_WORKSPACE])}

    def _weights(self, source: SqliteSnapshot, kind: Kind) -> dict[str, int]:
        """Return the number of rows of those tables that may have many, by unit."""
        table = {"runs": "metrics", "traces": "spans"}.get(kind.name)
        if not table:
            return {}
        column = {"metrics": "run_uuid", "spans": "trace_id"}[table]
        query = f"SELECT `{column}`, COUNT(*) FROM `{table}` GROUP BY `{column}`"
        return {key: int(number) for key, number in source.fetch(query)}

    def _group(self, kind: Kind, keys: Sequence[str], owners: dict[str, int | None]) -> None:
        """Add or compare some units."""
        with self._project.database.glance() as target:
            there = set(self._present(target, kind, keys))
        new = [key for key in keys if key not in there]
        old = [key for key in keys if key in there]
        with self._source.glance() as source:
            locations = self._locations(source, kind, keys)
            self._move(kind, keys, owners, locations)
            artifacts = self._artifacts(kind, new, owners, locations)
            self.copier.bring(artifacts)
            if not self._dry:
                with self._project.database.writing(in_use=True) as writer:
                    for part in kind.whole():
                        for _owners, rows in self._read(source, part, new):
                            writer.insert(self._theirs[part.table], self._aligned(part.table, rows))
            if old:
                self._compare(source, kind, old)
                self.copier.compare(self._artifacts(kind, old, owners, locations))
        self.merged.count(kind.name, added=len(new), there=len(old))

    def _present(self, target: Snapshot, kind: Kind, keys: Sequence[str]) -> Iterator[str]:
        """Return those of the keys that the project has."""
        for some in chunks(keys):
            marks = ", ".join("?" * len(some))
            query = f"SELECT `{kind.key}` FROM `{kind.table}` WHERE `{kind.key}` IN ({marks})"
            yield from (row[0] for row in target.fetch(query, some))

    def _locations(self, source: SqliteSnapshot, kind: Kind, keys: Sequence[str]) -> dict[str, str]:
        """Return where the source has the artifacts of units."""
        if kind is kinds.TRACES:
            part = Part("trace_tags", "`t`.`request_id`", condition="`t`.`key` = ?")
            found = [
                row
                for some in chunks(keys)
                for row in source.fetch(
                    part.query(("value",), len(some)), [*some, kinds.TRACE_LOCATION]
                )
            ]
        elif kind.location:
            part = kind.whole()[0]
            found = [
                row
                for some in chunks(keys)
                for row in source.fetch(part.query((kind.location,), len(some)), some)
            ]
        else:
            return {}
        return {key: location for key, location in found if location}

    def _move(
        self,
        kind: Kind,
        keys: Sequence[str],
        owners: dict[str, int | None],
        locations: dict[str, str],
    ) -> None:
        """Take note of where the artifacts of units are in the project."""
        for key in keys:
            number = self._experiments.get(owners[key] if owners[key] is not None else -1)  # type: ignore[arg-type]
            if key in locations and number is not None:
                place = kind.place.format(experiment=number, key=key)
                self._moved[plain_location(locations[key])] = _proxied(place)

    def _artifacts(
        self,
        kind: Kind,
        keys: Sequence[str],
        owners: dict[str, int | None],
        locations: dict[str, str],
    ) -> list[Unit]:
        """Return where the artifacts of units are and where they belong."""
        found = []
        for key in keys:
            if key not in locations:
                continue
            own = owners[key]
            usual = kind.place.format(experiment=own, key=key)
            place = self._origin.place(locations[key], usual)
            if place is None:
                if kind is not kinds.TRACES:
                    self.copier.copied.missing.append(key)
                continue
            number = self._experiments.get(own if own is not None else -1, "new")
            found.append(Unit(key, place, kind.place.format(experiment=number, key=key)))
        return found

    def _compare(self, source: SqliteSnapshot, kind: Kind, keys: Sequence[str]) -> None:
        """Take note of units whose rows are not those of the source."""
        mine, theirs = Sums(), Sums()
        with self._project.database.glance() as target:
            for part in kind.whole():
                for owners, rows in self._read(source, part, keys):
                    mine.add(
                        self._tables[part.table], part, owners, self._changed(part.table, rows)
                    )
                self._add_up(target, theirs, self._theirs[part.table], part, keys)
        self.merged.differ(kind.name, mine.differing(theirs))

    def _add_up(
        self,
        snapshot: Snapshot,
        sums: Sums,
        table: Table,
        part: Part,
        keys: Sequence[Any],
        owner: str = "",
    ) -> None:
        """Add rows of units to sums, as they are; of the project's in the order of the source's columns."""
        ordered = table.only(self._tables[table.name].columns)
        for some in chunks(keys):
            rows = snapshot.fetch(part.query(ordered.columns, len(some)), some)
            owners = [owner or row[0] for row in rows]
            sums.add(ordered, part, owners, [row[1:] for row in rows])

    def _read(
        self, source: SqliteSnapshot, part: Part, keys: Sequence[Any]
    ) -> Iterator[tuple[list[Any], list[list[Any]]]]:
        """Return rows of units in batches, with the key of the unit of each."""
        table = self._tables[part.table]
        for some in chunks(keys):
            for batch in source.batches(part.query(table.columns, len(some)), some):
                yield [row[0] for row in batch], [list(row[1:]) for row in batch]

    def _aligned(self, name: str, rows: list[list[Any]]) -> list[list[Any]]:
        """Return rows as the project has them, in the order of its columns."""
        mine, theirs = self._tables[name].columns, self._theirs[name].columns
        changed = self._changed(name, rows, counted=True)
        if mine == theirs:
            return changed
        places = [mine.index(column) for column in theirs]
        return [[row[place] for place in places] for row in changed]

    def _changed(
        self, name: str, rows: list[list[Any]], *, counted: bool = False
    ) -> list[list[Any]]:
        """Return rows with the project's experiments, datasets and locations."""
        columns = self._tables[name].columns
        for column, change in self._changes(name).items():
            place = columns.index(column)
            for row in rows:
                row[place] = change(row[place])
        if name == kinds.ASSOCIATIONS:
            self._change_associations(columns, rows)
        changed = 0
        for column in _LOCATIONS.get(name, ()):
            place = columns.index(column)
            key = columns.index("key") if name == "trace_tags" else None
            for row in rows:
                if key is not None and row[key] != kinds.TRACE_LOCATION:
                    continue
                moved = self._relocated(row[place])
                changed += moved != row[place]
                row[place] = moved
        self.merged.relocated += changed if counted else 0
        return rows

    def _changes(self, name: str) -> dict[str, Callable[[Any], Any]]:
        """Return what becomes of columns of a table."""
        changes: dict[str, Callable[[Any], Any]] = {}
        if "experiment_id" in self._tables[name].columns:
            changes["experiment_id"] = lambda value: self._experiments.get(value, value)
        if name == "inputs":
            changes["source_id"] = lambda value: self._datasets.get(value, value)
        if name == "logged_model_metrics":
            changes["dataset_uuid"] = lambda value: self._datasets.get(value, value)
        return changes

    def _change_associations(self, columns: Sequence[str], rows: list[list[Any]]) -> None:
        """Let associations name the project's experiments."""
        for side in ("source", "destination"):
            kind, own = columns.index(f"{side}_type"), columns.index(f"{side}_id")
            for row in rows:
                if row[kind] == _EXPERIMENT:
                    row[own] = str(self._experiments.get(int(row[own]), row[own]))

    def _relocated(self, location: Any) -> Any:
        """Return a location as the project has it; as it is if it is elsewhere."""
        if not isinstance(location, str) or not location:
            return location
        plain = plain_location(location)
        rest = ""
        while plain:
            if plain in self._moved:
                return self._moved[plain] + rest
            plain, slash, last = plain.rpartition("/")
            rest = f"{slash}{last}{rest}"
        return location

    def models(self) -> None:
        """Add registered models, prompts among them, that are not there, and versions that these lack."""
        with self._source.glance() as source, self._project.database.glance() as target:
            query = "SELECT `name`, `creation_time` FROM `registered_models` WHERE `workspace` = ?"
            mine = {row[0]: row[1] for row in source.fetch(query, [_WORKSPACE])}
            theirs = {row[0]: row[1] for row in target.fetch(query, [_WORKSPACE])}
            versions = "SELECT `name`, `version` FROM `model_versions` WHERE `workspace` = ?"
            there = set(map(tuple, target.fetch(versions, [_WORKSPACE])))
            wanted = [tuple(row) for row in source.fetch(versions, [_WORKSPACE])]
        new = sorted(mine.keys() - theirs.keys())
        # Another model that has the same name by chance is not mixed with this one.
        others = [name for name in mine if name in theirs and mine[name] != theirs[name]]
        same = sorted(mine.keys() & theirs.keys() - set(others))
        for some in chunks(new):
            self._add_models(some, lambda _key: True)
        absent = {key for key in wanted if key[0] in same and key not in there}
        for some in chunks(sorted({name for name, _version in absent})):
            self._add_models(some, lambda key: key in absent, only_versions=True)
        self.merged.count("registered_models", added=len(new), there=len(mine) - len(new))
        added = len(absent) + sum(name in new for name, _version in wanted)
        self.merged.count("model_versions", added=added, there=len(wanted) - added)
        self.merged.differ("registered_models", [*others, *self._unlike_models(same, absent)])

    def _add_models(
        self,
        names: Sequence[str],
        chosen: Callable[[tuple[str, int]], bool],
        *,
        only_versions: bool = False,
    ) -> None:
        """Add models and their versions in one transaction."""
        if self._dry or not names:
            return
        tables = (
            kinds.VERSION_TABLES if only_versions else (*kinds.MODEL_TABLES, *kinds.VERSION_TABLES)
        )
        with self._source.glance() as source, self._project.database.writing(in_use=True) as writer:
            for name in tables:
                columns = self._tables[name].columns
                for _owners, rows in self._read(source, _of_models(name), names):
                    if name in kinds.VERSION_TABLES:
                        place = columns.index("name"), columns.index("version")
                        rows = [row for row in rows if chosen((row[place[0]], row[place[1]]))]
                    writer.insert(self._theirs[name], self._aligned(name, rows))

    def _unlike_models(self, names: Sequence[str], absent: set[tuple[str, int]]) -> list[str]:
        """Return the models that are not as in the source, but for versions that were just added."""
        mine, theirs = Sums(), Sums()
        with self._source.glance() as source, self._project.database.glance() as target:
            for name in (*kinds.MODEL_TABLES, *kinds.VERSION_TABLES):
                part = _of_models(name)
                table = self._tables[name]
                for owners, rows in self._read(source, part, names):
                    if self._dry and absent and name in kinds.VERSION_TABLES:
                        place = table.columns.index("name"), table.columns.index("version")
                        keep = [(row[place[0]], row[place[1]]) not in absent for row in rows]
                        owners = [owner for owner, kept in zip(owners, keep, strict=True) if kept]
                        rows = [row for row, kept in zip(rows, keep, strict=True) if kept]
                    mine.add(table, part, owners, self._changed(name, rows))
                self._add_up(target, theirs, self._theirs[name], part, names)
        return mine.differing(theirs)

    def associations(self) -> None:
        """Add the links between runs, traces and datasets that are not there."""
        table = self._tables[kinds.ASSOCIATIONS]
        theirs = self._theirs[kinds.ASSOCIATIONS]
        places = [table.columns.index(name) for name in theirs.key]
        added = there = 0
        with self._source.glance() as source, self._project.database.glance() as target:
            known = {
                tuple(row)
                for row in target.fetch(
                    f"SELECT {', '.join(f'`{name}`' for name in theirs.key)} FROM `{theirs.name}`"
                )
            }
            for batch in source.rows(table):
                rows = self._aligned(table.name, [list(row) for row in batch])
                if theirs.columns != table.columns:
                    places = [theirs.columns.index(name) for name in theirs.key]
                new = [row for row in rows if tuple(row[place] for place in places) not in known]
                if new and not self._dry:
                    with self._project.database.writing(in_use=True) as writer:
                        writer.insert(theirs, new)
                added += len(new)
                there += len(rows) - len(new)
        self.merged.count("links", added=added, there=there)


_LOCATIONS = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "trace_tags": ("value",),
    "model_versions": ("source", "storage_location"),
}


def _groups(owners: Iterable[str], weights: dict[str, int]) -> Iterator[list[str]]:
    """Return keys in groups for a transaction each."""
    group: list[str] = []
    rows = 0
    for key in owners:
        weight = weights.get(key, 0)
        if group and (len(group) >= _UNITS or rows + weight > _ROWS):
            yield group
            group, rows = [], 0
        group.append(key)
        rows += weight
    if group:
        yield group


def _of_models(table: str) -> Part:
    """Return the rows of a table of models, of those in the default workspace."""
    return Part(table, "`t`.`name`", condition=f"`t`.`workspace` = '{_WORKSPACE}'")


def _proxied(path: str) -> str:
    """Return a location that is relative to the server."""
    return f"mlflow-artifacts:/{path}"


def _integrity_errors() -> tuple[type[Exception], ...]:
    """Return what the databases' drivers raise for a key that is there already."""
    with contextlib.suppress(ImportError):
        from pymysql.err import IntegrityError

        return sqlite3.IntegrityError, IntegrityError
    return (sqlite3.IntegrityError,)
