# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a data scientist's program does through the front door, told as one JSON object.

Run by a Python that has MLflow installed, with the variables that name the server and log in. Its argument is
the size of a file to send and to get back.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.entities import Metric
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ROOT = os.environ["MLFLOW_TRACKING_URI"]


def main() -> None:
    """Do everything in order."""
    client = MlflowClient()
    experiment = client.create_experiment(f"door-{time.time_ns()}")
    mlflow.set_experiment(experiment_id=experiment)
    run = client.create_run(experiment).info.run_id
    for step in range(3):
        client.log_batch(run, [Metric(f"m{number}", step, 0, step) for number in range(10)])
    told: dict[str, Any] = {"points": len(client.get_metric_history(run, "m9"))}
    told["file"] = file(client, run, int(sys.argv[1]))
    client.create_registered_model(f"model-{run}")
    version = client.create_model_version(f"model-{run}", f"runs:/{run}/file", run)
    told["version"] = str(version.version)
    with mlflow.start_span("question") as span:
        span.set_inputs({"text": "how many?"})
    mlflow.flush_trace_async_logging()
    told["otlp"] = otlp(experiment)
    found = mlflow.search_traces(locations=[experiment], return_type="list")
    told["traces"] = sorted(trace.data.spans[0].name for trace in found)
    client.set_terminated(run)
    print(json.dumps(told))


def file(client: MlflowClient, run: str, size: int) -> bool:
    """Send a file and get it back; return whether it is the same."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(os.urandom(1 << 20) * (size >> 20))
        sent = hashlib.sha256(path.read_bytes()).digest()
        client.log_artifact(run, str(path))
        path.unlink()
        got = Path(client.download_artifacts(run, "file", folder))
        return sent == hashlib.sha256(got.read_bytes()).digest()


def otlp(experiment: str) -> int:
    """Send a span as OpenTelemetry's exporters do; return the status."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = os.urandom(16), os.urandom(8), "exported"
    span.start_time_unix_nano = time.time_ns()
    span.end_time_unix_nano = span.start_time_unix_nano + 1000
    headers = {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": experiment}
    headers["Authorization"] = f"Bearer {os.environ['DOOR_TOKEN']}"
    answer = requests.post(
        f"{ROOT}/v1/traces",
        request.SerializeToString(),
        headers=headers,
        verify=os.environ["MLFLOW_TRACKING_SERVER_CERT_PATH"],
        timeout=60,
    )
    return int(answer.status_code)


if __name__ == "__main__":
    main()
