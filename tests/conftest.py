# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of every stage, and the rule that what was asked for may not be skipped."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests import support

if TYPE_CHECKING:
    from ansible_collections.mlops.mlflow_aws.tests.twin._engine import Engine


def pytest_configure() -> None:
    """Let what tests start be interrupted, also where a shell runs the gate in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


# What shares the machine's Docker engine, and so runs in one lane.
ENGINE = ("tests/gate/test_image.py", "tests/integration/aws/", "tests/twin/")
# Of these the ones that need none.
WITHOUT_ENGINE = ("tests/integration/aws/test_stack.py", "tests/twin/test_identities.py")


def group_of(nodeid: str) -> str:
    """Return what a test shares servers or an engine with: the engine, its file or its folder."""
    path = nodeid.partition("::")[0]
    if path.startswith(ENGINE) and path not in WITHOUT_ENGINE:
        return "engine"
    alone = path.startswith("tests/gate/") or path in WITHOUT_ENGINE
    return path if alone else path.rpartition("/")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what needs the engine begin, since that is the longest lane of scripts/test."""
    items.sort(key=lambda item: group_of(item.nodeid) != "engine")


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
    from ansible_collections.mlops.mlflow_aws.tests.twin import _engine

    try:
        found = _engine.find() or _engine.start(tmp_path_factory.mktemp("engine"))
    except _engine.Problem as problem:
        pytest.fail(str(problem), pytrace=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", found.host)
        yield found
    _engine.stop(found)


@pytest.fixture(scope="session")
def base_image(engine: Engine) -> str:
    """Return an image to build ours on, which needs no registry."""
    from ansible_collections.mlops.mlflow_aws.tests.twin import _images

    return _images.provide(engine, _images.base())


@pytest.fixture(scope="session")
def mysql_image(engine: Engine) -> str:
    """Return an image of MySQL."""
    from ansible_collections.mlops.mlflow_aws.tests.twin import _images

    return _images.provide(engine, _images.mysql())


@pytest.fixture(scope="session")
def server_image(engine: Engine, base_image: str) -> Iterator[str]:
    """Return the image of docker/, built by the classic builder."""
    name = f"mlflow-image-test:{uuid.uuid4().hex[:12]}"
    command = ["docker", "build", "--network", "host", "--tag", name]
    for argument in (f"BASE_IMAGE={base_image}", "REVISION=0123abc"):
        command += ["--build-arg", argument]
    support.run(
        [*command, str(support.CHECKOUT / "docker")],
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
