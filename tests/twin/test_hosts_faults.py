# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three hosts of different kinds and what befalls them, while clients log through every server.

The tests build on each other: bring up with one host failing, mend it, lose power, restart the
database and let it sleep, roll by two operators while Docker is down, count the points.
"""

from __future__ import annotations

import json
import pwd
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Problem
from ansible_collections.mlops.mlflow_aws.tests.parts.host import ask, await_, experiments
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment
from ansible_collections.mlops.mlflow_aws.tests.twin._boxes import (
    NAMES,
    PROJECT,
    Boxes,
    boxes,
    changes,
    recap,
    table,
)
from ansible_collections.mlops.mlflow_aws.tests.twin._team import MINUTES, Team

pytestmark = [
    pytest.mark.timeout(30 * MINUTES),
    pytest.mark.thorough(
        "tests/integration/test_fleet.py has a host that fails, and one that is lost, every time."
    ),
]

STEADY = Path(__file__).with_name("_steady.py")
METRIC = "steady"
# What MLflow's client waits at most between two of the tries that these faults make it need.
HEAL_SECONDS = 150
WAKE_SECONDS = 20
# The task in which servers restart, and how long it has been running when a host goes.
RESTARTED, MIDDLE_SECONDS = ": Bring the servers to their desired state]", 1.0
# What Ansible says of box where its Docker is down.
FAILED = "fatal: [box]: FAILED!"
ROLLED = {"mlflow_projects": [{"name": PROJECT, "server": {"environment": {"ROLLED": "1"}}}]}


@pytest.fixture(scope="module")
def hosts(team: Team, free_ports: Callable[[int], list[int]]) -> Iterator[Boxes]:
    """Return three hosts that nothing was done to yet; fail with the sentence why there are none."""
    with ExitStack() as stack:
        try:
            made = stack.enter_context(boxes(team, free_ports))
        except Problem as problem:
            pytest.fail(str(problem), pytrace=False)
        yield made


@dataclass
class Clients:
    """Clients that log one point after the other through every host's server."""

    hosts: Boxes
    process: subprocess.Popen[str]

    def kept(self) -> dict[str, set[int]]:
        """Return the points that are in the database, by run."""
        schema = _names.schema_name(PROJECT)
        rows = self.hosts.team.twin.mysql.query(
            f"SELECT run_uuid, step FROM `{schema}`.metrics WHERE `key` = %s", METRIC
        )
        found: dict[str, set[int]] = {}
        for run_id, step in rows:
            found.setdefault(run_id, set()).add(step)
        return found

    def await_progress(self) -> None:
        """Wait until each of them has logged more than now."""
        before = {run_id: len(steps) for run_id, steps in self.kept().items()}
        assert len(before) == len(NAMES)

        def further() -> bool:
            return all(len(steps) > before[run_id] for run_id, steps in self.kept().items())

        await_(further, "some client does not go on", 2 * HEAL_SECONDS)

    def end(self) -> dict[str, dict[str, Any]]:
        """Let them end; return what each says, by the host it logged through."""
        output, _none = self.process.communicate(timeout=2 * HEAL_SECONDS)
        told = json.loads(output.splitlines()[-1])
        return {name: told[self.hosts.url(name)] for name in NAMES}


