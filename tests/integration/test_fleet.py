# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many hosts over real SSH: each serves what it is to, and one that fails stops no other."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.parts.host import (
    Installation,
    ask,
    experiments,
    files,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.sshd import Sshd, sshd
from ansible_collections.mlops.mlflow_aws.tests.support import (
    CHECKOUT,
    Done,
    clean_environment,
    run,
    short_folder,
)

pytestmark = pytest.mark.timeout(900)

PLAYBOOK_SECONDS = 400
PROJECTS = ("demo", "churn")
HOSTS = ("ada", "bob", "cy")
# A configuration of the team's own, each of which changes what a play does that does not say so itself.
SETTINGS = {
    "ANSIBLE_ANY_ERRORS_FATAL": "true",
    "ANSIBLE_PRIVATE_ROLE_VARS": "true",
    "ANSIBLE_STRATEGY": "free",
}


@dataclass(frozen=True)
class Fleet:
    """A team with three hosts behind one sshd, and one that nobody answers for."""

    folder: Path
    states: Path
    ports: dict[str, int]

    def play(self, name: str, *options: str, **variables: Any) -> Done:
        """Run a playbook on all hosts; it may fail."""
        command = [str(Path(sys.executable).with_name("ansible-playbook"))]
        command += [str(CHECKOUT / "playbooks" / f"{name}.yml"), "-i", str(self.folder / "i.yml")]
        extra = self.folder / "extra.yml"
        extra.write_text(yaml.safe_dump(variables))
        env = clean_environment(self.folder / "home", Path(sys.executable).parent)
        env |= {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1", **SETTINGS}
        command += ["-e", f"@{extra}", *options]
        return run(command, cwd=self.folder, env=env, timeout=PLAYBOOK_SECONDS, check=False)

    def stop(self) -> None:
        """End all servers."""
        self.play("servers", "--limit", "!dan", mlflow_server_state="stopped", mlflow_serial="100%")


def table(done: Done) -> list[str]:
    """Return the lines of the closing table, without run ids, which are new each time."""
    [text] = re.findall(r'"msg": \[\n +"(HOST .*?)"\n +\]', done.output, re.DOTALL)
    lines = [line.strip().strip('",') for line in text.splitlines()]
    return [re.sub(r"[0-9a-f]{32}$", "RUN", line) for line in lines]


def recap(done: Done, host: str) -> dict[str, int]:
    """Return what Ansible counts of one host."""
    [line] = re.findall(rf"^{host} +: (.*)$", done.output, re.MULTILINE)
    return {key: int(count) for key, count in re.findall(r"(\w+)=(\d+)", line)}


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, free_ports: Callable[[int], list[int]]
) -> Iterator[Sshd]:
    """Run an sshd for all tests."""
    with sshd(tmp_path_factory.mktemp("sshd"), free_ports(1)[0]) as running:
        yield running


@pytest.fixture(scope="module")
def new_fleet(
    server: Sshd,
    installation: Installation,
    tmp_path_factory: pytest.TempPathFactory,
    free_ports: Callable[[int], list[int]],
) -> Iterator[Fleet]:
    """Give a team whose hosts have a state folder each; MLflow is there, installed for all tests."""
    folder = tmp_path_factory.mktemp("fleet")
    (folder / "home").mkdir()
    ports = {host: free_ports(len(PROJECTS))[0] for host in HOSTS}
    with short_folder() as states:
        (states / "runtimes").mkdir(mode=0o700)
        (states / "runtimes" / installation.folder.name).symlink_to(installation.folder)
        for host in HOSTS:
            (states / host).mkdir()
            (states / host / "runtimes").symlink_to(states / "runtimes")
        hosts = {
            host: {"mlflow_base_port": port, "mlflow_state_dir": str(states / host)}
            for host, port in ports.items()
        }
        hosts["bob"]["mlflow_server_projects"] = ["churn"]
        # Nobody listens there.
        hosts["dan"] = {"ansible_port": free_ports(1)[0]}
        variables = {
            **server.variables,
            "ansible_python_interpreter": sys.executable,
            "mlflow_projects": [{"name": name} for name in PROJECTS],
        }
        inventory = {"mlflow_servers": {"hosts": hosts, "vars": variables}}
        (folder / "i.yml").write_text(yaml.safe_dump(inventory))
        fleet = Fleet(folder, states, ports)
        yield fleet
        fleet.stop()


