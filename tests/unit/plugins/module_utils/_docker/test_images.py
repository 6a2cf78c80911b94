# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulls, builds and pushes, before a socket that answers as an engine would."""

from __future__ import annotations

import base64
import json
import urllib.parse
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import images
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.errors import (
    BuildError,
    EngineError,
    LostConnection,
    Overdue,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.images import Build, Login
from ansible_collections.mlops.mlflow_aws.tests.parts.fake_engine import FakeEngine, say

DIGEST = f"sha256:{'a1' * 32}"
PASSWORD = "s3cr3t-token"
LOGIN = Login("AWS", PASSWORD)
BUILD = Build({"A": "1"}, "linux/amd64", "host")


def test_a_pull_shows_its_password_to_the_engine_alone(fake: FakeEngine) -> None:
    """In a header, for the registry that the reference names."""
    progress = '{"status": "Pulling"}\r\n{"progressDetail": {}}\r\n'
    fake.answers["POST", "/v1.41/images/create"] = (200, progress)
    images.pull(Engine(fake.host), f"127.0.0.1:5000/mlflow:1@{DIGEST}", LOGIN, 10)
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
    with pytest.raises(
        EngineError, match=r"^Docker could not pull x:1 \(no space left on device\); "
    ):
        images.pull(Engine(fake.host), "x:1", Login("", ""), 10)
    for status, words in ((401, "unauthorized: x"), (404, "manifest unknown: x")):
        fake.answers["POST", "/v1.41/images/create"] = (status, say(words))
        with pytest.raises(EngineError) as caught:
            images.pull(Engine(fake.host), "x:1", LOGIN, 10)
        assert PASSWORD not in str(caught.value)


def decoded(headers: dict[str, str], name: str) -> Any:
    """Return what a header tells the engine."""
    return json.loads(base64.urlsafe_b64decode(headers[name]))


def test_a_build_is_the_classic_builders(fake: FakeEngine) -> None:
    """With arguments, platform, network and the logins for base images; its body is the context."""
    fake.answers["POST", "/v1.41/build"] = (200, '{"stream": "Step 1/1"}\n{"aux": {"ID": "x"}}\n')
    logins = {"r.example.com": LOGIN, "t.example.com": Login("<token>", "t"), "n": Login("", "")}
    images.build(Engine(fake.host), "r/x:1", b"context", BUILD, logins, 10)
    _method, path, headers, body = fake.requests[-1]
    query = dict(urllib.parse.parse_qsl(path.partition("?")[2]))
    assert json.loads(query.pop("buildargs")) == {"A": "1"}
    assert query == {
        "t": "r/x:1",
        "platform": "linux/amd64",
        "networkmode": "host",
        "rm": "1",
        "forcerm": "1",
        "version": "1",
    }
    assert (body, headers["Content-Type"]) == (b"context", "application/x-tar")
    assert decoded(headers, "X-Registry-Config") == {
        "r.example.com": {
            "username": "AWS",
            "password": PASSWORD,
            "serveraddress": "r.example.com",
        },
        "t.example.com": {"identitytoken": "t", "serveraddress": "t.example.com"},
        "n": {},
    }


def test_a_build_that_fails_shows_what_was_printed_before(fake: FakeEngine) -> None:
    """The error itself is often only that a command failed."""
    lines = [{"stream": "no such package: x\n"}, {"error": "The command returned 1"}]
    fake.answers["POST", "/v1.41/build"] = (200, "\n".join(map(json.dumps, lines)))
    with pytest.raises(BuildError) as caught:
        images.build(Engine(fake.host), "x:1", b"", BUILD, {}, 10)
    assert caught.value.why == "no such package: x The command returned 1"
    fake.answers["POST", "/v1.41/build"] = (400, say("dockerfile parse error"))
    with pytest.raises(
        BuildError, match=r"^Docker could not build x:1 \(dockerfile parse error\); fix"
    ):
        images.build(Engine(fake.host), "x:1", b"", BUILD, {}, 10)


def test_a_push_names_tag_and_login(fake: FakeEngine) -> None:
    """And fails by what the registry says."""
    path = "/v1.41/images/127.0.0.1:5000/team/x/push"
    fake.answers["POST", path] = (200, '{"aux": {"Digest": "x"}}\n')
    images.push(Engine(fake.host), "127.0.0.1:5000/team/x:1", LOGIN, 10)
    assert fake.requests[-1][1] == f"{path}?tag=1"
    assert decoded(fake.requests[-1][2], "X-Registry-Auth")["password"] == PASSWORD
    fake.answers["POST", path] = (200, '{"error": "name unknown: x"}\n')
    with pytest.raises(BuildError, match="run the role mlflow_ecr first") as caught:
        images.push(Engine(fake.host), "127.0.0.1:5000/team/x:1", LOGIN, 10)
    assert PASSWORD not in str(caught.value)


def test_an_engine_that_is_killed_is_not_taken_for_done(fake: FakeEngine) -> None:
    """Its answer ends as if all had been said."""
    fake.answers["POST", "/v1.41/build"] = (-1, '{"stream": "Step 1/2"}\n')
    with pytest.raises(LostConnection) as caught:
        images.build(Engine(fake.host), "x:1", b"", BUILD, {}, 10)
    assert (
        caught.value.why == "the connection to Docker was lost: it ended in the middle of an answer"
    )


def test_what_takes_too_long_is_given_up(fake: FakeEngine) -> None:
    """With the option that sets the time."""
    fake.answers["POST", "/v1.41/build"] = (0, "")
    with pytest.raises(Overdue, match=r"^Docker did not build x:1 within 0 seconds; check what"):
        images.build(Engine(fake.host), "x:1", b"", BUILD, {}, 0.3)
