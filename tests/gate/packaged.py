# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user who has the built tarball, ansible-core and an inventory folder, and no checkout."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment, run

# The first run installs MLflow's locked set, which takes as long as the network does.
PLAYBOOK_SECONDS = 900
# Servers under test listen on this machine: never ask a proxy for them.
OPENER = build_opener(ProxyHandler({}))

HOSTS = """\
---
mlflow_servers:
  hosts:
    laptop:
      ansible_connection: local
      ansible_python_interpreter: "{{ ansible_playbook_python }}"
"""
VARIABLES = """\
---
mlflow_backend: local
mlflow_state_dir: %s
mlflow_base_port: %d
mlflow_projects:
  - name: first
  - name: second
    description: Another one
"""
PROJECTS = ("first", "second")


@dataclass(frozen=True)
class Recap:
    """What the last lines of a playbook run count, and all that it printed."""

    counts: Mapping[str, int]
    output: str

    @property
    def changed(self) -> int:
        """Return the number of changed tasks."""
        return self.counts["changed"]


class User:
    """Has a folder with an inventory, and calls playbooks of the collection by name."""

    def __init__(self, folder: Path, ansible: Path, ports: Sequence[int], state: Path) -> None:
        """Write the inventory of two projects; `ansible` is the folder of ansible-playbook."""
        self.folder = folder
        self.state = state
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self._ansible = ansible
        home = folder / "home"
        home.mkdir(parents=True)
        self.env = clean_environment(home, ansible)
        self.env["ANSIBLE_COLLECTIONS_PATH"] = str(folder / "collections")
        self.env["ANSIBLE_NOCOLOR"] = "1"
        variables = folder / "inventory" / "group_vars" / "mlflow_servers.yml"
        variables.parent.mkdir(parents=True)
        variables.write_text(VARIABLES % (json.dumps(str(state)), ports[0]))
        (folder / "inventory" / "hosts.yml").write_text(HOSTS)

    def borrow(self, runtimes: Path) -> None:
        """Use, and fill, a folder of installed MLflows that others use, too."""
        self.state.mkdir(mode=0o700)
        (self.state / "runtimes").symlink_to(runtimes)

    def install(self, tarball: Path) -> None:
        """Install the collection from the tarball alone, as without Galaxy."""
        galaxy = [str(self._ansible / "ansible-galaxy"), "collection", "install", str(tarball)]
        galaxy += ["--offline", "-p", str(self.folder / "collections")]
        run(galaxy, cwd=self.folder, env=self.env, timeout=120)

    def play(self, name: str, *options: str) -> Recap:
        """Run a playbook by its name, and return its recap; it must not fail."""
        command = [str(self._ansible / "ansible-playbook"), f"mlops.mlflow_aws.{name}"]
        command += ["-i", "inventory", *options]
        done = run(command, cwd=self.folder, env=self.env, timeout=PLAYBOOK_SECONDS)
        lines = re.findall(r"^laptop +: (.*)$", done.output, re.MULTILINE)
        assert len(lines) == 1, f"The run has no recap, so it did nothing:\n{done.output}"
        counts = {key: int(count) for key, count in re.findall(r"(\w+)=(\d+)", lines[0])}
        assert counts["ok"] > 0, done.output
        # Nothing that we wrote is on its way out of Ansible.
        for word in ("[WARNING]", "[DEPRECATION WARNING]"):
            assert word not in done.output, done.output
        return Recap(counts, done.output)

    def stop(self) -> Recap:
        """Stop all servers, as the documentation says."""
        return self.play("servers", "-e", "mlflow_server_state=stopped")

    def runs(self) -> list[int]:
        """Return how many runs each server has, by its own REST API."""
        return [len(search_runs(url)) for url in self.urls]

    def listening(self) -> list[bool]:
        """Say which servers accept connections."""
        return [accepts(url) for url in self.urls]


def post(url: str, endpoint: str, body: Mapping[str, object]) -> dict[str, list[dict[str, object]]]:
    """Ask a server's REST API."""
    request = Request(
        f"{url}/api/2.0/mlflow/{endpoint}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with OPENER.open(request, timeout=30) as response:
        answer: dict[str, list[dict[str, object]]] = json.load(response)
    return answer


def search_runs(url: str) -> list[dict[str, object]]:
    """Return all runs of all experiments of a server."""
    experiments = post(url, "experiments/search", {"max_results": 100}).get("experiments", [])
    identifiers = [experiment["experiment_id"] for experiment in experiments]
    body = {"experiment_ids": identifiers, "max_results": 100}
    return post(url, "runs/search", body).get("runs", [])


def accepts(url: str) -> bool:
    """Say whether something listens at the URL's address."""
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((host, int(port))) == 0


@contextmanager
def user_of(
    tarball: Path, folder: Path, ansible: Path, ports: Sequence[int], state: Path
) -> Iterator[User]:
    """Give a user who has installed the tarball; at the end no server of theirs is left."""
    user = User(folder, ansible, ports, state)
    user.install(tarball)
    try:
        yield user
    finally:
        if any(user.listening()):
            user.stop()


def build(collection: Path, ansible: Path, home: Path) -> Path:
    """Build the collection and return the tarball."""
    target = home / "built"
    command = [str(ansible / "ansible-galaxy"), "collection", "build", "--output-path", str(target)]
    run(command, cwd=collection, env=clean_environment(home, ansible), timeout=120)
    tarballs = list(target.iterdir())
    if len(tarballs) != 1:
        pytest.fail(f"The build made {tarballs} instead of one tarball.")
    return tarballs[0]


def check_plan(user: User) -> None:
    """On a host with nothing, check mode reports what deploy would do, and does nothing."""
    planned = user.play("deploy", "--check", "--diff")
    assert planned.changed > 0
    assert not user.state.exists(), "Check mode made the state folder."
    assert user.listening() == [False, False]


def check_main_way(user: User, runtimes: Path | None = None) -> None:
    """Take a host from nothing to two proved servers and back, by names alone.

    Its MLflow is installed into a folder of its own, or into `runtimes` unless it is there.
    """
    check_plan(user)
    if runtimes:
        user.borrow(runtimes)
    assert user.play("deploy").changed > 0
    assert all(count > 0 for count in user.runs()), "deploy logged no run through a new server."
    assert user.stop().changed > 0
    assert user.listening() == [False, False]
    for name in PROJECTS:
        assert list((user.state / "projects" / name).glob("*.db")), f"{name} lost its data."


def check_by_ways(user: User) -> None:
    """Where deploy ran earlier, each playbook changes what is left, and says so beforehand."""
    assert user.play("deploy").changed == 0
    before = user.runs()
    user.play("verify")
    assert [now - then for now, then in zip(user.runs(), before, strict=True)] == [1, 1]
    user.stop()
    assert user.stop().changed == 0
    planned = user.play("servers", "--check")
    assert planned.changed > 0
    assert user.listening() == [False, False]
    assert user.play("servers").changed > 0
    assert user.listening() == [True, True]
    for name in ("servers", "deploy"):
        assert user.play(name, "--check").changed == 0
    assert user.play("servers").changed == 0
    assert user.stop().changed > 0
