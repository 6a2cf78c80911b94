# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that run, show, check and verify servers, as processes, with real servers."""

from __future__ import annotations

import http.server
import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import venv
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import landlock
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.parts.host import (
    OPENER,
    Host,
    actions,
    ask,
    await_,
    by_name,
    end_group,
    experiments,
    files,
    traces,
)

# The first test may have to install MLflow.
pytestmark = pytest.mark.timeout(600)

SEARCH = "/api/2.0/mlflow/experiments/search"


@pytest.fixture(scope="module")
def pair(new_host: Callable[..., Host]) -> Iterator[Host]:
    """Return the host of `fleet`; its folder's odd name must reach every program as it is."""
    host = new_host("a", "b", folder="a b (é)$x")
    yield host
    host.close()


@pytest.fixture
def fleet(pair: Host) -> Host:
    """Return a host whose servers a and b run with their first configuration."""
    pair.converge(pair.server("a"), pair.server("b"))
    return pair


@pytest.fixture(scope="module")
def ward(new_host: Callable[..., Host]) -> Iterator[Host]:
    """Return a host with projects whose servers are to fail, each in one test."""
    names = ("corrupt", "empty", "good", "lost", "secret", "slow", "workers", "gone", "also-gone")
    host = new_host(*names)
    yield host
    host.close()


def both(host: Host, **changes: Any) -> list[dict[str, Any]]:
    """Return the options of servers a and b; the changes are b's."""
    return [host.server("a"), host.server("b", **changes)]


def test_the_first_check_mode_run_tells_the_truth(host: Host) -> None:
    """When nothing exists yet: what would be started is told, and nothing is made."""
    place = {"backend_store_uri": "sqlite:////s/mlflow.db", "artifacts_destination": "/s"}
    first, second = host.new_ports(2)
    demo = {"name": "demo", "port": first, **place}
    off = {"name": "off", "port": second, "state": "stopped", **place}
    foretold = host.converge(demo, off, how={"check": True, "diff": True})
    assert foretold["changed"] is True
    assert actions(foretold) == {"demo": "start", "off": "keep"}
    assert foretold["diff"]["before"] == {"demo": {"state": "absent"}}
    assert foretold["diff"]["after"]["demo"]["state"] == "running"
    assert not host.state.exists()


def test_servers_answer_from_their_databases(fleet: Host) -> None:
    """Each record is true: the process, the port, the version and the configuration."""
    records = by_name(fleet.converge(*both(fleet)))
    pids = fleet.pids()
    assert list(records) == list("ab")
    for name, record in records.items():
        assert record["url"] == f"http://127.0.0.1:{fleet.server(name)['port']}"
        assert (record["state"], record["healthy"], record["listed"]) == ("running", True, True)
        assert record["confined"] is (landlock.version() > 0)
        assert (record["pid"], record["reason"]) == (pids[name], "")
        assert ask(record["url"], "/version") == (200, record["version"])
        assert record["version"] == fleet.runtime["version"]
        with OPENER.open(f"{record['url']}/health", timeout=10) as answer:
            assert answer.headers["mlflow-aws-configuration"] == record["configuration"]
        assert experiments(record["url"]) >= {"Default"}
        assert Path(record["log_path"]).is_file()
        sourced = f'. {shlex.quote(record["env_file"])} && printf %s "$MLFLOW_TRACKING_URI"'
        told = subprocess.run(["sh", "-c", sourced], capture_output=True, text=True, check=True)
        assert told.stdout == record["url"]
    assert len(fleet.supervisors()) == 1


def test_servers_listen_on_loopback_only(fleet: Host) -> None:
    """No port of theirs is bound on another address, IPv6 included."""
    ports = {fleet.server(name)["port"] for name in "ab"}
    bound = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _colon, port = local.rpartition(":")
            if state == "0A" and int(port, 16) in ports:
                bound.add((address, int(port, 16)))
    assert bound == {("0100007F", port) for port in ports}


def test_a_second_run_changes_nothing(fleet: Host) -> None:
    """No process and no file; check mode too tells that the servers are well."""
    pids, before = fleet.pids(), files(fleet.state)
    for check in (True, False):
        result = fleet.converge(*both(fleet), how={"check": check, "diff": True})
        assert result["changed"] is False
        assert actions(result) == {"a": "keep", "b": "keep"}
        assert result["diff"] == {"before": {}, "after": {}}
        assert [record["healthy"] for record in result["servers"]] == [True, True]
        assert {record["version"] for record in result["servers"]} == {fleet.runtime["version"]}
    assert fleet.pids() == pids
    assert files(fleet.state) == before


def test_a_new_setting_restarts_one_server(fleet: Host) -> None:
    """The other keeps its process; the old settings file goes."""
    before = fleet.pids()
    changed = both(fleet, environment={"MLFLOW_LOGGING_LEVEL": "WARNING"})
    result = fleet.change(*changed)
    assert actions(result) == {"a": "keep", "b": "restart"}
    after = fleet.pids()
    assert after["a"] == before["a"]
    assert after["b"] != before["b"]
    assert set(result["diff"]["after"]) == {"b"}
    assert result["diff"]["before"]["b"]["environment"] == []
    assert result["diff"]["after"]["b"]["environment"] == ["MLFLOW_LOGGING_LEVEL"]
    settings = [path.name for path in (fleet.folder / "b").glob("settings*")]
    assert settings == [f"settings-{by_name(result)['b']['configuration']}.json"]
    assert not fleet.converge(*changed)["changed"]


