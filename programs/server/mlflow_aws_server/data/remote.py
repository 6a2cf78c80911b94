# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running server, of MLflow 2 or 3, read by this MLflow's client into a database, some runs at a time.

Each lot is merged before the next one is read, so that a killed import goes on from where it was. What a
server does not hand out is not brought: deleted versions of models, and links from traces to runs.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import EntryError
from ..revisions import migrate
from . import kinds, parallel
from .arrival import PROXIED, Stored
from .kinds import made_id
from .merging import Merge
from .places import CHUNK_BYTES, Entry, Place
from .progress import tell
from .sqlite_database import SqliteDatabase

# Requests that one server answers at a time.
_WORKERS = 8
_PAGE, _RUNS, _MODELS = 100, 100, 50
_IS_PROMPT = "tags.`mlflow.prompt.is_prompt` = 'true'"
_VARIABLES = {
    "token": "MLFLOW_TRACKING_TOKEN",
    "user": "MLFLOW_TRACKING_USERNAME",
    "password": "MLFLOW_TRACKING_PASSWORD",
    "ca": "MLFLOW_TRACKING_SERVER_CERT_PATH",
}
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
    # From the server, not from a bucket that this host may not reach.
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
}
_STORED_SPANS = "TRACKING_STORE"

Values = Mapping[str, Any]


