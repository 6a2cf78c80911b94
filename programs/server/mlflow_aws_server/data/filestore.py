# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder `mlruns`, read into a database by MLflow's own `migrate-filestore`, with parts of it replaced.

Metrics are inserted in bulk, and a point that the folder has twice is one, as in any database. Documents
are read by libyaml, and one that cannot be read is reported. What MLflow gives a random ID gets one that
depends on its content, so that a second import finds it.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import EntryError
from ..revisions import migrate
from .kinds import made_id
from .progress import tell

_MODELS, _TRASH = "models", ".trash"


def folder_of(source: Path) -> Path:
    """Return the folder of files that a path names, itself or its `mlruns`."""
    for folder in (source / "mlruns", source):
        with contextlib.suppress(NotADirectoryError, FileNotFoundError):
            names = {entry.name for entry in folder.iterdir() if entry.is_dir()}
            if any(name.isdigit() or name in (_MODELS, _TRASH) for name in names):
                return folder
    raise EntryError(
        f"{source} is no folder of MLflow's files: neither it nor {source}/mlruns has a folder of an experiment; "
        "correct the source."
    )


def stage(folder: Path, database: Path) -> list[str]:
    """Read a folder into a new database; returns the documents that could not be read."""
    from mlflow.exceptions import MlflowException
    from mlflow.store import fs2db
    from sqlalchemy.exc import SQLAlchemyError

    uri = f"sqlite:///{database}"
    tell(f"reading {folder}")
    migrate(uri)
    _clear(uri)
    unreadable: list[str] = []
    with _replaced(unreadable), contextlib.redirect_stdout(io.StringIO()):
        try:
            fs2db.migrate(folder, uri, progress=False)
        except (MlflowException, SQLAlchemyError, OSError, ValueError, KeyError) as error:
            text = " ".join(str(getattr(error, "orig", None) or error).split()).rstrip(".")
            raise EntryError(
                f"The files in {folder} cannot be read ({text}); correct that, then rerun."
            ) from error
    _name(uri)
    return unreadable


def _clear(uri: str) -> None:
    """Remove what a migration of an empty database wrote: MLflow's command wants it empty."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DELETE FROM experiments"))
    engine.dispose()


@contextlib.contextmanager
def _replaced(unreadable: list[str]) -> Iterator[None]:
    """Replace parts of MLflow's command while the block runs."""
    from mlflow.exceptions import MlflowException
    from mlflow.store.fs2db import _registry, _tracking

    def read_document(root: Path, name: str) -> dict[str, Any] | None:
        return _document(root / name, unreadable)

    def add_metrics(session: Any, folder: Path, run: str, stats: Any, **_options: Any) -> None:
        _add_metrics(session, folder, run, stats, unreadable)

    def add_assessment(session: Any, document: dict[str, Any], *named: Any) -> None:
        try:
            _add_assessment(session, document, *named)
        except (MlflowException, AttributeError, KeyError, TypeError, ValueError):
            unreadable.append(f"assessment {named[1]} of trace {named[0]}")

    replaced: tuple[tuple[Any, str, Any], ...] = (
        (_tracking, "safe_read_yaml", read_document),
        (_registry, "safe_read_yaml", read_document),
        (_tracking, "_migrate_run_metrics", add_metrics),
        (_tracking, "_migrate_one_assessment", add_assessment),
    )
    kept = [(module, name, getattr(module, name)) for module, name, _own in replaced]
    for module, name, own in replaced:
        setattr(module, name, own)
    try:
        yield
    finally:
        for module, name, own in kept:
            setattr(module, name, own)


def _document(path: Path, unreadable: list[str]) -> dict[str, Any] | None:
    """Return a document; None for one that cannot be read, which is noted."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        found = yaml.load(path.read_bytes(), loader)
    except (OSError, UnicodeError, yaml.YAMLError):
        found = None
    if not isinstance(found, dict):
        unreadable.append(str(path))
        return None
    return found


def _add_assessment(
    session: Any, document: dict[str, Any], trace: str, identifier: str, *more: Any
) -> None:
    """Insert an assessment as MLflow reads it; its own command loses times, and values that are no scalars."""
    from mlflow.entities.assessment import Assessment
    from mlflow.store.tracking.dbmodels.models import SqlAssessments

    experiment, moment, stats = more
    found = Assessment.from_dictionary(document)
    row = SqlAssessments.from_mlflow_entity(found)
    row.assessment_id = found.assessment_id or identifier
    row.trace_id, row.experiment_id, row.trace_timestamp_ms = trace, experiment, moment
    row.valid = found.valid is not False
    session.add(row)
    stats.assessments += 1


def _add_metrics(session: Any, folder: Path, run: str, stats: Any, unreadable: list[str]) -> None:
    """Insert the metrics of a run, each point once, and of each the latest."""
    from mlflow.store.fs2db._tracking import _parse_metric_line, _sanitize_metric_value
    from mlflow.store.fs2db._utils import read_metric_lines
    from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric
    from sqlalchemy import insert

    rows: list[dict[str, Any]] = []
    latest: list[dict[str, Any]] = []
    for key, lines in read_metric_lines(folder).items():
        points = set()
        for line in lines:
            try:
                timestamp, value, step = _parse_metric_line(line)
            except ValueError:
                unreadable.append(f"{folder / key}: {line}")
                continue
            is_nan, stored = _sanitize_metric_value(value)
            # As databases order them: a value that is no number counts as 0.
            points.add((step, timestamp, stored, is_nan))
        if points:
            found = [_point(key, run, point) for point in sorted(points)]
            rows += found
            latest.append(found[-1])
    for table, values in ((SqlMetric, rows), (SqlLatestMetric, latest)):
        if values:
            session.flush()
            session.execute(insert(table), values)
    stats.metrics += len(rows)
    stats.latest_metrics += len(latest)


def _point(key: str, run: str, point: tuple[int, int, float, bool]) -> dict[str, Any]:
    """Return the row of a point."""
    step, timestamp, value, is_nan = point
    return {
        "key": key,
        "value": value,
        "timestamp": timestamp,
        "step": step,
        "is_nan": is_nan,
        "run_uuid": run,
    }


def _name(uri: str) -> None:
    """Give what has a random ID one that depends on its content."""
    import sqlalchemy
    from sqlalchemy import text

    engine = sqlalchemy.create_engine(uri)
    with engine.begin() as connection:
        for old, *content in connection.execute(
            text("SELECT dataset_uuid, experiment_id, name, digest FROM datasets")
        ).fetchall():
            given = {"new": made_id("dataset", *content), "old": old}
            connection.execute(
                text("UPDATE datasets SET dataset_uuid = :new WHERE dataset_uuid = :old"), given
            )
            connection.execute(
                text(
                    "UPDATE inputs SET source_id = :new WHERE source_id = :old AND source_type = 'DATASET'"
                ),
                given,
            )
        for old, *content in connection.execute(
            text(
                "SELECT input_uuid, source_type, source_id, destination_type, destination_id FROM inputs"
            )
        ).fetchall():
            given = {"new": made_id("input", *content), "old": old}
            for table in ("inputs", "input_tags"):
                connection.execute(
                    text(f"UPDATE {table} SET input_uuid = :new WHERE input_uuid = :old"), given
                )
    engine.dispose()
