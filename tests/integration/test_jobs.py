# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server without jobs refuses what would submit one; with them it runs each to its end, whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _requirements
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import jobs_off
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.archival import FOLDER
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.environment import (
    LEAN_DEFAULTS,
)
from ansible_collections.mlops.mlflow_aws.tests.parts import job_features, server_program
from ansible_collections.mlops.mlflow_aws.tests.parts.host import (
    Host,
    Modules,
    await_,
    by_name,
    traces,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.judges import (
    SCORER,
    await_end,
    bodies,
    call,
    evaluate,
    example,
    expect,
    experiment_with_a_trace,
    generate_traces,
    ids,
    outcome,
    run_status,
    run_statuses,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.model import KEY, Model, model
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment

pytestmark = pytest.mark.timeout(900)

# What MLflow's routes do, in its own Python: method and path below the API's root of each whose handler
# comes to a name in `submit_job`, by way of functions of its own module; and all routes; and the files
# that know of `submit_job`.
SURVEY = """
import inspect, json, re, sys, types
from pathlib import Path
import mlflow
from mlflow.server import app as flask_app
from mlflow.server.fastapi_app import app

def names(code):
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names(constant)
        elif isinstance(constant, tuple):
            yield from (text for text in constant if isinstance(text, str))

def submits(function, seen):
    function = inspect.unwrap(function)
    if not isinstance(function, types.FunctionType) or function in seen:
        return False
    seen.add(function)
    found = set(names(function.__code__))
    own = [value for name, value in function.__globals__.items() if name in found]
    own = [one for one in own if getattr(inspect.unwrap(one), "__module__", "") == function.__module__]
    return "submit_job" in found or any(submits(one, seen) for one in own if callable(one))

def routes(router):
    for route in router.routes:
        # FastAPI has come to keep the routers that an application includes.
        if included := getattr(route, "original_router", None):
            yield from routes(included)
        elif endpoint := getattr(route, "endpoint", None):
            yield from ((method, route.path, endpoint) for method in route.methods)

def all_routes():
    for rule in flask_app.url_map.iter_rules():
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            yield method, rule.rule, flask_app.view_functions[rule.endpoint]
    yield from routes(app)

found = {"all": set(), "submitting": set()}
for method, path, function in all_routes():
    below = re.sub(r"^/(ajax-)?api/[0-9.]+(?=/)", "", path)
    found["all"].add((method, below))
    if submits(function, set()):
        found["submitting"].add((method, below, path))
root = Path(mlflow.__file__).parent
files = [
    str(path.relative_to(root)) for path in root.rglob("*.py")
    if not path.is_relative_to(root / "server" / "jobs")
    and re.search(r"import .*\\bsubmit_job\\b|\\.submit_job\\(", path.read_text(encoding="utf-8"))
]
print(json.dumps({name: sorted(value) for name, value in found.items()} | {"files": sorted(files)}))
"""
# Where it is called from: the handlers of routes, and what the runner's own scheduler does.
SUBMITTING_FILES = ["genai/scorers/job.py", "server/handlers.py", "server/job_api.py"]
TIMES = 50
# Those that create a run: the first one starts it in its thread.
RUNS = (("POST", "/mlflow/issues/invoke"), ("POST", "/mlflow/genai/evaluate/invoke"))


def survey(runtime: Mapping[str, Any], home: Path) -> dict[str, Any]:
    """Return what SURVEY prints."""
    python = Path(runtime["python"])
    environment = clean_environment(home, python.parent) | LEAN_DEFAULTS
    done = subprocess.run(
        [python, "-I", "-c", SURVEY],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.mlflow
def test_what_submits_a_job_is_refused(runtime: Mapping[str, Any], tmp_path: Path) -> None:
    """The table has each route of MLflow whose handler comes to job submission, and no other.

    A new release with another one fails here; so does one that submits from another place.
    """
    found = survey(runtime, tmp_path)
    submitting = {(method, below) for method, below, _path in found["submitting"]}
    assert submitting == set(jobs_off.ROUTES)
    for _method, _below, path in found["submitting"]:
        assert path.startswith(("/api/", "/ajax-api/")), path
    # Those of both frameworks were seen.
    for route in (jobs_off.ONLINE_SCORING, jobs_off.ARCHIVAL, ("GET", "/jobs/{job_id}")):
        assert list(route) in found["all"]
    assert found["files"] == SUBMITTING_FILES


def contents(url: str) -> dict[str, tuple[int, int]]:
    """Return the numbers of runs and of traces of each experiment by its name."""
    search = {"max_results": 100}
    listed = expect(url, "POST", "/api/2.0/mlflow/experiments/search", search)["experiments"]
    found = {}
    for experiment in listed:
        one = experiment["experiment_id"]
        runs = expect(url, "POST", "/api/2.0/mlflow/runs/search", {"experiment_ids": [one]})
        place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": one}}
        traces = expect(
            url, "POST", "/api/3.0/mlflow/traces/search", {"locations": [place], "max_results": 500}
        )
        found[experiment["name"]] = (len(runs.get("runs", [])), len(traces.get("traces", [])))
    return found


def test_refused_calls_leave_nothing(new_host: Callable[..., Host]) -> None:
    """Fifty of each, and the server does what a new one does: a run that stays active would get it all."""
    host = new_host("demo", "fresh")
    both = by_name(host.converge(host.server("demo"), host.server("fresh")))
    url, fresh = (both[name]["url"] for name in ("demo", "fresh"))
    experiment, trace = experiment_with_a_trace(url)
    experiment_with_a_trace(fresh)
    register = {
        "experiment_id": experiment,
        "name": "judge",
        "serialized_scorer": json.dumps(SCORER),
    }
    expect(url, "POST", "/ajax-api/3.0/mlflow/scorers/register", register)
    given = bodies(experiment, trace)
    assert set(given) == {*jobs_off.ROUTES, jobs_off.ONLINE_SCORING, jobs_off.ARCHIVAL}
    for route, body in given.items():
        method, path = route
        for _time in range(TIMES):
            status, answer = call(url, method, f"/ajax-api/3.0{path}", body)
            assert (status, answer["message"]) == (501, jobs_off.sentence(route))
    assert contents(url) == {"Default": (0, 0), "mine": (0, 1)}
    assert expect(url, "POST", "/ajax-api/3.0/jobs/search", {})["jobs"] == []
    found = expect(url, "GET", f"/api/2.0/mlflow/experiments/get?experiment_id={experiment}", None)
    assert not {tag["key"] for tag in found["experiment"].get("tags", [])} & {
        *jobs_off.ARCHIVAL_TAGS
    }
    assert (
        expect(url, "GET", "/api/3.0/mlflow/server-info", None)["trace_archival_enabled"] is False
    )
    # What asks for nothing goes through, and a judge can be registered without automatic evaluation.
    off = given[jobs_off.ONLINE_SCORING] | {"sample_rate": 0}
    kept = expect(url, "PUT", "/ajax-api/3.0/mlflow/scorers/online-config", off)
    assert kept["config"]["sample_rate"] == 0
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(generate_traces, (url, fresh))) == ["created"] * 2
    # MLflow answers before the last of them are written.
    await_(lambda: contents(url) == contents(fresh), "not the same as on a new server", 240, 1)
    found = contents(url)
    assert (found["Default"], found["mine"]) == ((0, 0), (0, 1))
    assert sum(traces for _runs, traces in found.values()) > 20


# What makes a database refuse a job that is submitted, and then only the note of its ID in its run.
TRIGGER = "CREATE TRIGGER broken BEFORE INSERT ON {} BEGIN SELECT RAISE(ABORT, 'broken'); END"
BROKEN = (
    "jobs",
    "tags WHEN NEW.key LIKE '%jobId'",
)


def fail_to_submit(url: str, database: Path) -> None:
    """Let jobs fail to be submitted: each is answered so, its run has failed, and no thread keeps one."""
    made = expect(url, "POST", "/api/2.0/mlflow/experiments/create", {"name": "broken"})
    experiment = made["experiment_id"]
    given = bodies(experiment, job_features.log_trace(url, experiment))
    ran = 0
    for place in BROKEN:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute(TRIGGER.format(place))
        for method, path in RUNS * 5:
            status, answer = call(url, method, f"/ajax-api/3.0{path}", given[method, path])
            assert status >= 400, answer
            assert "Traceback" not in str(answer)
            ran += 1
            assert run_statuses(url, experiment) == ["FAILED"] * ran
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("DROP TRIGGER broken")
    # So does the run of a job that is cancelled.
    path = "/mlflow/genai/evaluate/invoke"
    job, run = ids(expect(url, "POST", f"/ajax-api/3.0{path}", given["POST", path]))
    expect(url, "PATCH", f"/ajax-api/3.0/jobs/cancel/{job}", None)
    assert run_status(url, run) == "KILLED"
    left = expect(url, "POST", "/ajax-api/3.0/jobs/search", {})["jobs"]
    assert {job["status"] for job in left} == {"CANCELED"}


def test_each_feature(new_host: Callable[..., Host], asked: Model) -> None:
    """With jobs, what MLflow does by them comes to its end, and what cannot begin says so and leaves nothing."""
    host = new_host("demo")
    wanted = host.server("demo", **job_features.settings(asked))
    url = by_name(host.converge(wanted))["demo"]["url"]
    (route,) = jobs_off.PACKAGES
    status, answer = call(url, route[0], f"/ajax-api/3.0{route[1]}", bodies("0", "")[route])
    assert (status, answer["message"]) == (501, jobs_off.lacking(route))
    assert run_statuses(url, "0") == []
    fail_to_submit(url, host.database("demo"))
    job_features.use_all(url, asked)
    archive = Path(host.known["demo"]["artifacts_destination"], FOLDER)
    assert [path for path in archive.rglob("*") if path.is_file()]


@pytest.mark.thorough(
    "It needs an installation of its own, with the example of packages of one's own."
)
def test_prompts_are_optimized_where_the_package_is(
    new_host: Callable[..., Host],
    modules: Modules,
    runtime_files: dict[str, Any],
    tmp_path: Path,
    asked: Model,
) -> None:
    """With LiteLLM in the set nothing is refused; what the job fails by, it says."""
    additional = _requirements.read(str(server_program.LITELLM), runtime_files["requirements"])
    options = {
        "state_dir": str(tmp_path / "s"), **runtime_files, "additional_requirements": additional
    }  # fmt: skip
    runtime = modules.call("mlflow_installation", options)["installation"]
    host = new_host("demo")
    host.runtime = runtime
    wanted = host.server("demo", jobs=True, environment=asked.environment)
    url = by_name(host.converge(wanted))["demo"]["url"]
    job_features.optimize_prompt(url)
    assert asked.strangers == 0


@pytest.fixture
def asked() -> Iterator[Model]:
    """Return a model for judges."""
    with model() as made:
        yield made


def being_judged(new_host: Callable[..., Host], asked: Model) -> tuple[Host, str, str, str]:
    """Return a host, its server's URL, and the IDs of a job and its run while the job waits for the model."""
    host = new_host("demo")
    wanted = host.server("demo", jobs=True, environment=asked.environment)
    url = by_name(host.converge(wanted))["demo"]["url"]
    generate_traces(url)
    asked.answers.clear()
    job, run = evaluate(url)
    await_(lambda: asked.asked, "no judge was asked")
    return host, url, job, run


def running(host: Host, verb: str) -> list[int]:
    """Return the processes of this host that run a verb of the program."""
    return [pid for pid, words in host.processes().items() if words[-2:-1] == [verb]]


@pytest.mark.thorough("test_each_feature starts and ends the same processes every time.")
@pytest.mark.parametrize("verb", ["jobs", "serve"])
def test_jobs_end_whatever_is_killed(
    new_host: Callable[..., Host], asked: Model, verb: str
) -> None:
    """A runner or a server that is killed comes back, and what it was at begins again and ends."""
    host, url, job, run = being_judged(new_host, asked)
    assert outcome(url, job) == "RUNNING"
    assert traces(KEY) == []
    (at_work,) = running(host, "job")
    assert len(running(host, "jobs")) == 1
    (killed,) = running(host, verb)
    os.kill(killed, signal.SIGKILL)
    # Nothing goes on that nobody would learn of.
    await_(lambda: at_work not in running(host, "job"), "the job goes on")
    asked.answers.set()
    await_end(url, job, f"not ended without {verb}")
    assert asked.asked == 2
    assert run_status(url, run) == "FINISHED"
    assert asked.strangers == 0
    # Off again: no process is left, and its jobs can still be looked at.
    host.converge(host.server("demo", environment=asked.environment))
    assert (running(host, "jobs"), running(host, "job")) == ([], [])
    assert outcome(url, job) == "SUCCEEDED"
    assert call(url, "POST", "/ajax-api/3.0/jobs/", {})[0] == 501


@pytest.mark.thorough("A run ends with a job that is cancelled or not submitted every time.")
def test_a_job_whose_process_is_killed_fails(new_host: Callable[..., Host], asked: Model) -> None:
    """As when memory runs out: it is not begun again, and its run has failed, too."""
    host, url, job, run = being_judged(new_host, asked)
    (at_work,) = running(host, "job")
    os.kill(at_work, signal.SIGKILL)
    await_(lambda: outcome(url, job) == "FAILED", "the job has not failed")
    await_(lambda: run_status(url, run) == "FAILED", "its run goes on")
    error = expect(url, "GET", f"/ajax-api/3.0/jobs/{job}", None)["error_message"]
    assert "exited with error code -9" in error


@pytest.mark.thorough("Jobs with a key of the server's own environment run every time.")
def test_a_key_of_the_gateway_reaches_the_job(new_host: Callable[..., Host], asked: Model) -> None:
    """Issue detection may name an API key that MLflow keeps: the job reads it, and nothing else has it."""
    host = new_host("demo")
    address = {name: text for name, text in asked.environment.items() if text != KEY}
    wanted = host.server("demo", jobs=True, environment=address)
    url = by_name(host.converge(wanted))["demo"]["url"]
    generate_traces(url)
    secret = {"secret_name": "own", "secret_value": {"api_key": KEY}, "provider": "openai"}
    made = expect(url, "POST", "/api/3.0/mlflow/gateway/secrets/create", secret)["secret"]
    experiment, trace = example(url)
    asked.answers.clear()
    body = {
        "experiment_id": experiment,
        "trace_ids": [trace],
        "categories": ["safety"],
        "provider": "openai",
        "model": "gpt-4o-mini",
        "secret_id": made["secret_id"],
    }
    job, run = ids(expect(url, "POST", "/ajax-api/3.0/mlflow/issues/invoke", body))
    await_(lambda: asked.asked, "no model was asked")
    assert asked.strangers == 0
    assert traces(KEY) == []
    (kept,) = expect(url, "POST", "/ajax-api/3.0/jobs/search", {})["jobs"]
    assert KEY not in json.dumps(kept)
    asked.answers.set()
    # What the model says is no list of issues: how it ends is MLflow's affair.
    await_(lambda: outcome(url, job) in ("SUCCEEDED", "FAILED"), "not ended")
    assert asked.strangers == 0
    assert run_status(url, run) in ("FINISHED", "FAILED")