@pytest.fixture(scope="module")
def clients(hosts: Boxes) -> Iterator[Clients]:
    """Return clients that began to log; the servers are up."""
    command: list[str | Path] = [hosts.python, STEADY, METRIC, *map(hosts.url, NAMES)]
    with subprocess.Popen(
        command,
        # Of the faults some last for minutes on a slow machine, and by default it gives up after four.
        env=clean_environment(hosts.folder) | {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "9"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        made = Clients(hosts, process)
        try:
            await_(lambda: len(made.kept()) == len(NAMES), "they do not begin")
            yield made
        finally:
            if process.poll() is None:
                process.kill()


def healthy(hosts: Boxes, *names: str) -> None:
    """Every one of these hosts' servers answers from the database."""
    for name in names:
        assert "Default" in experiments(hosts.url(name)), name


def test_three_kinds_of_hosts_from_one_inventory(hosts: Boxes) -> None:
    """Docker, processes of root, processes of a plain user; the last one fails, and no other by it."""
    with socket.create_server(("127.0.0.1", hosts.ports["desk"])):
        done = hosts.play("deploy")
    assert done.code != 0
    told = table(done)
    up = {name: [PROJECT, hosts.url(name), "ok", told[name][3], "RUN"] for name in ("box", "metal")}
    reason = told.pop("desk failed")
    told.pop("Not in the list, data kept", None)
    assert told == up | {"desk": ["-", "-", "failed,", "see", "below", "-", "-"]}, done.output
    assert re.fullmatch(
        rf"Check the servers and their ports: Project '{PROJECT}': port {hosts.ports['desk']} is "
        r"in use by a process of another user; end it, or give the project another 'port'\.",
        reason[0],
    ), reason
    assert len({told[name][3] for name in up}) == 1


def test_the_next_run_brings_up_the_one_that_failed(hosts: Boxes) -> None:
    """And changes nothing on the others."""
    hosts.share_runtime()
    counts = changes(hosts.play("servers"))
    assert {name: count > 0 for name, count in counts.items()} == {
        "box": False,
        "metal": False,
        "desk": True,
    }
    healthy(hosts, *NAMES)
    owners = {Path(f"/proc/{pid}").stat().st_uid for pid in hosts.processes("desk")}
    assert owners == {pwd.getpwnam(hosts.user).pw_uid}


def test_what_fails_once_for_all_hosts(hosts: Boxes) -> None:
    """Its reason is told of the host for which it was done; the others say so, and none is lost."""
    done = hosts.play("servers", mlflow_stack_region="eu-west-1")
    told = table(done)
    first, *others = NAMES
    reason = told[f"{first} failed"][0]
    assert "Stack 'mlflow' is not deployed in region eu-west-1" in reason, done.output
    for name in others:
        assert told[f"{name} failed"][0].startswith("A step that runs once for all hosts failed; ")
    healthy(hosts, *NAMES)


def test_hosts_that_lose_power(hosts: Boxes, clients: Clients) -> None:
    """Docker's restart policy and, where there is no Docker, the next run bring the servers back."""
    before = hosts.containers()
    hosts.cut_off(*NAMES)
    done = hosts.play("servers")
    told = table(done)
    assert [told[name][2] for name in ("metal", "desk")] == ["ok", "ok"], done.output
    assert told["box failed"][0].endswith(
        f": Docker does not answer on {hosts.engine.run}/docker.sock; start it, or set docker_host."
    ), told
    hosts.start_docker()
    await_(lambda: ask(hosts.url("box"), "/health")[0] == 200, "box is not back", HEAL_SECONDS)
    assert hosts.containers() == before
    assert changes(hosts.play("servers")) == dict.fromkeys(NAMES, 0)
    clients.await_progress()


def test_a_database_that_restarts_and_sleeps(hosts: Boxes, clients: Clients) -> None:
    """A run meanwhile waits for it; one host is told that its image's digest is of yesterday."""
    twin, before = hosts.team.twin, hosts.containers()
    stale = f"{twin.registry}/mlflow@sha256:{'0' * 64}"
    twin.mysql.act("kill")
    twin.link.fall_asleep(WAKE_SECONDS)
    twin.mysql.act("start")
    twin.mysql.await_ready()
    done = hosts.play("servers", mlflow_image_reference=stale)
    told = table(done)
    assert [told[name][2] for name in ("metal", "desk")] == ["ok", "ok"], done.output
    assert re.match(rf"Pull the image: Docker could not pull {stale} \(", told["box failed"][0])
    assert told["box failed"][0].endswith(
        "); build and push it with the playbook image, or correct the reference."
    )
    assert "changed=0" in recap(done, "metal")
    assert "changed=0" in recap(done, "desk")
    healthy(hosts, *NAMES)
    assert hosts.containers() == before
    clients.await_progress()


def test_two_operators_roll_while_hosts_are_down(hosts: Boxes, clients: Clients) -> None:
    """Docker is down and a host reboots in the middle; afterwards an earlier configuration is left."""
    before = hosts.containers()
    hosts.end_docker()
    rolls = [hosts.begin("servers", **ROLLED) for _operator in range(2)]
    await_(lambda: any(RESTARTED in roll.text() for roll in rolls), "none restarts", HEAL_SECONDS)
    time.sleep(MIDDLE_SECONDS)
    hosts.cut_off("desk")
    # No longer than that: MLflow's clients give up after four minutes.
    await_(lambda: all(FAILED in roll.text() for roll in rolls), "Docker is there", HEAL_SECONDS)
    hosts.start_docker()
    await_(lambda: ask(hosts.url("box"), "/health")[0] == 200, "box is not back", HEAL_SECONDS)
    assert hosts.containers() == before
    tables = [table(roll.end()) for roll in rolls]
    for told in tables:
        assert "Docker is not running on this host (there is no socket " in told["box failed"][0]
    assert "ok" in [told["metal"][2] for told in tables], tables
    counts = changes(hosts.play("servers", **ROLLED))
    assert (counts["box"] > 0, counts["metal"]) == (True, 0)
    assert hosts.containers() != before
    healthy(hosts, *NAMES)
    clients.await_progress()


def test_every_point_is_accounted_for(hosts: Boxes, clients: Clients) -> None:
    """What a server took while all of that happened is in the database, and no client gave up."""
    told, kept = clients.end(), clients.kept()
    assert {name: run["error"] for name, run in told.items()} == dict.fromkeys(NAMES, "")
    for name, run in told.items():
        assert kept[run["run_id"]] == set(range(run["sent"])), name
    assert set(hosts.ports) == set(told)
