# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job as a newcomer meets it: a fresh clone, an empty HOME, scripts/quickstart."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from ansible_collections.mlops.mlflow_aws.tests.e2e._examples import (
    EXAMPLES,
    User,
    api,
    logged_page,
)
from ansible_collections.mlops.mlflow_aws.tests.e2e._newcomer import Newcomer, Screen
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment

# The first one that runs installs two environments.
pytestmark = pytest.mark.timeout(1200)

HEAL_SECONDS = 60
OPENER = build_opener(ProxyHandler({}))


def experiments(url: str) -> list[str]:
    """Return the names of a server's experiments, read through its database."""
    body = json.dumps({"max_results": 100}).encode()
    address = f"{url}/api/2.0/mlflow/experiments/search"
    request = Request(address, body, {"Content-Type": "application/json"})
    with OPENER.open(request, timeout=10) as response:
        return [experiment["name"] for experiment in json.load(response)["experiments"]]


def await_answer(url: str) -> None:
    """Wait until the server answers from its database."""
    deadline = time.monotonic() + HEAL_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError):
            experiments(url)
            return
        time.sleep(0.2)
    pytest.fail(f"{url} did not answer within {HEAL_SECONDS} s")


def descendants(pid: int) -> list[int]:
    """Return the process and all that it started, as the system tells now."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            status = (process / "stat").read_text(errors="replace")
            parents[int(process.name)] = int(status.rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def test_the_table_is_true(first_screen: Screen) -> None:
    """Each line names a server that answers, its real version, and a run that is there."""
    assert list(first_screen.servers) == ["demo", "churn"]
    for row in first_screen.servers.values():
        assert row.health == "ok"
        with OPENER.open(f"{row.url}/version", timeout=10) as response:
            assert response.read().decode() == row.version
        run = api(row.url, "runs/get", run_id=row.run)["run"]
        assert run["info"]["status"] == "FINISHED"
        assert {metric["key"] for metric in run["data"]["metrics"]} == {"roundtrip"}


def test_a_second_run_changes_nothing(newcomer: Newcomer, first_screen: Screen) -> None:
    """It reports changed=0, the same table, and leaves every process alone."""
    before = newcomer.process_ids()
    second = newcomer.quickstart()
    assert second.changed == 0
    assert second.servers == first_screen.servers
    assert newcomer.process_ids() == before
    assert set(before) == {"demo", "churn"}


@pytest.mark.thorough(
    "Runs outlive a server that is killed, and one that is stopped, in other tests every time."
)
def test_runs_outlive_a_stop(
    newcomer: Newcomer, project_url: str, examples_python: Path, tmp_path: Path
) -> None:
    """What was logged is there after --stop and another quickstart."""
    user = User(examples_python, tmp_path, project_url)
    _experiment, run_id = logged_page(user.run(user.python, EXAMPLES / "tracking.py").output)
    before = api(project_url, "runs/get", run_id=run_id)
    stopped = newcomer.quickstart("--stop")
    assert {row.health for row in stopped.servers.values()} == {"stopped"}
    assert newcomer.process_ids() == {}
    with pytest.raises(OSError, match="refused"):
        experiments(project_url)
    assert newcomer.quickstart("--stop").changed == 0
    assert newcomer.quickstart().servers["demo"].url == project_url
    assert api(project_url, "runs/get", run_id=run_id) == before


def test_an_appended_project_adds_one_server(newcomer: Newcomer, project_url: str) -> None:
    """The others keep their processes; taken off the list again, its server stops, its data stays."""
    assert project_url
    before = newcomer.process_ids()
    text = newcomer.projects.read_text()
    newcomer.projects.write_text(f"{text}  - name: third\n    owner: ada\n")
    try:
        screen = newcomer.quickstart()
        after = newcomer.process_ids()
        assert list(screen.servers) == ["demo", "churn", "third"]
        assert screen.servers["third"].url.endswith(f":{newcomer.base_port + 2}")
        assert {name: after[name] for name in before} == before
        assert set(after) == {*before, "third"}
        assert newcomer.quickstart().changed == 0
    finally:
        newcomer.projects.write_text(text)
    screen = newcomer.quickstart()
    assert screen.servers["third"].health == "stopped, not listed for this host"
    assert newcomer.process_ids() == before
    assert (newcomer.state / "projects" / "third" / "mlflow.db").is_file()


def test_a_killed_server_comes_back(newcomer: Newcomer, project_url: str) -> None:
    """By itself, with its data, and the next run has nothing to do."""
    before = newcomer.process_ids()["demo"]
    names = experiments(project_url)
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + HEAL_SECONDS
    while newcomer.process_ids().get("demo", before) == before:
        assert time.monotonic() < deadline, "no new process"
        time.sleep(0.2)
    await_answer(project_url)
    assert experiments(project_url) == names
    assert newcomer.quickstart().changed == 0


def test_a_foreign_port_is_named_before_anything_happens(
    newcomer: Newcomer, project_url: str
) -> None:
    """One sentence says who holds the port; nothing is made for the project."""
    assert project_url
    text = newcomer.projects.read_text()
    with socket.create_server(("127.0.0.1", newcomer.base_port + 3)):
        entry = f"  - name: blocked\n    port: {newcomer.base_port + 3}\n"
        newcomer.projects.write_text(text + entry)
        try:
            done = newcomer.try_quickstart()
        finally:
            newcomer.projects.write_text(text)
    assert done.code == 1
    assert (
        f"Project 'blocked': port {newcomer.base_port + 3} is in use by process {os.getpid()} "
        in done.output
    )
    assert not (newcomer.state / "projects" / "blocked").exists()


@pytest.mark.thorough("test_installation.py interrupts what takes long every time.")
def test_interrupted_at_any_moment_it_converges(newcomer: Newcomer, project_url: str) -> None:
    """Killed with all its children again and again, the next run finishes; nothing is doubled."""
    assert project_url
    newcomer.quickstart("--stop")
    packages = next((newcomer.clone / ".venv" / "lib").glob("python*/site-packages"))
    ansible_playbook = newcomer.clone / ".venv" / "bin" / "ansible-playbook"
    command = [str(ansible_playbook), "playbooks/deploy.yml"]
    command += ["-i", "inventories/local", "-e", f"mlflow_base_port={newcomer.base_port}"]
    environment = clean_environment(newcomer.home)
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(packages)
    for seconds in (2.0, 4.0, 5.5, 6.5, 8.0):
        process = subprocess.Popen(
            command,
            cwd=newcomer.clone,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(seconds)
        # Ansible's workers lead sessions of their own, so the group is not all of it.
        for pid in descendants(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(timeout=30)
    screen = newcomer.quickstart()
    assert {row.health for row in screen.servers.values()} >= {"ok"}
    assert set(newcomer.process_ids()) == {"demo", "churn"}
    assert newcomer.quickstart().changed == 0


@pytest.mark.thorough("Two runs of each module at once run every time.")
def test_two_at_once_do_no_harm(newcomer: Newcomer, project_url: str) -> None:
    """Both succeed and one set of servers is there."""
    assert project_url
    newcomer.quickstart("--stop")
    command = [str(newcomer.clone / "scripts" / "quickstart")]
    command += ["-e", f"mlflow_base_port={newcomer.base_port}"]
    both = [
        subprocess.Popen(
            command,
            env=clean_environment(newcomer.home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _number in range(2)
    ]
    for process in both:
        output = process.communicate(timeout=300)[0]
        assert process.returncode == 0, output
    assert set(newcomer.process_ids()) == {"demo", "churn"}
    assert newcomer.quickstart().changed == 0


def test_a_relative_file_that_is_missing_is_looked_for_where_the_user_is(
    newcomer: Newcomer,
) -> None:
    """The error names the path in the folder of the call."""
    done = newcomer.try_quickstart("-e", "@absent.yml")
    assert done.code == 1
    assert str(newcomer.home / "absent.yml") in done.output


def test_help_explains(newcomer: Newcomer) -> None:
    """--help says what it does and where the data is, and does nothing."""
    done = newcomer.try_quickstart("--help")
    assert done.code == 0
    assert "--stop" in done.output
    assert "~/.local/state/mlflow_aws" in done.output


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("#!/bin/sh\nexit 127\n", "was found"),
        ("#!/bin/sh\necho 'old 3.9' >&2; exit 1\n", "is 3.9"),
        ("#!/bin/sh\necho 'lacks 3.11 ensurepip' >&2; exit 1\n", "lacks the module ensurepip"),
    ],
    ids=["broken shim", "too old", "no venv"],
)
def test_a_machine_without_python_is_told_so(
    program: str, sentence: str, newcomer: Newcomer, tmp_path: Path
) -> None:
    """One sentence says what is missing and how to get it."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python"):
        (tools / name).write_text(program)
        (tools / name).chmod(0o755)
    for name in ("bash", "dirname", "sed", "env", "sh"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    # A clone that has no environment yet.
    scripts = tmp_path / "clone" / "scripts"
    shutil.copytree(newcomer.clone / "scripts", scripts)
    done = subprocess.run(
        [scripts / "quickstart"],
        env={"HOME": str(tmp_path), "PATH": str(tools)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert sentence in lines[0]
    assert "apt-get install" in lines[0]
