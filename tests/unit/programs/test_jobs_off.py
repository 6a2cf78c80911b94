# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server without jobs refuses, and what it passes on untouched."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import jobs_off
from ansible_collections.mlops.mlflow_aws.tests.unit.programs._asgi import Exchange, exchange

ONLINE = "/api/3.0/mlflow/scorers/online-config"
RATES: list[object] = [1, 0.1, "1", True, "no", None, []]


def request(method: str, path: str, parts: list[bytes], prefix: str = "") -> Exchange:
    """Send a request to a server without jobs."""
    scope = {"method": method, "path": path}
    refused = jobs_off.refusals(False)
    return exchange(lambda inner: jobs_off.JobsOff(inner, refused, prefix), scope, parts)


def told(method: str, path: str, parts: list[bytes]) -> tuple[int, bytes, bytes | None]:
    """Return status and body of the answer, and the body that the application got, if it was asked."""
    made = request(method, path, parts)
    return made.status, made.sent[1]["body"], None if made.scope is None else made.body


def ask(method: str, path: str, body: object = None, prefix: str = "") -> tuple[int, bool]:
    """Return the status of the answer to a request, and whether the application was asked."""
    made = request(method, path, [json.dumps(body).encode()], prefix)
    return made.status, made.scope is not None


@pytest.mark.parametrize("route", sorted(jobs_off.ROUTES))
@pytest.mark.parametrize("root", ["/api/3.0", "/ajax-api/3.0", "/ajax-api/2.0"])
@pytest.mark.parametrize("prefix", ["", "/team", "/team/"])
def test_no_job_is_submitted(route: tuple[str, str], root: str, prefix: str) -> None:
    """By none of the paths under which MLflow offers it, with a prefix and without."""
    method, path = route
    whole = prefix.rstrip("/") + root + path
    assert ask(method, whole, {}, prefix) == (501, False)


@pytest.mark.parametrize("route", sorted(jobs_off.ROUTES))
def test_no_spelling_is_passed_on(route: tuple[str, str]) -> None:
    """Flask takes paths with more slashes in front and methods in any case, Starlette a line feed at the end."""
    method, path = route
    assert ask(method, f"//ajax-api/3.0{path}", {}) == (501, False)
    assert ask(method, f"/ajax-api/3.0{path}\n", {}) == (501, False)
    assert ask(method.lower(), f"/ajax-api/3.0{path}", {}) == (501, False)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ajax-api/3.0/jobs/6f0f"),
        ("POST", "/ajax-api/3.0/jobs/search"),
        ("PATCH", "/ajax-api/3.0/jobs/cancel/6f0f"),
        ("GET", "/ajax-api/3.0/mlflow/jobs/6f0f"),
        ("PATCH", "/ajax-api/3.0/mlflow/jobs/cancel/6f0f"),
        ("GET", "/api/3.0/mlflow/prompt-optimization/jobs/6f0f"),
        ("POST", "/api/3.0/mlflow/prompt-optimization/jobs/search"),
        ("POST", "/api/3.0/mlflow/prompt-optimization/jobs/6f0f/cancel"),
        ("DELETE", "/api/3.0/mlflow/prompt-optimization/jobs/6f0f"),
        ("GET", "/api/3.0/mlflow/scorers/online-configs"),
        ("POST", "/api/3.0/mlflow/scorers/register"),
        ("OPTIONS", "/ajax-api/3.0/mlflow/issues/invoke"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/api/3.0/mlflow/issues/invoke"),
        ("POST", "/api/2.0/mlflow-artifacts/mpu/create/api/3.0/mlflow/issues/invoke"),
    ],
)
def test_what_needs_no_runner_is_left(method: str, path: str) -> None:
    """Jobs of another time can be listed and cancelled, and a file may have any name."""
    assert ask(method, path, {}) == (200, True)


@pytest.mark.parametrize("route", sorted(jobs_off.ROUTES))
def test_the_answer_names_the_setting(route: tuple[str, str]) -> None:
    """One sentence, in the form in which MLflow's clients and its page read it."""
    method, path = route
    _status, body, _got = told(method, f"/ajax-api/3.0{path}", [b"{}"])
    answer = json.loads(body)
    assert answer["error_code"] == "NOT_IMPLEMENTED"
    assert answer["message"] == (
        f"{jobs_off.ROUTES[route]} (this project's server runs no jobs); set 'server.jobs: true' for "
        "it in mlflow_projects and rerun the servers playbook."
    )


@pytest.mark.parametrize("rate", [0, 0.0, "0", "0.0"])
def test_a_judge_without_automatic_evaluation_is_left(rate: object) -> None:
    """The page sends its sample rate after it has registered the judge; the body stays whole."""
    text = json.dumps({"experiment_id": "1", "name": "j", "sample_rate": rate}).encode()
    for parts in ([text], [text[:7], text[7:]], [text, b""]):
        assert told("PUT", ONLINE, parts) == (200, b"{}", text)


