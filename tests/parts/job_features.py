# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that MLflow does by jobs, asked of one server at once, and what came of it read back.

Its runner looks once a minute for new traces to judge and for old ones to archive; no setting changes that.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any
from urllib.request import Request

from ansible_collections.mlops.mlflow_aws.tests.parts.host import OPENER, await_
from ansible_collections.mlops.mlflow_aws.tests.parts.judges import (
    bodies,
    call,
    expect,
    ids,
    judge,
    outcome,
    run_status,
    run_statuses,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.model import (
    CATEGORY,
    IMPROVED,
    ISSUE,
    KEY,
    PROMPT,
    VERDICT,
    Model,
)

# Traces are judged at once, and not when they are five minutes old.
_AT_ONCE = {"MLFLOW_ONLINE_SCORING_DEFAULT_TRACE_COMPLETION_BUFFER_SECONDS": "0"}
# The gateway may ask a model on loopback.
_NEARBY = {
    "MLFLOW_GATEWAY_API_BASE_ALLOWED_SCHEMES": "http",
    "MLFLOW_GATEWAY_API_BASE_ALLOW_PRIVATE_IPS": "true",
}
# Traces older than a day are archived.
_ARCHIVAL = {"retention": "1d", "interval_seconds": 1}
_DAY = 24 * 60 * 60
_ANSWER = "Forty-two."
# A minute until MLflow looks, and what the jobs take on a busy machine.
_PATIENCE = 900
_FINE = {"PENDING", "RUNNING", "SUCCEEDED"}
AUTOMATIC, BY_TOOL = "automatic", "by_tool"


def settings(asked: Model) -> dict[str, Any]:
    """Return the settings of a server that has all features: the model's, and those of the runner's tasks."""
    variables = {**asked.environment, **_AT_ONCE, **_NEARBY}
    return {"jobs": True, "trace_archival": _ARCHIVAL, "environment": variables}


def log_trace(url: str, experiment: str, age: int = 0) -> str:
    """Log a trace with its span, as OpenTelemetry's exporters do, that began so many seconds ago; return its ID."""
    number, began = uuid.uuid4().hex, time.time_ns() - age * 10**9
    said = {"mlflow.spanInputs": "What is it?", "mlflow.spanOutputs": _ANSWER}
    attributes = [
        {"key": key, "value": {"stringValue": json.dumps(text)}} for key, text in said.items()
    ]
    span = {
        "traceId": number,
        "spanId": number[:16],
        "name": "answer",
        "startTimeUnixNano": str(began),
        "endTimeUnixNano": str(began + 10**6),
        "attributes": attributes,
        "status": {"code": 1},
    }
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    headers = {"Content-Type": "application/json", "X-MLflow-Experiment-Id": experiment}
    with OPENER.open(Request(f"{url}/v1/traces", json.dumps(body).encode(), headers), timeout=60):
        return f"tr-{number}"


def verdicts(url: str, trace: str) -> dict[str, Any]:
    """Return what was said of a trace, by the name of the judge: the feedback's value, or the issue's name."""
    found = {}
    for assessment in _info(url, trace).get("assessments", []):
        said = assessment.get("feedback") or assessment["issue"]
        found[assessment["assessment_name"]] = said.get("value", said.get("issue_name"))
    return found


def use_all(url: str, asked: Model) -> None:
    """Use each feature, and wait until its result can be read."""
    made = expect(url, "POST", "/api/2.0/mlflow/experiments/create", {"name": "features"})
    experiment = made["experiment_id"]
    new, old = log_trace(url, experiment), log_trace(url, experiment, 2 * _DAY)
    judge_automatically(url, experiment, asked)
    jobs, runs = submit(url, experiment, new)
    await_all(url, jobs)
    assert {run_status(url, run) for run in runs.values()} == {"FINISHED"}
    await_(lambda: AUTOMATIC in verdicts(url, new), "the new trace is not judged", _PATIENCE, 1)
    found = verdicts(url, new)
    assert [found[name] for name in ("judge", BY_TOOL, AUTOMATIC)] == [VERDICT] * 3
    about = {"experiment_id": experiment}
    (issue,) = expect(url, "POST", "/api/3.0/mlflow/issues/search", about)["issues"]
    assert (issue["name"], issue["categories"]) == (ISSUE, [CATEGORY])
    assert (issue["source_run_id"], found[issue["issue_id"]]) == (runs["issues"], ISSUE)
    assert (asked.strangers, asked.tools > 0) == (0, True)
    # It is read where it is now.
    await_(lambda: location(url, old) == "ARCHIVE_REPO", "it is not archived", _PATIENCE, 1)
    read = expect(url, "GET", f"/api/3.0/mlflow/traces/get?trace_id={old}", None)["trace"]
    assert _ANSWER in json.dumps(read["spans"])
    assert location(url, new) == "TRACKING_STORE"


def await_all(url: str, jobs: dict[str, str]) -> None:
    """Wait until jobs have succeeded; one that does not fails at once."""

    def ended() -> bool:
        told = expect(url, "POST", "/ajax-api/3.0/jobs/search", {})["jobs"]
        found = {job["job_id"]: (job["status"], job["result"]) for job in told}
        outcomes = {name: found[job] for name, job in jobs.items()}
        assert {status for status, _result in outcomes.values()} <= _FINE, outcomes
        return {status for status, _result in outcomes.values()} == {"SUCCEEDED"}

    await_(ended, f"{', '.join(jobs)} did not end", _PATIENCE, 1)


def optimize_prompt(url: str) -> None:
    """Have the model improve a prompt; what cannot be improved says why, and its run has failed."""
    made = expect(url, "POST", "/api/2.0/mlflow/experiments/create", {"name": "prompts"})
    experiment = made["experiment_id"]
    chosen = {"provider": "openai", "model_name": "gpt-4o-mini"}
    prompt(url, PROMPT, {"_mlflow_prompt_model_config": json.dumps(chosen)})
    prompt(url, "incomplete", {})
    config = {"optimizer_type": "OPTIMIZER_TYPE_METAPROMPT"}
    config["optimizer_config_json"] = json.dumps({"reflection_model": "openai:/gpt-4o-mini"})
    body = {"experiment_id": experiment, "config": config}
    api = "/api/3.0/mlflow/prompt-optimization/jobs"
    begun = {
        name: expect(url, "POST", api, {**body, "source_prompt_uri": f"prompts:/{name}/1"})["job"]
        for name in (PROMPT, "incomplete")
    }
    # Its run is created before the data set is looked for.
    config["dataset_id"] = "d-none"
    status, answer = call(url, "POST", api, {**body, "source_prompt_uri": f"prompts:/{PROMPT}/1"})
    assert (status, "d-none" in answer["message"]) == (404, True), answer
    await_all(url, {PROMPT: begun[PROMPT]["job_id"]})
    version = f"/api/2.0/mlflow/model-versions/get?name={PROMPT}&version=2"
    improved = expect(url, "GET", version, None)["model_version"]
    assert IMPROVED in [tag["value"] for tag in improved["tags"]]
    job = begun["incomplete"]["job_id"]
    await_(lambda: outcome(url, job) == "FAILED", "it goes on", _PATIENCE, 1)
    error = expect(url, "GET", f"/ajax-api/3.0/jobs/{job}", None)["error_message"]
    assert "doesn't have a model configuration" in error
    assert sorted(run_statuses(url, experiment)) == ["FAILED", "FAILED", "FINISHED"]


def prompt(url: str, name: str, more: dict[str, str]) -> None:
    """Register a prompt."""
    mark = {"mlflow.prompt.is_prompt": "true"}
    text = {"mlflow.prompt.text": "Answer: {{question}}", "_mlflow_prompt_type": "text"}
    own, version = (
        [{"key": key, "value": value} for key, value in tags.items()]
        for tags in (mark, {**mark, **text, **more})
    )
    models = "/api/2.0/mlflow/registered-models/create"
    expect(url, "POST", models, {"name": name, "tags": own})
    body = {"name": name, "source": "dummy-source", "tags": version}
    expect(url, "POST", "/api/2.0/mlflow/model-versions/create", body)


def endpoint(url: str, asked: Model) -> str:
    """Make the model one behind MLflow's AI gateway; return the endpoint's name."""
    place = {"api_base": asked.environment["OPENAI_BASE_URL"]}
    secret = {"secret_name": "own", "secret_value": {"api_key": KEY}, "auth_config": place}
    api = "/api/3.0/mlflow/gateway"
    made = expect(url, "POST", f"{api}/secrets/create", {**secret, "provider": "openai"})
    model = {"name": "small", "provider": "openai", "model_name": "gpt-4o-mini"}
    model["secret_id"] = made["secret"]["secret_id"]
    known = expect(url, "POST", f"{api}/model-definitions/create", model)["model_definition"]
    linked = {"model_definition_id": known["model_definition_id"], "linkage_type": "PRIMARY"}
    body = {"name": "chat", "model_configs": [linked], "usage_tracking": False}
    return str(expect(url, "POST", f"{api}/endpoints/create", body)["endpoint"]["name"])


def judge_automatically(url: str, experiment: str, asked: Model) -> None:
    """Have each new trace of an experiment judged, for which the model has to be behind the gateway."""
    made = judge(AUTOMATIC, model=f"gateway:/{endpoint(url, asked)}")
    register = {
        "experiment_id": experiment,
        "name": AUTOMATIC,
        "serialized_scorer": json.dumps(made),
    }
    expect(url, "POST", "/ajax-api/3.0/mlflow/scorers/register", register)
    config = {"experiment_id": experiment, "name": AUTOMATIC, "sample_rate": 1.0}
    expect(url, "PUT", "/ajax-api/3.0/mlflow/scorers/online-config", config)


def judge_once(url: str, experiment: str) -> str:
    """Have one new trace judged; return the job's ID."""
    route = ("POST", "/mlflow/scorer/invoke")
    body = bodies(experiment, log_trace(url, experiment))[route]
    answer = expect(url, "POST", f"/ajax-api/3.0{route[1]}", body)
    return str(answer["jobs"][0]["job_id"])


def submit(url: str, experiment: str, trace: str) -> tuple[dict[str, str], dict[str, str]]:
    """Begin what the page begins at a click; return the IDs of the jobs and those of the runs."""
    given = bodies(experiment, trace)
    by_tool = json.dumps(judge(BY_TOOL, "Say whether {{ trace }} is short."))
    evaluation = {**given["POST", "/mlflow/genai/evaluate/invoke"], "serialized_scorers": [by_tool]}
    issues = {**given["POST", "/mlflow/issues/invoke"], "model": "gpt-4o-mini"}
    del issues["endpoint_name"]
    judged = expect(
        url, "POST", "/ajax-api/3.0/mlflow/scorer/invoke", given["POST", "/mlflow/scorer/invoke"]
    )
    jobs, runs = {"judge": judged["jobs"][0]["job_id"]}, {}
    for name, path, body in (
        ("evaluation", "genai/evaluate", evaluation),
        ("issues", "issues", issues),
    ):
        answer = expect(url, "POST", f"/ajax-api/3.0/mlflow/{path}/invoke", body)
        jobs[name], runs[name] = ids(answer)
    return jobs, runs


def location(url: str, trace: str) -> str:
    """Return where the spans of a trace are."""
    return str(_info(url, trace)["tags"]["mlflow.trace.spansLocation"])


def _info(url: str, trace: str) -> dict[str, Any]:
    """Return what is known of a trace."""
    answer = expect(url, "GET", f"/api/3.0/mlflow/traces/{trace}", None)
    found: dict[str, Any] = answer["trace"]["trace_info"]
    return found