def test_a_stopped_server_keeps_its_settings_and_log(fleet: Host) -> None:
    """The other goes on; it starts again on the same port and writes on in its log."""
    before, log = fleet.pids(), fleet.folder / "b" / "server.log"
    old = log.read_text()
    result = fleet.change(*both(fleet, state="stopped"))
    assert actions(result) == {"a": "keep", "b": "stop"}
    record = by_name(result)["b"]
    assert (record["state"], record["pid"], record["healthy"]) == ("stopped", None, False)
    assert fleet.pids() == {"a": before["a"]}
    assert ask(record["url"], "/health")[0] == 0
    assert fleet.info()["b"]["port"] == fleet.server("b")["port"]
    assert not fleet.converge(*both(fleet, state="stopped"))["changed"]
    assert actions(fleet.converge(*both(fleet))) == {"a": "keep", "b": "start"}
    assert log.read_text().startswith(old)
    assert fleet.pids()["a"] == before["a"]


def test_a_removed_server_leaves_its_data(fleet: Host) -> None:
    """Settings and log go, database and artifacts stay; removing it again is no change."""
    result = fleet.change(*both(fleet, state="absent"))
    assert actions(result) == {"a": "keep", "b": "remove"}
    assert by_name(result)["b"]["state"] == "absent"
    assert not (fleet.folder / "b").exists()
    assert fleet.database("b").is_file()
    assert set(fleet.pids()) == {"a"}
    assert set(fleet.info()) == {"a"}
    assert not fleet.converge(*both(fleet, state="absent"))["changed"]


def test_unlisted_servers_stop_only_when_asked(fleet: Host) -> None:
    """Their data, settings and logs stay."""
    before = fleet.pids()
    assert not fleet.converge(fleet.server("a"))["changed"]
    assert fleet.pids() == before
    result = fleet.change(fleet.server("a"), stop_unlisted=True)
    assert actions(result) == {"a": "keep", "b": "stop"}
    assert [record["listed"] for record in result["servers"]] == [True, False]
    assert fleet.pids() == {"a": before["a"]}
    assert fleet.info()["b"]["state"] == "stopped"
    assert not fleet.converge(fleet.server("a"), stop_unlisted=True)["changed"]


@pytest.mark.thorough("One server is removed every time.")
def test_removing_all_takes_what_is_not_listed_too(fleet: Host) -> None:
    """Running or stopped, with settings and log; the data stay, and are named."""
    fleet.converge(*both(fleet, state="stopped"))
    result = fleet.change(
        fleet.server("a"), state="absent", stop_unlisted=True, inventory=inventory(fleet, "a")
    )
    assert actions(result) == {"a": "remove", "b": "remove"}
    assert result["diff"]["after"]["b"] == {"state": "absent"}
    assert not (fleet.folder / "b").exists()
    assert fleet.info() == {}
    assert result["kept"] == [{"name": "b", "place": str(fleet.database("b").parent)}]
    assert fleet.database("b").exists()


def inventory(host: Host, *names: str, **ports: int) -> dict[str, Any]:
    """Return the option of mlflow_server that lists projects; ports are those that entries do not name."""
    projects = [
        {
            "name": name,
            "port": ports.get(name, host.server(name)["port"]),
            "port_fixed": name not in ports,
            "state": "present",
        }
        for name in names
    ]
    return {"backend": "local", "projects": projects}


def test_a_port_of_another_project_is_refused(fleet: Host) -> None:
    """In check mode too, before anything is touched, and long after its server was removed."""
    port = fleet.server("a")["port"]
    shutil.rmtree(fleet.state / "ports", ignore_errors=True)
    known = {"inventory": inventory(fleet, "a", "b")}
    result = fleet.change(*both(fleet), **known)
    assert result["diff"]["after"]["projects by port"][str(port)] == "a"
    assert not fleet.converge(*both(fleet), **known)["changed"]

    moved = {"inventory": inventory(fleet, "b", b=port), "stop_unlisted": True}
    before = files(fleet.state), fleet.pids()
    for check in (True, False):
        options = fleet.options(fleet.server("b", port=port), **moved)
        result = fleet.modules.finish(fleet.modules.start("mlflow_server", options, check=check))
        assert result["ports_refused"] is True
        assert f"Port {port} of project 'b' belonged to 'a'" in result["msg"]
        assert f"give 'b' `port: {fleet.server('b')['port']}`, its current port" in result["msg"]
        assert (files(fleet.state), fleet.pids()) == before

    everything = {"state": "absent", "stop_unlisted": True, "inventory": inventory(fleet, "b")}
    fleet.change(fleet.server("b"), **everything)
    assert fleet.info() == {}
    assert "belonged to 'a'" in fleet.fail(fleet.server("b", port=port), **moved)["msg"]
    # As it says: an entry may take the port if it names it.
    named = inventory(fleet, "b")
    named["projects"][0]["port"] = port
    taken = fleet.change(fleet.server("b", port=port), inventory=named)
    assert by_name(taken)["b"]["port"] == port