@pytest.mark.parametrize(
    "body",
    [
        *(json.dumps({"sample_rate": rate}).encode() for rate in RATES),
        b"",
        b"{",
        b"[0]",
        b"{}",
        b"[" * 5000,
        b'{"sample_rate": 0, "filter_string": "' + b"x" * (1 << 21) + b'"}',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_judge_with_automatic_evaluation_is_refused(body: bytes) -> None:
    """MLflow would store it, and nothing would ever evaluate; so is what cannot be read."""
    parts = [body[:70000], body[70000:]] if len(body) > 70000 else [body]
    status, text, got = told("PUT", ONLINE, parts)
    assert (status, got) == (501, None)
    assert json.loads(text)["message"] == (
        "Judges cannot be run automatically on new traces (this project's server runs no jobs); use a "
        "sample rate of 0, or set 'server.jobs: true' for it in mlflow_projects and rerun the servers "
        "playbook."
    )


TAG = "/ajax-api/2.0/mlflow/experiments/set-experiment-tag"


@pytest.mark.parametrize("key", jobs_off.ARCHIVAL_TAGS)
def test_an_experiment_is_not_created_with_an_order_to_archive(key: str) -> None:
    """Others are, whatever their tags; a body is read as far as MLflow takes one."""
    create = "/api/2.0/mlflow/experiments/create"
    for key_sent, expected in ((key, 501), ("team", 200)):
        tags = [{"key": "note", "value": "x" * 100000}, {"key": key_sent, "value": "{}"}]
        body = json.dumps({"name": "churn", "tags": tags}).encode()
        assert told("POST", create, [body])[0] == expected
    padded = json.dumps({"experiment_id": "1", "key": key, "value": "{}"}).encode() + b" " * (
        1 << 21
    )
    assert told("POST", TAG, [padded[:70000], padded[70000:]])[0] == 501


@pytest.mark.parametrize("key", jobs_off.ARCHIVAL_TAGS)
def test_an_order_to_archive_is_refused(key: str) -> None:
    """MLflow would keep it, and act on it years later, when the project has jobs."""
    text = json.dumps({"experiment_id": "1", "key": key, "value": "{}"})
    # As old clients of MLflow send it, too.
    for sent in (text, json.dumps(text)):
        status, body, got = told("POST", TAG, [sent.encode()])
        assert (status, got) == (501, None)
        assert json.loads(body)["message"] == (
            "Traces cannot be archived (this project's server archives none); set 'server.jobs: true' and "
            "'server.trace_archival' for it in mlflow_projects and rerun the servers playbook."
        )


@pytest.mark.parametrize(
    "body",
    [
        b'{"experiment_id": "1", "key": "team", "value": "mlflow.trace.archiveNow"}',
        b'{"experiment_id": "1", "key": ["mlflow.trace.archiveNow"]}',
        b"{}",
        b"[0]",
        b"",
        b'{"key": "note", "value": "' + b"x" * (1 << 17) + b'"}',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_any_other_tag_is_left(body: bytes) -> None:
    """It arrives whole, however long it is; what is no tag MLflow refuses itself."""
    for parts in ([body], [body[:7], body[7:]], [body[:70000], body[70000:]]):
        assert told("POST", TAG, parts) == (200, b"{}", body)


def test_what_is_not_a_request_is_passed_on() -> None:
    """The application starts and ends with its server."""
    seen: list[Any] = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    for kind in ("lifespan", "websocket"):
        scope = {"type": kind, "method": "POST", "path": "/ajax-api/3.0/mlflow/issues/invoke"}
        served = jobs_off.JobsOff(application, jobs_off.refusals(False))
        asyncio.run(served(scope, None, None))
    assert seen == ["lifespan", "websocket"]


def test_a_job_whose_package_is_not_installed() -> None:
    """With jobs nothing else is refused; these tests' Python has no LiteLLM either."""
    (route,) = jobs_off.PACKAGES
    assert jobs_off.refusals(True, True) == {
        route: "Prompts cannot be optimized (the package 'litellm' is not installed with this project's "
        "server); add it by mlflow_image_requirements and rerun the deploy playbook."
    }


def test_a_job_whose_package_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is refused then."""
    monkeypatch.setattr(jobs_off, "PACKAGES", dict.fromkeys(jobs_off.PACKAGES, "json"))
    assert jobs_off.refusals(True, True) == {}


def test_a_runner_without_trace_archival_archives_nothing() -> None:
    """MLflow's runner reads the tags only where archival is configured."""
    assert jobs_off.refusals(True)[jobs_off.ARCHIVAL] == jobs_off.sentence(jobs_off.ARCHIVAL)
