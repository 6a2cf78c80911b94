# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Docker says when it fails, as sentences that say what to do."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import errors
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.errors import (
    BuildError,
    EngineError,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.fake_engine import FakeEngine, say

REFUSALS = {
    "write /x: no space left on device": "free space where Docker keeps its data",
    "driver failed: Bind for 127.0.0.1:5001 failed: port is already allocated": "stop what holds the",
    "listen tcp4 0.0.0.0:5001: bind: address already in use": "stop what holds the port",
    "No such image: mlflow:1": "pull the image first",
    "unauthorized: authentication required": "check the registry's user and password",
    "pull access denied for x, repository does not exist": "check the registry's user and password",
    "no basic auth credentials": "check the registry's user and password",
    "manifest for r/x@sha256:0 not found: manifest unknown": "build and push it with the playbook",
    "no matching manifest for linux/arm64/v8 in the manifest list": "build the image for this host's",
    "dial tcp 127.0.0.1:1: connect: connection refused": "make sure that this host reaches the reg",
    "x509: certificate signed by unknown authority": "make sure that this host reaches the registry",
    "network mine not found": "create the network, or correct docker_network",
    "invalid mount config: bind source path does not exist: /x": "correct aws_config_dir",
    'Conflict. The name "/a" is already in use by container "b".': "rerun, since another run created it",
    "something else\nentirely.": "check Docker's log and rerun",
}


@pytest.mark.parametrize(("message", "remedy"), REFUSALS.items())
def test_a_refusal_says_what_to_do(fake: FakeEngine, message: str, remedy: str) -> None:
    """In one sentence, with the engine's own words."""
    fake.answers["POST", "/v1.41/containers/create"] = (500, say(message))
    with pytest.raises(EngineError) as caught:
        Engine(fake.host).create("mlflow-a", {})
    sentence = str(caught.value)
    words = " ".join(message.split()).rstrip(".")
    assert sentence.startswith(f"Docker could not create container mlflow-a ({words}); {remedy}")
    assert (caught.value.status, sentence[-1], "\n" in sentence) == (500, ".", False)


def test_a_refusal_without_words_shows_its_status(fake: FakeEngine) -> None:
    """Or the text, where it is no JSON."""
    for body, words in (("", "HTTP 503"), ("gone away", "gone away"), ("[]", r"\[\]")):
        fake.answers["POST", "/v1.41/containers/a/start"] = (503, body)
        with pytest.raises(
            EngineError, match=rf"^Docker could not start container a \({words}\); "
        ):
            Engine(fake.host).start("a")


def test_a_socket_of_another_user_is_told() -> None:
    """With what gives the right, and what that means."""
    error = errors.unreachable("/s", "list", 1, PermissionError(13, "Permission denied"))
    assert str(error).startswith("This user may not use Docker's socket /s; add it to the socket's")


FAILED_BUILDS = {
    "write /x: no space left on device": "free space where Docker keeps its data",
    "Multi-platform build is not supported for the docker driver.": "create a builder for several",
    "exec /bin/sh: exec format error": "install emulation for that platform",
    "Cannot connect to the Docker daemon at unix:///x.": "start Docker on the control node",
    "permission denied while trying to connect to the Docker daemon socket": "let this user use",
    "This user may not use Docker's socket /s": "let this user use Docker",
    "docker: unknown command: docker buildx": "install Docker's buildx plugin",
    "pull access denied for x, repository does not exist": "name a base image in mlflow_image_base",
    "lookup registry.example.com: no such host": "check the network and the registry's host name",
    "dial tcp 127.0.0.1:9: connect: connection refused": "check that the registry answers",
    "name unknown: The repository does not exist": "run the role mlflow_ecr first",
    "no basic auth credentials": "correct mlflow_ecr_registry",
    "denied: not authorized to perform: ecr:PutImage": "allow the profile to push (ecr:",
    "net/http: request timed out": "check what takes so long",
    "The command returned a non-zero code: 1": "fix what the builder reports",
}


@pytest.mark.parametrize(("message", "remedy"), FAILED_BUILDS.items())
def test_a_build_that_fails_says_what_to_do(message: str, remedy: str) -> None:
    """By the first cause that its output names."""
    error = BuildError("build x", f"\x1b[31mStep 1/2\x1b[0m\n{message}\n")
    assert error.remedy.startswith(remedy)
    assert error.why == f"Step 1/2 {message.rstrip('.')}"
    assert str(error) == f"Docker could not build x ({error.why}); {error.remedy}."


def test_only_the_end_of_a_long_output_is_shown() -> None:
    """Where the reason is; one without any says so."""
    error = BuildError("build x", "a " * 5000 + "the end")
    assert error.why.endswith("a the end")
    assert len(error.why) <= 400
    assert BuildError("build x", " ").why == "no error was reported"


@pytest.mark.parametrize("before", ["", "#12 3.21 "])
def test_what_the_image_says_of_itself_is_the_reason(before: str) -> None:
    """With its own remedy, whatever the builder prints before and after it."""
    sentence = (
        "mlflow_entry: own 1.0 requires none>=1; python_version, which nobody has; lock it again."
    )
    error = BuildError("build x", f"Step 1/2\n{before}{sentence}\r\nreturned a non-zero code: 2")
    assert (error.why, error.remedy) == (
        "own 1.0 requires none>=1; python_version, which nobody has",
        "lock it again",
    )
    assert str(error) == f"Docker could not build x ({error.why}); lock it again."