@pytest.fixture(scope="module")
def fleet(new_fleet: Fleet) -> Fleet:
    """Return the team once it has servers, also where the test that deploys first is left out."""
    if not (new_fleet.states / "cy" / "ports").exists():
        done = new_fleet.play("deploy", "--limit", "!dan")
        assert done.code == 0, done.output
    return new_fleet


def test_one_bad_host_stops_no_other(new_fleet: Fleet) -> None:
    """A host whose port is taken and one that is away are named with their reason at the end."""
    port = new_fleet.ports["cy"]
    with socket.create_server(("127.0.0.1", port)):
        done = new_fleet.play("deploy")
    assert done.code != 0
    lines = table(done)
    assert [line.split()[:2] for line in lines[1:6]] == [
        ["ada", "demo"],
        ["ada", "churn"],
        ["bob", "churn"],
        ["cy", "-"],
        ["dan", "-"],
    ], done.output
    assert all(" ok " in line for line in lines[1:4])
    assert re.fullmatch(rf"cy failed: .*port {port} is in use by .*another 'port'\.", lines[6])
    assert re.fullmatch(
        r"dan failed: .*This host is not reachable; .*(refused|Broken pipe)", lines[7]
    )
    assert {host: recap(done, host)["failed"] for host in (*HOSTS, "dan")} == {
        "ada": 0,
        "bob": 0,
        "cy": 1,
        "dan": 1,
    }

    # One that was away is brought up to date by the next run, and the others stay as they are.
    done = new_fleet.play("deploy", "--limit", "!dan")
    assert done.code == 0, done.output
    assert [recap(done, host)["changed"] > 0 for host in HOSTS] == [False, False, True]
    assert len(table(done)) == 6


def test_a_rerun_asks_each_host_once(fleet: Fleet, server: Sshd) -> None:
    """A host that has all it needs is asked by one command; only one that needs something gets more."""

    def commands(*options: str, **variables: Any) -> tuple[int, Done]:
        before = server.commands()
        done = fleet.play("servers", "--limit", "!dan", *options, **variables)
        assert done.code == 0, done.output
        return server.commands() - before, done

    count, done = commands()
    assert count == len(HOSTS), done.output
    assert [recap(done, host)["changed"] for host in HOSTS] == [0, 0, 0]
    lines = table(done)
    assert [line.split()[:2] for line in lines[1:]] == [
        ["ada", "demo"],
        ["ada", "churn"],
        ["bob", "churn"],
        ["cy", "demo"],
        ["cy", "churn"],
    ]
    assert all(" ok " in line and line.endswith(" RUN") for line in lines[1:])
    assert commands("--check", "--diff")[0] == len(HOSTS)

    # Only one that lacks a file changes, and only that file.
    (fleet.states / "bob/env/mlflow-churn.env").unlink()
    count, done = commands("--diff")
    assert count > len(HOSTS)
    assert [recap(done, host)["changed"] for host in HOSTS] == [0, 1, 0]
    assert [recap(done, host)["ok"] for host in ("ada", "cy")] < [recap(done, "bob")["ok"]] * 2
    assert table(done) == lines

    # What is wanted in any case is done on all; by -e NAME=VALUE it comes as text.
    done = commands("-e", "mlflow_verify_always=yes")[1]
    assert [recap(done, host)["changed"] for host in HOSTS] == [1, 1, 1]


