# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's private configuration folder for a registry, and the user's own logins."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.images import Login
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import docker_config

REGISTRY = "000000000000.dkr.ecr.eu-central-1.amazonaws.com"
LOGIN = Login("AWS", "a-token:with@letters")


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
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


def test_only_this_user_can_read_the_token(places: tuple[Path, Path]) -> None:
    """The folder and the file, whatever the umask is."""
    before = os.umask(0)
    try:
        with docker_config.private(REGISTRY, LOGIN, {}) as folder:
            assert folder.parent == places[0]
            assert folder.stat().st_mode & 0o777 == 0o700
            assert (folder / "config.json").stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


@pytest.mark.usefixtures("places")
def test_docker_finds_user_and_password() -> None:
    """For that registry and no other."""
    with docker_config.private(REGISTRY, LOGIN, {}) as folder:
        found = settings(folder)
    assert set(found) == {"auths"}
    assert set(found["auths"]) == {REGISTRY}
    assert base64.b64decode(found["auths"][REGISTRY]["auth"]).decode() == ":".join(LOGIN)


def test_the_users_own_configuration_is_used_and_not_written(places: tuple[Path, Path]) -> None:
    """Contexts, builders and plugins are found; passwords and their helpers are not copied."""
    user = places[1]
    for name in ("contexts", "buildx", "cli-plugins"):
        (user / name).mkdir()
        (user / name / "own").touch()
    own = {
        "auths": {"https://index.docker.io/v1/": {"auth": "c2VjcmV0OnNlY3JldA=="}},
        "credsStore": "desktop",
        "credHelpers": {REGISTRY: "ecr-login", "gcr.io": "gcloud"},
        "currentContext": "desktop-linux",
        "cliPluginsExtraDirs": ["/opt/plugins"],
        "proxies": {"default": {"httpProxy": "http://10.0.0.1:3128", "noProxy": "x"}},
        "psFormat": "table",
    }
    (user / "config.json").write_text(json.dumps(own))
    with docker_config.private(REGISTRY, LOGIN, {"httpProxy": "http://other"}) as folder:
        found = settings(folder)
        assert set(found.pop("auths")) == {REGISTRY}
        assert found == {
            "cliPluginsExtraDirs": [str(user / "cli-plugins"), "/opt/plugins"],
            "credHelpers": {"gcr.io": "gcloud"},
            "currentContext": "desktop-linux",
            "proxies": {"default": {"httpProxy": "http://other", "noProxy": "x"}},
        }
        assert (folder / "contexts").resolve() == user / "contexts"
        assert (folder / "buildx").resolve() == user / "buildx"
    assert settings(user) == own
    assert {path.name for path in user.rglob("own")} == {"own"}
    assert len(list(user.rglob("own"))) == 3


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', '{"proxies": 1, "auths": []}'])
def test_a_broken_configuration_of_the_user_is_passed_over(
    places: tuple[Path, Path], text: str
) -> None:
    """Docker complains about it itself."""
    (places[1] / "config.json").write_text(text)
    with docker_config.private(REGISTRY, LOGIN, {}) as folder:
        assert set(settings(folder)["auths"]) == {REGISTRY}
    assert docker_config.logins() == {}


def test_the_folder_is_removed_however_it_ends(places: tuple[Path, Path]) -> None:
    """By an error, by a keyboard's interrupt, or well."""
    for error in (None, ValueError, KeyboardInterrupt, SystemExit):
        try:
            with docker_config.private(REGISTRY, LOGIN, {}) as folder:
                assert list(places[0].iterdir()) == [folder]
                if error:
                    raise error
        except (ValueError, KeyboardInterrupt, SystemExit):
            pass
        assert list(places[0].iterdir()) == []


PROGRAM = """
import sys, time
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.images import Login
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import docker_config
with docker_config.private("r", Login("u", "p"), {}):
    print("here", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_the_folder_is_removed_where_a_signal_ends_the_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    """As where somebody closes the terminal while it builds."""
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"here\n"
        assert len(list(tmp_path.glob("mlflow_image.*"))) == 1
        process.send_signal(number)
        assert process.wait(20) != 0
    assert list(tmp_path.glob("mlflow_image.*")) == []


def test_what_killed_runs_left_is_removed(places: tuple[Path, Path]) -> None:
    """But not the folder of a run that may still be at work, and nothing of others."""
    left, working, other = (places[0] / name for name in ("mlflow_image.a", "mlflow_image.b", "x"))
    for folder in (left, working, other):
        folder.mkdir()
    long_ago = time.time() - 24 * 60 * 60
    for folder in (left, other):
        os.utime(folder, (long_ago, long_ago))
    with docker_config.private(REGISTRY, LOGIN, {}) as folder:
        assert set(places[0].iterdir()) == {working, other, folder}


HELPER = """#!/bin/sh
read registry
case "$1 $registry" in
  "list ") echo '{"a.example.com": "u"}';;
  "get a.example.com") echo '{"ServerURL": "a.example.com", "Username": "u", "Secret": "p"}';;
  "get gcr.io") echo '{"Username": "<token>", "Secret": "t"}';;
  *) echo 'credentials not found'; exit 1;;
esac
"""


def test_logins_of_the_user_are_found_for_base_images(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those in the file and those of helpers; one that fails or is missing has none."""
    helper = tmp_path / "docker-credential-test"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    own = {
        "auths": {
            "b.example.com": {"auth": base64.b64encode(b"user:pass:word").decode()},
            "broken": {"auth": "%"},
            "empty": {},
            "null": None,
        },
        "credsStore": "test",
        "credHelpers": {"gcr.io": "test", "unknown": "test", "nowhere": "missing"},
    }
    (places[1] / "config.json").write_text(json.dumps(own))
    assert docker_config.logins() == {
        "a.example.com": Login("u", "p"),
        "b.example.com": Login("user", "pass:word"),
        "gcr.io": Login("<token>", "t"),
    }


def test_only_the_helper_of_a_registry_logs_a_host_in(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login that Docker keeps, or a store for all registries, may be anybody's of long ago."""
    helper = tmp_path / "docker-credential-test"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert docker_config.helper_login("gcr.io") is None
    own = {
        "auths": {"b.example.com": {"auth": base64.b64encode(b"user:password").decode()}},
        "credsStore": "test",
        "credHelpers": {"gcr.io": "test", "unknown": "test", "nowhere": "missing"},
    }
    (places[1] / "config.json").write_text(json.dumps(own))
    assert docker_config.helper_login("gcr.io") == Login("<token>", "t")
    for registry in ("a.example.com", "b.example.com", "unknown", "nowhere"):
        assert docker_config.helper_login(registry) is None


def test_a_helper_of_amazon_keeps_no_token(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would write it into the user's home folder."""
    helper = tmp_path / "docker-credential-ecr-login"
    helper.write_text(
        '#!/bin/sh\ncat >&-\necho "{\\"Username\\": \\"AWS\\", \\"Secret\\": \\"$AWS_ECR_DISABLE_CACHE\\"}"\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (places[1] / "config.json").write_text(json.dumps({"credHelpers": {REGISTRY: "ecr-login"}}))
    assert docker_config.helper_login(REGISTRY) == Login("AWS", "true")
