# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of every stage; the rules for lanes, and for tests that do not run, are beside it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ansible
import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.tests import lanes, left_out, support
from ansible_collections.mlops.mlflow_aws.tests.parts import server_program
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Installation, Modules, install

if TYPE_CHECKING:
    from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Engine

# Not in pyproject.toml, which ansible-test does not read.
MARKERS = (
    "mlflow: compares this collection with the MLflow that it installs; scripts/lock --mlflow runs these",
    "thorough(why): runs with `scripts/test --thorough` only, and says why that is enough",
)
# For one lane's installation of MLflow, for which the others wait.
INSTALL_SECONDS = 600


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of scripts/test that is for pytest."""
    left_out.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Let what tests start be interrupted, and give all lanes of scripts/test one engine."""
    # Also where a shell runs the gate in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    config.pluginmanager.register(left_out.LeftOut(config))
    needed = any(f"{argument}/".startswith(lanes.ENGINE) for argument in config.args)
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        _share_folder(config)
        if needed:
            _share_engine(config)


def _share_folder(config: pytest.Config) -> None:
    """Make a folder for what one lane makes and all use; they know it by support.SHARED."""
    folder = tempfile.mkdtemp(prefix="mlflow-shared-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ[support.SHARED] = folder


def _share_engine(config: pytest.Config) -> None:
    """Start an engine before the lanes, where none runs; they know it by DOCKER_HOST."""
    from ansible_collections.mlops.mlflow_aws.tests.parts import docker_engine

    folder = Path(tempfile.mkdtemp(prefix="mlflow-engine-"))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    # Each lane will say for itself why there is none.
    with suppress(docker_engine.Problem):
        found = docker_engine.find() or docker_engine.start(folder)
        config.add_cleanup(lambda: docker_engine.stop(found))
        os.environ["DOCKER_HOST"] = found.host


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest groups begin."""
    items.sort(key=lanes.rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share groups out to the lanes of scripts/test."""
    return lanes.scheduler(config, log)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Return the checkout's folder."""
    return support.CHECKOUT


@pytest.fixture(scope="session")
def collection_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the checkout under ansible_collections/mlops/mlflow_aws, for reading."""
    return support.copy_collection(tmp_path_factory.mktemp("collection"))


@pytest.fixture
def clean_home(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a new user on this machine, whose HOME is empty."""
    home = tmp_path / "home"
    home.mkdir()
    return support.clean_environment(home)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Return an empty folder for a state folder, whose path must be short enough for a socket."""
    with support.short_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def free_ports() -> Callable[[int], list[int]]:
    """Return a function that gives N consecutive free loopback ports."""
    return support.Ports()


@pytest.fixture(scope="session")
def run() -> Callable[..., support.Done]:
    """Return support.run: a command with a bound, and its output where it fails."""
    return support.run


@pytest.fixture(scope="session")
def environment() -> Callable[..., Path]:
    """Return support.new_environment: locked requirements installed into .venvs/."""
    return support.new_environment


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Modules:
    """Return what runs module files by a Python that sees Ansible, the collection and no more."""
    path = tmp_path_factory.mktemp("path")
    (path / "ansible").symlink_to(Path(ansible.__file__).parent)
    namespace = path / "ansible_collections" / "mlops"
    namespace.mkdir(parents=True)
    (namespace / "mlflow_aws").symlink_to(support.CHECKOUT)
    return Modules(path, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def runtime_files() -> dict[str, Any]:
    """Return the options of mlflow_installation that name what is installed."""
    return server_program.installation_files()


@pytest.fixture(scope="session")
def installation(
    modules: Modules, runtime_files: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Install MLflow for all tests the hard way: interrupted first, then by two runs at once.

    One lane does it for all.
    """
    shared = os.environ.get(support.SHARED)
    folder = Path(shared or tmp_path_factory.mktemp("r"))
    kept = folder / "installation.json"
    with files.exclusive(folder / ".lock", INSTALL_SECONDS, "installing MLflow"):
        if not kept.exists():
            made = install(modules, {"state_dir": str(folder / "s"), **runtime_files})
            kept.write_text(json.dumps(dataclasses.asdict(made)))
    yield Installation(**json.loads(kept.read_text()))
    if not shared:
        # Pytest keeps the folders of three sessions, and this is 400 MB.
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Return this machine's Docker engine, or one that root starts; DOCKER_HOST names it."""
    from ansible_collections.mlops.mlflow_aws.tests.parts import docker_engine

    try:
        found = docker_engine.find() or docker_engine.start(tmp_path_factory.mktemp("engine"))
    except docker_engine.Problem as problem:
        pytest.fail(str(problem), pytrace=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", found.host)
        yield found
    docker_engine.stop(found)


@pytest.fixture(scope="session")
def base_image(engine: Engine) -> str:
    """Return an image to build ours on, which needs no registry."""
    from ansible_collections.mlops.mlflow_aws.tests.parts import base_images

    return base_images.provide(engine, base_images.base())


@pytest.fixture(scope="session")
def mysql_image(engine: Engine) -> str:
    """Return an image of MySQL."""
    from ansible_collections.mlops.mlflow_aws.tests.parts import base_images

    return base_images.provide(engine, base_images.mysql())


@pytest.fixture(scope="session")
def server_image(engine: Engine, base_image: str) -> Iterator[str]:
    """Return the image of docker/, built by the classic builder."""
    from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import context
    from ansible_collections.mlops.mlflow_aws.tests.parts import base_images

    name = f"mlflow-image-test:{uuid.uuid4().hex[:12]}"
    command = ["docker", "build", "--network", "host", "--tag", name]
    for argument in (f"BASE_IMAGE={base_image}", "REVISION=0123abc"):
        command += ["--build-arg", argument]
    # Another lane may build the same, and then this one finds all layers.
    with base_images.alone(), tempfile.TemporaryDirectory() as folder:
        context.write(context.read(support.CHECKOUT / "docker"), Path(folder))
        support.run(
            [*command, folder],
            cwd=support.CHECKOUT,
            env=os.environ | engine.environment | {"DOCKER_BUILDKIT": "0"},
            timeout=1800,
        )
    yield name
    # What it was made of stays, for the next build.
    engine.docker("rmi", "--force", "--no-prune", name)
