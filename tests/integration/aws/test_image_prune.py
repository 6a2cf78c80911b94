# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mlflow_image_prune with a real engine: what servers had before goes, what is used stays."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Engine
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_host import Docker
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Modules

NAME = "mlflow_image_prune"


@pytest.fixture
def docker(engine: Engine) -> Docker:
    """Return the engine under test."""
    return Docker(engine.host)


@pytest.fixture
def repository(docker: Docker) -> Iterator[str]:
    """Return a repository of this test alone, whose images go afterwards."""
    name = f"127.0.0.1:1/prune-{uuid.uuid4().hex[:8]}"
    yield name
    for left in docker("images", "--quiet", "--filter", f"reference={name}*").split():
        docker("rmi", "--force", left, check=False)


def load(docker: Docker, name: str, second: int) -> str:
    """Give the engine an image that was created at a second of its own; return its id."""
    layer = _tar({"hello": name.encode()})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": f"2026-01-01T00:00:{second:02}Z",
        "config": {"Cmd": ["/hello"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_hash(layer)}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    archive = _tar(
        {
            "config.json": json.dumps(config).encode(),
            "layer.tar": layer,
            "manifest.json": json.dumps(manifest).encode(),
        }
    )
    command = ["docker", "--host", docker.host, "load", "--quiet"]
    subprocess.run(command, input=archive, check=True, capture_output=True, timeout=60)
    return docker("image", "inspect", "--format", "{{.Id}}", name)


def has(docker: Docker, name: str) -> bool:
    """Return whether the engine has an image, by id or name."""
    return docker("image", "inspect", "--format", "{{.Id}}", name, check=False).startswith("sha256")


def test_superseded_images_go(modules: Modules, docker: Docker, repository: str) -> None:
    """All but the one in use, the one before, and what a container or somebody else has."""
    ids = [load(docker, f"{repository}:{number}", number) for number in range(6)]
    load(docker, f"{repository}-other:1", 0)
    # A second name, and a container that never started.
    docker("tag", f"{repository}:1", f"{repository}-kept:1")
    box = docker("create", f"{repository}:2")
    how: dict[str, Any] = {"image": f"{repository}:5", "docker_host": docker.host}

    def there() -> set[int]:
        return {n for n, found in enumerate(ids) if has(docker, found)}

    try:
        foretold = modules.call(NAME, how, check=True)
        assert there() == {0, 1, 2, 3, 4, 5}
        done = modules.call(NAME, how)
        assert done == foretold
        assert [image["id"] for image in done["removed"]] == [ids[0], ids[3]]
        assert [image["names"][0] for image in done["removed"]] == [
            f"{repository}:0",
            f"{repository}:3",
        ]
        assert there() == {1, 2, 4, 5}
        assert has(docker, f"{repository}-other:1")
        again = modules.call(NAME, how)
        assert (again["changed"], again["removed"]) == (False, [])
    finally:
        docker("rm", box)
        docker("rmi", "--force", f"{repository}-kept:1", f"{repository}-other:1")


def test_nothing_goes_where_the_image_is_missing(
    modules: Modules, docker: Docker, repository: str
) -> None:
    """As in a first dry run: what runs then is not known."""
    for number in range(3):
        load(docker, f"{repository}:{number}", number)
    said = modules.call(NAME, {"image": f"{repository}:9", "docker_host": docker.host})
    assert (said["changed"], said["removed"]) == (False, [])


def _tar(files: dict[str, bytes]) -> bytes:
    """Return a tar archive of these files."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return output.getvalue()


def _hash(data: bytes) -> str:
    """Return the digest of a layer."""
    return hashlib.sha256(data).hexdigest()