@pytest.mark.thorough("The module makes the experiments of several projects every time.")
def test_experiments_of_the_list(fleet: Fleet, server: Sshd) -> None:
    """Are created on hosts that are up to date but for them, which takes no more calls once they are there."""
    listed: list[dict[str, Any]] = [{"name": name} for name in PROJECTS]
    listed[1]["experiments"] = [
        "a/b c",
        {"name": "it's", "description": "D", "tags": {"team": "x"}},
    ]

    def play(name: str, *options: str) -> tuple[int, Done]:
        before = server.commands()
        done = fleet.play(name, "--limit", "!dan", *options, mlflow_projects=listed)
        return server.commands() - before, done

    def urls() -> list[str]:
        """Return the addresses of the servers of churn."""
        return [
            f"http://127.0.0.1:{port + listed.index(listed[1])}" for port in fleet.ports.values()
        ]

    _count, done = play("servers", "--check", "--diff")
    assert [recap(done, host)["changed"] for host in HOSTS] == [1, 1, 1], done.output
    assert [experiments(url) & {"a/b c", "it's"} for url in urls()] == [set()] * 3
    _count, done = play("servers", "--diff")
    assert done.code == 0, done.output
    assert [recap(done, host)["changed"] for host in HOSTS] == [1, 1, 1], done.output
    assert all({"a/b c", "it's"} <= experiments(url) for url in urls())
    count, done = play("servers")
    assert count == len(HOSTS), done.output
    assert [recap(done, host)["changed"] for host in HOSTS] == [0, 0, 0]
    assert all(" ok " in line for line in table(done)[1:])

    # The other playbook as well, and what is removed on one host comes back there.
    status, text = ask(urls()[1], "/api/2.0/mlflow/experiments/get-by-name?experiment_name=a/b%20c")
    assert status == 200, text
    gone = {"experiment_id": json.loads(text)["experiment"]["experiment_id"]}
    assert ask(urls()[1], "/api/2.0/mlflow/experiments/delete", gone)[0] == 200
    _count, done = play("deploy")
    assert done.code == 0, done.output
    assert [recap(done, host)["changed"] for host in HOSTS] == [0, 1, 0], done.output
    assert "a/b c" in experiments(urls()[1])

    # What MLflow refuses fails that host with its sentence.
    listed[1]["experiments"].append({"name": "c", "tags": {"long": "v" * 20001}})
    _count, done = play("servers", "--limit", "ada")
    assert done.code != 0
    sentence = (
        "Create the projects' experiments: Project 'churn': the server refused to create the experiment 'c' "
        "(HTTP 400: 'value' exceeds the maximum length of 20000 characters); correct the entry and rerun."
    )
    assert sentence in done.output, done.output


def test_the_check_hides_no_mistake(fleet: Fleet) -> None:
    """What the check cannot make sense of is reported by those that follow, in their words."""
    for variables, sentence in (
        (
            {"mlflow_projects": [{"name": "demo", "prot": 1}]},
            "unknown key 'prot'; did you mean 'port'?",
        ),
        (
            {"mlflow_backend": "cloud"},
            "value of mlflow_backend must be one of: local, aws, got: cloud",
        ),
        ({"mlflow_server_state": "up"}, "value of mlflow_server_state must be one of: "),
        (
            {"mlflow_fleet_report": str(fleet.folder / "no/table")},
            "does not exist; create it or choose",
        ),
    ):
        done = fleet.play("servers", "--limit", "ada", **variables)
        assert done.code != 0
        assert sentence in done.output


CHURN = [{"name": "churn"}]


@pytest.mark.thorough("test_modules.py refuses the port of another project every time.")
@pytest.mark.parametrize("playbook", ["servers", "deploy"])
def test_one_host_that_knows_whose_a_port_is_keeps_all_from_handing_it_on(
    fleet: Fleet, playbook: str
) -> None:
    """With the first entry taken out; in check mode too, and a host without any record is not touched."""
    shutil.rmtree(fleet.states / "bob/ports")
    before = [files(fleet.states / host / "servers") for host in HOSTS]
    for options in (["--check"], []):
        done = fleet.play(playbook, "--limit", "!dan", *options, mlflow_projects=CHURN)
        assert done.code != 0
        text = "\n".join(table(done))
        for host in ("ada", "cy"):
            port = fleet.ports[host]
            assert f"Port {port} of project 'churn' belonged to 'demo'" in text
            assert f"give 'churn' `port: {port + 1}`, its current port" in text
        assert "bob failed: Check that no host refused a port: Port " in text
        assert [recap(done, host)["failed"] for host in HOSTS] == [1, 1, 1]
        assert [recap(done, host)["changed"] for host in HOSTS] == [0, 0, 0]
        assert [files(fleet.states / host / "servers") for host in HOSTS] == before
    # Both remedies that are the same for all three hosts.
    back = [{"name": "demo", "state": "absent"}, *CHURN]
    done = fleet.play("servers", "--limit", "!dan", "--check", mlflow_projects=back)
    assert done.code == 0, done.output
    done = fleet.play("servers", "--limit", "!dan")
    assert done.code == 0, done.output
    assert [recap(done, host)["changed"] for host in HOSTS] == [0, 1, 0]


@pytest.mark.thorough("test_modules.py refuses the port of another project every time.")
def test_a_host_that_is_up_to_date_waits_for_those_that_refuse(fleet: Fleet) -> None:
    """It has the list that the others refuse already; deploy does nothing there either."""
    shutil.rmtree(fleet.states / "bob/ports")
    assert fleet.play("servers", "--limit", "bob", mlflow_projects=CHURN).code == 0
    done = fleet.play("deploy", "--limit", "!dan", mlflow_projects=CHURN)
    text = "\n".join(table(done))
    assert "bob failed: Check that no host refused a port: Port " in text
    assert [recap(done, host)["failed"] for host in HOSTS] == [1, 1, 1]
    assert [recap(done, host)["changed"] for host in HOSTS] == [0, 0, 0]
    absent = {"mlflow_projects": CHURN, "mlflow_server_state": "absent"}
    assert fleet.play("servers", "--limit", "bob", **absent).code == 0
    shutil.rmtree(fleet.states / "bob/ports")
    assert fleet.play("servers", "--limit", "bob").code == 0


