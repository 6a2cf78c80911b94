# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What MLflow's page asks a server for with judges, and what comes of the jobs for it."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import jobs_off
from ansible_collections.mlops.mlflow_aws.tests.parts.host import OPENER, await_
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT

KNOWN = json.loads((CHECKOUT / "docker" / "mlflow.json").read_text())


def judge(
    name: str,
    instructions: str = "Say whether {{ outputs }} is short.",
    model: str = "openai:/gpt-4o-mini",
) -> dict[str, Any]:
    """Return a judge as MLflow's page sends it."""
    words = {"instructions": instructions, "model": model}
    return {
        "name": name,
        "mlflow_version": KNOWN["version"],
        "serialization_version": 1,
        "instructions_judge_pydantic_data": words,
    }


SCORER = judge("judge")


def call(url: str, method: str, path: str, body: object) -> tuple[int, dict[str, Any]]:
    """Send JSON; return the status, and the JSON of the answer."""
    headers = {"Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = Request(url + path, data, headers, method=method)
    try:
        with OPENER.open(request, timeout=180) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def expect(url: str, method: str, path: str, body: object) -> dict[str, Any]:
    """Send JSON, which must succeed; return the JSON of the answer."""
    status, answer = call(url, method, path, body)
    assert status == 200, answer
    return answer


def experiment_with_a_trace(url: str) -> tuple[str, str]:
    """Return the ids of a new experiment of a user's, and of the trace in it."""
    made = expect(url, "POST", "/api/2.0/mlflow/experiments/create", {"name": "mine"})
    experiment = made["experiment_id"]
    info = {
        "trace_id": "tr-0123456789abcdef0123456789abcdef",
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": experiment},
        },
        "request_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "state": "OK",
    }
    expect(url, "POST", "/api/3.0/mlflow/traces", {"trace": {"trace_info": info}})
    return experiment, str(info["trace_id"])


def bodies(experiment: str, trace: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what the page sends, by route: none has a fault for which MLflow itself would refuse it."""
    about = {"experiment_id": experiment, "trace_ids": [trace]}
    return {
        ("POST", "/jobs/"): {"job_name": "invoke_scorer", "params": {}},
        ("POST", "/mlflow/genai/evaluate/invoke"): about
        | {"serialized_scorers": [json.dumps(SCORER)]},
        ("POST", "/mlflow/issues/invoke"): about
        | {"categories": ["safety"], "provider": "openai", "endpoint_name": "chat"},
        ("POST", "/mlflow/prompt-optimization/jobs"): {
            "experiment_id": experiment,
            "source_prompt_uri": "prompts:/p/1",
            "config": {"optimizer_type": "OPTIMIZER_TYPE_METAPROMPT"},
        },
        ("POST", "/mlflow/scorer/invoke"): about
        | {"serialized_scorer": json.dumps(SCORER), "log_assessments": True},
        jobs_off.ONLINE_SCORING: {
            "experiment_id": experiment,
            "name": "judge",
            "sample_rate": 1.0,
        },
        jobs_off.ARCHIVAL: {
            "experiment_id": experiment,
            "key": jobs_off.ARCHIVAL_TAGS[0],
            "value": "{}",
        },
    }


def generate_traces(url: str) -> str:
    """Let MLflow write its example traces into an experiment of its own; return what it says of that."""
    body = {"features": ["traces"]}
    status: str = expect(url, "POST", "/ajax-api/3.0/mlflow/demo/generate", body)["status"]
    return status


def example(url: str) -> tuple[str, str]:
    """Return the IDs of MLflow's example experiment, and of a trace in it."""
    name = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=MLflow%20Demo"
    experiment = expect(url, "GET", name, None)["experiment"]["experiment_id"]
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    search = {"locations": [place], "max_results": 1}
    (trace,) = expect(url, "POST", "/api/3.0/mlflow/traces/search", search)["traces"]
    return experiment, trace["trace_id"]


def evaluate(url: str) -> tuple[str, str]:
    """Let a judge evaluate one of MLflow's example traces; return the IDs of job and run."""
    body = bodies(*example(url))[("POST", "/mlflow/genai/evaluate/invoke")]
    return ids(expect(url, "POST", "/ajax-api/3.0/mlflow/genai/evaluate/invoke", body))


def ids(answer: dict[str, Any]) -> tuple[str, str]:
    """Return the IDs of the job and the run that an answer names."""
    return answer["job_id"], answer["run_id"]


def run_status(url: str, run: str) -> str:
    """Return the status of a run."""
    found = expect(url, "GET", f"/api/2.0/mlflow/runs/get?run_id={run}", None)
    return str(found["run"]["info"]["status"])


def run_statuses(url: str, experiment: str) -> list[str]:
    """Return the statuses of an experiment's runs."""
    search = {"experiment_ids": [experiment]}
    found = expect(url, "POST", "/api/2.0/mlflow/runs/search", search).get("runs", [])
    return [run["info"]["status"] for run in found]


def await_end(url: str, job: str, what: str) -> None:
    """Wait until a job has succeeded."""
    await_(lambda: outcome(url, job) == "SUCCEEDED", what, 180)


def outcome(url: str, job: str) -> str:
    """Return the status of a job, empty while its server does not answer."""
    with suppress(OSError):
        return str(expect(url, "GET", f"/ajax-api/3.0/jobs/{job}", None)["status"])
    return ""
