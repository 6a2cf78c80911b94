# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a server has of a project, read by MLflow's client, as one JSON document in a file.

Run by a Python that has MLflow installed, with MLFLOW_TRACKING_URI set to a server:
    python tell_program.py WORK
It writes WORK/told.json. Two documents of the same content are equal: lists are sorted, numbers that are none are text,
and nothing in it says which server or client it was.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import ViewType

IS_PROMPT = "tags.`mlflow.prompt.is_prompt` = 'true'"
PAGE = 100


def main() -> None:
    """Read each part in turn."""
    work = Path(sys.argv[1])
    client: Any = MlflowClient()
    server = tuple(map(int, _version().split(".")[:3]))
    experiments = [
        _fields(one)
        for one in _pages(client.search_experiments, view_type=ViewType.ALL, max_results=PAGE)
    ]
    ids = sorted((one["experiment_id"] for one in experiments), key=int)
    told = {
        "experiments": experiments,
        "runs": [one for each in ids for one in _runs(client, each, work)],
        "traces": [one for each in ids for one in _traces(client, each)],
        "models": _models(client),
        "prompts": _models(client, prompts=True),
        # What older servers do not have.
        "logged_models": _logged_models(client, ids, work) if server >= (3,) else [],
        "evaluation_datasets": _evaluation_datasets(client, ids) if server >= (3, 4) else [],
    }
    text = json.dumps(_plain(told), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (work / "told.json").write_text(text + "\n", encoding="utf-8")


def _version() -> str:
    """Return the server's release, without what follows its numbers."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    return str(
        http_request(get_default_host_creds(mlflow.get_tracking_uri()), "/version", "GET").text
    )


def _pages(search: Callable[..., Any], *arguments: Any, **options: Any) -> list[Any]:
    """Return all pages of a search."""
    found, token = [], None
    while True:
        page = search(*arguments, page_token=token, **options)
        found += page
        token = page.token
        if not token:
            return found


def _runs(client: Any, experiment: str, work: Path) -> list[dict[str, Any]]:
    """Return the runs of an experiment, deleted ones too, each whole."""
    found = _pages(client.search_runs, [experiment], run_view_type=ViewType.ALL, max_results=PAGE)
    ids = sorted(one.info.run_id for one in found)
    # A search of release 3.0 leaves out what a run has made.
    return [_run(client, client.get_run(one), work) for one in ids]


def _run(client: Any, run: Any, work: Path) -> dict[str, Any]:
    """Return a run with its metrics' history, its inputs, its outputs and the content of its artifacts."""
    run_id = run.info.run_id
    histories = {
        key: _sorted(
            [one.value, one.timestamp, one.step] for one in client.get_metric_history(run_id, key)
        )
        for key in run.data.metrics
    }
    inputs = [
        {"dataset": _fields(one.dataset), "tags": _pairs(one.tags)}
        for one in run.inputs.dataset_inputs
    ]
    models = [one.model_id for one in getattr(run.inputs, "model_inputs", None) or []]
    outputs = [
        [one.model_id, one.step]
        for one in getattr(getattr(run, "outputs", None), "model_outputs", None) or []
    ]
    return {
        "info": _fields(run.info),
        "params": dict(run.data.params),
        "tags": dict(run.data.tags),
        "metrics": dict(run.data.metrics),
        "histories": histories,
        "inputs": _sorted(inputs),
        "model_inputs": sorted(models),
        "model_outputs": _sorted(outputs),
        "artifacts": _files(run.info.artifact_uri, work),
    }


def _files(place: str, work: Path) -> dict[str, list[Any]]:
    """Return of each artifact below a place its listed size, its size and its hash, by its path."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository: Any = get_artifact_repository(place)
    listed = _listed(repository)
    if not listed:
        # Which cannot be downloaded.
        return {}
    folder = work / "downloaded"
    folder.mkdir()
    repository.download_artifacts("", str(folder))
    found = {
        path.relative_to(folder).as_posix(): [
            listed.pop(path.relative_to(folder).as_posix(), None),
            path.stat().st_size,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        ]
        for path in folder.rglob("*")
        if path.is_file()
    }
    shutil.rmtree(folder)
    return found | {path: [size, None, None] for path, size in listed.items()}


def _listed(repository: Any, path: str | None = None) -> dict[str, int]:
    """Return the sizes of files below a path as the server lists them."""
    found: dict[str, int] = {}
    for one in repository.list_artifacts(path):
        inside = (
            _listed(repository, one.path) if one.is_dir else {one.path: int(one.file_size or 0)}
        )
        found |= inside
    return found


def _traces(client: Any, experiment: str) -> list[dict[str, Any]]:
    """Return the traces of an experiment with their spans and assessments."""
    found = _pages(client.search_traces, [experiment], max_results=PAGE)
    return sorted((_trace(one) for one in found), key=lambda one: one["trace_id"])


def _trace(trace: Any) -> dict[str, Any]:
    """Return a trace as releases before and after 3.0 have it."""
    info = trace.info
    assessments = [one.to_dictionary() for one in getattr(info, "assessments", None) or []]
    return {
        "trace_id": info.request_id,
        "experiment_id": info.experiment_id,
        "timestamp_ms": info.timestamp_ms,
        "execution_time_ms": info.execution_time_ms,
        "status": str(info.status),
        "tags": dict(info.tags),
        "metadata": dict(info.request_metadata),
        "assessments": sorted(assessments, key=lambda one: one["assessment_id"]),
        "spans": sorted((_span(one) for one in trace.data.spans), key=lambda one: one["span_id"]),
    }


def _span(span: Any) -> dict[str, Any]:
    """Return a span."""
    return {
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "name": span.name,
        "type": span.span_type,
        "status": [str(span.status.status_code), span.status.description],
        "start": span.start_time_ns,
        "end": span.end_time_ns,
        "inputs": span.inputs,
        "outputs": span.outputs,
        "attributes": dict(span.attributes),
        "events": [[one.name, one.timestamp, dict(one.attributes)] for one in span.events],
    }


def _models(client: Any, *, prompts: bool = False) -> list[dict[str, Any]]:
    """Return registered models, or prompts, with all of their versions."""
    own = {"filter_string": IS_PROMPT} if prompts else {}
    found = _pages(client.search_registered_models, max_results=PAGE, **own)
    return sorted((_model(client, one, prompts) for one in found), key=lambda one: one["name"])


def _model(client: Any, model: Any, prompt: bool) -> dict[str, Any]:
    """Return a registered model, or a prompt, with its versions."""
    quoted = model.name.replace("'", "\\'")
    # A prompt's text is in its versions' tags; loading it would write into the database.
    of = f"name = '{quoted}'" + (f" AND {IS_PROMPT}" if prompt else "")
    versions = []
    for one in _pages(client.search_model_versions, of, max_results=PAGE):
        whole = _fields(one)
        # A search may leave them out; the model has them.
        whole.pop("aliases", None)
        versions.append(whole)
    known = _fields(model)
    # Of each stage the newest version, as among the others.
    known.pop("latest_versions", None)
    return {
        **known,
        "aliases": dict(model.aliases),
        "versions": sorted(versions, key=lambda one: int(one["version"])),
    }


def _logged_models(client: Any, experiments: list[str], work: Path) -> list[dict[str, Any]]:
    """Return the models of MLflow 3's own kind, with their files."""
    found = _pages(client.search_logged_models, experiments, max_results=50)
    told = []
    for one in found:
        known = one.to_dictionary()
        known["metrics"] = _sorted(_fields(metric) for metric in one.metrics or [])
        told.append({**known, "artifacts": _files(one.artifact_location, work)})
    return sorted(told, key=lambda one: str(one["model_id"]))


def _evaluation_datasets(client: Any, experiments: list[str]) -> list[dict[str, Any]]:
    """Return records for evaluations."""
    found = _pages(client.search_datasets, experiments, max_results=PAGE)
    return _sorted(one.to_dict() for one in found)


def _fields(thing: Any) -> dict[str, Any]:
    """Return what one of MLflow's objects holds by name."""
    return {str(name): value for name, value in dict(thing).items()}


def _pairs(tags: Iterable[Any]) -> dict[str, str]:
    """Return tags by their keys."""
    return {one.key: one.value for one in tags}


def _sorted(things: Iterable[Any]) -> list[Any]:
    """Return things in an order that depends on their content alone."""
    return sorted((_plain(one) for one in things), key=lambda one: json.dumps(one, sort_keys=True))


def _plain(value: Any) -> Any:
    """Return a value as JSON has it, so that equal ones compare as equal: NaN does not."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return _plain(vars(value)) if hasattr(value, "__dict__") else str(value)


if __name__ == "__main__":
    main()
