# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mlflow_host_removal on a host with servers that run as processes, and data of the local backend."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Host

pytestmark = pytest.mark.timeout(300)
NAME = "mlflow_host_removal"


def serving(host: Host, *names: str) -> None:
    """Make projects and run their servers, with an installation beside them and a record of ports."""
    host.make(*names)
    host.converge(*map(host.server, names), inventory=inventory(host, *names))
    installation = host.state / "runtimes" / "3.0.0-0123456789ab" / "venv"
    installation.mkdir(parents=True)
    (installation / "file").write_text("x")
    (host.state / "projects" / names[0] / "artifacts" / "model").write_text("x" * 2048)


def inventory(host: Host, *names: str) -> dict[str, Any]:
    """Return the option by which ports are recorded."""
    projects = [
        {"name": name, "port": host.known[name]["port"], "port_fixed": True, "state": "present"}
        for name in names
    ]
    return {"backend": "local", "projects": projects}


def remove(host: Host, *, check: bool = False, **more: Any) -> dict[str, Any]:
    """Run the module, which must succeed."""
    options = {"state_dir": str(host.state), "confirm": host.state.name, **more}
    return host.modules.call(NAME, options, check=check)


def kinds(result: dict[str, Any]) -> list[str]:
    """Return the kinds of what was found."""
    return sorted(one["kind"] for one in result["found"])


def tree(host: Host) -> list[str]:
    """Return all files of the state folder but logs and what databases write."""
    return sorted(
        str(path.relative_to(host.state))
        for path in host.state.rglob("*")
        if path.suffix not in (".log", ".db-wal", ".db-shm")
    )


def test_a_host_is_cleared(host: Host) -> None:
    """Listed first, refused without the word, and gone afterwards, with the data."""
    serving(host, "demo", "churn")
    before, pids = tree(host), host.pids()
    listed = remove(host, check=True, confirm="")
    everything = ["installation", "project", "project", "record of ports", "server", "server"]
    assert kinds(listed) == everything
    meanings = {one["name"]: one["meaning"] for one in listed["found"] if one["kind"] == "project"}
    assert "which are lost" in meanings["demo"]
    assert str(host.state / "projects" / "demo") in meanings["demo"]
    assert listed["word"] == host.state.name
    for word in ("", "mlflow", "yes"):
        options = {"state_dir": str(host.state), "confirm": word}
        sentence = host.modules.refuse(NAME, options)
        assert (
            f"so nothing was removed; to remove all that is listed, set confirm={host.state.name}"
            in sentence
        )
    assert (tree(host), host.pids()) == (before, pids)
    done = remove(host)
    assert done["changed"]
    assert [one["kind"] for one in done["removed"]] == [one["kind"] for one in listed["found"]]
    assert done["leftovers"] == []
    assert not host.state.exists()
    assert host.processes() == {}
    again = remove(host)
    assert (again["changed"], again["found"], again["leftovers"]) == (False, [], [])
    assert not host.state.exists()


def test_what_was_not_made_here_stays(host: Host, tmp_path: Path) -> None:
    """A file of somebody's in a project's folder, and one beside; artifacts behind a link go."""
    host.make("demo")
    artifacts, disk = host.state / "projects" / "demo" / "artifacts", tmp_path / "disk"
    artifacts.rmdir()
    disk.mkdir()
    (disk / "model").write_text("x")
    artifacts.symlink_to(disk)
    (host.state / "projects" / "demo" / "notes.txt").write_text("mine")
    (host.state / "of-mine").mkdir()
    listed = remove(host, check=True)
    assert str(disk) in listed["found"][0]["meaning"]
    # The folder with the notes cannot go, which is no reason to fail again and again.
    done = remove(host)
    assert [Path(one["name"]).name for one in done["leftovers"]] == ["of-mine", "projects"]
    assert "did not make" in done["leftovers"][1]["remedy"]
    assert not disk.exists()
    assert [path.name for path in (host.state / "projects" / "demo").iterdir()] == ["notes.txt"]
    assert not remove(host)["changed"]


def test_data_of_the_local_backend_stays_on_aws(host: Host) -> None:
    """It takes a word of its own; the servers of the folder go."""
    serving(host, "demo")
    options: dict[str, Any] = {"backend": "aws", "stack": "mlflow"}
    options |= {"runtime": "process", "broker": "process"}
    listed = remove(host, check=True, **options)
    assert kinds(listed) == ["installation", "record of ports", "server"]
    assert listed["word"] == "mlflow"
    refused = host.modules.refuse(NAME, {"state_dir": str(host.state), "confirm": "s", **options})
    assert "set confirm=mlflow" in refused
    done = remove(host, confirm="mlflow", **options)
    [left] = done["leftovers"]
    assert left["name"] == str(host.state / "projects")
    assert f"run destroy with mlflow_backend=local and confirm={host.state.name}" in left["remedy"]
    assert host.database("demo").is_file()
    assert host.processes() == {}


def test_a_deployment_has_a_name(host: Host) -> None:
    """Without it, nothing could confirm the removal."""
    options = {"state_dir": str(host.state), "backend": "aws"}
    assert "set stack" in host.modules.refuse(NAME, options)


def test_killed_runs_are_continued(new_host: Callable[..., Host]) -> None:
    """Killed ever later until one comes through, each of them leaves a host that the next one clears."""
    seconds, ended = 0.15, False
    host = new_host()
    serving(host, "demo", "churn")
    for number in range(40):
        (host.state / "projects" / "demo" / "artifacts" / f"{number}").parent.mkdir(
            parents=True, exist_ok=True
        )
        (host.state / "projects" / "demo" / "artifacts" / f"{number}").write_text("x")
    while not ended:
        options = {"state_dir": str(host.state), "confirm": host.state.name}
        process = host.modules.start(NAME, options)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.005)
        ended = process.poll() is not None
        if not ended:
            os.kill(process.pid, signal.SIGKILL)
        output, _errors = process.communicate(timeout=30)
        assert not ended or process.returncode == 0, output
        seconds *= 1.3
    assert not host.state.exists()
    assert host.processes() == {}
