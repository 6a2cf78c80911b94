# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that boots starts its servers: a real cron, with a crontab that is nobody else's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts import docker_engine
from ansible_collections.mlops.mlflow_aws.tests.parts.host import (
    HOST_PYTHON,
    Host,
    actions,
    ask,
    await_,
)

# The first test of a run installs MLflow.
pytestmark = pytest.mark.timeout(600)

# Cron's folders become empty ones that only processes in here see.
ROOM = """
mount -t tmpfs tmpfs /var/spool/cron && mkdir -m 1730 /var/spool/cron/crontabs &&
chgrp crontab /var/spool/cron/crontabs && mount -t tmpfs tmpfs /run && echo ready && exec sleep 600
"""
FOREIGN = "5 4 * * * /bin/true # mine"


@dataclass(frozen=True)
class Room:
    """A process whose mounts others may share."""

    pid: int
    folder: Path

    def command(self, *words: str) -> list[str]:
        """Return the command that runs another one in it."""
        return ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", "--", *words]

    def run(self, *words: str, text: str = "") -> str:
        """Run a command in it and return what it printed."""
        done = subprocess.run(
            self.command(*words), input=text, stdout=subprocess.PIPE, text=True, check=False
        )
        return done.stdout

    @property
    def python(self) -> str:
        """Return a Python whose processes are in it."""
        path = self.folder / "python"
        path.write_text(f'#!/bin/sh\nexec {" ".join(self.command(HOST_PYTHON))} "$@"\n')
        path.chmod(0o700)
        return str(path)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """Give a crontab of this test's own, with a line of somebody else's."""
    if os.geteuid() != 0:
        pytest.skip("Only root can give a test a crontab of its own: run this as root.")
    try:
        docker_engine.install("cron")
    except docker_engine.Problem as problem:
        pytest.fail(str(problem), pytrace=False)
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", ROOM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        made = Room(process.pid, tmp_path)
        made.run("crontab", "-", text=f"{FOREIGN}\n")
        try:
            yield made
        finally:
            process.kill()


def test_a_host_that_boots_starts_its_servers(
    new_host: Callable[..., Host], room: Room, tmp_path: Path
) -> None:
    """Also in the order of a real boot: everything is gone, then cron comes; undone, it is gone."""
    host = new_host("demo", "churn")
    servers = [host.server("demo"), host.server("churn")]

    def converge(**more: Any) -> dict[str, Any]:
        options = host.options(*servers, **more)
        return host.modules.call("mlflow_server", options, diff=True, python=room.python)

    assert set(actions(converge(start_at_boot=True)).values()) == {"start"}
    lines = room.run("crontab", "-l").splitlines()
    assert lines[0] == FOREIGN
    assert lines[1].startswith("@reboot ")
    assert len(lines) == 2
    assert not converge(start_at_boot=True)["changed"]

    for pid in (*host.supervisors(), *host.pids().values()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await_(lambda: host.processes() == {}, "a process is left")
    log = tmp_path / "cron.log"
    with log.open("wb") as output:
        cron = subprocess.Popen(room.command("cron", "-f"), stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{servers[0]['port']}"
        await_(lambda: ask(url, "/health")[0] == 200, "no server came back")
        again = converge(start_at_boot=True)
        assert not again["changed"]

        undone = converge()
        assert undone["changed"]
        assert undone["diff"]["after"] == {"started at boot": False}
        assert room.run("crontab", "-l").splitlines() == [FOREIGN]
        assert not converge()["changed"]
    finally:
        cron.kill()
        cron.wait(20)


@pytest.mark.thorough("test_host_removal.py clears hosts every time.")
def test_a_host_that_is_cleared_starts_nothing(new_host: Callable[..., Host], room: Room) -> None:
    """Its line goes with the servers, or alone where those are gone; other lines stay."""
    for dead in (False, True):
        host = new_host("demo")
        options = host.options(host.server("demo"), start_at_boot=True)
        host.modules.call("mlflow_server", options, python=room.python)
        assert len(room.run("crontab", "-l").splitlines()) == 2
        if dead:
            for pid in (*host.supervisors(), *host.pids().values()):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await_(lambda: host.processes() == {}, "a process is left")  # noqa: B023
            shutil.rmtree(host.folder / "demo")
        options = {"state_dir": str(host.state), "confirm": host.state.name}
        done = host.modules.call("mlflow_host_removal", options, python=room.python)
        assert ("start at boot" if dead else "server") in {one["kind"] for one in done["removed"]}
        assert room.run("crontab", "-l").splitlines() == [FOREIGN]
        assert not host.state.exists()


def test_without_cron_it_is_told(new_host: Callable[..., Host]) -> None:
    """Before anything is touched, and only where it was asked for."""
    host = new_host("demo")
    options = host.options(host.server("demo"), start_at_boot=True)
    told = host.modules.refuse("mlflow_server", options, PATH="/nowhere")
    assert "This host has no crontab to start servers at boot; install cron there" in told
    assert host.processes() == {}