@pytest.mark.parametrize(
    "playbook",
    left_out.params(
        ["servers"], ["deploy"], "deploy calls the entry points that servers calls every time."
    ),
)
def test_check_mode_says_what_would_be_done(fleet: Fleet, playbook: str) -> None:
    """Stopping or removing all is no outage, and needs nothing that only running servers need."""
    for state, word in (("stopped", "stop"), ("absent", "remove")):
        done = fleet.play(playbook, "--limit", "ada", "--check", mlflow_server_state=state)
        assert done.code == 0, done.output
        assert done.output.count(f"would {word} ") == len(PROJECTS), done.output
        assert "not answering" not in done.output


@pytest.mark.thorough(
    "test_modules.py removes what is not listed every time; test_filters.py has the line about data."
)
def test_what_is_no_longer_listed_is_removed_and_its_data_named(fleet: Fleet) -> None:
    """Settings and log go with the others when all are removed; where the data stay is said."""
    state = fleet.states / "ada"
    options = {"mlflow_projects": CHURN, "mlflow_server_state": "absent"}
    kept = f"Not in the list, data kept: demo (ada: {state}/projects/demo)"
    for check in (["--check"], []):
        done = fleet.play("servers", "--limit", "ada", *check, **options)
        assert done.code == 0, done.output
        assert kept in done.output
        assert ("would remove, not listed for this host" in done.output) is bool(check)
    assert list((state / "servers").glob("*/")) == []
    assert (state / "projects/demo/mlflow.db").exists()
    # Nothing is left to do, and it is said nevertheless.
    done = fleet.play("servers", "--limit", "ada", **options)
    assert recap(done, "ada")["changed"] == 0
    assert kept in done.output
    done = fleet.play("servers", "--limit", "ada")
    assert done.code == 0, done.output
    assert "Not in the list" not in done.output


@pytest.mark.thorough("The filter for old names is tried in the unit tests every time.")
def test_the_old_name_of_the_report_works(fleet: Fleet) -> None:
    """With a warning that names the new one; the report is the table that is shown."""
    for name in ("verify", "fleet"):
        path = fleet.folder / f"{name}.txt"
        variables = {f"mlflow_{name}_report": str(path)}
        done = fleet.play("servers", "--limit", "!dan", **variables)
        assert done.code == 0, done.output
        lines = [re.sub(r"[0-9a-f]{32}$", "RUN", line) for line in path.read_text().splitlines()]
        assert lines == table(done)
        said = " ".join(done.output.split())
        warned = "mlflow_verify_report was renamed; set mlflow_fleet_report instead" in said
        assert warned is (name == "verify")


@pytest.fixture
def batches(fleet: Fleet) -> None:
    """Let hosts follow one another; the one that cannot be reached comes first."""
    path = fleet.folder / "i.yml"
    inventory = yaml.safe_load(path.read_text())
    variables = inventory["mlflow_servers"]["vars"]
    variables["mlflow_serial"] = 1
    hosts = inventory["mlflow_servers"]["hosts"]
    # The one that is not reachable comes first.
    inventory["mlflow_servers"]["hosts"] = {"dan": hosts.pop("dan"), **hosts}
    path.write_text(yaml.safe_dump(inventory, sort_keys=False))


@pytest.mark.usefixtures("batches")
def test_hosts_follow_one_another_as_the_inventory_says(fleet: Fleet) -> None:
    """Batches come from the group's variables, and a bad first batch holds the others only if told."""
    done = fleet.play("servers")
    assert done.code != 0
    assert done.output.count("PLAY [Run the MLflow servers]") == 4
    assert recap(done, "dan")["failed"] == 1
    assert [recap(done, host)["failed"] for host in HOSTS] == [0, 0, 0]

    done = fleet.play("servers", mlflow_max_fail_percentage=0)
    assert done.code != 0
    assert done.output.count("PLAY [Run the MLflow servers]") == 1
    assert "1 of 1 hosts of this batch failed, more than mlflow_max_fail_percentage" in done.output


