# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a data scientist's programs do with a server, told as one JSON object in a file.

Run by a Python that has MLflow installed, with MLFLOW_TRACKING_URI set and the file named.
Each action's key is its function's name, each value is what came back; test_mlflow_entry.py
compares them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

# The time of all that is logged with one; what the server stamps is normalised by the reader.
WHEN = 1_700_000_000_000


def main() -> None:
    """Do everything in order; a later action may read what an earlier one made."""
    client = MlflowClient()
    results = {action.__name__: action(client) for action in ACTIONS}
    # MLflow prints to standard output when a run ends.
    Path(sys.argv[1]).write_text(json.dumps(results, default=_plain), encoding="utf-8")


def default_experiment(client: Any) -> Any:
    """Read the experiment that the server makes; its artifact location is frozen from then on."""
    return dict(client.get_experiment("0"))


def new_experiment(client: Any) -> Any:
    """Make an experiment and rename it."""
    identifier = client.create_experiment("client", tags={"team": "blue"})
    client.set_experiment_tag(identifier, "stage", "late")
    client.rename_experiment(identifier, "client-renamed")
    return dict(client.get_experiment(identifier))


def new_run(client: Any) -> Any:
    """Log parameters, a metric with steps, a batch and tags one by one."""
    run_id = _run(client, "alone")
    client.log_param(run_id, "rate", 0.1)
    for step, value in enumerate((1.0, 0.5, 0.25)):
        client.log_metric(run_id, "loss", value, timestamp=WHEN + step, step=step)
    client.set_tag(run_id, "colour", "grün")
    client.delete_tag(run_id, "to-be-deleted")
    client.set_terminated(run_id, "FAILED", end_time=WHEN)
    return client.get_run(run_id).to_dictionary()


def batch(client: Any) -> Any:
    """Log many values in one request and read a metric's history page by page."""
    run_id = _run(client, "batch")
    metrics = [Metric("acc", step / 100, WHEN + step, step) for step in range(60)]
    metrics += [Metric("ACC", 1.5, WHEN, 0), Metric("nan", float("nan"), WHEN, 0)]
    parameters = [Param(f"p{number}", "v" * number) for number in range(1, 9)]
    client.log_batch(run_id, metrics, parameters, [RunTag("note", "a\nb")])
    history = client.get_metric_history(run_id, "acc")
    return [client.get_run(run_id).to_dictionary(), [dict(metric) for metric in history]]


def search(client: Any) -> Any:
    """Find runs by a filter, in an order, a page at a time."""
    experiments = [_experiment(client)]
    found = client.search_runs(experiments, "metrics.acc > 0.5", order_by=["metrics.acc DESC"])
    first = client.search_runs(experiments, max_results=1, order_by=["attributes.run_name ASC"])
    return [[run.info.run_name for run in page] for page in (found, first)] + [bool(first.token)]


def artifacts(client: Any) -> Any:
    """Send files through the server, list them, and read them back."""
    run_id = _run(client, "artifacts")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "large.bin").write_bytes(bytes(range(256)) * 8192)
        Path(folder, "empty").touch()
        client.log_artifacts(run_id, folder, "many")
    client.log_text(run_id, "ä\n", "odd name/ü.txt")
    client.log_dict(run_id, {"a": [1, 2]}, "a.json")
    listed = [dict(item) for path in ("", "many", "none") for item in _list(client, run_id, path)]
    with tempfile.TemporaryDirectory() as folder:
        top = Path(client.download_artifacts(run_id, "", folder))
        files = {
            str(path.relative_to(top)): [path.stat().st_size, path.read_bytes()[:8].hex()]
            for path in sorted(top.rglob("*"))
            if path.is_file()
        }
    return [client.get_run(run_id).info.artifact_uri, listed, files]


def deletion(client: Any) -> Any:
    """Delete and restore a run."""
    run_id = _run(client, "deleted")
    client.delete_run(run_id)
    stages = [client.get_run(run_id).info.lifecycle_stage]
    client.restore_run(run_id)
    return [*stages, client.get_run(run_id).info.lifecycle_stage]


def registry(client: Any) -> Any:
    """Register a model's versions, point an alias at one, and find it by that."""
    run_id = _run(client, "model")
    client.log_text(run_id, "weights", "model/weights.txt")
    client.create_registered_model("wine", tags={"kind": "tree"}, description="red")
    for _version in range(2):
        client.create_model_version("wine", f"runs:/{run_id}/model", run_id)
    client.set_registered_model_alias("wine", "champion", "2")
    client.set_model_version_tag("wine", "1", "checked", "yes")
    version = client.get_model_version_by_alias("wine", "champion")
    found = client.search_model_versions("name = 'wine'")
    return [
        dict(version),
        sorted(item.version for item in found),
        dict(client.get_registered_model("wine")),
        client.get_model_version_download_uri("wine", "2"),
    ]