@pytest.mark.thorough("A port that is recorded is refused every time.")
def test_a_port_is_known_without_a_record(fleet: Host) -> None:
    """As of an older release: a stopped server has its port, and removing it remembers that."""
    port = fleet.server("a")["port"]
    fleet.converge(*both(fleet, state="stopped"))
    shutil.rmtree(fleet.state / "ports", ignore_errors=True)
    listed = inventory(fleet, "b", b=port)
    refused = fleet.fail(fleet.server("b", port=port), inventory=listed)
    assert f"Port {port} of project 'b' belonged to 'a'" in refused["msg"]
    fleet.converge(fleet.server("a", state="absent"), inventory=inventory(fleet, "b"))
    assert set(fleet.info()) == {"b"}
    refused = fleet.fail(fleet.server("b", port=port), inventory=listed)
    assert f"Port {port} of project 'b' belonged to 'a'" in refused["msg"]


@pytest.mark.thorough("A port of another project is refused every time.")
def test_servers_may_swap_their_ports(fleet: Host) -> None:
    """A port that one of ours gives up is no foreign one."""
    first, second = fleet.server("a")["port"], fleet.server("b")["port"]
    result = fleet.change(fleet.server("a", port=second), fleet.server("b", port=first))
    assert actions(result) == {"a": "restart", "b": "restart"}
    assert [record["port"] for record in result["servers"]] == [second, first]


def test_a_new_mlflow_restarts_all_under_a_new_supervisor(fleet: Host) -> None:
    """A server that was not named goes on, on the MLflow it had."""
    before, supervisor = fleet.pids(), fleet.supervisors()
    newer = fleet.state / "runtimes" / "9.9.9-0123456789ab"
    entrypoint = newer / "mlflow_entry.py"
    shutil.copytree(fleet.runtime["path"], newer, ignore=shutil.ignore_patterns("venv"))
    result = fleet.change(fleet.server("a"), entrypoint=str(entrypoint))
    assert actions(result) == {"a": "restart"}
    after = fleet.pids()
    assert set(after) == set("ab")
    assert not set(after.values()) & set(before.values())
    assert len(fleet.supervisors()) == 1
    assert fleet.supervisors() != supervisor
    await_(lambda: fleet.info()["b"]["healthy"], "b did not come back")
    words = fleet.processes()
    assert words[after["a"]][2] == str(entrypoint)
    assert words[after["b"]][2] == fleet.runtime["entrypoint"]


def test_all_stopped_and_then_started_by_two_runs_at_once(fleet: Host) -> None:
    """Every process ends, Supervisor too; both runs succeed, one does it, nothing is doubled."""
    result = fleet.change(*both(fleet), state="stopped")
    assert actions(result) == {"a": "stop", "b": "stop"}
    assert fleet.processes() == {}
    assert not (fleet.folder / "supervisor.sock").exists()
    assert {record["state"] for record in fleet.info().values()} == {"stopped"}
    assert not fleet.converge(*both(fleet), state="stopped")["changed"]

    options = fleet.options(*both(fleet))
    processes = [fleet.modules.start("mlflow_server", options) for _number in range(2)]
    results = [fleet.modules.finish(process) for process in processes]
    assert [result.get("msg") for result in results] == [None, None]
    assert sorted(result["changed"] for result in results) == [False, True]
    assert len(fleet.supervisors()) == 1
    for result in results:
        assert {record["name"]: record["pid"] for record in result["servers"]} == fleet.pids()


LISTEN = """
import socket, sys, time
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    print("listening", flush=True)
    time.sleep(300)
"""


