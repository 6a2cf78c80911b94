# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a team deleted in MLflow, with everything that can refer to it, and neighbours that stay.

Run by the Python of MLflow, with MLFLOW_TRACKING_URI set to a server: prints a JSON object with the IDs.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    Param,
    RunTag,
)

WHEN = 1_700_000_000_000
# More than a transaction takes.
HISTORY = 6_000


def main() -> None:
    """Make it."""
    client: Any = MlflowClient()
    made: dict[str, Any] = {}
    here = client.create_experiment("stays", tags={"a": "b"})
    there = client.create_experiment("goes", tags={"a": "b"})
    made["experiments"] = {"stays": here, "goes": there}
    made["runs"] = {
        "stays": run(client, here),
        "goes": run(client, here),
        "goes along": run(client, there),
        "used": run(client, here),
    }
    made["models"] = {
        "stays": model(client, here, made["runs"]["stays"]),
        "goes": model(client, here, made["runs"]["goes"]),
        "goes along": model(client, there, made["runs"]["goes along"]),
        "used": model(client, here, made["runs"]["stays"]),
    }
    made["traces"] = {
        "stays": trace(client, here, [made["runs"]["stays"], made["runs"]["goes"]]),
        "goes along": trace(client, there, [made["runs"]["goes along"]]),
    }
    registered(client, made)
    for name in ("goes", "used"):
        client.delete_run(made["runs"][name])
        client.delete_logged_model(made["models"][name])
    client.delete_experiment(there)
    json.dump(made, sys.stdout)


def run(client: Any, experiment: str) -> str:
    """Make a run with all that a run can have."""
    run_id = str(client.create_run(experiment, start_time=WHEN).info.run_id)
    points = [Metric("loss", 1.0, WHEN + step, step) for step in range(HISTORY)]
    for first in range(0, HISTORY, 1000):
        client.log_batch(run_id, points[first : first + 1000])
    client.log_batch(run_id, [], [Param("p", "1")], [RunTag("t", "1")])
    dataset = Dataset("wine", "abc", "local", "here")
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "train")])])
    client.log_text(run_id, run_id, "folder/ü 1.txt")
    return run_id


def model(client: Any, experiment: str, run_id: str) -> str:
    """Make a logged model of a run, with a metric, which the run also has as input and output."""
    made = client.create_logged_model(experiment, name="m", params={"a": "1"}, source_run_id=run_id)
    model_id = str(made.model_id)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "MLmodel").write_text(f"flavors: {{}}\nmodel: {model_id}\n", encoding="utf-8")
        client.log_model_artifacts(model_id, folder)
    client.finalize_logged_model(model_id, "READY")
    client.set_logged_model_tags(model_id, {"a": "b"})
    client.log_metric(run_id, "of the model", 1.0, model_id=model_id)
    client.log_inputs(run_id, models=[LoggedModelInput(model_id)])
    client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])
    return model_id


def trace(client: Any, experiment: str, runs: list[str]) -> str:
    """Make a trace that is linked to runs and judged."""
    mlflow.set_experiment(experiment_id=experiment)
    with mlflow.start_span("question") as span:
        span.set_inputs({"a": 1})
    mlflow.flush_trace_async_logging()
    trace_id = str(span.trace_id)
    mlflow.log_feedback(trace_id=trace_id, name="good", value=True)
    client.set_trace_tag(trace_id, "a", "b")
    for run_id in runs:
        client.link_traces_to_run([trace_id], run_id)
    return trace_id


def registered(client: Any, made: dict[str, Any]) -> None:
    """Register versions: of a run and of a logged model that are deleted later; delete two of four."""
    uri = f"mlflow-artifacts:/{made['experiments']['stays']}"
    client.create_registered_model("of a run")
    used = made["runs"]["used"]
    client.create_model_version("of a run", f"{uri}/{used}/artifacts/folder", used)
    client.create_registered_model("of a model")
    stays = made["runs"]["stays"]
    kept = made["models"]["used"]
    client.create_model_version("of a model", f"models:/{kept}", stays, model_id=kept)
    client.create_registered_model("versions")
    for _number in range(4):
        client.create_model_version(
            "versions", f"{uri}/{stays}/artifacts/folder", stays, tags={"a": "b"}
        )
    for number in (2, 4):
        client.delete_model_version("versions", str(number))


if __name__ == "__main__":
    main()
