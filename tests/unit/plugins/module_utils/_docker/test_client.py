# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of the Docker Engine API, before a socket that answers as an engine would."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import client
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import (
    Engine,
    EngineError,
    default_host,
    reference,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

DIGEST = f"sha256:{'a1' * 32}"
PASSWORD = "s3cr3t-token"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each request as its engine was told to."""

    server: FakeEngine

    def answer(self) -> None:
        """Send the answer that stands for this method and path."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        status, text = self.server.answers.get((self.command, path), (404, "page not found"))
        if status == 0:
            time.sleep(2)
            return
        data = text if isinstance(text, bytes) else text.encode()
        self.send_response(status)
        self.send_header("Api-Version", self.server.api)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def address_string(self) -> str:
        """Return something for the log: a Unix socket has no peer's name."""
        return "-"

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


class FakeEngine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A socket that speaks HTTP; what it answers is set by the test."""

    daemon_threads = True
    api = "1.41"

    def __init__(self, path: Path) -> None:
        """Listen on the path."""
        super().__init__(str(path), Handler)
        self.host = f"unix://{path}"
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: dict[tuple[str, str], tuple[int, str | bytes]] = {
            ("GET", "/_ping"): (200, "OK")
        }

    def handle_error(self, *_arguments: Any) -> None:
        """Say nothing: a client that waits no longer has gone."""


@pytest.fixture
def fake() -> Iterator[FakeEngine]:
    """Return an engine that answers no more than a ping yet."""
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        FakeEngine(Path(folder) / "s") as engine,
    ):
        thread = threading.Thread(target=engine.serve_forever, args=(0.01,))
        thread.start()
        yield engine
        engine.shutdown()
        thread.join()


def say(message: str) -> str:
    """Return the body of an engine's refusal."""
    return json.dumps({"message": message})


@pytest.mark.parametrize(
    ("theirs", "spoken"), [("1.41", "1.41"), ("1.44", "1.44"), ("1.51", "1.51"), ("1.99", "1.51")]
)
def test_the_newest_version_that_both_speak_is_used(
    fake: FakeEngine, theirs: str, spoken: str
) -> None:
    """One question tells it, for all calls."""
    fake.api = theirs
    fake.answers["GET", f"/v{spoken}/version"] = (200, '{"Version": "x"}')
    engine = Engine(fake.host)
    assert engine.ping() == spoken
    assert engine.version() == engine.version() == {"Version": "x"}
    assert [request[1] for request in fake.requests].count("/_ping") == 1


@pytest.mark.parametrize("theirs", ["1.40", "", "0.9", "two"])
def test_an_engine_that_is_too_old_is_refused(fake: FakeEngine, theirs: str) -> None:
    """So is what is none."""
    fake.api = theirs
    with pytest.raises(MlflowError, match=r"speaks API .*: update it to 20\.10 or newer\.$"):
        Engine(fake.host).ping()


def test_a_socket_that_does_not_answer_is_told(tmp_path: Path, fake: FakeEngine) -> None:
    """Missing, left behind by a dead engine, silent, or broken off."""
    with pytest.raises(MlflowError, match=r"^Docker does not run on this host: there is no sock"):
        Engine(f"unix://{tmp_path}/none").ping()
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(f"{folder}/s")
        with pytest.raises(MlflowError, match=r"^Docker does not answer on .*/s: start it, or"):
            Engine(f"unix://{folder}/s").ping()
    fake.answers["POST", "/v1.41/containers/x/wait"] = (0, "")
    engine = Engine(fake.host)
    assert engine.wait("x", 0.2) is None
    with pytest.raises(MlflowError, match=r"^Docker broke off when asked to wait for container x"):
        engine.wait("x", 10)
    fake.answers["GET", "/v1.41/version"] = (0, "")
    with pytest.raises(MlflowError, match=r"^Docker did not wait within 0 seconds: look at its"):
        engine._call("wait", "GET", "/version", timeout=0.2)


def test_a_socket_of_another_user_is_told() -> None:
    """With what gives the right, and what that means."""
    error = client._unreachable("/s", "list", 1, PermissionError(13, "Permission denied"))
    assert str(error).startswith("This user may not use Docker's socket /s: add it to the socket's")


@pytest.mark.parametrize(
    "host", ["tcp://127.0.0.1:2375", "ssh://host", "/var/run/docker.sock", "unix://s"]
)
def test_only_a_socket_of_the_host_will_do(host: str) -> None:
    """Servers run where the module does."""
    with pytest.raises(
        MlflowError, match=rf"^mlflow_server_docker_host is {host}: servers run on the managed ho"
    ):
        Engine(host)


REFUSALS = {
    "write /x: no space left on device": "free space where Docker keeps its data",
    "driver failed: Bind for 127.0.0.1:5001 failed: port is already allocated": "end what holds the",
    "listen tcp4 0.0.0.0:5001: bind: address already in use": "end what holds the port",
    "No such image: mlflow:1": "pull the image first",
    "unauthorized: authentication required": "check the registry's user and password",
    "pull access denied for x, repository does not exist": "check the registry's user and password",
    "no basic auth credentials": "check the registry's user and password",
    "manifest for r/x@sha256:0 not found: manifest unknown": "build and push it with the playbook",
    "no matching manifest for linux/arm64/v8 in the manifest list": "build the image for this host's",
    "dial tcp 127.0.0.1:1: connect: connection refused": "make sure that this host reaches the reg",
    "x509: certificate signed by unknown authority": "make sure that this host reaches the registry",
    "network mine not found": "make the network, or correct docker_network",
    "invalid mount config: bind source path does not exist: /x": "correct aws_config_dir",
    'Conflict. The name "/a" is already in use by container "b".': "another run made it meanwhile",
    "something else\nentirely.": "look at Docker's log and run again",
}


@pytest.mark.parametrize(("message", "remedy"), REFUSALS.items())
def test_a_refusal_says_what_to_do(fake: FakeEngine, message: str, remedy: str) -> None:
    """In one sentence, with the engine's own words."""
    fake.answers["POST", "/v1.41/containers/create"] = (500, say(message))
    with pytest.raises(EngineError) as caught:
        Engine(fake.host).create("mlflow-a", {})
    sentence = str(caught.value)
    words = " ".join(message.split()).rstrip(".")
    assert sentence.startswith(f"Docker could not make container mlflow-a: {words}: {remedy}")
    assert (caught.value.status, sentence[-1], "\n" in sentence) == (500, ".", False)


def test_a_refusal_without_words_shows_its_status(fake: FakeEngine) -> None:
    """Or the text, where it is no JSON."""
    for body, words in (("", "HTTP 503"), ("gone away", "gone away"), ("[]", r"\[\]")):
        fake.answers["POST", "/v1.41/containers/a/start"] = (503, body)
        with pytest.raises(EngineError, match=f"^Docker could not start container a: {words}: "):
            Engine(fake.host).start("a")


DONE: list[tuple[str, str, list[int], Callable[[Engine], object]]] = [
    ("POST", "containers/a/start", [204, 304], lambda engine: engine.start("a")),
    ("POST", "containers/a/stop", [204, 304, 404], lambda engine: engine.stop("a", 5)),
    ("DELETE", "containers/a", [204, 404, 409], lambda engine: engine.remove("a")),
    ("DELETE", "volumes/a", [204, 404], lambda engine: engine.remove_volume("a")),
    ("GET", "containers/a/json", [404], lambda engine: engine.container("a")),
    ("GET", "networks/a", [404], lambda engine: engine.network("a")),
    ("GET", "images/a:latest/json", [404], lambda engine: engine.image("a")),
]


@pytest.mark.parametrize(("method", "path", "statuses", "call"), DONE)
def test_what_is_done_already_is_no_error(
    fake: FakeEngine,
    method: str,
    path: str,
    statuses: list[int],
    call: Callable[[Engine], object],
) -> None:
    """Nor is what is not there; any other refusal is."""
    for status in statuses:
        body = say("x") if status >= 400 else ""
        fake.answers[method, f"/v1.41/{path}"] = (status, body)
        assert call(Engine(fake.host)) is None
    fake.answers[method, f"/v1.41/{path}"] = (500, say("x"))
    with pytest.raises(EngineError):
        call(Engine(fake.host))


def test_a_log_is_taken_apart(fake: FakeEngine) -> None:
    """Both streams apart, and together in order; a frame that is cut off does no harm."""
    frames = [(1, b"one\n"), (2, b"t\xc3"), (2, b"\xa4wo\n"), (1, b""), (1, b"three\n\n")]
    data = b"".join(
        bytes([kind, 0, 0, 0]) + len(text).to_bytes(4, "big") + text for kind, text in frames
    )
    path = "/v1.41/containers/a/logs"
    for end in (b"", b"\x01\0\0"):
        fake.answers["GET", path] = (200, data + end)
        engine = Engine(fake.host)
        assert engine.logs("a") == ("one\nthree\n\n", "täwo\n")
        assert engine.tail("a", 2) == ["täwo", "three"]


def test_a_pull_shows_its_password_to_the_engine_alone(fake: FakeEngine) -> None:
    """In a header, for the registry that the reference names."""
    progress = '{"status": "Pulling"}\r\n{"progressDetail": {}}\r\n'
    fake.answers["POST", "/v1.41/images/create"] = (200, progress)
    Engine(fake.host).pull(f"127.0.0.1:5000/mlflow:1@{DIGEST}", "AWS", PASSWORD, 10)
    _method, path, headers, _body = fake.requests[-1]
    assert path.endswith(f"?fromImage=127.0.0.1%3A5000%2Fmlflow&tag=sha256%3A{'a1' * 32}")
    assert json.loads(base64.urlsafe_b64decode(headers["X-Registry-Auth"])) == {
        "username": "AWS",
        "password": PASSWORD,
        "serveraddress": "127.0.0.1:5000",
    }


def test_a_pull_that_fails_half_way_is_told(fake: FakeEngine) -> None:
    """The engine has answered 200 by then."""
    lines = [{"status": "Pulling"}, {"errorDetail": {}, "error": "no space left on device"}]
    text = "\n".join(map(json.dumps, lines))
    fake.answers["POST", "/v1.41/images/create"] = (200, text)
    with pytest.raises(EngineError, match=r"^Docker could not pull x:1: no space left on device: "):
        Engine(fake.host).pull("x:1", "", "", 10)
    for status, words in ((401, "unauthorized: x"), (404, "manifest unknown: x")):
        fake.answers["POST", "/v1.41/images/create"] = (status, say(words))
        with pytest.raises(EngineError) as caught:
            Engine(fake.host).pull("x:1", "AWS", PASSWORD, 10)
        assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name", "tag", "digest", "registry"),
    [
        ("mlflow", "mlflow", "latest", "", "docker.io"),
        ("mlflow:1", "mlflow", "1", "", "docker.io"),
        ("team/mlflow:1", "team/mlflow", "1", "", "docker.io"),
        ("localhost/mlflow:1", "localhost/mlflow", "1", "", "localhost"),
        ("127.0.0.1:5000/mlflow", "127.0.0.1:5000/mlflow", "latest", "", "127.0.0.1:5000"),
        (f"r.example.com/a/b:1@{DIGEST}", "r.example.com/a/b", "1", DIGEST, "r.example.com"),
        (
            f"r.example.com:443/a@{DIGEST}",
            "r.example.com:443/a",
            "latest",
            DIGEST,
            "r.example.com:443",
        ),
    ],
)
def test_references_are_read(text: str, name: str, tag: str, digest: str, registry: str) -> None:
    """Name, tag, digest and registry; the digest wins."""
    found = reference(text)
    assert (found.name, found.tag, found.digest, found.registry) == (name, tag, digest, registry)
    assert str(found) == (f"{name}@{digest}" if digest else f"{name}:{tag}")