@contextmanager
def foreign_listener(port: int) -> Iterator[int]:
    """Let another process listen on a port, and give its process id."""
    command = [sys.executable, "-c", LISTEN, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n"
            yield process.pid
        finally:
            process.kill()


def test_a_foreign_port_is_refused_before_anything_is_touched(fleet: Host) -> None:
    """The process that holds it is named; the server that was to move stays as it was."""
    pids, before = fleet.pids(), files(fleet.state)
    port = fleet.new_ports(1)[0]
    options = fleet.options(fleet.server("a", environment={"A": "1"}), fleet.server("b", port=port))
    with foreign_listener(port) as pid:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        for check in (True, False):
            assert fleet.modules.refuse("mlflow_server", options, check=check) == (
                f"Project 'b': port {port} is in use by process {pid} ({name}); end it, or give the "
                "project another 'port'."
            )
    assert fleet.pids() == pids
    assert files(fleet.state) == before


@pytest.mark.parametrize("workers", left_out.params([1], [2], "One worker holds it every time."))
def test_a_port_of_another_inventory_s_server_is_refused_as_such(
    new_host: Callable[..., Host], workers: int
) -> None:
    """It is not to be killed, as its Supervisor would start it again: it is stopped where it belongs."""
    theirs, ours = new_host("demo"), new_host("churn")
    theirs.converge(theirs.server("demo", workers=workers))
    port = theirs.known["demo"]["port"]
    options = ours.options(ours.server("churn", port=port))
    for check in (True, False):
        sentence = ours.modules.refuse("mlflow_server", options, check=check)
        assert sentence.startswith(f"Project 'churn': port {port} is in use by process ")
        assert sentence.endswith(
            ", the server of project 'demo' that another inventory or runtime started with mlflow_state_dir "
            f"{theirs.state}; stop that server there (mlflow_server_state=stopped), or give the project "
            "another 'port'."
        )
    assert ours.processes() == {}


def test_an_address_of_another_host_is_told(fleet: Host) -> None:
    """The address is at fault, not some process."""
    pids, options = fleet.pids(), fleet.options(fleet.server("a", host="192.0.2.1"))
    sentence = fleet.modules.refuse("mlflow_server", options)
    assert "192.0.2.1" in sentence
    assert "Cannot assign requested address" in sentence
    assert fleet.pids() == pids


def test_allowed_hosts(fleet: Host) -> None:
    """A name is accepted with and without a port, and loopback and the own address always."""
    body, port = {"max_results": 1}, fleet.server("a")["port"]
    url = f"http://127.0.0.1:{port}"
    assert ask(url, SEARCH, body, "mlflow.example.com")[0] == 403
    assert ask(url, SEARCH, body, "localhost")[0] == 200
    server = fleet.server("a", host="127.0.0.2", allowed_hosts=["mlflow.example.com"])
    record = by_name(fleet.converge(server, timeout=30))["a"]
    assert record["url"] == f"http://127.0.0.2:{port}"
    for host in ("mlflow.example.com", "mlflow.example.com:8443", "localhost", f"127.0.0.1:{port}"):
        assert ask(record["url"], SEARCH, body, host)[0] == 200, host
    for host in ("other.example.com", "mlflow.example.com.evil.example"):
        assert ask(record["url"], SEARCH, body, host)[0] == 403, host


def test_a_killed_server_comes_back(fleet: Host) -> None:
    """By itself, and the next run has nothing to do."""
    before = fleet.pids()
    os.kill(before["b"], signal.SIGKILL)
    await_(lambda: fleet.pids().get("b") not in (None, before["b"]), "b was not started again")
    url = f"http://127.0.0.1:{fleet.server('b')['port']}"
    await_(lambda: ask(url, "/health")[0] == 200, "b does not answer")
    assert not fleet.converge(*both(fleet))["changed"]
    assert fleet.pids()["a"] == before["a"]


def test_servers_end_when_their_supervisor_is_killed(fleet: Host) -> None:
    """Nothing is left that holds a port unowned, and the next run starts all anew."""
    os.kill(fleet.supervisors()[0], signal.SIGKILL)
    await_(lambda: fleet.processes() == {}, "servers outlive their supervisor")
    assert actions(fleet.converge(*both(fleet))) == {"a": "start", "b": "start"}


@pytest.mark.thorough("The supervisor is killed every time.")
def test_a_run_at_once_after_the_supervisor_was_killed(fleet: Host) -> None:
    """Servers that have not ended yet are known as ours and waited for."""
    before = fleet.pids()
    os.kill(fleet.supervisors()[0], signal.SIGKILL)
    assert actions(fleet.converge(*both(fleet))) == {"a": "start", "b": "start"}
    assert not set(fleet.pids().values()) & set(before.values())
    assert len(fleet.supervisors()) == 1


@pytest.mark.thorough("The supervisor is killed every time.")
def test_a_server_whose_supervisor_died_during_its_start_ends_too(fleet: Host) -> None:
    """Also one that had not yet looked who its parent is."""
    fleet.converge(*both(fleet), state="stopped")
    process = fleet.modules.start("mlflow_server", fleet.options(*both(fleet)))
    try:
        await_(lambda: len(fleet.pids()) == 2, "no server was started")
        os.kill(fleet.supervisors()[0], signal.SIGKILL)
    finally:
        end_group(process)
    await_(lambda: fleet.processes() == {}, "servers outlive their supervisor")


@pytest.mark.parametrize("pid", ["1", "none"])
def test_a_server_that_was_left_to_another_parent_does_not_start(
    pid: str, fleet: Host, tmp_path: Path
) -> None:
    """Its Supervisor died before it looked: the pid file names somebody else, or nobody."""
    pidfile = tmp_path / "supervisord.pid"
    pidfile.write_text(pid)
    (settings,) = (fleet.folder / "a").glob("settings-*.json")
    command = [fleet.runtime["python"], "-I", fleet.runtime["entrypoint"], "serve", settings]
    environment = {"PATH": os.environ["PATH"], "MLFLOW_AWS_SUPERVISOR": str(pidfile)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    *_said, told = done.stderr.splitlines()
    assert re.fullmatch("mlflow_entry: .*; .*\\.", told), done.stderr


@pytest.mark.thorough("Single kills of the supervisor, of a server and of a stop run every time.")
def test_killed_at_any_moment_it_converges(fleet: Host) -> None:
    """With kill -9, between all running and all stopped, again and again."""
    generator, servers = random.Random(2), both(fleet)
    for state in ("stopped", "present") * 3:
        process = fleet.modules.start("mlflow_server", fleet.options(*servers, state=state))
        time.sleep(generator.uniform(0.2, 1.0))
        os.kill(process.pid, signal.SIGKILL)
        fleet.converge(*servers, state=state)
        end_group(process)
        assert not fleet.converge(*servers, state=state)["changed"]
        assert set(fleet.pids()) == (set("ab") if state == "present" else set())
        if state == "present":
            assert len(fleet.supervisors()) == 1
        else:
            # It closes its socket just before it ends.
            await_(lambda: fleet.processes() == {}, "Supervisor goes on", 5)


@pytest.mark.thorough("All are stopped, and started by two runs at once, every time.")
def test_started_while_an_interrupted_stop_is_still_at_work(fleet: Host) -> None:
    """A run that finds Supervisor shutting down waits for its end."""
    # A request that is not finished makes its server take its time.
    with socket.create_connection(("127.0.0.1", fleet.server("a")["port"])) as client:
        client.sendall(
            f"POST {SEARCH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            "Content-Length: 100\r\n\r\n{".encode()
        )
        options = fleet.options(*both(fleet), state="stopped")
        process = fleet.modules.start("mlflow_server", options)
        try:
            await_(lambda: set(fleet.pids()) == {"a"}, "b was not stopped")
        finally:
            end_group(process)
        client.settimeout(30)
        client.shutdown(socket.SHUT_WR)
        assert actions(fleet.converge(*both(fleet))) == {"a": "start", "b": "start"}
    assert len(fleet.supervisors()) == 1
    assert set(fleet.pids()) == set("ab")


def test_a_server_that_refuses_tells_why_while_others_come_up(ward: Host) -> None:
    """In the sentence that its log has, before the timeout; it serves when the next run asks it."""
    ward.database("corrupt").write_text("no database, by any means\n" * 40)
    ward.database("empty").unlink()
    servers = [ward.server(name) for name in ("good", "corrupt", "empty")]
    # The wait for a result is shorter than the timeout.
    result = ward.fail(*servers, timeout=600)
    assert result["changed"] is True
    records = by_name(result)
    assert records["good"]["healthy"] is True
    for name, reason in (
        ("corrupt", "The project's database cannot be read: file is not a database."),
        ("empty", "The schema is at revision none and this MLflow needs"),
    ):
        log, last = ward.folder / name / "server.log", records[name]["log_tail"][-1]
        assert records[name]["log_path"] == str(log)
        assert f"mlflow_entry: {reason}" in last
        assert last in log.read_text()
        assert f"Server of project '{name}' refuses to serve: {reason}" in result["msg"]
        assert (records[name]["state"], records[name]["refused"]) == ("running", True)
        assert records[name]["reason"].startswith(reason)
    assert "Traceback" not in result["msg"]
    again = ward.fail(*servers, timeout=600)
    assert (again["changed"], again["msg"]) == (False, result["msg"])
    pids = ward.pids()
    ward.database("corrupt").unlink()
    ward.migrate("corrupt", "empty")
    result = ward.converge(*servers)
    assert actions(result) == dict.fromkeys(("good", "corrupt", "empty"), "keep")
    assert [record["refused"] for record in result["servers"]] == [False] * 3
    assert ward.pids() == pids
    ward.converge(*servers, state="stopped")


@pytest.mark.thorough("A server that refuses, and one that is down, are told every time.")
def test_a_server_that_does_not_answer_in_time_is_told(ward: Host) -> None:
    """The wait ends at the timeout, and the next run goes on from there."""
    with closing(sqlite3.connect(ward.database("slow"))) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        result = ward.fail(ward.server("slow"), timeout=3)
    assert result["msg"].startswith("Server of project 'slow' does not answer (")
    assert str(ward.folder / "slow" / "server.log") in result["msg"]
    assert by_name(ward.converge(ward.server("slow")))["slow"]["healthy"] is True
    ward.converge(ward.server("slow", state="stopped"))


def test_a_database_that_goes_away_is_noticed(ward: Host) -> None:
    """A server whose process is up but whose database is gone is not healthy."""
    url = by_name(ward.converge(ward.server("lost")))["lost"]["url"]
    ward.database("lost").write_text("overwritten\n" * 10_000)
    assert ask(url, "/health")[0] == 200
    record = ward.info()["lost"]
    assert (record["state"], record["healthy"]) == ("running", False)
    assert "file is not a database" in record["reason"]
    result = ward.fail(ward.server("lost"), timeout=2)
    assert result["msg"].startswith("Server of project 'lost' does not answer (HTTP ")
    assert "file is not a database" in result["msg"]
    ward.converge(ward.server("lost", state="stopped"))


def test_a_secret_in_the_environment_stays_out_of_sight(ward: Host) -> None:
    """It reaches the server by a private file: not results, differences, arguments or logs."""
    secret, seen, over = f"s3cr3t-{uuid.uuid4().hex}", list[str](), threading.Event()
    environment = {"TOKEN": secret, "MLFLOW_SERVER_X_FRAME_OPTIONS": "DENY", "OMP_NUM_THREADS": 2}
    server = ward.server("secret", environment=environment)
    how: dict[str, Any] = {"diff": True, "verbosity": 4}

    def watch() -> None:
        while not over.is_set():
            seen.extend(traces(secret))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        results = [ward.converge(server, how=how | {"check": check}) for check in (True, False)]
        url = by_name(results[1])["secret"]["url"]
        # One that MLflow shows, to know that they reach it.
        with OPENER.open(f"{url}/health", timeout=10) as answer:
            assert answer.headers["X-Frame-Options"] == "DENY"
        options = {"state_dir": str(ward.state)}
        results.append(ward.modules.call("mlflow_server_info", options, verbosity=4))
        results.append(ward.fail(server | {"port": ward.new_ports(1)[0]}, timeout=1))
    finally:
        over.set()
        watcher.join(timeout=30)
    assert seen == []
    for result in results:
        assert secret not in json.dumps(result)
    assert "TOKEN" in json.dumps(results[1]["diff"])
    holders = [
        path
        for path in ward.state.rglob("*")
        if path.is_file() and secret.encode() in path.read_bytes()
    ]
    assert holders
    for path in holders:
        assert path.name.startswith("settings-")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ward.converge(ward.server("secret", state="absent"))
    assert not any(path.exists() for path in holders)


@pytest.mark.thorough("One worker is killed, and ends with its supervisor, every time.")
def test_two_workers(ward: Host) -> None:
    """Both answer from one schema; killing the server, and then Supervisor, leaves none behind."""
    server = ward.server("workers", workers=2)
    record = by_name(ward.converge(server))["workers"]
    spawned = [words for words in ward.processes().values() if "spawn_main" in " ".join(words)]
    assert len(spawned) == 2
    assert experiments(record["url"]) == {"Default"}
    old = set(ward.processes()) - set(ward.supervisors())
    os.kill(record["pid"], signal.SIGKILL)
    await_(lambda: not old & set(ward.processes()), "workers outlive their server")
    await_(lambda: ward.info()["workers"]["healthy"], "the server did not come back")
    assert not ward.converge(server)["changed"]
    os.kill(ward.supervisors()[0], signal.SIGKILL)
    await_(lambda: ward.processes() == {}, "workers outlive their supervisor")


def test_info_of_a_host_without_servers(host: Host) -> None:
    """Looking makes nothing."""
    result = host.modules.call("mlflow_server_info", {"state_dir": str(host.state)})
    assert (result["servers"], result["runtime"]) == ([], None)
    assert result["state_dir"] == str(host.state)
    assert not host.state.exists()


def test_the_local_backend_makes_folders_once(host: Host) -> None:
    """Check mode makes none; what it returns is the same; reading what is not there fails."""
    foretold = host.backend("a", "b", check=True)
    assert foretold["changed"] is True
    assert not host.state.exists()
    options = {"state_dir": str(host.state), "projects": ["a", "b"], "create": False}
    sentence = host.modules.refuse("mlflow_local_backend", options, check=True)
    assert sentence == (
        f"The local backend in {host.state}/projects has no folder for a, b; run the deploy "
        "playbook first."
    )
    done = host.backend("a", "b", diff=True)
    assert done["backend"] == foretold["backend"]
    assert done["diff"]["after"]["folders"] == [
        str(host.state / "projects" / name / "artifacts") for name in "ab"
    ]
    assert (host.state / "projects" / "b" / "artifacts").is_dir()
    assert not host.backend("a", "b")["changed"]
    assert not host.modules.call("mlflow_local_backend", options)["changed"]


def requests(host: Host, *names: str, key: str = "") -> list[dict[str, str]]:
    """Return the option servers of mlflow_run."""
    return [
        {"name": name, "url": f"http://127.0.0.1:{host.server(name)['port']}", "key": key}
        for name in names
    ]


def log(host: Host, *names: str, key: str = "", **how: Any) -> dict[str, Any]:
    """Run mlflow_run with the client of the installed MLflow, as the role does."""
    options = {"servers": requests(host, *names, key=key), **host.program}
    return host.modules.call("mlflow_run", options, **how)


def run_ids(result: dict[str, Any]) -> list[str]:
    """Return the ids of a result's runs."""
    return [run["run_id"] for run in result["runs"]]


def logged(url: str, run_id: str) -> dict[str, Any]:
    """Return a run as the server's API tells it."""
    answer = json.loads(ask(url, f"/api/2.0/mlflow/runs/get?run_id={run_id}")[1])
    run: dict[str, Any] = answer["run"]
    return run


def require_verification_run(record: dict[str, Any]) -> None:
    """Compare a record with what the server has, without MLflow's client."""
    url, run_id = record["url"], record["run_id"]
    run = logged(url, run_id)
    assert run["info"]["status"] == "FINISHED"
    assert run["info"]["experiment_id"] == record["experiment_id"]
    parameters = {item["key"]: item["value"] for item in run["data"]["params"]}
    assert parameters["project"] == record["name"]
    path = f"/api/2.0/mlflow/metrics/get-history?run_id={run_id}&metric_key=roundtrip"
    history = json.loads(ask(url, path)[1])["metrics"]
    steps = sorted((item["step"], item["value"]) for item in history)
    assert steps == [(0, 0.5), (1, 0.25), (2, 0.125)]
    proof = ask(url, f"/get-artifact?path=proof.txt&run_uuid={run_id}")
    assert proof == (200, f"{record['name']} {run_id}\n")
    assert set(record["seconds"]) == {"create", "log", "read"}


def test_a_run_is_really_there_and_logged_once_for_a_key(fleet: Host) -> None:
    """Parameters, steps and artifact; what was verified is found, in check mode too."""
    key = uuid.uuid4().hex
    foretold = log(fleet, "a", "b", key=key, check=True)
    assert (foretold["changed"], run_ids(foretold)) == (True, ["", ""])
    done = log(fleet, "a", "b", key=key)
    assert done["changed"] is True
    assert [run["name"] for run in done["runs"]] == ["a", "b"]
    for record in done["runs"]:
        require_verification_run(record)
        artifacts = Path(fleet.server(record["name"])["artifacts_destination"])
        assert list(artifacts.rglob(f"{record['run_id']}/artifacts/proof.txt"))
    for check in (True, False):
        again = log(fleet, "a", "b", key=key, check=check)
        assert (again["changed"], run_ids(again)) == (False, run_ids(done))


def test_only_a_run_that_ended_well_counts(fleet: Host) -> None:
    """One of the right key that failed is not taken for it; without a key another is logged."""
    key = uuid.uuid4().hex
    record = log(fleet, "a", key=key)["runs"][0]
    change = {"run_id": record["run_id"], "status": "FAILED"}
    assert ask(record["url"], "/api/2.0/mlflow/runs/update", change)[0] == 200
    again = log(fleet, "a", key=key)
    assert again["changed"] is True
    assert len({record["run_id"], *run_ids(again), *run_ids(log(fleet, "a"))}) == 3


def test_a_server_that_is_down_is_named(fleet: Host) -> None:
    """One sentence with project and reason; the other server's run is logged and told."""
    fleet.converge(fleet.server("b", state="stopped"))
    options = {"servers": requests(fleet, "a", "b"), "timeout": 5, **fleet.program}
    result = fleet.modules.finish(fleet.modules.start("mlflow_run", options))
    assert result["failed"] is True
    [failure] = result["failures"]
    assert failure["name"] == "b"
    assert "Connection refused" in failure["reason"]
    assert result["msg"] == (
        f"Project 'b': {failure['reason']}; look at the server's log, then run the verify playbook."
    )
    assert [run["name"] for run in result["runs"]] == ["a"]
    require_verification_run(result["runs"][0])


@pytest.mark.thorough("A server that refuses tells why every time.")
def test_what_is_behind_an_error_is_said_once(ward: Host) -> None:
    """By the server's own words, where two have lost their databases and one has not."""
    names = ("good", "gone", "also-gone")
    ward.converge(*map(ward.server, names))
    for name in names[1:]:
        ward.database(name).write_text("overwritten\n" * 10_000)
    options = {"servers": requests(ward, *names), "timeout": 20, **ward.program}
    result = ward.modules.finish(ward.modules.start("mlflow_run", options))
    assert result["msg"].startswith("Projects 'gone' and 'also-gone': HTTP ")
    assert result["msg"].count("file is not a database") == 1
    assert "too many" not in result["msg"]
    assert [run["name"] for run in result["runs"]] == ["good"]
    ward.converge(*map(ward.server, names), state="stopped")


# What people export for other servers than ours, and what would come of it.
NOBODY = "http://127.0.0.1:9"
EXPORTED = {
    "proxies": dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), NOBODY),
    "workspace": {"MLFLOW_WORKSPACE": "team", "MLFLOW_EXPERIMENT_ID": "77", "MLFLOW_RUN_ID": "x"},
    "certificates": {
        "MLFLOW_TRACKING_CLIENT_CERT_PATH": "/nowhere/client.pem",
        "MLFLOW_TRACKING_SERVER_CERT_PATH": "/nowhere/ca.pem",
        "REQUESTS_CA_BUNDLE": "/nowhere/ca.pem",
        "SSL_CERT_FILE": "/nowhere/ca.pem",
    },
    "levels": {"MLFLOW_LOGGING_LEVEL": "LOUD", "OTEL_TRACES_EXPORTER": "none of them"},
    "limits": {
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "much",
        "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NoSuchPool",
        "MLFLOW_TRACKING_URI": NOBODY,
    },
}
LOGIN = "machine 127.0.0.1 login ada password s3cr3t\n"


@pytest.mark.parametrize(
    "kind",
    left_out.params(list(EXPORTED)[:1], list(EXPORTED)[1:], "Variables are dropped in one place."),
)
def test_a_run_takes_nothing_from_the_environment(fleet: Host, kind: str) -> None:
    """Whatever the user who runs the playbook has exported."""
    require_verification_run(log(fleet, "a", **EXPORTED[kind])["runs"][0])


@pytest.mark.thorough("A run takes nothing from it every time.")
def test_servers_and_migrations_take_nothing_from_the_environment(
    new_host: Callable[..., Host],
) -> None:
    """A server has none of the variables; a schema is made in spite of them."""
    host = new_host()
    exported = {name: text for kind in EXPORTED.values() for name, text in kind.items()}
    backend = host.backend("free", **exported)["backend"]
    assert host.migrate("free", **exported)["changed"] is True
    server = {"name": "free", "port": host.new_ports(1)[0], **backend["projects"]["free"]}
    assert by_name(host.converge(server, how=exported))["free"]["healthy"] is True
    names = {
        line.partition("=")[0]
        for pid in (*host.supervisors(), *host.pids().values())
        for line in Path(f"/proc/{pid}/environ").read_text(encoding="utf-8").split("\0")
    }
    assert "HOME" in names
    assert names & set(exported) == set()
    host.close()


class Listener(http.server.BaseHTTPRequestHandler):
    """Notes the headers of each request, and knows nothing."""

    heard: list[dict[str, str]]

    def do_GET(self) -> None:
        """Answer that there is no such thing."""
        self.heard.append({name.lower(): text for name, text in self.headers.items()})
        self.send_error(404)

    do_POST = do_GET

    def log_message(self, *_arguments: object) -> None:
        """Keep the test's output clean."""


def test_the_client_shows_nobody_s_password(fleet: Host, tmp_path: Path) -> None:
    """Neither one of ~/.netrc or ~/.mlflow/credentials nor a token of the environment."""
    (tmp_path / ".netrc").write_text(LOGIN)
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow/credentials").write_text(
        "[mlflow]\nmlflow_tracking_username = ada\nmlflow_tracking_password = s3cr3t\n"
    )
    heard: list[dict[str, str]] = []
    handler = type("Handler", (Listener,), {"heard": heard})
    request = tmp_path / "request.json"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        servers = [{"name": "a", "url": url, "key": ""}]
        request.write_text(json.dumps({"servers": servers, "experiment": "x", "timeout": 5}))
        done = subprocess.run(
            [fleet.program["python"], fleet.program["entrypoint"], "prove", str(request)],
            env={"HOME": str(tmp_path), "PATH": os.defpath, "MLFLOW_TRACKING_TOKEN": "s3cr3t"},
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        )
        server.shutdown()
    assert json.loads(done.stdout)["failures"]
    assert heard
    assert [headers for headers in heard if "authorization" in headers] == []