@pytest.mark.thorough("A batch of one host is judged every time.")
@pytest.mark.usefixtures("batches")
def test_a_batch_is_judged_by_all_of_its_hosts(fleet: Fleet) -> None:
    """A host that has all it needs has left by then, and counts nevertheless."""
    for most, batches in ((40, 1), (50, 2)):
        done = fleet.play("servers", mlflow_serial=2, mlflow_max_fail_percentage=most)
        assert done.code != 0
        assert done.output.count("PLAY [Run the MLflow servers]") == batches, done.output
        said = f"1 of 2 hosts of this batch failed, more than mlflow_max_fail_percentage ({most})"
        assert (said in " ".join(done.output.split())) is (batches == 1)
        assert recap(done, "ada")["failed"] == 0


def rows(done: Done) -> dict[tuple[str, str], str]:
    """Return the health of the closing table by host and project, without those below it."""
    found = {}
    for line in table(done)[1:]:
        if " failed: " not in line:
            host, project, *rest = re.split(r"  +", line)
            found[host, project] = rest[1]
    return found


@pytest.mark.thorough("A server that does not come up fails its host every time.")
def test_a_server_that_should_run_and_does_not_fails_its_host(fleet: Fleet) -> None:
    """It is named; the others of its host are verified and in the table. Stopped on purpose is well."""
    stopped = [{"name": "demo", "state": "stopped"}, {"name": "churn"}]
    options = ("--limit", "ada,bob")
    assert fleet.play("servers", *options, mlflow_serial="100%").code == 0
    assert fleet.play("servers", *options, mlflow_serial="100%", mlflow_projects=stopped).code == 0

    done = fleet.play("verify", *options)
    assert done.code != 0
    expected = {("ada", "demo"): "stopped", ("ada", "churn"): "ok", ("bob", "churn"): "ok"}
    assert rows(done) == expected
    assert [line.endswith(" RUN") for line in table(done)[1:4]] == [True, False, True]
    assert table(done)[-1].endswith(
        "Project 'demo': the server is not running; run the servers playbook."
    )
    assert {host: recap(done, host)["failed"] for host in ("ada", "bob")} == {"ada": 1, "bob": 0}

    done = fleet.play("verify", *options, mlflow_projects=stopped)
    assert done.code == 0, done.output
    assert rows(done) == expected

    # One that was never there has a row too.
    done = fleet.play("verify", "--limit", "ada", mlflow_projects=[*stopped, {"name": "new"}])
    assert done.code != 0
    assert "Project 'new': this host has no server for it; run the servers" in done.output
    done = fleet.play("verify", "--limit", "ada", mlflow_server_state="stopped")
    assert done.code == 0, done.output


@pytest.mark.thorough("One that fails leaves the others there every time.")
def test_a_server_that_does_not_come_up_leaves_the_others_in_the_table(fleet: Fleet) -> None:
    """It alone is not well, and its host fails by the reason below."""
    database = fleet.states / "ada/projects/demo/mlflow.db"
    # One that runs already would only not answer.
    stopped = fleet.play("servers", "--limit", "ada", mlflow_server_state="stopped")
    assert stopped.code == 0, stopped.output
    kept = database.read_bytes()
    database.write_text("no database, by any means\n" * 40)
    done = fleet.play("servers", "--limit", "ada,bob", mlflow_serial="100%")
    assert done.code != 0
    found = rows(done)
    assert found.pop(("ada", "demo")) != "ok"
    assert found == {("ada", "churn"): "ok", ("bob", "churn"): "ok"}
    assert re.search(
        r"^ada failed: .*project 'demo' refuses to serve: The project's.*", table(done)[-1]
    )
    database.write_bytes(kept)
    assert fleet.play("servers", "--limit", "ada", mlflow_serial="100%").code == 0


def test_a_server_that_fails_leaves_the_others_in_the_table(fleet: Fleet) -> None:
    """What it answers is said once for all projects of its host, and `deploy` fails like `verify`."""
    for project in PROJECTS:
        (fleet.states / f"ada/projects/{project}/mlflow.db").write_text("overwritten\n" * 10_000)
    done = fleet.play("verify", "--limit", "ada,bob")
    assert done.code != 0
    assert rows(done) == {
        ("ada", "demo"): "failed",
        ("ada", "churn"): "failed",
        ("bob", "churn"): "ok",
    }
    # Servers are in the order of their names, as no list says otherwise.
    [reason] = [line for line in table(done) if line.startswith("ada failed: ")]
    assert re.search(r"Projects 'churn' and 'demo': HTTP \d+: .*file is not a database", reason)
    assert reason.count("file is not a database") == 1
