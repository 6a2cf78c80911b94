# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's private configuration folder for the registry, and how a registry is named."""

from __future__ import annotations

import base64
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import ecr
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image.ecr import Token

REGISTRY = "000000000000.dkr.ecr.eu-central-1.amazonaws.com"
TOKEN = Token("AWS", "a-token:with@letters", REGISTRY)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return the folder for temporary files and the user's own Docker folder, both empty."""
    temporary, user = tmp_path / "tmp", tmp_path / "docker"
    temporary.mkdir()
    user.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("DOCKER_CONFIG", str(user))
    return temporary, user


def settings(folder: Path) -> dict[str, Any]:
    """Return what a Docker folder's configuration says."""
    told: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return told


def test_only_this_user_can_read_the_token(places: tuple[Path, Path]) -> None:
    """The folder and the file, whatever the umask is."""
    before = os.umask(0)
    try:
        folder = ecr.log_in(REGISTRY, TOKEN)
    finally:
        os.umask(before)
    assert folder.parent == places[0]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "config.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("places")
def test_docker_finds_user_and_password() -> None:
    """For that registry and no other."""
    told = settings(ecr.log_in(REGISTRY, TOKEN))
    assert set(told) == {"auths"}
    assert base64.b64decode(told["auths"][REGISTRY]["auth"]).decode() == "AWS:a-token:with@letters"
    assert set(told["auths"]) == {REGISTRY}


def test_the_users_own_configuration_is_used_and_not_written(places: tuple[Path, Path]) -> None:
    """Contexts, builders and plugins are found, passwords and their helpers are not taken along."""
    user = places[1]
    for name in ("contexts", "buildx", "cli-plugins"):
        (user / name).mkdir()
    own = {
        "auths": {"https://index.docker.io/v1/": {"auth": "c2VjcmV0OnNlY3JldA=="}},
        "credsStore": "desktop",
        "credHelpers": {REGISTRY: "ecr-login", "gcr.io": "gcloud"},
        "currentContext": "desktop-linux",
        "cliPluginsExtraDirs": ["/opt/plugins"],
        "proxies": {"default": {"httpProxy": "http://10.0.0.1:3128"}},
        "psFormat": "table",
    }
    (user / "config.json").write_text(json.dumps(own))
    folder = ecr.log_in(REGISTRY, TOKEN)
    told = settings(folder)
    assert set(told.pop("auths")) == {REGISTRY}
    assert told == {
        "cliPluginsExtraDirs": [str(user / "cli-plugins"), "/opt/plugins"],
        "credHelpers": {"gcr.io": "gcloud"},
        "currentContext": "desktop-linux",
        "proxies": own["proxies"],
    }
    assert (folder / "contexts").resolve() == user / "contexts"
    assert (folder / "buildx").resolve() == user / "buildx"
    assert ecr.log_out(folder)
    assert settings(user) == own
    assert {path.name for path in user.iterdir()} == {
        "contexts",
        "buildx",
        "cli-plugins",
        "config.json",
    }


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"'])
def test_a_broken_configuration_of_the_user_is_passed_over(
    places: tuple[Path, Path], text: str
) -> None:
    """It is Docker's to complain about."""
    (places[1] / "config.json").write_text(text)
    assert set(settings(ecr.log_in(REGISTRY, TOKEN))) == {"auths"}


def test_a_folder_is_removed_once(places: tuple[Path, Path]) -> None:
    """What is gone is no change."""
    folder = ecr.log_in(REGISTRY, TOKEN)
    assert ecr.log_out(folder)
    assert list(places[0].iterdir()) == []
    assert not ecr.log_out(folder)


def test_a_foreign_folder_is_never_removed(tmp_path: Path) -> None:
    """Not even where a playbook asks for it."""
    (tmp_path / "mine").write_text("")
    with pytest.raises(MlflowError, match="was not made by mlflow_ecr_login"):
        ecr.log_out(tmp_path)
    assert (tmp_path / "mine").exists()


def test_what_killed_runs_left_is_removed(places: tuple[Path, Path]) -> None:
    """But not the folder of a run that may still be at work, and nothing of others."""
    left, working = ecr.log_in(REGISTRY, TOKEN), ecr.log_in(REGISTRY, TOKEN)
    other = places[0] / "other"
    other.mkdir()
    long_ago = time.time() - 24 * 60 * 60
    for folder in (left, other):
        os.utime(folder, (long_ago, long_ago))
    new = ecr.log_in(REGISTRY, TOKEN)
    assert set(places[0].iterdir()) == {working, other, new}


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (REGISTRY, REGISTRY),
        (f"https://{REGISTRY}", REGISTRY),
        ("http://127.0.0.1:4566/", "127.0.0.1:4566"),
        ("127.0.0.1:4566", "127.0.0.1:4566"),
        ("user:word@registry.example.com:5000", "registry.example.com:5000"),
        ("", ""),
    ],
)
def test_a_registry_is_a_host(address: str, host: str) -> None:
    """However it was written; a password in it goes nowhere."""
    assert ecr.host_of(address) == host


def test_a_repository_is_found_at_its_own_or_another_registry() -> None:
    """The name stays, with its folders."""
    uri = f"{REGISTRY}/team/mlflow"
    assert ecr.repository_address(uri, "team/mlflow", "") == uri
    assert (
        ecr.repository_address(uri, "team/mlflow", "http://127.0.0.1:4566")
        == "127.0.0.1:4566/team/mlflow"
    )


def test_a_builder_that_was_chosen_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without asking; and without a docker command it is the engine's own."""
    assert ecr.find_builder("buildx") == "buildx"
    assert ecr.find_builder("classic") == "classic"
    monkeypatch.setenv("PATH", "/nowhere")
    assert ecr.find_builder("auto") == "classic"


@pytest.mark.parametrize(("code", "builder"), [(0, "buildx"), (1, "classic")])
def test_the_docker_command_is_asked_for_buildx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, builder: str
) -> None:
    """A command without the plugin says so by its exit code."""
    command = tmp_path / "docker"
    command.write_text(f"#!/bin/sh\nexit {code}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ecr.find_builder("auto") == builder