class Remote:
    """One server: what it has, and its artifacts."""

    # Reading an artifact costs a request, so those that are there are compared by size.
    content = False

    def __init__(
        self, url: str, login: Values, database: Path, artifacts: str, client: Callable[[], object]
    ) -> None:
        """Log in, refuse a newer server, and make an empty database; artifacts: what may be read besides."""
        self._url = url
        self.unreadable: list[str] = []
        parts = urlsplit(url)
        if parts.username or parts.password:
            raise EntryError(
                "The source holds a password; name the server without it, and pass the login in mlflow_import_login."
            )
        # MLflow asks for it by a program, which would inherit the login.
        platform.processor()
        os.environ.update(_SETTINGS)
        os.environ.update({_VARIABLES[name]: str(text) for name, text in login.items() if text})
        self._release = self._require_known()
        self._stored = Stored("", [artifacts], client)
        self._scratch = database.parent
        self._uri = f"sqlite:///{database}"
        migrate(self._uri)
        self._database = SqliteDatabase(database)
        self._tables = {table.name: table for table in self._database.tables()}
        import mlflow
        from mlflow import MlflowClient

        mlflow.set_tracking_uri(url)
        mlflow.set_registry_uri(url)
        self._client: Any = MlflowClient(url, url)
        self._clear(self._tables)

    def require(self, located: Iterable[tuple[str, str]]) -> None:
        """Refuse locations, each with the usual one, that cannot be read."""
        self._stored.require(one for one in located if not self._is_served(one[0]))

    def place(self, location: str, usual: str) -> Place | None:
        """Return the place that a location names."""
        if self._is_served(location):
            return Served(location, self._url, self._scratch)
        return self._stored.place(location, usual)

    def merge(self, merge: Merge) -> None:
        """Merge all that the server has."""
        with self._explained():
            self._merge(merge)

    def _merge(self, merge: Merge) -> None:
        """Merge experiments, then what is in each, then models."""
        from mlflow.entities import ViewType

        found = list(
            self._pages(self._client.search_experiments, view_type=ViewType.ALL, max_results=_PAGE)
        )
        self._add_experiments(found)
        merge.experiments()
        ids = sorted((str(one.experiment_id) for one in found), key=int)
        for experiment in ids:
            self._merge_runs(merge, experiment)
        # Rows of spans are made by MLflow, which takes none for a deleted experiment.
        self._activate()
        for experiment in ids:
            self._merge_models(merge, experiment)
            self._merge_traces(merge, experiment)
        self._merge_evaluation_datasets(merge, ids)
        self._add_registered_models()
        merge.models()

    def _is_served(self, location: str) -> bool:
        """Return whether the server hands artifacts out."""
        return location.startswith((PROXIED, "http://", "https://"))

    def _require_known(self) -> tuple[int, ...]:
        """Return the server's release; raises EntryError for a newer one."""
        from mlflow.exceptions import MlflowException
        from mlflow.utils.credentials import get_default_host_creds
        from mlflow.utils.rest_utils import http_request

        try:
            answer = http_request(get_default_host_creds(self._url), "/version", "GET")
        except MlflowException as error:
            raise self._unreachable(error) from error
        if answer.status_code in (401, 403):
            raise EntryError(
                f"The server {self._url} refuses the login ({answer.status_code}); correct mlflow_import_login."
            )
        text = answer.text.strip()[:40]
        try:
            theirs = tuple(int(part) for part in text.split(".")[:3] if part.isdigit())
        except ValueError:
            theirs = ()
        if answer.status_code != 200 or len(theirs) < 2:
            raise EntryError(
                f"{self._url} is no MLflow server: it answers /version with {answer.status_code}; correct the source."
            )
        own = tuple(int(part) for part in version("mlflow").split(".")[:3])
        if theirs > own:
            raise EntryError(
                f"The server {self._url} runs MLflow {text}, which is newer than {version('mlflow')} here; use the "
                "release of the collection that carries that MLflow. Nothing was imported."
            )
        return theirs

    def _unreachable(self, error: Exception) -> EntryError:
        """Return the error about a server that does not answer."""
        text = " ".join(str(error).split())[:300].rstrip(".")
        return EntryError(
            f"The server {self._url} failed while it was read ({text}); correct that, then rerun: what was imported "
            "stays."
        )

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an error of MLflow's client into one sentence."""
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        try:
            yield
        except (MlflowException, RequestException) as error:
            raise self._unreachable(error) from error

    def _pages(self, search: Callable[..., Any], *arguments: Any, **options: Any) -> Iterator[Any]:
        """Return what a search finds, page by page."""
        token = None
        while True:
            page = search(*arguments, page_token=token, **options)
            yield from page
            token = page.token
            if not token:
                return

    def _each(self, work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Do something with each of many things, several at once."""
        return list(parallel.each(_WORKERS, work, items))

    def _insert(self, rows: Mapping[str, Sequence[Values]]) -> None:
        """Add rows by table; a column without a value has its default."""
        with self._database.writing() as writer:
            for name, values in rows.items():
                if values:
                    table = self._tables[name].only(values[0])
                    writer.insert(table, [[row[key] for key in table.columns] for row in values])

    def _clear(self, tables: Iterable[str]) -> None:
        """Remove rows that were merged, or that a migration made."""
        with self._database.writing() as writer:
            for name in tables:
                if name not in ("alembic_version", "workspaces"):
                    writer.execute(f"DELETE FROM `{name}`")

    def _clear_units(self) -> None:
        """Remove units that were merged."""
        self._clear({part.table for kind in kinds.UNITS for part in kind.whole()} | {"datasets"})

    def _activate(self) -> None:
        """Let no experiment be a deleted one, for what is not asked for that any more."""
        with self._database.writing() as writer:
            writer.execute("UPDATE `experiments` SET `lifecycle_stage` = 'active'")

    def _add_experiments(self, found: Sequence[Any]) -> None:
        """Add experiments with their tags."""
        self._insert(
            {
                "experiments": [
                    {
                        "experiment_id": int(one.experiment_id),
                        "name": one.name,
                        "artifact_location": one.artifact_location,
                        "lifecycle_stage": one.lifecycle_stage,
                        "creation_time": one.creation_time,
                        "last_update_time": one.last_update_time,
                        "workspace": "default",
                    }
                    for one in found
                ],
                "experiment_tags": [
                    {"key": key, "value": value, "experiment_id": int(one.experiment_id)}
                    for one in found
                    for key, value in one.tags.items()
                ],
            }
        )

    def _merge_runs(self, merge: Merge, experiment: str) -> None:
        """Read and merge the runs of an experiment, some at a time."""
        from mlflow.entities import ViewType

        pages = self._lots(
            self._client.search_runs,
            _RUNS,
            [experiment],
            run_view_type=ViewType.ALL,
        )
        for page in pages:
            # A search of release 3.0 leaves out what a run has made.
            runs = self._each(self._client.get_run, [one.info.run_id for one in page])
            wanted = [(run.info.run_id, key) for run in runs for key in run.data.metrics]
            points = dict(self._each(self._history, wanted))
            rows: dict[str, list[Values]] = {}
            for run in runs:
                for table, values in _run_rows(run, points):
                    rows.setdefault(table, []).extend(values)
            # Several runs use the same data.
            known = {row["dataset_uuid"]: row for row in rows.get("datasets", [])}
            rows["datasets"] = list(known.values())
            self._insert(rows)
            merge.require_artifacts()
            merge.datasets(int(experiment))
            merge.units(kinds.RUNS)
            self._clear_units()

    def _lots(
        self, search: Callable[..., Any], size: int, *arguments: Any, **options: Any
    ) -> Iterator[list[Any]]:
        """Return what a search finds, a page at a time."""
        token = None
        while True:
            page = search(*arguments, page_token=token, max_results=size, **options)
            if page:
                yield list(page)
            token = page.token
            if not token:
                return

    def _history(self, wanted: tuple[str, str]) -> tuple[tuple[str, str], list[Any]]:
        """Return all points of a metric of a run."""
        return wanted, list(self._client.get_metric_history(*wanted))

    def _merge_models(self, merge: Merge, experiment: str) -> None:
        """Read and merge the logged models of an experiment."""
        if self._release < (3,):
            return
        for page in self._lots(self._client.search_logged_models, _MODELS, [experiment]):
            self._insert(_joined(map(_logged_model_rows, page)))
            merge.require_artifacts()
            merge.units(kinds.LOGGED_MODELS)
            self._clear_units()

    def _merge_traces(self, merge: Merge, experiment: str) -> None:
        """Read and merge the traces of an experiment."""
        from mlflow.tracing.constant import TraceTagKey

        for page in self._lots(
            self._client.search_traces, _PAGE, [experiment], include_spans=False
        ):
            ids = [
                one.info.trace_id
                for one in page
                if one.info.tags.get(TraceTagKey.SPANS_LOCATION) == _STORED_SPANS
            ]
            whole = self._each(functools.partial(self._client.get_trace, display=False), ids)
            self._add_traces(experiment, [one.info for one in page], whole)
            merge.units(kinds.TRACES)
            self._clear_units()

    def _add_traces(self, experiment: str, infos: Sequence[Any], whole: Sequence[Any]) -> None:
        """Add traces; spans by MLflow's own store, which reckons what is derived from them."""
        from mlflow.store.tracking.dbmodels.models import SqlAssessments
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
        from sqlalchemy.orm import Session

        store = SqlAlchemyStore(self._uri, PROXIED + "/")
        for trace in whole:
            store.log_spans(experiment, trace.data.spans)
        self._clear(("trace_info", "trace_tags", "trace_request_metadata"))
        self._insert(_joined(_trace_rows(info, experiment) for info in infos))
        with Session(store.engine) as session:
            for info in infos:
                for one in info.assessments or []:
                    row = SqlAssessments.from_mlflow_entity(one)
                    row.trace_id, row.experiment_id = info.trace_id, int(experiment)
                    row.trace_timestamp_ms = info.request_time
                    row.valid = getattr(one, "valid", True) is not False
                    session.add(row)
            session.commit()
        store.engine.dispose()

    def _merge_evaluation_datasets(self, merge: Merge, experiments: Sequence[str]) -> None:
        """Read and merge evaluation datasets, with their links to experiments."""
        from mlflow.exceptions import MlflowException
        from mlflow.store.tracking.dbmodels.models import (
            SqlEvaluationDataset,
            SqlEvaluationDatasetRecord,
            SqlEvaluationDatasetTag,
        )
        from sqlalchemy import create_engine
        from sqlalchemy.orm import Session

        if self._release < (3, 4):
            return
        try:
            found = list(
                self._pages(self._client.search_datasets, list(experiments), max_results=_PAGE)
            )
        except MlflowException as error:
            # Servers of a folder of files have none, and fail when they are asked.
            tell(f"{self._url} does not hand out evaluation datasets: {error}")
            self.unreadable.append(f"evaluation datasets of {self._url}")
            return
        engine = create_engine(self._uri)
        links: list[Values] = []
        with Session(engine) as session:
            for one in {dataset.dataset_id: dataset for dataset in found}.values():
                session.add(SqlEvaluationDataset.from_mlflow_entity(one))
                for key, value in (one.tags or {}).items():
                    session.add(
                        SqlEvaluationDatasetTag(dataset_id=one.dataset_id, key=key, value=value)
                    )
                for record in one.records:
                    text = json.dumps(record.inputs, sort_keys=True)
                    row = SqlEvaluationDatasetRecord.from_mlflow_entity(
                        record, hashlib.sha256(text.encode()).hexdigest()
                    )
                    row.dataset_record_id = record.dataset_record_id
                    session.add(row)
                links += [
                    _link(
                        "evaluation_dataset",
                        one.dataset_id,
                        "experiment",
                        experiment,
                        one.created_time,
                    )
                    for experiment in one.experiment_ids
                ]
            session.commit()
        engine.dispose()
        self._insert({kinds.ASSOCIATIONS: links})
        merge.units(kinds.EVALUATION_DATASETS)
        merge.associations()

    def _add_registered_models(self) -> None:
        """Add registered models and prompts with all of their versions."""
        search = self._client.search_registered_models
        models = [
            (one, prompt)
            for prompt, own in ((False, {}), (True, {"filter_string": _IS_PROMPT}))
            for one in self._pages(search, max_results=_PAGE, **own)
        ]
        known = {one.name: (one, prompt) for one, prompt in models}
        versions = self._each(self._versions, list(known.values()))
        self._insert(_joined(_model_rows(*one) for one in versions))

    def _versions(self, model: tuple[Any, bool]) -> tuple[Any, list[tuple[Any, str]]]:
        """Return a model with its versions, and where the files of each are."""
        one, prompt = model
        quoted = one.name.replace("'", "\\'")
        wanted = f"name = '{quoted}'" + (f" AND {_IS_PROMPT}" if prompt else "")
        found = self._pages(self._client.search_model_versions, wanted, max_results=_PAGE)
        if prompt:
            # Its text is in its tags; it has no files.
            return one, [(each, each.source) for each in found]
        place = self._client.get_model_version_download_uri
        return one, [(each, place(each.name, str(each.version))) for each in found]


class Served:
    """The artifacts of a run or a model, which a server hands out."""

    workers = _WORKERS

    def __init__(self, location: str, url: str, scratch: Path) -> None:
        """Take the location, the server, and a folder for files on their way."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        self._repository: Any = get_artifact_repository(location, tracking_uri=url)
        self._location = location
        self._scratch = scratch

    def entries(self, below: str = "") -> Iterator[Entry]:
        """Return the files below a path."""
        for one in self._repository.list_artifacts(below or None):
            if one.is_dir:
                yield from self.entries(one.path)
            else:
                yield Entry(one.path, int(one.file_size or 0), "")

    def aged(self) -> Iterator[tuple[Entry, float]]:
        """Return all files; a server does not tell when they were written."""
        for entry in self.entries():
            yield entry, 0.0

    def folders(self, below: str = "") -> list[str]:
        """Return the names of the folders directly below a path, sorted."""
        found = self._repository.list_artifacts(below or None)
        return sorted(one.path.rpartition("/")[2] for one in found if one.is_dir)

    def read(self, path: str) -> Iterator[bytes]:
        """Return a file's content in chunks."""
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        try:
            self._repository._download_file(path, str(folder / "file"))
            with (folder / "file").open("rb", buffering=0) as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    yield chunk
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def write(self, path: str, chunks: Iterable[bytes]) -> str:
        """Refuse: a source is only read."""
        raise NotImplementedError(path)

    def exists(self, path: str) -> bool:
        """Return whether there is such a file."""
        return any(entry.path == path for entry in self.entries())

    def delete(self, paths: Iterable[str]) -> None:
        """Refuse: a source is only read."""
        raise NotImplementedError

    def require_inside(self, path: str) -> None:
        """Refuse: a source is only read."""
        raise NotImplementedError(path)

    def tidy(self) -> None:
        """Refuse: a source is only read."""
        raise NotImplementedError

    def settle(self) -> None:
        """Nothing was written."""

    def text(self) -> str:
        """Return the place as people write it."""
        return self._location


def _joined(many: Iterable[Iterable[tuple[str, list[Values]]]]) -> dict[str, list[Values]]:
    """Return rows of many things by table."""
    rows: dict[str, list[Values]] = {}
    for one in many:
        for table, values in one:
            rows.setdefault(table, []).extend(values)
    return rows


def _run_rows(
    run: Any, points: Mapping[tuple[str, str], Sequence[Any]]
) -> Iterator[tuple[str, list[Values]]]:
    """Return a run as rows by table."""
    info, run_id = run.info, run.info.run_id
    deleted = info.lifecycle_stage == "deleted"
    yield (
        "runs",
        [
            {
                "run_uuid": run_id,
                "name": info.run_name,
                "source_type": "UNKNOWN",
                "source_name": "",
                "entry_point_name": "",
                "user_id": info.user_id,
                "status": info.status,
                "start_time": info.start_time,
                "end_time": info.end_time,
                "source_version": "",
                "lifecycle_stage": info.lifecycle_stage,
                "artifact_uri": info.artifact_uri,
                "experiment_id": int(info.experiment_id),
                # A server does not say when: users have as long to restore it as if that was now.
                "deleted_time": int(time.time() * 1000) if deleted else None,
            }
        ],
    )
    for table, values in (("params", run.data.params), ("tags", run.data.tags)):
        yield (
            table,
            [{"key": key, "value": value, "run_uuid": run_id} for key, value in values.items()],
        )
    for key in run.data.metrics:
        rows = [_point_row(run_id, one) for one in points[run_id, key]]
        order = ("step", "timestamp", "value")
        yield "metrics", rows
        yield "latest_metrics", [max(rows, key=lambda row: [row[name] for name in order])]
    yield from _input_rows(run)


def _point_row(run_id: str, point: Any) -> Values:
    """Return one point of a metric."""
    from mlflow.store.fs2db._tracking import _sanitize_metric_value

    is_nan, value = _sanitize_metric_value(point.value)
    return {
        "key": point.key,
        "value": value,
        "timestamp": point.timestamp,
        "step": point.step,
        "is_nan": is_nan,
        "run_uuid": run_id,
    }


def _input_rows(run: Any) -> Iterator[tuple[str, list[Values]]]:
    """Return what a run has used and made, as rows by table."""
    run_id, experiment = run.info.run_id, int(run.info.experiment_id)
    for one in run.inputs.dataset_inputs if run.inputs else []:
        data = one.dataset
        own = made_id("dataset", experiment, data.name, data.digest)
        yield (
            "datasets",
            [
                {
                    "dataset_uuid": own,
                    "experiment_id": experiment,
                    "name": data.name,
                    "digest": data.digest,
                    "dataset_source_type": data.source_type,
                    "dataset_source": data.source,
                    "dataset_schema": data.schema,
                    "dataset_profile": data.profile,
                }
            ],
        )
        row = _input("DATASET", own, "RUN", run_id)
        yield "inputs", [row]
        yield (
            "input_tags",
            [
                {"input_uuid": row["input_uuid"], "name": tag.key, "value": tag.value}
                for tag in one.tags
            ],
        )
    for one in getattr(run.inputs, "model_inputs", None) or []:
        yield "inputs", [_input("RUN_INPUT", run_id, "MODEL_INPUT", one.model_id)]
    for one in getattr(run.outputs, "model_outputs", None) or []:
        yield "inputs", [_input("RUN_OUTPUT", run_id, "MODEL_OUTPUT", one.model_id, one.step)]


def _input(source: str, source_id: str, target: str, target_id: str, step: int = 0) -> Values:
    """Return the row that says what a run used or made."""
    return {
        "input_uuid": made_id("input", source, source_id, target, target_id),
        "source_type": source,
        "source_id": source_id,
        "destination_type": target,
        "destination_id": target_id,
        "step": step,
    }


def _link(source: str, source_id: str, target: str, target_id: str, created: int | None) -> Values:
    """Return the row that links two things."""
    return {
        "association_id": f"a-{made_id(source, source_id, target, target_id)}",
        "source_type": source,
        "source_id": source_id,
        "destination_type": target,
        "destination_id": target_id,
        "created_time": created,
    }


def _logged_model_rows(one: Any) -> Iterator[tuple[str, list[Values]]]:
    """Return a logged model as rows by table."""
    own = {"model_id": one.model_id, "experiment_id": int(one.experiment_id)}
    yield (
        "logged_models",
        [
            {
                **own,
                "name": one.name,
                "artifact_location": one.artifact_location,
                "creation_timestamp_ms": one.creation_timestamp,
                "last_updated_timestamp_ms": one.last_updated_timestamp,
                "status": one.status.to_int(),
                "lifecycle_stage": "active",
                "model_type": one.model_type,
                "source_run_id": one.source_run_id,
                "status_message": one.status_message,
            }
        ],
    )
    for table, kind, values in (
        ("logged_model_params", "param", one.params),
        ("logged_model_tags", "tag", one.tags),
    ):
        yield (
            table,
            [{**own, f"{kind}_key": key, f"{kind}_value": text} for key, text in values.items()],
        )
    yield (
        "logged_model_metrics",
        [
            {
                **own,
                "metric_name": metric.key,
                "metric_timestamp_ms": metric.timestamp,
                "metric_step": metric.step,
                "metric_value": metric.value,
                "run_id": metric.run_id,
                "dataset_uuid": None,
                "dataset_name": metric.dataset_name,
                "dataset_digest": metric.dataset_digest,
            }
            for metric in one.metrics or []
        ],
    )


def _trace_rows(info: Any, experiment: str) -> Iterator[tuple[str, list[Values]]]:
    """Return a trace as rows by table, as MLflow's store writes them."""
    from mlflow.store.tracking.utils.trace_analytics import (
        PROMOTED_TRACE_METADATA_KEYS,
        analytics_columns_from_metadata,
    )
    from mlflow.tracing.constant import TraceTagKey

    trace_id, tags, metadata = info.trace_id, dict(info.tags), dict(info.trace_metadata)
    yield (
        "trace_info",
        [
            {
                "request_id": trace_id,
                "experiment_id": int(experiment),
                "timestamp_ms": info.request_time,
                "execution_time_ms": info.execution_duration,
                "status": info.state.value,
                "client_request_id": info.client_request_id,
                "request_preview": info.request_preview,
                "response_preview": info.response_preview,
                "trace_name": tags.pop(TraceTagKey.TRACE_NAME, None),
                **_ANALYTICS,
                **analytics_columns_from_metadata(metadata),
            }
        ],
    )
    kept = {key: text for key, text in metadata.items() if key not in PROMOTED_TRACE_METADATA_KEYS}
    for table, values in (("trace_tags", tags), ("trace_request_metadata", kept)):
        yield (
            table,
            [{"key": key, "value": text, "request_id": trace_id} for key, text in values.items()],
        )


# Columns of traces that have no value unless their metadata gives one.
_ANALYTICS = dict.fromkeys(
    (
        "session_id",
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation_input_tokens_above_1hr",
        "input_cost",
        "output_cost",
        "total_cost",
    )
)


def _model_rows(
    one: Any, versions: Sequence[tuple[Any, str]]
) -> Iterator[tuple[str, list[Values]]]:
    """Return a registered model as rows by table."""
    own = {"name": one.name, "workspace": "default"}
    yield (
        "registered_models",
        [
            {
                **own,
                "creation_time": one.creation_timestamp,
                "last_updated_time": one.last_updated_timestamp,
                "description": one.description,
            }
        ],
    )
    # What is shown lacks the tag by which a prompt is one.
    yield "registered_model_tags", _pairs(own, one._tags)
    yield (
        "registered_model_aliases",
        [{**own, "alias": alias, "version": int(to)} for alias, to in one.aliases.items()],
    )
    for each, place in versions:
        numbered = {**own, "version": int(each.version)}
        yield (
            "model_versions",
            [
                {
                    **numbered,
                    "creation_time": each.creation_timestamp,
                    "last_updated_time": each.last_updated_timestamp,
                    "description": each.description,
                    "user_id": each.user_id,
                    "current_stage": each.current_stage,
                    "source": each.source,
                    "run_id": each.run_id,
                    "status": str(getattr(each.status, "value", each.status)),
                    "status_message": each.status_message,
                    "run_link": each.run_link,
                    "storage_location": place,
                }
            ],
        )
        yield "model_version_tags", _pairs(numbered, each.tags)


def _pairs(own: Values, tags: Mapping[str, str]) -> list[Values]:
    """Return tags as rows."""
    return [{**own, "key": key, "value": text} for key, text in tags.items()]
