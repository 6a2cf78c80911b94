# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of every stage, and the rule that what was asked for may not be skipped."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests import support

if TYPE_CHECKING:
    from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Engine


# What needs a Docker engine, in the groups that share servers; they begin, as they take longest.
ENGINE = ("tests/twin/", "tests/integration/aws/", "tests/gate/test_image.py")
# Of these the ones that need none.
WITHOUT_ENGINE = ("tests/integration/aws/test_stack.py", "tests/twin/test_identities.py")


def pytest_configure(config: pytest.Config) -> None:
    """Let what tests start be interrupted, and give all lanes of scripts/test one engine."""
    # Also where a shell runs the gate in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    needed = any(f"{argument}/".startswith(ENGINE) for argument in config.args)
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


def group_of(nodeid: str) -> str:
    """Return what a test shares servers with, so that one lane runs both: its file or folder."""
    path = nodeid.partition("::")[0]
    alone = path.startswith("tests/gate/") or path in WITHOUT_ENGINE
    return path if alone else path.rpartition("/")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what needs an engine begin, in the order of ENGINE."""

    def rank(item: pytest.Item) -> int:
        path = item.nodeid.partition("::")[0]
        found = [number for number, start in enumerate(ENGINE) if path.startswith(start)]
        return len(ENGINE) if path in WITHOUT_ENGINE or not found else found[0]

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share groups out to the lanes of scripts/test."""
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = group_of
    return scheduler


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a skipped test where every test was asked for."""
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a skipped module where every test was asked for."""
    report = yield
    _forbid_skip(report)
    return report


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure with the same reason, if scripts/test says so."""
    if report.outcome != "skipped" or not os.environ.get("MLFLOW_AWS_NO_SKIP"):
        return
    if getattr(report, "wasxfail", None) is not None:
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"A stage that was asked for may not skip a test. {reason}"
