# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of the Docker Engine API, before a socket that answers as an engine would."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.errors import EngineError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.tests.parts.fake_engine import FakeEngine, say


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
    with pytest.raises(MlflowError, match=r"speaks API .*; update it to 20\.10 or newer\.$"):
        Engine(fake.host).ping()


def test_a_socket_that_does_not_answer_is_told(tmp_path: Path, fake: FakeEngine) -> None:
    """Missing, left behind by a dead engine, silent, or broken off."""
    with pytest.raises(MlflowError, match=r"^Docker is not running on this host \(there is no so"):
        Engine(f"unix://{tmp_path}/none").ping()
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(f"{folder}/s")
        with pytest.raises(MlflowError, match=r"^Docker does not answer on .*/s; start it, or"):
            Engine(f"unix://{folder}/s").ping()
    fake.answers["POST", "/v1.41/containers/x/wait"] = (0, "")
    engine = Engine(fake.host)
    assert engine.wait("x", 0.2) is None
    with pytest.raises(
        MlflowError, match=r"^Lost the connection to Docker while trying to wait fo"
    ):
        engine.wait("x", 10)
    fake.answers["GET", "/v1.41/version"] = (0, "")
    with pytest.raises(MlflowError, match=r"^Docker did not wait within 0 seconds; check its lo"):
        engine.call("wait", "GET", "/version", timeout=0.2)


@pytest.mark.parametrize(
    "host", ["tcp://127.0.0.1:2375", "ssh://host", "/var/run/docker.sock", "unix://s"]
)
def test_only_a_socket_of_the_host_will_do(host: str) -> None:
    """Servers run where the module does."""
    with pytest.raises(
        MlflowError, match=rf"^mlflow_server_docker_host is {host}; servers run on the managed ho"
    ):
        Engine(host)


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


@pytest.mark.parametrize(
    ("options", "rootless"), [(["name=seccomp"], False), (["name=rootless"], True), (None, False)]
)
def test_a_rootless_engine_is_known(
    fake: FakeEngine, options: list[str] | None, rootless: bool
) -> None:
    """By what it tells about itself."""
    fake.answers["GET", "/v1.41/info"] = (200, json.dumps({"SecurityOptions": options}))
    assert Engine(fake.host).rootless is rootless
