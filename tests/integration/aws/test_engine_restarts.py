# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Docker engine that is restarted under load, with the credential broker and the servers on it.

The engine is the test's own; MySQL is on another one, as Aurora is on no host of ours, and AWS enforces IAM.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests import support
from ansible_collections.mlops.mlflow_aws.tests.integration.aws import test_broker, test_separation
from ansible_collections.mlops.mlflow_aws.tests.integration.aws.test_broker import (
    PROJECTS,
    Brokered,
    Cloud,
)
from ansible_collections.mlops.mlflow_aws.tests.integration.aws.test_separation import Database
from ansible_collections.mlops.mlflow_aws.tests.parts import docker_engine
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Engine, Problem
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_host import Docker, DockerHost
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Modules, ask, await_

# An image may have to be built; a client's pauses grow to two minutes.
pytestmark = pytest.mark.timeout(2400)

cloud, database = test_broker.cloud, test_separation.database

STEADY = support.CHECKOUT / "tests" / "twin" / "_steady.py"
METRIC = "steady"
RESTARTS = 10
SEARCH = "/api/2.0/mlflow/experiments/search"
HEAL_SECONDS = 300


@pytest.fixture
def own_engine(engine: Engine, server_image: str) -> Iterator[list[Engine]]:
    """Return an engine that nobody else uses, with our image; its process is replaced by each restart."""
    with support.short_folder() as folder:
        try:
            made = [docker_engine.launch(folder)]
        except Problem as problem:
            pytest.fail(str(problem), pytrace=False)
        try:
            packed = folder / "image.tar"
            engine.docker("save", "--output", str(packed), server_image, timeout=300)
            made[0].docker("load", "--input", str(packed), timeout=300)
            packed.unlink()
            yield made
        finally:
            docker_engine.stop(made[0])


@pytest.fixture
def host(
    own_engine: list[Engine],
    server_image: str,
    modules: Modules,
    cloud: Cloud,
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> Iterator[Brokered]:
    """Return a host with that engine, whose login works."""
    with support.short_folder() as state:
        docker, name = Docker(own_engine[0].host), f"test-{uuid.uuid4().hex[:8]}"
        made = DockerHost(modules, docker, server_image, state, name, free_ports)
        yield Brokered(made, cloud, cloud.log_in(tmp_path / "aws"))


@contextmanager
def logging(python: str, home: Path, *urls: str) -> Iterator[subprocess.Popen[str]]:
    """Let MLflow's clients log one point after the other through each server."""
    with subprocess.Popen(
        [python, STEADY, METRIC, *urls],
        # By default it gives up after four minutes in which nobody answers.
        env=support.clean_environment(home) | {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "9"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def kept(database: Database, project: str) -> dict[str, set[int]]:
    """Return the points that are in a project's schema, by run."""
    query = f"SELECT run_uuid, step FROM mlflow_{project}.metrics WHERE `key` = %s"
    found: dict[str, set[int]] = {}
    for run_id, step in database.mysql.query(query, METRIC):
        found.setdefault(run_id, set()).add(step)
    return found


def restart(own_engine: list[Engine], *, power: bool) -> None:
    """Restart the engine: as its administrator does, or after a loss of power."""
    (engine,) = own_engine
    if not power:
        docker_engine.end(engine)
    # Also what a slow machine did not end in time.
    docker_engine.cut_off(engine)
    assert not engine.answers()
    own_engine[0] = docker_engine.resume(engine, Path(engine.data).with_name("engine.log"))


@pytest.mark.thorough("A broker that dies, and an engine that starts again, run every time.")
def test_ten_restarts_of_docker_under_load(
    own_engine: list[Engine],
    host: Brokered,
    database: Database,
    runtime: Mapping[str, Any],
    tmp_path: Path,
) -> None:
    """Broker and servers are back by themselves each time, and all that a server took is there."""
    host.converge(*PROJECTS)
    servers = [host.host.server(name, **database.options(name)) for name in PROJECTS]
    options: dict[str, Any] = {"broker": "docker", "docker_network": "host"}
    records = host.host.converge(*servers, **options)["servers"]
    assert [record["healthy"] for record in records] == [True, True]
    before, urls = host.host.ids(), {name: host.host.url(name) for name in PROJECTS}
    home = tmp_path / "home"
    home.mkdir()
    with logging(runtime["python"], home, *urls.values()) as clients:

        def counts() -> list[int]:
            return [sum(map(len, kept(database, name).values())) for name in PROJECTS]

        await_(lambda: all(counts()), "the clients do not begin", HEAL_SECONDS)
        for number in range(RESTARTS):
            restart(own_engine, power=bool(number % 2))
            for url in urls.values():

                def answers(url: str = url) -> bool:
                    return ask(url, SEARCH, {"max_results": 1})[0] == 200

                await_(answers, f"restart {number + 1}: {url} is not back", HEAL_SECONDS)
            # Each restart finds clients at work.
            reached = counts()

            def further(reached: list[int] = reached) -> bool:
                return all(new > old for new, old in zip(counts(), reached, strict=True))

            await_(further, f"restart {number + 1}: a client does not go on", HEAL_SECONDS)
        output, _none = clients.communicate(timeout=HEAL_SECONDS)
    told = json.loads(output.splitlines()[-1])
    for name, url in urls.items():
        assert told[url]["error"] == ""
        assert told[url]["sent"] > RESTARTS
        assert kept(database, name) == {told[url]["run_id"]: set(range(told[url]["sent"]))}
    # With credentials that the new broker got, and in the containers that there were.
    assert host.host.ids() == before
    for name in PROJECTS:
        assert host.credentials(name)["AccessKeyId"]
    assert not host.converge(*PROJECTS)["changed"]
    assert not host.host.converge(*servers, **options)["changed"]
