# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rerun of servers over many hosts that changes nothing, against one ping of each, as a ratio of time.

Every host is an sshd of its own on loopback with a state folder of its own, so that all of them share
this machine's processors with Ansible: what a host does for itself counts as if it ran on the control
node. MLflow is installed once for all. Bring-up takes some seconds and 170 MiB for each server.

Both playbooks begin with the check of the inventory; forks and pipelining are equal. Measured twice:
with connections that are new for each run, and with those that SSH kept.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.benchmarks import _bench
from ansible_collections.mlops.mlflow_aws.tests.parts.sshd import Sshd, sshd

RUN_SECONDS = 3600
PROJECTS = ("demo", "churn", "search")
PING = """\
- name: Check the inventory
  ansible.builtin.import_playbook: {inventory}

- name: Reach the hosts
  hosts: mlflow_servers
  gather_facts: false
  tasks:
    - name: Reach this host
      ansible.builtin.ping:
"""


@dataclass
class Cost:
    """What the runs of one playbook took: seconds of each, and remote calls of all."""

    seconds: list[float] = field(default_factory=list)
    calls: int = 0

    def median(self) -> float:
        """Return the seconds of a usual run."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Fleet:
    """Hosts, each behind its own sshd, and the inventory that names them."""

    folder: Path
    hosts: list[Sshd]

    def play(self, playbook: Path, connections: str, *options: str) -> str:
        """Run a playbook on all hosts and return what it printed.

        Runs with one name of connections share those that are still open.
        """
        command = [str(Path(sys.executable).with_name("ansible-playbook")), str(playbook)]
        command += ["-i", str(self.folder / "inventory.json"), "-f", str(len(self.hosts)), *options]
        variables = {
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / connections),
        }
        done = subprocess.run(
            command,
            # No ansible.cfg is there.
            cwd=self.folder,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(done.stdout + done.stderr)
        return done.stdout

    def disconnect(self, connections: str) -> None:
        """Close the connections of that name."""
        for control in (self.folder / connections).glob("*"):
            # The path alone says which connection is meant.
            command = ["ssh", "-F", "none", "-O", "exit", "-S", str(control), "localhost"]
            subprocess.run(command, capture_output=True, check=False)

    def calls(self) -> int:
        """Return how many commands all hosts have run."""
        return sum(host.commands() for host in self.hosts)


@contextlib.contextmanager
def started(folder: Path, count: int) -> Iterator[Fleet]:
    """Give hosts with an sshd each; at the end their servers are stopped too."""
    runtimes = folder / "runtimes"
    runtimes.mkdir(mode=0o700)
    with contextlib.ExitStack() as stack:
        fleet = Fleet(folder, [])
        hosts: dict[str, dict[str, object]] = {}
        ports = list(_bench.free_ports(count * (len(PROJECTS) + 1)))
        for number in range(count):
            home = folder / f"h{number}"
            (home / "state").mkdir(parents=True)
            (home / "state" / "runtimes").symlink_to(runtimes)
            host = stack.enter_context(sshd(home, ports.pop()))
            fleet.hosts.append(host)
            hosts[f"host-{number:02}"] = {
                **host.variables,
                "mlflow_state_dir": str(home / "state"),
                "mlflow_projects": [{"name": name, "port": ports.pop()} for name in PROJECTS],
            }
        shared = {
            "ansible_python_interpreter": sys.executable,
            # All servers of all hosts start on the processors of this machine.
            "mlflow_server_timeout": RUN_SECONDS,
            "mlflow_verify_timeout": 600,
        }
        inventory = {"mlflow_servers": {"hosts": hosts, "vars": shared}}
        (folder / "inventory.json").write_text(json.dumps(inventory))
        stack.callback(fleet.disconnect, "kept")
        stack.callback(_stop, fleet)
        yield fleet


def _stop(fleet: Fleet) -> None:
    """End all servers."""
    fleet.play(_playbook("servers"), "kept", "-e", "mlflow_server_state=stopped")


def _playbook(name: str) -> Path:
    """Return one of the collection's playbooks."""
    return _bench.ROOT / "playbooks" / f"{name}.yml"


def measure(
    fleet: Fleet, playbooks: dict[str, Path], rounds: int, *, kept: bool
) -> dict[str, Cost]:
    """Run the playbooks in turn and return what each took."""
    costs = {name: Cost() for name in playbooks}
    for number in range(rounds):
        for name, playbook in playbooks.items():
            connections = "kept" if kept else f"{name}-{number}"
            if kept:
                # Connections that the run before left to time out are made again here.
                fleet.play(playbooks["ping"], connections)
            before = fleet.calls()
            began = time.monotonic()
            printed = fleet.play(playbook, connections)
            costs[name].seconds.append(time.monotonic() - began)
            costs[name].calls += fleet.calls() - before
            if not kept:
                fleet.disconnect(connections)
            if re.search(r"changed=[1-9]", printed):
                raise SystemExit(f"The rerun changed something:\n{printed}")
    return costs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=30, help="hosts (30)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each playbook (5)")
    arguments = parser.parse_args()
    with _bench.workplace() as folder, started(folder, arguments.hosts) as fleet:
        began = time.monotonic()
        fleet.play(_playbook("deploy"), "kept")
        servers = arguments.hosts * len(PROJECTS)
        print(f"bring-up: {time.monotonic() - began:.0f} s for {servers} servers", flush=True)
        ping = folder / "ping.yml"
        ping.write_text(PING.format(inventory=_playbook("inventory")))
        playbooks = {"ping": ping, "servers": _playbook("servers")}
        for name in ("new", "kept"):
            costs = measure(fleet, playbooks, arguments.rounds, kept=name == "kept")
            for playbook, cost in costs.items():
                calls = cost.calls / arguments.rounds / arguments.hosts
                print(f"remote calls of {playbook}, per host: {calls:.2f}")
            _bench.report(
                f"rerun on {arguments.hosts} hosts, {name} connections",
                costs["servers"].median(),
                costs["ping"].median(),
                "s",
                1.5,
            )


if __name__ == "__main__":
    main()
