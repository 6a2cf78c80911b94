# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which builder is used, and what buildx is told."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.errors import (
    BuildError,
    DockerError,
    Overdue,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.images import Login
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import builders
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image.builders import Settings
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image.context import File
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image.tags import Description
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image.wanted import Image

SECRET = "s3cr3t"
ARGUMENTS = {
    "BASE_IMAGE": "base",
    "PIP_INDEX_URL": f"https://user:{SECRET}@index",
    "HTTP_PROXY": f"http://user:{SECRET}@proxy",
    "no_proxy": "localhost",
}
SETTINGS = Settings(ARGUMENTS, ["linux/amd64", "linux/arm64"], "host", "unix:///x.sock", 30)
IMAGE = Image(
    Description("1.20.3", "b", ["a", "b"]),
    {"Dockerfile": File(b"FROM scratch\n"), "sub/run.sh": File(b"", executable=True)},
    "1.20.3-0123456789ab",
    "mlflow",
    "r.example.com:5000",
)
LOGIN = Login("AWS", "t0ken")
# A docker command that notes what it gets.
DOCKER = """#!/bin/sh
{{ printf '%s\\n' "$@"; echo; env; echo; cat "$DOCKER_CONFIG/config.json"; }} > {log}
ls "$DOCKER_CONFIG/context/sub" >> {log}
{ending}
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what puts a docker command in the path that ends in some way; it returns its log."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "own"))

    def put(ending: str) -> Path:
        log = tmp_path / "log"
        program = tmp_path / "docker"
        program.write_text(DOCKER.format(log=log, ending=ending))
        program.chmod(0o755)
        return log

    return put


def test_a_builder_that_was_chosen_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without asking; and without a docker command it is the engine's own."""
    assert builders.choose("buildx", SETTINGS).name == "buildx"
    assert builders.choose("classic", SETTINGS).name == "classic"
    monkeypatch.setenv("PATH", "/nowhere")
    assert builders.choose("auto", SETTINGS).name == "classic"


@pytest.mark.parametrize(("code", "builder"), [(0, "buildx"), (1, "classic")])
def test_the_docker_command_is_asked_for_buildx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, builder: str
) -> None:
    """A command without the plugin says so by its exit code."""
    command = tmp_path / "docker"
    command.write_text(f"#!/bin/sh\nexit {code}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert builders.choose("auto", SETTINGS).name == builder


def test_no_password_is_in_the_command_line(docker: Any) -> None:
    """Those of proxies and package indexes reach buildx by file and by environment."""
    log = docker("exit 0")
    builders.Buildx(SETTINGS).publish(IMAGE, LOGIN)
    arguments, environment, rest = log.read_text().split("\n\n", 2)
    assert SECRET not in arguments
    assert LOGIN.password not in arguments + environment
    words = arguments.split("\n")
    assert words[:8] == [
        *("--host", "unix:///x.sock", "buildx", "build", "--progress", "plain"),
        *("--tag", "r.example.com:5000/mlflow:1.20.3-0123456789ab"),
    ]
    assert words[8:14] == [
        *("--platform", "linux/amd64,linux/arm64", "--output", "type=image,push=true"),
        *("--network", "host"),
    ]
    assert words[14:-1] == ["--build-arg", "BASE_IMAGE=base", "--build-arg", "PIP_INDEX_URL"]
    assert f"PIP_INDEX_URL={ARGUMENTS['PIP_INDEX_URL']}" in environment.split("\n")
    assert "BUILDX_NO_DEFAULT_ATTESTATIONS=1" in environment.split("\n")
    configuration, _end, listed = rest.rpartition("}")
    found = json.loads(configuration + "}")
    assert found["proxies"]["default"] == {
        "httpProxy": ARGUMENTS["HTTP_PROXY"],
        "noProxy": "localhost",
    }
    assert list(found["auths"]) == ["r.example.com:5000"]
    assert listed.split() == ["run.sh"]
    assert not Path(words[-1]).exists()


def test_a_failed_build_is_its_last_output(docker: Any) -> None:
    """With what to do about it; no folder stays behind."""
    log = docker("echo 'ERROR: failed to push: denied: no' >&2; exit 1")
    with pytest.raises(
        BuildError, match=r"failed to push: denied: no\); allow the profile to push"
    ):
        builders.Buildx(SETTINGS).publish(IMAGE, LOGIN)
    folder = next(
        line.partition("=")[2]
        for line in log.read_text().splitlines()
        if line.startswith("DOCKER_CONFIG=")
    )
    assert not Path(folder).exists()


def test_a_build_that_takes_too_long_is_given_up(docker: Any) -> None:
    """In the time that was set."""
    docker("exec sleep 60")
    with pytest.raises(Overdue, match=r"within 1 seconds; check what takes so long"):
        builders.Buildx(SETTINGS._replace(timeout=1)).publish(IMAGE, LOGIN)


def test_a_missing_docker_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is only buildx that needs one."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        DockerError, match=r"docker cannot be run: .*; install Docker's command and"
    ):
        builders.Buildx(SETTINGS).publish(IMAGE, LOGIN)
