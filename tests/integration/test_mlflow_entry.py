# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""programs/server/mlflow_entry.py does what `mlflow server` and `mlflow db upgrade` do.

Both run side by side from the same packages and copies of the same database, get the same
requests in the same order, and must answer alike: for the release of MLflow that we serve,
and for the one before it. What leans on MLflow's internals fails here when they change.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._projects import variables
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.environment import (
    LEAN_DEFAULTS,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.refusal import (
    CONFIGURATION_HEADER,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.server import (
    answer_at_once,
)
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.support import (
    CHECKOUT,
    Done,
    clean_environment,
    run,
)

# The first test may have to install MLflow twice.
pytestmark = [pytest.mark.mlflow, pytest.mark.timeout(900)]

KNOWN = CHECKOUT / "docker" / "mlflow.json"
CLIENT = CHECKOUT / "tests" / "parts" / "mlflow_client.py"
CONFIGURATION = "0123456789abcdef"
START_SECONDS = 120
STOP_SECONDS = 40
# `mlflow server` hands on the defaults of its options; without them the application takes
# the same ones. Another name or value in a newer MLflow is for a human to look at.
DEFAULTS_OF_OPTIONS = {
    "MLFLOW_ENABLE_WORKSPACES": "false",
    "MLFLOW_SERVER_SECRETS_CACHE_MAX_SIZE": "1000",
    "MLFLOW_SERVER_SECRETS_CACHE_TTL": "60",
    "MLFLOW_SERVER_X_FRAME_OPTIONS": "SAMEORIGIN",
}


# Variables of its options that work in `server.environment`.
READ_BY_THE_APPLICATION = {
    "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS",
    "MLFLOW_SERVER_X_FRAME_OPTIONS",
    "MLFLOW_WORKSPACE_STORE_URI",
}
# What is refused without being an option of this MLflow: the job runner, where metrics are kept, another
# application, another gateway, and what a newer one has.
NOT_OPTIONS = {
    "MLFLOW_ARTIFACTS_PRESIGNED_ONLY",
    "MLFLOW_AUTH_ADMIN_PASSWORD",
    "MLFLOW_AUTH_ADMIN_USERNAME",
    "MLFLOW_AUTH_CONFIG_PATH",
    "MLFLOW_DEPLOYMENTS_CONFIG",
    "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "MLFLOW_GATEWAY_CONFIG",
    "MLFLOW_GATEWAY_RESOLVE_API_KEY_FROM_ENV",
    "MLFLOW_GATEWAY_RESOLVE_API_KEY_FROM_FILE",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION",
    "MLFLOW_SERVER_JOB_ENABLE_PERIODIC_TASKS",
    "MLFLOW_SERVER_JOB_EXECUTION_ENGINE",
    "MLFLOW_SERVER_JOB_FLUSH_PERIODIC_LOCKS_ON_STARTUP",
    "MLFLOW_SERVER_JOB_HUEY_REDIS_URL",
    "PROMETHEUS_MULTIPROC_DIR",
    "prometheus_multiproc_dir",
}


@dataclass(frozen=True)
class Row:
    """One request, and the status that it must get; `host` and `origin` are headers."""

    name: str
    status: int
    method: str
    path: str
    body: object = None
    host: str = ""
    origin: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts"
EVIL = "http://evil.example"
NAMED = "mlflow.example.com"
SEARCH = {"max_results": 5}
PREFLIGHT = {"Access-Control-Request-Method": "POST"}
GRAPHQL = (
    '{ mlflowGetExperiment(input: {experimentId: "0"})'
    " { experiment { name artifactLocation } apiError { code } } }"
)
ROWS = [
    Row("page", 200, "GET", "/"),
    Row("icon", 200, "GET", "/static-files/favicon.ico"),
    Row("icon again", 304, "GET", "/static-files/favicon.ico", headers={"If-None-Match": "ETAG"}),
    Row("no such static file", 404, "GET", "/static-files/none.js"),
    Row("outside the static files", 404, "GET", "/static-files/..%2f..%2f__init__.py"),
    Row("health", 200, "GET", "/health"),
    Row("version", 200, "GET", "/version"),
    Row("server info", 200, "GET", "/api/3.0/mlflow/server-info"),
    Row("settings of the page's telemetry", 200, "GET", "/ajax-api/3.0/mlflow/ui-telemetry"),
    Row("unknown page", 404, "GET", "/nowhere"),
    Row("unknown call", 404, "POST", f"{API}/experiments/nothing", {}),
    Row("wrong method", 405, "DELETE", f"{API}/experiments/search"),
    Row("head", 200, "HEAD", "/"),
    Row("default experiment", 200, "GET", f"{API}/experiments/get?experiment_id=0"),
    Row("create experiment", 200, "POST", f"{API}/experiments/create", {"name": "rows"}),
    Row("create it again", 400, "POST", f"{API}/experiments/create", {"name": "rows"}),
    Row("no name", 400, "POST", f"{API}/experiments/create", {}),
    Row("no JSON", 400, "POST", f"{API}/experiments/create", b"{"),
    Row("search experiments", 200, "POST", f"{API}/experiments/search", SEARCH),
    Row("search as the page does", 200, "POST", "/ajax-api/2.0/mlflow/runs/search", {
        "experiment_ids": ["0"],
    }),
    Row("create run", 200, "POST", f"{API}/runs/create", {"experiment_id": "1", "run_name": "r"}),
    Row("no such run", 404, "GET", f"{API}/runs/get?run_id={'0' * 32}"),
    Row("send file", 200, "PUT", f"{FILES}/artifacts/1/a%20b/c.bin", bytes(range(256)) * 8000),
    Row("list files", 200, "GET", f"{FILES}/artifacts?path=1/a%20b"),
    Row("fetch file", 200, "GET", f"{FILES}/artifacts/1/a%20b/c.bin"),
    Row("fetch no file", 404, "GET", f"{FILES}/artifacts/1/none"),
    Row("send outside", 400, "PUT", f"{FILES}/artifacts/..%2f..%2fx", b"x"),
    Row("send in parts", 501, "POST", f"{FILES}/mpu/create/1/big.bin", {
        "path": "1/big.bin", "num_parts": 2,
    }),
    Row("presigned", 501, "GET", f"{FILES}/presigned/1/a%20b/c.bin"),
    Row("delete file", 200, "DELETE", f"{FILES}/artifacts/1/a%20b/c.bin"),
    Row("GraphQL", 200, "POST", "/graphql", {"query": GRAPHQL}),
    Row("GraphQL error", 200, "POST", "/graphql", {"query": "{ nothing }"}),
    Row("spans of another kind", 422, "POST", "/v1/traces", {}),
    Row("jobs", 404, "GET", "/ajax-api/3.0/jobs/none"),
    Row("gateway", 404, "POST", "/gateway/none/mlflow/invocations", {"messages": []}),
    Row("foreign host", 403, "POST", f"{API}/experiments/search", SEARCH, "evil.example"),
    Row("foreign host, page", 403, "GET", "/", None, "evil.example"),
    Row("foreign host, health", 200, "GET", "/health", None, "evil.example"),
    Row("foreign origin writes", 403, "POST", f"{API}/experiments/search", SEARCH, "", EVIL),
    Row("foreign origin reads", 200, "GET", f"{API}/experiments/get?experiment_id=0", origin=EVIL),
    Row("foreign origin asks", 400, "OPTIONS", f"{API}/runs/create", origin=EVIL, headers=PREFLIGHT),
    Row("local origin writes", 200, "POST", f"{API}/experiments/search", SEARCH,
        origin="http://localhost:3000"),
    Row("local origin asks", 200, "OPTIONS", f"{API}/runs/create",
        origin="http://localhost:3000", headers=PREFLIGHT),
]  # fmt: skip
# Its status depends on the setup.
NAMED_HOST = Row("named host", 0, "POST", f"{API}/experiments/search", SEARCH, NAMED)


@dataclass(frozen=True)
class Setup:
    """How both servers are started."""

    release: str
    workers: int = 1
    allowed_hosts: tuple[str, ...] = ()


SETUPS = {
    "served": Setup("served"),
    "previous": Setup("previous"),
    "workers and hosts": Setup("served", 2, (NAMED, f"{NAMED}:*", "127.0.0.1", "127.0.0.1:*")),
}


@dataclass(frozen=True)
class Release:
    """One installed MLflow, the program that serves it, and an empty HOME."""

    python: Path
    entry: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """Return what its processes see: nothing of MLflow's, and nothing that says CI.

        In CI MLflow's telemetry is quiet by itself, which would hide that we forgot it.
        """
        variables = clean_environment(self.home, self.python.parent)
        variables.pop("CI", None)
        # Python would otherwise hand its own choice of locale on.
        return variables | {"LC_ALL": "C.UTF-8"}

    def run(
        self, *arguments: str | Path, check: bool = True, more: Mapping[str, str] | None = None
    ) -> Done:
        """Run this MLflow's Python to its end, with more variables or without."""
        environment = self.environment | dict(more or {})
        command = [self.python, *arguments]
        return run(command, cwd=self.home, env=environment, timeout=120, check=check)

    def ask(self, script: str, *arguments: str | Path) -> Any:
        """Run a script with mlflow_entry.py at hand; return what it prints last, which is JSON."""
        more = LEAN_DEFAULTS | {"PYTHONPATH": str(self.entry.parent)}
        done = self.run("-c", script, *arguments, more=more)
        return json.loads(done.output.splitlines()[-1])

    def migrate(self, database: Path) -> None:
        """Bring a database to the head by mlflow_entry.py."""
        subprocess.run(
            [self.python, self.entry, "migrate"],
            input=json.dumps({"uri": f"sqlite:///{database}"}),
            env=self.environment,
            cwd=self.home,
            text=True,
            capture_output=True,
            check=True,
            timeout=120,
        )


@dataclass(frozen=True)
class Answer:
    """What came back for one request; ids, times and the server's address are normalised."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Transcript:
    """What one server did.

    answers: by the request's name; results: of the client, by action; configurations: all
    that our header said; processes: of the whole tree, the first one first, each with its
    environment and the files in its memory.
    """

    answers: dict[str, Answer]
    results: dict[str, str]
    configurations: set[str | None]
    processes: list[tuple[dict[str, str], str]] = field(repr=False)


@dataclass(frozen=True)
class Pair:
    """What both servers did under one setup, and our settings."""

    release: Release
    setup: Setup
    settings: dict[str, Any]
    ours: Transcript
    theirs: Transcript


@pytest.fixture(scope="module")
def releases(
    request: pytest.FixtureRequest,
    runtime: Mapping[str, Any],
    environment: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Release]:
    """Return the MLflow that we serve, as our module installs it, and the one before."""
    pythons = {"served": Path(runtime["python"])}
    if left_out.wanted(request.config):
        pythons["previous"] = environment("previous") / "python"
    entry = Path(runtime["entrypoint"])
    return {
        name: Release(python, entry, tmp_path_factory.mktemp("home"))
        for name, python in pythons.items()
    }


@pytest.fixture(scope="module")
def templates(
    releases: dict[str, Release], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Return a new database of each release, made by mlflow_entry.py."""
    folder = tmp_path_factory.mktemp("templates")
    with ThreadPoolExecutor(len(releases)) as pool:
        for job in [
            pool.submit(release.migrate, folder / f"{name}.db")
            for name, release in releases.items()
        ]:
            job.result()
    return {name: folder / f"{name}.db" for name in releases}


# A difference between the releases tells what to look at when MLflow is raised.
PREVIOUS = left_out.params([], ["previous"], "The release that we serve runs every time.")


@pytest.fixture(scope="module", params=["served", *PREVIOUS])
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of one release after the other."""
    return str(request.param)


@pytest.fixture
def release(name: str, releases: dict[str, Release]) -> Release:
    """Return one release."""
    return releases[name]


@pytest.fixture
def template(name: str, templates: dict[str, Path]) -> Path:
    """Return a new database of one release."""
    return templates[name]


@pytest.fixture(
    scope="module",
    params=[
        "served",
        *PREVIOUS,
        *left_out.params([], ["workers and hosts"], "test_names.py and test_keys.py have both."),
    ],
)
def pair(
    request: pytest.FixtureRequest,
    releases: dict[str, Release],
    templates: dict[str, Path],
    free_ports: Callable[[int], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Pair:
    """Start both servers, do the same with each, and end them."""
    setup = SETUPS[request.param]
    release = replace(releases[setup.release], home=tmp_path_factory.mktemp("home"))
    ours, theirs = (tmp_path_factory.mktemp(name) for name in ("ours", "theirs"))
    for folder in (ours, theirs):
        shutil.copyfile(templates[setup.release], folder / "mlflow.db")
    ports = free_ports(2)
    settings = settings_of(ours, ports[0], setup)
    jobs = [
        (ours, ports[0], our_command(release, ours, settings), release.environment),
        # The public settings that every server of ours starts with.
        (theirs, ports[1], their_command(release, theirs, ports[1], setup),
         release.environment | LEAN_DEFAULTS),
    ]  # fmt: skip
    with ThreadPoolExecutor(len(jobs)) as pool:
        transcripts = list(pool.map(lambda job: transcript(release, *job), jobs))
    return Pair(release, setup, settings, *transcripts)


def settings_of(folder: Path, port: int, setup: Setup) -> dict[str, Any]:
    """Return the content of a settings file."""
    return {
        "configuration": CONFIGURATION,
        "host": "127.0.0.1",
        "port": port,
        "workers": setup.workers,
        "backend_store_uri": f"sqlite:///{folder / 'mlflow.db'}",
        "artifacts_destination": str(folder / "artifacts"),
        "allowed_hosts": list(setup.allowed_hosts),
        "environment": {},
    }


def our_command(release: Release, folder: Path, settings: Mapping[str, Any]) -> list[str | Path]:
    """Return the command that Supervisor runs."""
    path = folder / "settings.json"
    path.write_text(json.dumps(settings))
    return [release.python, release.entry, "serve", path]


def their_command(release: Release, folder: Path, port: int, setup: Setup) -> list[str | Path]:
    """Return the command that ours takes the place of."""
    hosts = ["--allowed-hosts", ",".join(setup.allowed_hosts)] if setup.allowed_hosts else []
    return [
        release.python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", str(setup.workers), "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination", str(folder / "artifacts"), *hosts,
    ]  # fmt: skip


def transcript(
    release: Release,
    folder: Path,
    port: int,
    command: Sequence[str | Path],
    environment: Mapping[str, str],
) -> Transcript:
    """Run one server, send it all requests, let the client do its work, look at its processes."""
    answers: dict[str, Answer] = {}
    configurations: set[str | None] = set()
    with server(command, folder, port, environment) as process:
        for row in [*ROWS, NAMED_HOST]:
            etag = answers["icon"].headers["etag"] if "If-None-Match" in row.headers else ""
            answers[row.name], configuration = send(port, row, etag)
            configurations.add(configuration)
        script = re.search(r'src="(static-files/[^"]+\.js)"', answers["page"].body)
        assert script, answers["page"].body
        answers["script"], _header = send(port, Row("script", 200, "GET", f"/{script[1]}"))
        results = client_results(release, folder, port)
        processes = [look_at(pid) for pid in tree(process.pid)]
    return Transcript(answers, results, configurations, processes)


@contextmanager
def server(
    command: Sequence[str | Path],
    folder: Path,
    port: int,
    environment: Mapping[str, str],
    status: int = 200,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; the block starts when it answers with this status."""
    log = folder / "server.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers_at(port, status):
            assert process.poll() is None, f"{command} ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"{command} does not answer:\n{log.read_text()}"
            time.sleep(0.05)
        yield process
        process.terminate()
        process.wait(STOP_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers_at(port: int, status: int = 200) -> bool:
    """Say whether a server answers with this status."""
    try:
        return send(port, Row("", status, "GET", "/version"))[0].status == status
    except OSError:
        return False


def send(port: int, row: Row, etag: str = "") -> tuple[Answer, str | None]:
    """Send one request; return the answer and what our own header said."""
    address = f"127.0.0.1:{port}"
    headers = {"Host": row.host or address, **row.headers}
    if row.origin:
        headers["Origin"] = row.origin
    if etag:
        headers["If-None-Match"] = etag
    body = row.body
    if body is not None and not isinstance(body, bytes):
        headers["Content-Type"] = "application/json"
        body = json.dumps(body).encode()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(row.method, row.path, body, headers)
        response = connection.getresponse()
        content = response.read()
        found = {name.lower(): value for name, value in response.getheaders()}
    configuration = found.pop(CONFIGURATION_HEADER, None)
    for timing in ("date", "x-mlflow-gateway-duration-ms"):
        found.pop(timing, None)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = f"{len(content)} bytes {hashlib.sha256(content).hexdigest()[:12]}"
    if "allow" in found:
        # Flask gives it in the order of a set.
        found["allow"] = ", ".join(sorted(found["allow"].split(", ")))
    found = {name: normalised(value, address) for name, value in found.items()}
    return Answer(response.status, found, normalised(text, address)), configuration


def client_results(release: Release, folder: Path, port: int) -> dict[str, str]:
    """Let MLflow's client work with the server; return what each of its actions gave."""
    path = folder / "results.json"
    address = f"127.0.0.1:{port}"
    more = LEAN_DEFAULTS | {"MLFLOW_TRACKING_URI": f"http://{address}"}
    release.run(CLIENT, path, more=more)
    results = json.loads(path.read_text(encoding="utf-8"))
    return {
        action: normalised(json.dumps(result, indent=1, sort_keys=True), address)
        for action, result in results.items()
    }


def normalised(text: str, address: str) -> str:
    """Replace what differs from server to server: its address, random ids, times.

    Ids are numbered in order, so that two that should be the same must be so.
    """
    numbers: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        return f"<id {numbers.setdefault(match[0], len(numbers))}>"

    text = text.replace(address, "<address>")
    text = re.sub(r"[0-9a-f]{32}", number, text)
    text = re.sub(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", "<time>", text)
    # Milliseconds; the client's own times begin with 17000.
    return re.sub(r"\b(?!17000)(1[7-9]|2\d)\d{11}\b", "<time>", text)


def tree(pid: int) -> list[int]:
    """Return a process and all that it started, in order."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        # A process may end in the meantime.
        with suppress(OSError):
            parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(folder.name))
    found = [pid]
    for process in found:
        found += sorted(children.get(process, []))
    return found


def look_at(pid: int) -> tuple[dict[str, str], str]:
    """Return what a process was given as its environment, and the files in its memory."""
    text = Path(f"/proc/{pid}/environ").read_text(encoding="utf-8")
    environment = dict(line.split("=", 1) for line in text.split("\0") if line)
    return environment, Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")


def require_same(ours: Mapping[str, object], theirs: Mapping[str, object]) -> None:
    """Fail with the name and both values of everything that is not the same."""
    names = [*theirs, *(name for name in ours if name not in theirs)]
    lines = [
        f"{name}: ours {ours.get(name, 'nothing')!r}, theirs {theirs.get(name, 'nothing')!r}"
        for name in names
        if name not in ours or name not in theirs or ours[name] != theirs[name]
    ]
    assert not lines, "\n".join(["differences:", *lines])


def flat(answers: Mapping[str, Answer]) -> dict[str, object]:
    """Return each part of each answer by its name."""
    parts: dict[str, object] = {}
    for name, answer in answers.items():
        parts |= {f"{name}: status": answer.status, f"{name}: body": answer.body}
        parts |= {f"{name}: {header}": value for header, value in answer.headers.items()}
    return parts


def test_every_request_is_answered_alike(pair: Pair) -> None:
    """Status, headers and body equal those of `mlflow server`, request by request."""
    require_same(flat(pair.ours.answers), flat(pair.theirs.answers))


def test_requests_do_what_they_are_for(pair: Pair) -> None:
    """Two servers that refuse alike would be alike too: each request gets the known status."""
    named = 200 if pair.setup.allowed_hosts else 403
    wanted: dict[str, object] = {row.name: row.status for row in ROWS}
    wanted |= {"named host": named, "script": 200}
    require_same({n: a.status for n, a in pair.ours.answers.items()}, wanted)


def test_every_answer_tells_the_configuration(pair: Pair) -> None:
    """Also a refusal does, by which a probe knows whom it asked; no other server sends it."""
    assert pair.ours.configurations == {CONFIGURATION}
    assert pair.theirs.configurations == {None}


def test_the_client_finds_no_difference(pair: Pair) -> None:
    """All that MLflow's own client does gives the same results."""
    require_same(pair.ours.results, pair.theirs.results)
    assert len(pair.ours.results) >= 13


def test_artifacts_go_through_the_server(pair: Pair) -> None:
    """Experiments, the first one included, have the root that keeps clients off the store."""
    for name in ("default_experiment", "new_experiment"):
        assert '"artifact_location": "mlflow-artifacts:/' in pair.ours.results[name], name


def test_the_environment_handed_over_is_the_same(pair: Pair) -> None:
    """The application gets MLflow's internal variables from us as it does from `mlflow server`."""
    theirs = handed_over(pair)
    script = (
        "import json, sys; from mlflow_aws_server import application;"
        "print(json.dumps(application.internal_environment(json.loads(sys.argv[1]))))"
    )
    ours = pair.release.ask(script, json.dumps(pair.settings))
    for handed in (ours, theirs):
        # Random, and the same for all workers of a server.
        assert re.fullmatch("[0-9a-f]{32}", handed.pop("_MLFLOW_SERVER_BOOT_ID"))
    internal = {name: value for name, value in theirs.items() if name.startswith("_")}
    require_same(ours, internal)


def test_the_settings_handed_over_are_the_same(pair: Pair) -> None:
    """Of public variables, the application has from us what it has from `mlflow server`."""
    theirs = {name: value for name, value in handed_over(pair).items() if name[0] != "_"}
    script = (
        "import json, os; from mlflow_aws_server import application; application.build();"
        "print(json.dumps({n: v for n, v in os.environ.items() if n.startswith('MLFLOW_')}))"
    )
    path = pair.release.home / "settings.json"
    path.write_text(json.dumps(pair.settings))
    more = {"MLFLOW_AWS_SETTINGS": str(path), "PYTHONPATH": str(pair.release.entry.parent)}
    ours = json.loads(pair.release.run("-c", script, more=more).output.splitlines()[-1])
    del ours["MLFLOW_AWS_SETTINGS"]
    theirs |= {name: value for name, value in LEAN_DEFAULTS.items() if name.startswith("MLFLOW_")}
    require_same(DEFAULTS_OF_OPTIONS | ours, theirs)


def handed_over(pair: Pair) -> dict[str, str]:
    """Return what the command-line wrapper added to the environment of the server proper."""
    (before, _maps), (after, _more_maps) = pair.theirs.processes[:2]
    added = {name: value for name, value in after.items() if before.get(name) != value}
    # Each has a folder of its own.
    theirs = str(Path(added["_MLFLOW_SERVER_ARTIFACT_DESTINATION"]).parent)
    ours = str(Path(pair.settings["artifacts_destination"]).parent)
    return {name: value.replace(theirs, ours) for name, value in added.items()}


def test_telemetry_is_off(pair: Pair) -> None:
    """A server never sets up what would call home; its first sign is a file in HOME."""
    sign = Path(".config", "mlflow", "telemetry.json")
    assert not (pair.release.home / sign).exists()


def test_telemetry_would_show(release: Release, tmp_path: Path) -> None:
    """Without our settings the sign that the test before looks for is there."""
    release.run("-c", "import mlflow", more={"HOME": str(tmp_path)})
    assert (tmp_path / ".config" / "mlflow" / "telemetry.json").exists()


def test_one_process_serves(pair: Pair) -> None:
    """One worker is one process; the parent of several has not loaded the application."""
    loaded = ["_multiarray_umath" in maps for _environment, maps in pair.ours.processes]
    if pair.setup.workers == 1:
        assert loaded == [True]
    else:
        assert loaded[0] is False
        assert loaded.count(True) == pair.setup.workers


def test_no_setting_stands_in_the_environment(pair: Pair) -> None:
    """Whoever may list processes sees no database address, in none of them."""
    for environment, _maps in pair.ours.processes:
        assert not [name for name, value in environment.items() if "sqlite:" in value]


def test_no_variable_is_taken_and_ignored(releases: dict[str, Release]) -> None:
    """Each that `mlflow server` reads is the server's own, refused, or read by the application too."""
    script = (
        "import json; from mlflow.cli import server\n"
        "names = [p.envvar for p in server.params if p.envvar]\n"
        "print(json.dumps(sorted({n for e in names for n in ([e] if isinstance(e, str) else e)})))"
    )
    read = set(releases["served"].ask(script))
    refused = set(variables.UNREAD)
    assert read - refused - set(variables.OWNED) == READ_BY_THE_APPLICATION
    assert refused - read == NOT_OPTIONS


def test_every_option_is_documented(releases: dict[str, Release]) -> None:
    """docs/mlflow.md says of each option of `mlflow server` what stands for it here."""
    script = (
        "import json; from mlflow.cli import server\n"
        "print(json.dumps(sorted(p.opts[0] for p in server.params)))"
    )
    page = (CHECKOUT / "docs" / "mlflow.md").read_text().partition("| Option of")[2]
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `--")]
    documented = [option for row in rows for option in re.findall(r"`(--[a-z-]+)`", row)]
    assert sorted(documented) == releases["served"].ask(script)


def test_describe_says_what_mlflow_says(release: Release) -> None:
    """Version, head and revisions are those that MLflow's own migration code finds."""
    script = (
        "import json, mlflow; from mlflow.store.db import utils;"
        "from alembic.script import ScriptDirectory;"
        "scripts = ScriptDirectory.from_config(utils._get_alembic_config('sqlite://'));"
        "print(json.dumps([mlflow.__version__, utils._get_latest_schema_revision(),"
        " sorted(script.revision for script in scripts.walk_revisions())]))"
    )
    version, head, revisions = release.ask(script)
    told = json.loads(release.run(release.entry, "describe").output.splitlines()[-1])
    assert told["version"] == version
    assert told["head"] == head
    assert sorted(told["revisions"]) == revisions
    assert len(revisions) > 60


def test_the_committed_description_is_mlflows(releases: dict[str, Release]) -> None:
    """docker/mlflow.json has version, revisions and numbers of tables; remedy: scripts/lock --mlflow VERSION."""
    told = releases["served"].run(releases["served"].entry, "survey").output
    assert json.loads(told[told.index("{") :]) == json.loads(KNOWN.read_text())


def test_describe_leaves_nothing_in_home(release: Release, tmp_path: Path) -> None:
    """A question leaves no trace of telemetry."""
    release.run(release.entry, "describe", more={"HOME": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def older(releases: dict[str, Release], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database as an MLflow left it whose head is ten revisions behind ours."""
    database = tmp_path_factory.mktemp("older") / "mlflow.db"
    script = (
        "import sys; from alembic import command; from mlflow.store.db import utils;"
        "from mlflow.store.tracking.dbmodels.initial_models import Base;"
        "Base.metadata.create_all(utils.create_sqlalchemy_engine(sys.argv[1]));"
        "command.upgrade(utils._get_alembic_config(sys.argv[1]), 'head-10')"
    )
    releases["served"].run("-c", script, f"sqlite:///{database}", more=LEAN_DEFAULTS)
    return database


def db_upgrade(release: Release, database: Path) -> None:
    """Bring a database to the head by MLflow's own command."""
    release.run("-m", "mlflow", "db", "upgrade", f"sqlite:///{database}", more=LEAN_DEFAULTS)


def dump(database: Path) -> dict[str, object]:
    """Return a database's columns, statements and rows, without times.

    The order of the constraints in a statement is left to chance by Alembic, which keeps
    them in a set.
    """
    with closing(sqlite3.connect(database)) as connection:
        found: dict[str, object] = {
            re.sub(r"\b(1[7-9]|2\d)\d{11}\b", "<time>", line): True
            for statement in connection.iterdump()
            for line in ["\n".join(sorted(part.strip(" ,\t") for part in statement.split("\n")))]
        }
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall()
        for (table,) in tables:
            found[f"columns of {table}"] = connection.execute(
                f"PRAGMA table_info('{table}')"
            ).fetchall()
    return found


def test_migrate_makes_what_db_upgrade_makes(
    release: Release, template: Path, tmp_path: Path
) -> None:
    """Tables, indices, triggers and first rows of a new database are the same."""
    db_upgrade(release, tmp_path / "theirs.db")
    require_same(dump(template), dump(tmp_path / "theirs.db"))
    assert len(dump(template)) > 100


def test_migrate_upgrades_as_db_upgrade_does(
    releases: dict[str, Release], older: Path, tmp_path: Path
) -> None:
    """An older database comes out the same, and is not what it was."""
    ours, theirs = tmp_path / "ours.db", tmp_path / "theirs.db"
    for copy in (ours, theirs):
        shutil.copyfile(older, copy)
    with ThreadPoolExecutor(2) as pool:
        work = [
            pool.submit(releases["served"].migrate, ours),
            pool.submit(db_upgrade, releases["served"], theirs),
        ]
        for job in work:
            job.result()
    require_same(dump(ours), dump(theirs))
    assert dump(ours) != dump(older)


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        ("0584bdc529eb", "The schema is at revision 0584bdc529eb and this MLflow needs"),
        ("ffffffffffff", "The schema is at revision ffffffffffff and this MLflow needs"),
        ("", "The schema is at revision none and this MLflow needs"),
        ("garbage", "The project's database cannot be read:"),
    ],
)
def test_serve_refuses_another_schema(
    release: Release,
    template: Path,
    revision: str,
    words: str,
    tmp_path: Path,
    free_ports: Callable[[int], list[int]],
) -> None:
    """One sentence, to programs and to a browser, and the database stays as it is: a server never migrates."""
    database = tmp_path / "mlflow.db"
    if revision == "garbage":
        database.write_bytes(b"no database at all\n" * 100)
    elif revision:
        shutil.copyfile(template, database)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
            connection.commit()
    else:
        database.touch()
    before = database.read_bytes()
    (port,) = free_ports(1)
    settings = settings_of(tmp_path, port, SETUPS["served"])
    command = our_command(release, tmp_path, settings)
    with server(command, tmp_path, port, release.environment, status=503):
        answer, configuration = send(
            port, Row("search", 503, "POST", f"{API}/experiments/search", {})
        )
        page, _header = send(port, Row("page", 503, "GET", "/"))
        head, _header = send(port, Row("head", 503, "HEAD", "/"))
    assert configuration == CONFIGURATION
    told = json.loads(answer.body)["message"]
    assert told.startswith(words)
    assert (answer.status, page.status, head.status) == (503, 503, 503)
    assert page.body.strip() == told
    assert database.read_bytes() == before


def test_the_release_before_is_older() -> None:
    """Both locks name one MLflow, and the second one an earlier release."""
    pins = []
    for lock in ("docker/requirements.txt", "requirements/previous.txt"):
        text = (CHECKOUT / lock).read_text()
        found = set(re.findall(r"^mlflow(?:-skinny|-tracing)?==(\S+)", text, re.MULTILINE))
        assert len(found) == 1, f"{lock} mixes releases of MLflow: {sorted(found)}"
        pins.append(tuple(map(int, found.pop().split("."))))
    assert pins[1] < pins[0], "raise requirements/previous.in no further than the release before"


def test_workers_share_a_socket_that_answers_at_once() -> None:
    """Connections inherit the option, which asyncio sets for sockets of its own making alone."""

    class Config:
        def bind_socket(self) -> socket.socket:
            """Bind as uvicorn does."""
            listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            return listener

    answer_at_once(Config)
    with Config().bind_socket() as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