def test_a_run_needs_the_client(fleet: Host) -> None:
    """A runtime that is not there is told; in check mode the run counts as missing."""
    nowhere = {"python": "/nowhere/python", "entrypoint": "/nowhere/mlflow_entry.py"}
    options = {"servers": requests(fleet, "a"), **nowhere}
    assert "run the deploy playbook" in fleet.modules.refuse("mlflow_run", options)
    assert fleet.modules.call("mlflow_run", options, check=True)["changed"] is True


@pytest.fixture
def checked(fleet: Host, runtime_files: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Return what checks the servers as a play does, which names no MLflow and no folder of theirs."""
    installed = Path(fleet.runtime["path"])
    runtime = fleet.state / "runtimes" / installed.name
    runtime.parent.mkdir(exist_ok=True)
    if not runtime.is_symlink():
        runtime.symlink_to(installed)
    digest = venv.files_digest(runtime_files["requirements"], runtime_files["programs"])

    def check(*servers: dict[str, Any], **more: Any) -> dict[str, Any]:
        listed = [
            {
                **server,
                "backend_store_uri": f"sqlite:///{{state_dir}}/projects/{server['name']}/mlflow.db",
                "artifacts_destination": f"{{state_dir}}/projects/{server['name']}/artifacts",
            }
            for server in servers
        ]
        options = {"state_dir": str(fleet.state), "servers": listed}
        options |= {"runtime_files": digest, "experiment": "checks"} | more
        pids, before = fleet.pids(), files(fleet.state)
        result = fleet.modules.call("mlflow_server_check", options)
        assert (fleet.pids(), files(fleet.state)) == (pids, before)
        assert result["changed"] is False
        assert result["up_to_date"] is not bool(result["reason"])
        return result

    return check


def test_a_host_that_is_up_to_date(fleet: Host, checked: Callable[..., dict[str, Any]]) -> None:
    """Once each server is verified, one call tells it all, with the records of both modules."""
    servers = both(fleet)
    records = fleet.converge(*servers)["servers"]
    assert checked(*servers)["reason"].endswith(": its configuration is not verified by a run")
    requested = [
        {"name": record["name"], "url": record["url"], "key": record["configuration"]}
        for record in records
    ]
    options = {"servers": requested, "experiment": "checks", **fleet.program}
    runs = fleet.modules.call("mlflow_run", options)["runs"]
    result = checked(*servers)
    assert (result["up_to_date"], result["reason"], result["servers"]) == (True, "", records)
    assert result["runs"] == [run | {"logged": False, "seconds": {}} for run in runs]

    # Servers that are to be stopped, and are, need neither MLflow nor a run.
    assert checked(*servers, state="stopped")["reason"] == "the server of project 'a' has to stop"
    fleet.converge(*servers, state="stopped")
    result = checked(*servers, state="stopped", runtime_files="", always=True)
    assert (result["up_to_date"], result["runs"]) == (True, [])


def test_what_a_host_lacks(fleet: Host, checked: Callable[..., dict[str, Any]]) -> None:
    """Whatever it is, and what others would call an error, is no failure."""
    a, b = both(fleet)
    records = fleet.converge(a, b)["servers"]
    requested = [
        {"name": record["name"], "url": record["url"], "key": record["configuration"]}
        for record in records
    ]
    run = {"servers": requested, "experiment": "checks", **fleet.program}
    runs = fleet.modules.call("mlflow_run", run)["runs"]
    assert checked(a, b)["up_to_date"] is True

    assert checked(a, b, always=True)["reason"] == "a new verification run is wanted"
    for file in ("runtime_files", "additional_files"):
        assert checked(a, b, **{file: "other"})["reason"] == "MLflow is not installed"
    assert "not verified by a run" in checked(a, b, experiment="others")["reason"]
    assert checked(a, b | {"workers": 2})["reason"] == "the server of project 'b' has to restart"
    [port] = fleet.new_ports(1)
    with socket.create_server(("127.0.0.1", port)):
        assert f"port {port} is in use by" in checked(a, b | {"port": port})["reason"]
    assert checked(a, stop_unlisted=True)["reason"] == "the server of project 'b' has to stop"

    environment = Path(records[1]["env_file"])
    text = environment.read_text()
    environment.unlink()
    assert checked(a, b)["reason"] == "a file beside the servers has to change"
    environment.write_text(text)
    environment.chmod(0o600)

    # A person who deletes the run takes the verification away.
    assert (
        ask(runs[0]["url"], "/api/2.0/mlflow/runs/delete", {"run_id": runs[0]["run_id"]})[0] == 200
    )
    assert (
        "project 'a' is not up to date: its configuration is not verified"
        in checked(a, b)["reason"]
    )

    os.kill(fleet.pids()["b"], signal.SIGSTOP)
    try:
        assert "project 'b' is not up to date: timed out" in checked(b)["reason"]
    finally:
        os.kill(fleet.pids()["b"], signal.SIGCONT)
