# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an import brings, in units that are there as a whole or not at all: a run with its metrics, a trace...

Queries are the same for SQLite and MySQL, both of which take backquotes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .tables import Checksum, Row, Snapshot, Table, encode

# Values in one query: below the limit of SQLite before 3.32.
QUERY_VALUES = 500
# For IDs that depend on content.
_NAMESPACE = uuid.UUID("8d3f6f0e-6f53-4b0c-9a55-0b7c1f6a9d21")
_BY_RUN = (
    "JOIN `inputs` `i` ON `i`.`input_uuid` = `t`.`input_uuid` AND `i`.`destination_type` = 'RUN'"
)
_OF_RUN = (
    "JOIN `inputs` `i` ON `i`.`input_uuid` = `t`.`input_uuid` "
    "AND `i`.`source_type` IN ('RUN_INPUT', 'RUN_OUTPUT')"
)


class Part(NamedTuple):
    """Rows of one table that belong to a unit.

    owner: the expression that holds the unit's key, with `t` for the table; condition: which of its
    rows; made_up: columns that are not the source's own where it does not keep them, so not compared.
    """

    table: str
    owner: str
    join: str = ""
    condition: str = ""
    made_up: tuple[str, ...] = ()

    def query(self, columns: Sequence[str], number: int) -> str:
        """Return what reads the key and these columns of so many units."""
        chosen = ", ".join((self.owner, *(f"`t`.`{name}`" for name in columns)))
        more = f" AND {self.condition}" if self.condition else ""
        marks = ", ".join("?" * number)
        return f"SELECT {chosen} FROM `{self.table}` `t` {self.join} WHERE {self.owner} IN ({marks}){more}"


class Kind(NamedTuple):
    """One kind of unit: its table, its key, and the rows of other tables that belong to it.

    location: the column that names the place of its artifacts; place: that place below the project's,
    with the experiment's ID and the unit's own; made_up: as in Part, of its own row.
    """

    name: str
    table: str
    key: str
    parts: tuple[Part, ...]
    location: str = ""
    place: str = ""
    made_up: tuple[str, ...] = ()

    def whole(self) -> tuple[Part, ...]:
        """Return the unit's own row and its parts."""
        return (Part(self.table, f"`t`.`{self.key}`", made_up=self.made_up), *self.parts)


def _parts(column: str, *tables: str) -> tuple[Part, ...]:
    """Return the rows of tables of which one column holds the unit's key."""
    return tuple(Part(table, f"`t`.`{column}`") for table in tables)


RUNS = Kind(
    "runs",
    "runs",
    "run_uuid",
    (
        *_parts("run_uuid", "params", "tags", "metrics", "latest_metrics"),
        Part(
            "inputs",
            "`t`.`destination_id`",
            condition="`t`.`destination_type` = 'RUN'",
            made_up=("input_uuid",),
        ),
        Part(
            "inputs",
            "`t`.`source_id`",
            condition="`t`.`source_type` IN ('RUN_INPUT', 'RUN_OUTPUT')",
            made_up=("input_uuid",),
        ),
        Part("input_tags", "`i`.`destination_id`", join=_BY_RUN, made_up=("input_uuid",)),
        Part("input_tags", "`i`.`source_id`", join=_OF_RUN, made_up=("input_uuid",)),
    ),
    location="artifact_uri",
    place="{experiment}/{key}/artifacts",
    made_up=("deleted_time",),
)
LOGGED_MODELS = Kind(
    "logged_models",
    "logged_models",
    "model_id",
    _parts("model_id", "logged_model_params", "logged_model_tags", "logged_model_metrics"),
    location="artifact_location",
    place="{experiment}/models/{key}/artifacts",
)
TRACES = Kind(
    "traces",
    "trace_info",
    "request_id",
    (
        *_parts("request_id", "trace_tags", "trace_request_metadata", "trace_metrics"),
        *_parts("trace_id", "spans", "span_metrics", "assessments"),
    ),
    place="{experiment}/traces/{key}/artifacts",
)
EVALUATION_DATASETS = Kind(
    "evaluation_datasets",
    "evaluation_datasets",
    "dataset_id",
    _parts("dataset_id", "evaluation_dataset_tags", "evaluation_dataset_records"),
)
UNITS = (RUNS, LOGGED_MODELS, TRACES, EVALUATION_DATASETS)
# Experiments and registered models are known by their names, see merging.py.
EXPERIMENT_TABLES = ("experiments", "experiment_tags", "datasets")
MODEL_TABLES = ("registered_models", "registered_model_tags", "registered_model_aliases")
VERSION_TABLES = ("model_versions", "model_version_tags")
ASSOCIATIONS = "entity_associations"
# The tag that names the place of a trace's artifacts.
TRACE_LOCATION = "mlflow.artifactLocation"
BROUGHT = frozenset(
    (
        *EXPERIMENT_TABLES,
        *MODEL_TABLES,
        *VERSION_TABLES,
        ASSOCIATIONS,
        *(part.table for kind in UNITS for part in kind.whole()),
    )
)
# What a new project has by itself, and what MLflow makes again from the rest.
_OF_ITSELF = ("alembic_version", "workspaces", "scheduler_leases", "job_locks")
_MADE_AGAIN = "sql_"


def made_id(*content: Any) -> str:
    """Return an ID, for what a source keeps without one, that depends on content alone."""
    return uuid.uuid5(_NAMESPACE, "\0".join(map(str, content))).hex


def left_out(snapshot: Snapshot, tables: Mapping[str, Table]) -> dict[str, int]:
    """Return the number of rows of each table that an import does not bring, if it has any."""
    names = [
        name
        for name in tables
        if name not in BROUGHT and name not in _OF_ITSELF and not name.startswith(_MADE_AGAIN)
    ]
    found = {name: int(snapshot.value(f"SELECT COUNT(*) FROM `{name}`")) for name in names}
    return {name: number for name, number in found.items() if number}


def chunks(keys: Sequence[Any], size: int = QUERY_VALUES) -> Iterator[Sequence[Any]]:
    """Return keys in groups that one query takes."""
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


class Sums:
    """Checksums of units, over the rows of all their tables."""

    def __init__(self) -> None:
        """Begin without a unit."""
        self._sums: dict[str, Checksum] = {}

    def add(self, table: Table, part: Part, owners: Sequence[Any], rows: Sequence[Row]) -> None:
        """Take rows into account, each for the unit that owns it."""
        compared = table.only(name for name in table.columns if name not in part.made_up)
        if compared != table:
            places = [table.columns.index(name) for name in compared.columns]
            rows = [[row[place] for place in places] for row in rows]
        for owner, line in zip(owners, encode(compared, rows), strict=True):
            checksum = self._sums.setdefault(str(owner), Checksum())
            checksum.add([table.name.encode() + b" " + line])

    def differing(self, other: Sums) -> list[str]:
        """Return the units whose rows differ, sorted."""
        return sorted(
            key for key in {*self._sums, *other._sums} if self._text(key) != other._text(key)
        )

    def _text(self, key: str) -> str:
        """Return the checksum of a unit, empty if it has no rows."""
        return self._sums[key].text() if key in self._sums else ""