def logged_model(client: Any) -> Any:
    """Log a model of MLflow 3's own kind with a parameter, and find it."""
    model = client.create_logged_model(_experiment(client), "tree", params={"depth": "3"})
    client.finalize_logged_model(model.model_id, "READY")
    client.set_logged_model_tags(model.model_id, {"size": "small"})
    found = client.search_logged_models([_experiment(client)])
    return [found[0].name, str(found[0].status), found[0].params, found[0].artifact_location]


def trace(client: Any) -> Any:
    """Log one trace with a nested span and find it."""
    mlflow.set_experiment(experiment_id=_experiment(client))
    with mlflow.start_span("question", span_type="CHAIN") as span:
        span.set_inputs({"text": "how many?"})
        with mlflow.start_span("lookup", attributes={"rows": 3}):
            pass
        span.set_outputs({"count": 3})
    mlflow.flush_trace_async_logging()
    found = mlflow.search_traces(locations=[_experiment(client)], return_type="list")
    mlflow.set_trace_tag(found[0].info.trace_id, "rated", "good")
    whole = client.get_trace(found[0].info.trace_id)
    return [
        len(found),
        str(whole.info.state),
        whole.info.tags["rated"],
        [[item.name, item.span_type, item.inputs, item.outputs] for item in whole.data.spans],
    ]


def prompt(client: Any) -> Any:
    """Register a prompt, a model of the registry in disguise."""
    client.register_prompt("greeting", "Hello {{name}}", commit_message="first")
    client.set_prompt_alias("greeting", "live", 1)
    loaded = client.load_prompt("prompts:/greeting@live")
    return [loaded.name, loaded.version, loaded.template]


def dataset(client: Any) -> Any:
    """Say which data a run used."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    run_id = _run(client, "dataset")
    used = Dataset("wine", "abc123", "local", "here", schema="{}", profile="{}")
    client.log_inputs(run_id, [DatasetInput(used, [InputTag("context", "training")])])
    return client.get_run(run_id).inputs.to_dictionary()


def errors(client: Any) -> Any:
    """Get refused in several ways."""
    run_id = _run(client, "errors")
    client.log_param(run_id, "fixed", "1")
    return [
        _refusal(client.get_run, "0" * 32),
        _refusal(client.log_param, run_id, "fixed", "2"),
        _refusal(client.create_experiment, "client-renamed"),
        _refusal(client.get_experiment, "999999"),
        _refusal(client.search_runs, [_experiment(client)], "no such filter"),
        _refusal(client.get_model_version_by_alias, "wine", "nobody"),
        _refusal(client.set_tag, run_id, "", "x"),
        _refusal(client.download_artifacts, run_id, "no/such/file"),
    ]


def _plain(value: Any) -> Any:
    """Return an object of MLflow's as JSON has it: its fields, or its text."""
    return vars(value) if hasattr(value, "__dict__") else str(value)


def _refusal(call: Callable[..., Any], *arguments: Any) -> list[str]:
    """Return the code and message with which a call is refused."""
    try:
        call(*arguments)
    except MlflowException as error:
        return [str(error.error_code), str(error).splitlines()[0]]
    raise SystemExit(f"{call.__name__}{arguments} was not refused")


def _experiment(client: Any) -> str:
    """Return the id of the experiment that new_experiment() made."""
    return str(client.get_experiment_by_name("client-renamed").experiment_id)


def _run(client: Any, name: str) -> str:
    """Make a run and return its id."""
    tags = {"to-be-deleted": "x"}
    run = client.create_run(_experiment(client), start_time=WHEN, run_name=name, tags=tags)
    return str(run.info.run_id)


def _list(client: Any, run_id: str, path: str) -> Any:
    """List a folder of a run's artifacts."""
    return client.list_artifacts(run_id, path)


ACTIONS: list[Callable[[Any], Any]] = [
    default_experiment,
    new_experiment,
    new_run,
    batch,
    search,
    artifacts,
    deletion,
    registry,
    logged_model,
    trace,
    prompt,
    dataset,
    errors,
]


if __name__ == "__main__":
    main()
