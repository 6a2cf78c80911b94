# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mlflow_image_pull, with a real engine and a registry on loopback."""

from __future__ import annotations

import json
import os
import random
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts import docker_engine
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Engine
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_host import Docker
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Modules, await_
from ansible_collections.mlops.mlflow_aws.tests.parts.registry import Registry, registry
from ansible_collections.mlops.mlflow_aws.tests.support import short_folder

PASSWORD = "s3cr3t-registry-token"
DISK_MIB = 16


@pytest.fixture(scope="module")
def docker(engine: Engine) -> Docker:
    """Return the engine under test."""
    return Docker(engine.host)


@pytest.fixture
def images(docker: Docker) -> Iterator[Registry]:
    """Return a registry whose image no engine has yet."""
    with registry(PASSWORD, uuid.uuid4().hex) as server:
        yield server
        docker("rmi", "--force", server.image, check=False)


def options(docker: Docker, image: str, **more: Any) -> dict[str, Any]:
    """Return the options of mlflow_image_pull."""
    return {"image": image, "docker_host": docker.host, "registry_password": PASSWORD, **more}


def test_an_image_is_pulled_once(modules: Modules, docker: Docker, images: Registry) -> None:
    """Check mode tells it and pulls nothing; no result holds the password."""
    how = options(docker, images.image)
    foretold = modules.call("mlflow_image_pull", how, check=True)
    image = {"reference": images.image, "id": "", "present": False, "login": False}
    assert (foretold["changed"], foretold["image"]) == (True, image)
    done = modules.call("mlflow_image_pull", how)
    image |= {
        "id": docker("image", "inspect", "--format", "{{.Id}}", images.image),
        "present": True,
    }
    assert (done["changed"], done["image"]) == (True, image)
    images.password = "another, as the image is there"
    for check in (True, False):
        again = modules.call("mlflow_image_pull", how, check=check)
        assert (again["changed"], again["image"]) == (False, image)
    assert PASSWORD not in str([foretold, done])


def test_a_host_logs_in_by_its_own_helper(
    modules: Modules, docker: Docker, images: Registry, tmp_path: Path
) -> None:
    """Which its Docker configuration names for the registry, so that it is sent no password."""
    helper, where = tmp_path / "docker-credential-own", f"127.0.0.1:{images.server_port}"
    helper.write_text(
        f'#!/bin/sh\ncat >&-\necho \'{{"Username": "AWS", "Secret": "{PASSWORD}"}}\'\n'
    )
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {where: "own"}}))
    env = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    how = options(docker, images.image, registry_password="")
    foretold = modules.call("mlflow_image_pull", how, check=True, **env)
    assert (foretold["changed"], foretold["image"]["login"]) == (True, True)
    # A password that is given is used.
    wrong = options(docker, images.image, registry_password="wr0ng-password")
    assert "could not pull" in modules.refuse("mlflow_image_pull", wrong, **env)
    done = modules.call("mlflow_image_pull", how, **env)
    assert (done["changed"], done["image"]["present"]) == (True, True)
    assert PASSWORD not in str([foretold, done])
    helper.write_text("#!/bin/sh\nexit 1\n")
    assert not modules.call("mlflow_image_pull", how, check=True, **env)["image"]["login"]


def test_a_wrong_password_is_told(modules: Modules, docker: Docker, images: Registry) -> None:
    """And is not shown; nor does it matter whether there is one."""
    for password in ("wr0ng-password", ""):
        how = options(docker, images.image, registry_password=password)
        sentence = modules.refuse("mlflow_image_pull", how)
        assert sentence.startswith(f"Docker could not pull {images.image} (")
        assert "check the registry's user and password" in sentence
        assert "wr0ng" not in sentence


def test_a_missing_image_is_told(modules: Modules, docker: Docker, images: Registry) -> None:
    """With what makes one."""
    name = f"127.0.0.1:{images.server_port}/mlflow@sha256:{'0' * 64}"
    sentence = modules.refuse("mlflow_image_pull", options(docker, name))
    assert "build and push it with the playbook image" in sentence


def test_a_registry_that_is_down_is_told(modules: Modules, docker: Docker) -> None:
    """By its address."""
    name = f"127.0.0.1:1/mlflow@sha256:{'0' * 64}"
    sentence = modules.refuse("mlflow_image_pull", options(docker, name))
    assert "connection refused); make sure that this host reaches the registry" in sentence


def test_a_registry_that_says_nothing_is_given_up(
    modules: Modules, docker: Docker, images: Registry
) -> None:
    """In the time that was set."""
    images.silent.add(f"/v2/mlflow/manifests/{images.digest}")
    sentence = modules.refuse("mlflow_image_pull", options(docker, images.image, timeout=1))
    assert sentence.startswith(f"Docker did not pull {images.image} within 1 seconds; ")


@pytest.fixture
def small(engine: Engine) -> Iterator[Docker]:
    """Return an engine of its own, on a disk of a few MiB."""
    del engine
    with short_folder() as disk:
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(disk)]
        subprocess.run(command, check=True)
        try:
            yield from running_on(disk)
        finally:
            # What the engine had started may take a moment longer to end.
            command = ["umount", str(disk)]
            await_(lambda: subprocess.run(command, check=False).returncode == 0, "a disk is in use")


def running_on(folder: Path) -> Iterator[Docker]:
    """Run an engine while its user has it."""
    try:
        made = docker_engine.launch(folder)
    except docker_engine.Problem as problem:
        pytest.fail(str(problem), pytrace=False)
    try:
        yield Docker(made.host)
    finally:
        docker_engine.stop(made)


@pytest.mark.thorough(
    "It needs an engine of its own; other refusals of a pull are told every time."
)
def test_a_full_disk_is_told(modules: Modules, small: Docker, images: Registry) -> None:
    """What has no room is told with what to do; what was there stays, and a smaller one fits."""
    how = options(small, images.image)
    modules.call("mlflow_image_pull", how)
    content = random.randbytes(DISK_MIB << 20).hex()
    with registry(PASSWORD, content) as large:
        sentence = modules.refuse("mlflow_image_pull", options(small, large.image))
    assert sentence.startswith(f"Docker could not pull {large.image} (")
    assert "no space left on device" in sentence
    assert sentence.endswith(
        "); free space where Docker keeps its data (`docker system df` shows what takes it) and rerun."
    )
    assert not modules.call("mlflow_image_pull", how)["changed"]
    with registry(PASSWORD, uuid.uuid4().hex) as other:
        assert modules.call("mlflow_image_pull", options(small, other.image))["changed"]
