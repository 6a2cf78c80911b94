# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Large projects, for measuring: rows as a server of a release writes them, but by SQL.

The tables are made by that release (`mlflow db upgrade`, or a start of its server). What is written is the same
each time, and never by the server's own ways: a million points would take a client hours.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ansible_collections.mlops.mlflow_aws.tests.parts import seeds
from ansible_collections.mlops.mlflow_aws.tests.parts.mysql_server import Mysql

WHEN = 1_700_000_000_000
# Above what servers have given to experiments of their own.
FIRST_EXPERIMENT = 1_000
RUNS_OF_AN_EXPERIMENT = 1_000
KEYS = 10
SPANS_OF_A_TRACE = 10
PARAMETERS = 8
_BATCH = 5_000

Row = Mapping[str, object]


@dataclass(frozen=True)
class Size:
    """How much there is to be; the default is a team's after a year or two."""

    runs: int = 10_000
    points: int = 1_000_000
    spans: int = 100_000
    objects: int = 20_000

    @property
    def traces(self) -> int:
        """Return the number of traces."""
        return -(-self.spans // SPANS_OF_A_TRACE)

    @property
    def experiments(self) -> int:
        """Return the number of experiments."""
        return -(-self.runs // RUNS_OF_AN_EXPERIMENT)


def bulk(project: seeds.Project, size: Size, mysql: Mysql | None = None) -> None:
    """Fill a project's tables, and the folder of its artifacts."""
    with closing(seeds.connect(project, mysql)) as connection:
        writer = _Writer(connection, mysql)
        if size.spans and "spans" not in writer.known:
            raise ValueError("This revision keeps spans as artifacts; ask for none.")
        for table, rows in _content(size):
            writer.write(table, rows)
        connection.commit()
    for key, content in objects(size):
        path = project.artifacts / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def objects(size: Size) -> Iterator[tuple[str, bytes]]:
    """Give key and content of each artifact: small ones mostly, of 4 KiB on average; also for a bucket."""
    chance = random.Random(4)
    for number in range(size.objects):
        run = number % max(size.runs, 1)
        name = f"checkpoints/{number // max(size.runs, 1):04}/part {number % 7}.bin"
        content = chance.randbytes(min(int(chance.expovariate(1 / 4096)), 65_536))
        yield f"{_experiment(run)}/{run_id(run)}/artifacts/{name}", content


def run_id(number: int) -> str:
    """Return the ID of a run."""
    return f"{number:08x}" * 4


def trace_id(number: int) -> str:
    """Return the ID of a trace."""
    return f"tr-{number + 1:032x}"


def _experiment(run: int) -> int:
    """Return the ID of a run's experiment."""
    return FIRST_EXPERIMENT + run // RUNS_OF_AN_EXPERIMENT


def _content(size: Size) -> Iterator[tuple[str, Iterable[Row]]]:
    """Give rows by table, in an order that foreign keys allow."""
    yield "experiments", map(_experiment_row, range(max(size.experiments, 1)))
    yield "runs", map(_run_row, range(size.runs))
    yield "params", (row for run in range(size.runs) for row in _parameters(run))
    yield "tags", (row for run in range(size.runs) for row in _tags(run))
    if size.runs:
        yield "metrics", _points(size, 0)
        # Of each run's metrics the last point.
        yield "latest_metrics", _points(size, max(size.points - size.runs * KEYS, 0))
    if size.spans:
        yield "trace_info", map(_trace_row, range(size.traces))
        yield "trace_tags", (row for trace in range(size.traces) for row in _trace_tags(trace))
        yield (
            "trace_request_metadata",
            (row for trace in range(size.traces) for row in _trace_metadata(trace)),
        )
        yield "spans", map(_span_row, range(size.spans))


def _experiment_row(number: int) -> Row:
    """Return an experiment."""
    identifier = FIRST_EXPERIMENT + number
    return {
        "experiment_id": identifier,
        "name": f"bulk {number}",
        "artifact_location": f"mlflow-artifacts:/{identifier}",
        "lifecycle_stage": "active",
        "creation_time": WHEN,
        "last_update_time": WHEN,
    }


def _run_row(number: int) -> Row:
    """Return a run; one in fifty is deleted."""
    deleted = number % 50 == 49
    return {
        "run_uuid": run_id(number),
        "name": f"run-{number}",
        "source_type": "UNKNOWN",
        "source_name": "",
        "entry_point_name": "",
        "user_id": "someone",
        "status": ("FINISHED", "FAILED", "FINISHED", "RUNNING")[number % 4],
        "start_time": WHEN + number,
        "end_time": None if number % 4 == 3 else WHEN + number + 60_000,
        "source_version": "",
        "lifecycle_stage": "deleted" if deleted else "active",
        "artifact_uri": f"mlflow-artifacts:/{_experiment(number)}/{run_id(number)}/artifacts",
        "experiment_id": _experiment(number),
        "deleted_time": WHEN + number + 90_000 if deleted else None,
    }


def _parameters(run: int) -> Iterator[Row]:
    """Give a run's parameters."""
    for number in range(PARAMETERS):
        yield {
            "key": f"model.layer_{number}.units",
            "value": str(run * number),
            "run_uuid": run_id(run),
        }


def _tags(run: int) -> Iterator[Row]:
    """Give a run's tags."""
    tags = {"mlflow.runName": f"run-{run}", "mlflow.user": "someone", "team": f"team-{run % 9}"}
    tags |= {"mlflow.source.name": "train.py", "mlflow.note.content": "A note. " * (run % 30)}
    for key, value in tags.items():
        yield {"key": key, "value": value, "run_uuid": run_id(run)}


def _points(size: Size, first: int) -> Iterator[Row]:
    """Give the points of all metrics from one on; runs take turns, and within a run its metrics."""
    for number in range(first, size.points):
        turn, run = divmod(number, size.runs)
        step, key = divmod(turn, KEYS)
        yield {
            "key": f"metric_{key}",
            "value": 1 / (1 + step) + key,
            "timestamp": WHEN + run + step * 1_000,
            "run_uuid": run_id(run),
            "step": step,
            "is_nan": False,
        }


def _trace_row(number: int) -> Row:
    """Return a trace."""
    return {
        "request_id": trace_id(number),
        "experiment_id": FIRST_EXPERIMENT,
        "timestamp_ms": WHEN + number,
        "execution_time_ms": 10 * SPANS_OF_A_TRACE,
        "status": "ERROR" if number % 20 == 19 else "OK",
        "request_preview": _inputs(number),
        "response_preview": '{"count": 3}',
        "db_payload_generation": 1,
        "trace_name": "step 0",
    }


def _trace_tags(trace: int) -> Iterator[Row]:
    """Give a trace's tags."""
    place = f"mlflow-artifacts:/{FIRST_EXPERIMENT}/traces/{trace_id(trace)}/artifacts"
    tags = {"mlflow.artifactLocation": place, "mlflow.trace.spansLocation": "TRACKING_STORE"}
    tags["mlflow.traceName"] = "step 0"
    for key, value in tags.items():
        yield {"key": key, "value": value, "request_id": trace_id(trace)}


def _trace_metadata(trace: int) -> Iterator[Row]:
    """Give a trace's metadata."""
    known = {"mlflow.trace_schema.version": "3", "mlflow.user": "someone"}
    known |= {"mlflow.traceInputs": _inputs(trace), "mlflow.traceOutputs": '{"count": 3}'}
    known |= {"mlflow.source.name": "app.py", "mlflow.trace.infoFinalized": "true"}
    for key, value in known.items():
        yield {"key": key, "value": value, "request_id": trace_id(trace)}


def _inputs(trace: int) -> str:
    """Return what a trace was asked, as JSON."""
    return json.dumps({"text": f"How many of {trace}?"})


def _span_row(number: int) -> Row:
    """Return a span; those of a trace hang below one another, two at a time."""
    trace, place = divmod(number, SPANS_OF_A_TRACE)
    span, parent = number + 1, None if place == 0 else number + 1 - place + (place - 1) // 2
    begun = (WHEN + trace) * 1_000_000 + place * 10_000_000
    kind = "CHAIN" if place == 0 else ("LLM", "TOOL", "RETRIEVER")[place % 3]
    attributes = {
        "mlflow.traceRequestId": json.dumps(trace_id(trace)),
        "mlflow.spanType": json.dumps(kind),
        "mlflow.spanInputs": _inputs(trace),
        "mlflow.spanOutputs": json.dumps({"text": "word " * (20 + number % 150)}),
    }
    content: Row = {
        "trace_id": _encoded(trace + 1, 16),
        "span_id": _encoded(span, 8),
        "parent_span_id": None if parent is None else _encoded(parent, 8),
        "name": f"step {place}",
        "start_time_unix_nano": begun,
        "end_time_unix_nano": begun + 10_000_000,
        "events": [],
        "status": {"code": "STATUS_CODE_OK", "message": ""},
        "attributes": attributes,
    }
    return {
        "trace_id": trace_id(trace),
        "experiment_id": FIRST_EXPERIMENT,
        "span_id": f"{span:016x}",
        "parent_span_id": None if parent is None else f"{parent:016x}",
        "name": f"step {place}",
        "type": kind,
        "status": "OK",
        "start_time_unix_nano": begun,
        "end_time_unix_nano": begun + 10_000_000,
        "content": json.dumps(content),
    }


def _encoded(number: int, size: int) -> str:
    """Return an ID as spans hold it."""
    return base64.b64encode(number.to_bytes(size, "big")).decode()


class _Writer:
    """Writes rows into the tables of the revision that there is."""

    def __init__(self, connection: Any, mysql: Mysql | None) -> None:
        """Read which columns each table has."""
        self._cursor = connection.cursor()
        self._mark = "%s" if mysql else "?"
        if mysql is None:
            self._cursor.execute("PRAGMA synchronous = OFF")
        self.known: dict[str, list[str]] = {}
        for table in seeds.tables(self._cursor, mysql):
            self._cursor.execute(f"SELECT * FROM {table} LIMIT 0")
            self.known[table] = [column[0] for column in self._cursor.description]

    def write(self, table: str, rows: Iterable[Row]) -> None:
        """Insert rows; of the columns those that this revision has."""
        remaining = iter(rows)
        while batch := list(islice(remaining, _BATCH)):
            columns = [name for name in batch[0] if name in self.known[table]]
            names = ", ".join(f"`{name}`" for name in columns)
            marks = ", ".join([self._mark] * len(columns))
            self._cursor.executemany(
                f"INSERT INTO {table} ({names}) VALUES ({marks})",
                [[row[name] for name in columns] for row in batch],
            )