@pytest.mark.parametrize(
    "text", ["", "a b", "a:b:c", "mlflow@sha256:12", "https://r/x", "/x", "x/"]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    """Before an engine is asked."""
    with pytest.raises(MlflowError, match=r"is no image reference: write NAME@sha256:DIGEST"):
        reference(text)


def test_the_default_engine_is_that_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By variable, then by context, then by socket."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "d"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(client, "DEFAULT_SOCKET", str(tmp_path / "system.sock"))
    assert default_host() == f"unix://{tmp_path}/system.sock"
    (tmp_path / "docker.sock").touch()
    assert default_host() == f"unix://{tmp_path}/docker.sock"
    (tmp_path / "system.sock").touch()
    assert default_host() == f"unix://{tmp_path}/system.sock"
    meta = tmp_path / "d" / "contexts" / "meta" / hashlib.sha256(b"mine").hexdigest()
    meta.mkdir(parents=True)
    (tmp_path / "d" / "config.json").write_text('{"currentContext": "mine"}')
    assert default_host() == f"unix://{tmp_path}/system.sock"
    (meta / "meta.json").write_text('{"Endpoints": {"docker": {"Host": "unix:///mine.sock"}}}')
    assert default_host() == "unix:///mine.sock"
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert default_host() == f"unix://{tmp_path}/system.sock"
    monkeypatch.setenv("DOCKER_HOST", "unix:///told.sock")
    assert default_host() == Engine().host == "unix:///told.sock"


@pytest.mark.parametrize(
    ("options", "rootless"), [(["name=seccomp"], False), (["name=rootless"], True), (None, False)]
)
def test_a_rootless_engine_is_known(
    fake: FakeEngine, options: list[str] | None, rootless: bool
) -> None:
    """By what it tells about itself."""
    fake.answers["GET", "/v1.41/info"] = (200, json.dumps({"SecurityOptions": options}))
    assert Engine(fake.host).rootless is rootless


def test_a_job_cleans_up_behind_itself_and_others(fake: FakeEngine) -> None:
    """Whatever fails; what killed runs left goes, what runs or has an owner stays."""
    gone, here = {client._OWNER_LABEL: "4194305"}, {client._OWNER_LABEL: "1"}
    containers = [
        {"Names": ["/left"], "State": "exited", "Labels": gone},
        {"Names": ["/runs"], "State": "running", "Labels": gone},
        {"Names": ["/owned"], "State": "created", "Labels": here},
    ]
    volumes = [{"Name": n, "Labels": gone} for n in ("left", "runs", "alone")]
    fake.answers["GET", "/v1.41/containers/json"] = (200, json.dumps(containers))
    fake.answers["GET", "/v1.41/volumes"] = (200, json.dumps({"Volumes": volumes}))
    fake.answers["POST", "/v1.41/volumes/create"] = (201, "{}")
    fake.answers["POST", "/v1.41/containers/create"] = (404, say("No such image: x"))
    how: dict[str, Any] = {"binds": {}, "network": "none", "user": "", "environment": {}}
    with pytest.raises(EngineError, match="No such image"):
        Engine(fake.host).run_once("x", ["describe"], {}, timeout=5, **how)
    deleted = [
        path.partition("?")[0].rpartition("/")[2]
        for method, path, _headers, _body in fake.requests
        if method == "DELETE"
    ]
    assert deleted[:3] == ["left", "left", "alone"]
    assert len(deleted) == 5
    assert deleted[3] == deleted[4]
    assert deleted[4].startswith("mlflow-job-")
