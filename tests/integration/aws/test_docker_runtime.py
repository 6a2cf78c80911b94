# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtime docker: the modules as processes, a real engine, real servers in containers."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.container_spec import LABEL
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.errors import EngineError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.jobs import run_once
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import ports
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Engine as MachineEngine
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_host import PYTHON, Docker, DockerHost
from ansible_collections.mlops.mlflow_aws.tests.parts.host import (
    Modules,
    actions,
    ask,
    await_,
    by_name,
    end_group,
    experiments,
    traces,
)

# The first test may have to build an image.
pytestmark = pytest.mark.timeout(600)

SECRET = "s3cr3t-value-of-a-token"
NOWHERE = f"127.0.0.1:1/mlflow@sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def docker(engine: MachineEngine) -> Docker:
    """Return the engine under test."""
    return Docker(engine.host)


@pytest.fixture(scope="module")
def image(docker: Docker, server_image: str) -> Iterator[str]:
    """Return an image of ours whose servers answer without a database beside them."""
    tag = f"mlflow-test-{uuid.uuid4().hex[:8]}:seeded"
    docker.build(server_image, tag)
    yield tag
    docker("rmi", "--force", tag)


@pytest.fixture(scope="module")
def new_host(
    modules: Modules,
    docker: Docker,
    image: str,
    free_ports: Callable[[int], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[], DockerHost]]:
    """Return a function that makes hosts; their containers are removed afterwards."""
    hosts: list[DockerHost] = []

    def make() -> DockerHost:
        instance = f"test-{uuid.uuid4().hex[:8]}"
        state = tmp_path_factory.mktemp("d") / "s"
        hosts.append(DockerHost(modules, docker, image, state, instance, free_ports))
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()


@pytest.fixture
def host(new_host: Callable[[], DockerHost]) -> Iterator[DockerHost]:
    """Return a host that nothing was done to yet."""
    host = new_host()
    yield host
    host.close()


@pytest.fixture(scope="module")
def pair(new_host: Callable[[], DockerHost]) -> DockerHost:
    """Return the host of `fleet`."""
    return new_host()


@pytest.fixture
def fleet(pair: DockerHost) -> DockerHost:
    """Return a host whose servers a and b run with their first configuration."""
    pair.converge(pair.server("a"), pair.server("b"))
    return pair


def both(host: DockerHost, **changes: Any) -> list[dict[str, Any]]:
    """Return the options of servers a and b; the changes are b's."""
    return [host.server("a"), host.server("b", **changes)]


def test_the_first_check_mode_run_tells_the_truth(host: DockerHost) -> None:
    """When nothing exists yet, the image included: what would be done is told, and nothing made."""
    servers = [host.server("demo"), host.server("off", state="stopped")]
    foretold = host.converge(*servers, how={"check": True, "diff": True}, image=NOWHERE)
    assert foretold["changed"] is True
    assert actions(foretold) == {"demo": "start", "off": "keep"}
    assert foretold["diff"]["before"] == {"demo": {"state": "absent"}}
    assert foretold["diff"]["after"]["demo"]["state"] == "running"
    assert (host.containers(), host.volumes()) == ({}, set())
    assert not host.state.exists()


def test_servers_answer_from_their_databases(fleet: DockerHost) -> None:
    """Each record is true, and its log is where it says."""
    records = by_name(fleet.converge(*both(fleet)))
    assert list(records) == list("ab")
    for name, record in records.items():
        assert record["url"] == fleet.url(name)
        assert (record["state"], record["healthy"], record["listed"]) == ("running", True, True)
        assert (record["pid"], record["reason"]) == (None, "")
        assert ask(record["url"], "/version") == (200, record["version"])
        assert experiments(record["url"]) >= {"Default"}
        program, *words = record["log_path"].split()
        assert program == "docker"
        assert "Uvicorn running" in fleet.docker(*words)
    status, text = ask(fleet.url("a"), "/api/2.0/mlflow/experiments/create", {"name": "mine"})
    assert status == 200, text
    assert "mine" in experiments(fleet.url("a"))
    assert "mine" not in experiments(fleet.url("b"))


def test_a_second_run_changes_nothing(fleet: DockerHost) -> None:
    """No container; check mode and the info module, too, tell that the servers are well."""
    before = fleet.containers()
    for check in (True, False):
        result = fleet.converge(*both(fleet), how={"check": check, "diff": True})
        assert result["changed"] is False
        assert actions(result) == {"a": "keep", "b": "keep"}
        assert result["diff"] == {"before": {}, "after": {}}
        assert [record["healthy"] for record in result["servers"]] == [True, True]
    records = fleet.info()
    assert {name: record["healthy"] for name, record in records.items()} == {"a": True, "b": True}
    assert {name: record["port"] for name, record in records.items()} == fleet.ports
    assert fleet.containers() == before


@pytest.mark.thorough("test_modules.py tells what a host lacks every time.")
def test_what_a_host_lacks(fleet: DockerHost) -> None:
    """The image, another container, or a run; with all of them there it is up to date."""
    servers = both(fleet)

    def check(**more: Any) -> dict[str, Any]:
        options = {**fleet.place, "image": fleet.image, "servers": servers, "experiment": "checks"}
        return fleet.modules.call("mlflow_server_check", options | more)

    records = fleet.converge(*servers)["servers"]
    before = fleet.containers()
    assert check(image=NOWHERE)["reason"] == "the image is not there"
    assert check(memory="1g")["reason"] == "the server of project 'a' has to restart"
    assert "not verified by a run" in check()["reason"]
    requested = [
        {"name": record["name"], "url": record["url"], "key": record["configuration"]}
        for record in records
    ]
    options = {"servers": requested, "experiment": "checks", "image": fleet.image}
    options |= {key: fleet.place[key] for key in ("docker_host", "docker_instance")}
    runs = fleet.modules.call("mlflow_run", options)["runs"]
    result = check()
    assert (result["up_to_date"], result["changed"], result["servers"]) == (True, False, records)
    assert [run["run_id"] for run in result["runs"]] == [run["run_id"] for run in runs]
    assert fleet.containers() == before


def run_options(host: DockerHost, *names: str, **more: Any) -> dict[str, Any]:
    """Return the options of mlflow_run for these servers, each to be logged through in any case."""
    servers = [{"name": name, "url": host.url(name), "key": ""} for name in names]
    place = {key: host.place[key] for key in ("docker_host", "docker_instance")}
    return {"servers": servers, "image": host.image, **place, **more}


def test_a_run_takes_nothing_from_its_container_s_environment(
    fleet: DockerHost, docker: Docker
) -> None:
    """An image, and some engines, put proxies and more into every container."""
    exported = {
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "MLFLOW_WORKSPACE": "team",
        "MLFLOW_LOGGING_LEVEL": "LOUD",
        "MLFLOW_TRACKING_CLIENT_CERT_PATH": "/nowhere/client.pem",
    }
    tag = f"{fleet.image}-exported"
    lines = [f"FROM {fleet.image}", *(f"ENV {name}={text}" for name, text in exported.items())]
    docker("build", "-q", "-t", tag, "-", stdin="\n".join(lines))
    try:
        runs = fleet.modules.call("mlflow_run", run_options(fleet, "a", image=tag))["runs"]
    finally:
        docker("rmi", "--force", tag)
    assert [(run["name"], run["run_id"] != "") for run in runs] == [("a", True)]


@pytest.mark.thorough("A server that is down is named every time, with servers as processes.")
def test_a_paused_server_keeps_no_other_from_its_run(fleet: DockerHost) -> None:
    """It is named with its reason, and the other's run is told."""
    name = fleet.container("b")
    fleet.docker("pause", name)
    try:
        options = run_options(fleet, "a", "b", timeout=5)
        result = fleet.modules.finish(fleet.modules.start("mlflow_run", options))
    finally:
        fleet.docker("unpause", name)
    assert result["failures"] == [{"name": "b", "reason": "timed out"}]
    assert result["msg"].startswith("Project 'b': timed out; look at ")
    assert [run["name"] for run in result["runs"]] == ["a"]


def test_a_new_setting_makes_one_container_anew(fleet: DockerHost) -> None:
    """The other stays; names of variables show, their values nowhere."""
    before = fleet.ids()
    changed = both(fleet, environment={"MLFLOW_TEST_TOKEN": SECRET})
    result = fleet.change(*changed)
    assert actions(result) == {"a": "keep", "b": "restart"}
    after = fleet.ids()
    assert after["a"] == before["a"]
    assert after["b"] != before["b"]
    assert result["diff"]["before"]["b"]["environment"] == []
    assert result["diff"]["after"]["b"]["environment"] == ["MLFLOW_TEST_TOKEN"]
    assert not fleet.converge(*changed)["changed"]
    name = fleet.container("b")
    assert SECRET in fleet.docker.python(
        name, "print(open('/var/lib/mlflow/settings.json').read())"
    )
    assert SECRET not in json.dumps(fleet.docker.inspect(name))
    assert SECRET not in fleet.docker("volume", "inspect", name)
    assert SECRET not in fleet.docker("logs", name)
    assert SECRET not in json.dumps([result, fleet.info()])
    assert traces(SECRET) == []


@pytest.mark.thorough("A new setting of one server runs every time, by the same comparison.")
def test_another_limit_makes_all_containers_anew(fleet: DockerHost) -> None:
    """And the engine has it."""
    before = fleet.ids()
    result = fleet.change(*both(fleet), memory="1g")
    assert actions(result) == {"a": "restart", "b": "restart"}
    assert not set(before.values()) & set(fleet.ids().values())
    assert fleet.docker.inspect(fleet.container("a"))["HostConfig"]["Memory"] == 1 << 30
    assert not fleet.converge(*both(fleet), memory="1g")["changed"]


def test_a_stopped_server_keeps_its_container_and_log(fleet: DockerHost) -> None:
    """The other goes on; it starts again as the same container."""
    before = fleet.ids()
    result = fleet.change(*both(fleet, state="stopped"))
    assert actions(result) == {"a": "keep", "b": "stop"}
    record = by_name(result)["b"]
    assert (record["state"], record["healthy"]) == ("stopped", False)
    assert ask(record["url"], "/health")[0] == 0
    assert fleet.info()["b"]["state"] == "stopped"
    assert fleet.info()["b"]["port"] == fleet.ports["b"]
    assert "Uvicorn running" in fleet.docker("logs", fleet.container("b"))
    assert not fleet.converge(*both(fleet, state="stopped"))["changed"]
    assert actions(fleet.change(*both(fleet))) == {"a": "keep", "b": "start"}
    assert fleet.ids() == before


def test_a_removed_server_leaves_nothing(fleet: DockerHost) -> None:
    """Neither container nor volume; removing it again is no change."""
    result = fleet.change(*both(fleet, state="absent"))
    assert actions(result) == {"a": "keep", "b": "remove"}
    assert by_name(result)["b"]["state"] == "absent"
    assert set(fleet.ids()) == fleet.volumes() == {"a"}
    assert set(fleet.info()) == {"a"}
    assert not fleet.converge(*both(fleet, state="absent"))["changed"]


@pytest.mark.thorough("Servers as processes do so every time, by the same plan.")
def test_unlisted_servers_stop_only_when_asked(fleet: DockerHost) -> None:
    """Their containers stay."""
    before = fleet.ids()
    assert not fleet.converge(fleet.server("a"))["changed"]
    result = fleet.change(fleet.server("a"), stop_unlisted=True)
    assert actions(result) == {"a": "keep", "b": "stop"}
    assert [record["listed"] for record in result["servers"]] == [True, False]
    assert fleet.ids() == before
    assert fleet.info()["b"]["state"] == "stopped"


@pytest.mark.thorough("test_ending_all_needs_no_image runs every time.")
def test_removing_all_takes_what_is_not_listed_too(fleet: DockerHost) -> None:
    """Neither container nor volume is left of it, and its port is remembered."""
    a, b = both(fleet)
    listed = [
        {"name": name, "port": fleet.ports[name], "port_fixed": True, "state": "present"}
        for name in ("a", "b")
    ]
    everything = {"backend": "aws", "projects": listed}
    assert fleet.converge(a, b, inventory=everything)["changed"]
    only = {"backend": "aws", "projects": listed[:1]}
    result = fleet.change(a, state="absent", stop_unlisted=True, inventory=only)
    assert actions(result) == {"a": "remove", "b": "remove"}
    assert fleet.ids() == {}
    assert fleet.volumes() == set()
    taken = [listed[0] | {"port": fleet.ports["b"], "port_fixed": False}]
    there = {"inventory": {"backend": "aws", "projects": taken}}
    for check in (True, False):
        said = fleet.refuse(a | {"port": fleet.ports["b"]}, check=check, **there)
        assert f"Port {fleet.ports['b']} of project 'a' belonged to 'b'" in said


@pytest.mark.thorough("Servers as processes swap ports every time, by the same plan.")
def test_servers_may_swap_their_ports(fleet: DockerHost) -> None:
    """A port that one of ours gives up is no foreign one."""
    first, second = fleet.ports["a"], fleet.ports["b"]
    result = fleet.change(fleet.server("a", port=second), fleet.server("b", port=first))
    assert actions(result) == {"a": "restart", "b": "restart"}
    assert [record["port"] for record in result["servers"]] == [second, first]


@pytest.mark.thorough("One server is ended and removed every time.")
def test_ending_all_needs_no_image(fleet: DockerHost) -> None:
    """Not even one that exists."""
    result = fleet.change(*both(fleet), state="stopped", image=NOWHERE)
    assert actions(result) == {"a": "stop", "b": "stop"}
    result = fleet.change(*both(fleet), state="absent", image="")
    assert actions(result) == {"a": "remove", "b": "remove"}
    assert (fleet.ids(), fleet.volumes()) == ({}, set())


def test_servers_listen_on_loopback_only(fleet: DockerHost) -> None:
    """The engine binds their ports on no other address, IPv6 included."""
    bound = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _colon, port = local.rpartition(":")
            if state == "0A" and int(port, 16) in fleet.ports.values():
                bound.add((address, int(port, 16)))
    assert bound == {("0100007F", port) for port in fleet.ports.values()}


def test_a_container_can_do_little(fleet: DockerHost) -> None:
    """No capability, no new privilege, no root; it writes its volume and a private memory alone."""
    name = fleet.container("a")
    details = fleet.docker.inspect(name)
    host = details["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["Init"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["Privileged"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert (details["Config"]["StopTimeout"], details["Config"]["User"]) == (60, "65532:65532")
    assert host["LogConfig"]["Config"]["max-size"] == "10m"
    names = {text.partition("=")[0] for text in details["Config"]["Env"]}
    assert not any("PASSWORD" in name or "URI" in name or "KEY" in name for name in names)
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{details['State']['Pid']}/status").read_text().splitlines()
    )
    assert {status[key] for key in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert set(status["Uid"].split()) == {"65532"}
    written = fleet.docker.python(
        name,
        "import os, tempfile\n"
        "for place in ('/', '/tmp', '/opt/mlflow', '/run/mlflow', tempfile.gettempdir()):\n"
        "    try:\n"
        "        open(place + '/x', 'w').close(); os.remove(place + '/x'); print(place)\n"
        "    except OSError: pass\n"
        "print(oct(os.stat('/var/lib/mlflow/settings.json').st_mode))\n"
        "print(oct(os.stat('/run/mlflow').st_mode))",
    )
    assert written.split() == ["/run/mlflow", "/var/lib/mlflow/tmp", "0o100400", "0o40700"]


def test_a_killed_server_comes_back(fleet: DockerHost) -> None:
    """By itself where its process dies; one that an operator killed, by the next run."""
    before, name = fleet.ids(), fleet.container("b")
    pid = fleet.docker.pid(name)
    child = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    os.kill(child, signal.SIGKILL)
    await_(lambda: fleet.docker.pid(name) not in (0, pid), "b was not started again")
    await_(lambda: ask(fleet.url("b"), "/health")[0] == 200, "b does not answer")
    assert not fleet.converge(*both(fleet))["changed"]
    fleet.docker("kill", name)
    assert actions(fleet.change(*both(fleet))) == {"a": "keep", "b": "start"}
    assert fleet.ids() == before


@pytest.mark.thorough("A killed server is started every time.")
def test_a_paused_server_is_started(fleet: DockerHost) -> None:
    """It does not run, whatever the engine calls it."""
    fleet.docker("pause", fleet.container("b"))
    assert actions(fleet.change(*both(fleet))) == {"a": "keep", "b": "start"}


def test_the_host_network(host: DockerHost) -> None:
    """A server listens on the host's loopback itself, with no port published."""
    result = host.change(host.server("a"), docker_network="host")
    assert by_name(result)["a"]["healthy"] is True
    assert host.docker.inspect(host.container("a"))["HostConfig"]["PortBindings"] in ({}, None)
    with closing(socket.socket()) as probe:
        assert probe.connect_ex(("127.0.0.2", host.ports["a"])) != 0
    assert not host.converge(host.server("a"), docker_network="host")["changed"]


@pytest.mark.thorough("The default network and that of the host run every time.")
def test_a_network_by_name(host: DockerHost) -> None:
    """It must exist; a missing one is told before anything is touched."""
    sentence = host.refuse(host.server("a"), docker_network=host.instance)
    assert sentence.startswith(f"Docker on this host has no network {host.instance}; create it ")
    assert (host.ids(), host.volumes()) == ({}, set())
    host.docker("network", "create", host.instance)
    try:
        result = host.converge(host.server("a"), docker_network=host.instance)
        assert by_name(result)["a"]["healthy"] is True
        host.close()
    finally:
        host.docker("network", "rm", host.instance)


def test_foreign_containers_and_volumes_are_left_alone(fleet: DockerHost) -> None:
    """One of the same name is named before anything is touched, in check mode, too."""
    before = fleet.containers()
    servers = [fleet.server("a", environment={"A": "1"}), fleet.server("c")]
    name = fleet.container("c")
    foreign = fleet.docker("create", "--name", name, "--entrypoint", PYTHON, fleet.image)
    try:
        for check in (True, False):
            sentence = fleet.refuse(*servers, check=check)
            assert sentence == (
                f"Project 'c': there is a container {name} that mlflow_server did not make for it; "
                "rename or remove the container, or set another docker_instance."
            )
        fleet.converge(*both(fleet), fleet.server("c", state="absent"))
        fleet.converge(*both(fleet), stop_unlisted=True)
        assert fleet.containers() == before | {"c": (foreign, "created", 0)}
    finally:
        fleet.docker("rm", name)
    fleet.docker("volume", "create", name)
    try:
        sentence = fleet.refuse(*servers)
        assert f"there is a volume {name} that mlflow_server did not make" in sentence
        fleet.converge(*both(fleet), fleet.server("c", state="absent"))
        assert fleet.volumes() == {"a", "b", "c"}
    finally:
        fleet.docker("volume", "rm", name)
    assert fleet.containers() == before


@pytest.mark.thorough("Another instance has the port every time.")
def test_a_foreign_port_is_refused_before_anything_is_touched(fleet: DockerHost) -> None:
    """Who holds it is named: a process, or another's container."""
    before, port = fleet.containers(), fleet.new_ports(1)[0]
    servers = [fleet.server("a", environment={"A": "1"}), fleet.server("b", port=port)]
    with socket.create_server(("127.0.0.1", port)):
        sentence = fleet.refuse(*servers)
        assert sentence.startswith(f"Project 'b': port {port} is in use by process {os.getpid()} (")
    other = f"other-{uuid.uuid4().hex[:8]}"
    fleet.docker(
        *("run", "--detach", "--name", other, "--publish", f"127.0.0.1:{port}:80"),
        *("--entrypoint", PYTHON, fleet.image, "-c", "import time; time.sleep(300)"),
    )
    try:
        assert fleet.refuse(*servers, check=True) == (
            f"Project 'b': port {port} is in use by container {other}; end it, or give the project "
            "another 'port'."
        )
    finally:
        fleet.docker("rm", "--force", other)
    assert fleet.containers() == before


@pytest.mark.parametrize(
    "network",
    left_out.params(["bridge"], ["host"], "Servers as processes hold ports in the same way."),
)
def test_a_port_of_another_instance_is_refused_as_such(fleet: DockerHost, network: str) -> None:
    """Published, or held by a process in the host's network: by both runtimes, with what to do."""
    port, instance = fleet.new_ports(1)[0], f"t{uuid.uuid4().hex[:8]}"
    listen = (
        f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(300)"
    )
    options = ["--network", "host"]
    if network == "bridge":
        listen, options = "import time; time.sleep(300)", ["--publish", f"127.0.0.1:{port}:80"]
    name = f"{instance}-demo"
    fleet.docker(
        *("run", "--detach", "--name", name, *options),
        *("--label", f"{LABEL}instance={instance}", "--label", f"{LABEL}project=demo"),
        *("--entrypoint", PYTHON, fleet.image, "-c", listen),
    )
    try:
        await_(lambda: not ports.is_free("127.0.0.1", port), "nothing listens")
        told = (
            f"Project 'b': port {port} is in use by container {name}, the server of project 'demo' that another "
            f"inventory or runtime started with mlflow_server_docker_instance {instance}; stop that server "
            "there (mlflow_server_state=stopped), or give the project another 'port'."
        )
        assert fleet.refuse(fleet.server("b", port=port), check=True) == told
        process = {"runtime": "process", "python": PYTHON, "entrypoint": "/none/mlflow_entry.py"}
        options_ = {**fleet.options(fleet.server("b", port=port)), **process}
        assert (
            fleet.modules.refuse("mlflow_server", options_, DOCKER_HOST=fleet.docker.host) == told
        )
    finally:
        fleet.docker("rm", "--force", name)


def test_a_missing_image_is_told_before_anything_is_touched(fleet: DockerHost) -> None:
    """And what gets it; so is that none was given."""
    before = fleet.containers()
    assert fleet.refuse(*both(fleet), image="") == "No image to run servers from; set image."
    assert fleet.refuse(*both(fleet), image=NOWHERE) == (
        f"Image {NOWHERE} is not on this host; pull it first, as the playbooks deploy and servers do."
    )
    assert fleet.containers() == before


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"memory": "1q"}, "memory is '1q'; write a size of 6m or more"),
        ({"container_user": "mlflow"}, "container_user is 'mlflow'; write numbers"),
        ({"aws_config_dir": "/nonexistent"}, "aws_config_dir /nonexistent cannot be used (No such"),
        (
            {"docker_host": "unix:///nonexistent.sock"},
            "Docker is not running on this host (there is",
        ),
        (
            {"docker_host": "tcp://127.0.0.1:2375"},
            "mlflow_server_docker_host is tcp://127.0.0.1:2375; servers run",
        ),
        ({"docker_instance": "A B"}, "docker_instance is 'A B'; use lowercase letters"),
        ({"image": "a b"}, "'a b' is not a valid image reference; write NAME@sha256:DIGEST"),
    ],
)
def test_bad_input_is_told(fleet: DockerHost, more: dict[str, str], sentence: str) -> None:
    """Before anything is touched, in check mode, too."""
    before = fleet.containers()
    for check in (True, False):
        assert fleet.refuse(fleet.server("a"), check=check, **more).startswith(sentence)
    assert fleet.containers() == before


def test_the_aws_folder_is_read_by_its_owner(host: DockerHost, tmp_path: Path) -> None:
    """The container runs as whoever owns it, sees it as its own, and cannot write it."""
    folder = tmp_path / "aws"
    folder.mkdir(mode=0o700)
    (folder / "config").write_text("[default]\nregion = eu-central-1\n")
    for path in (folder, folder / "config"):
        os.chown(path, 12345, 12346)
    host.change(host.server("a"), aws_config_dir=str(folder))
    shown = host.docker.python(
        host.container("a"),
        "import os\n"
        "print(os.getuid(), os.getgid(), os.environ['AWS_EC2_METADATA_DISABLED'])\n"
        "print(os.environ['AWS_SHARED_CREDENTIALS_FILE'])\n"
        "print(open(os.path.expanduser('~/.aws/config')).read())\n"
        "try: open(os.environ['AWS_CONFIG_FILE'], 'a')\n"
        "except OSError as error: print(error.strerror)",
    )
    assert shown.splitlines() == [
        "12345 12346 true",
        "/home/mlflow/.aws/credentials",
        "[default]",
        "region = eu-central-1",
        "",
        "Read-only file system",
    ]
    os.chown(folder, 0, 0)
    sentence = host.refuse(host.server("a"), aws_config_dir=str(folder))
    assert sentence.startswith(f"aws_config_dir {folder} is readable by root only, and containers ")


def test_a_server_that_refuses_tells_why_while_others_come_up(host: DockerHost) -> None:
    """The engine shows the same sentence: in the log, and as what the health check said."""
    bad = host.server("bad", backend_store_uri="sqlite:////var/lib/mlflow/tmp/none.db")
    began = time.monotonic()
    result = host.modules.finish(
        host.modules.start("mlflow_server", host.options(host.server("good"), bad))
    )
    assert time.monotonic() - began < 80
    records = by_name(result)
    assert records["good"]["healthy"] is True
    assert "\n" not in result["msg"]
    said = records["bad"]["reason"]
    assert said.startswith("The schema is at revision none and this MLflow needs")
    assert result["msg"] == f"Server of project 'bad' refuses to serve: {said}"
    container = host.container("bad")
    assert records["bad"]["log_tail"][-1] == f"mlflow_entry: {said}"
    health = ["/opt/mlflow/venv/bin/python", "-IBu", "/opt/mlflow/mlflow_entry.py", "health"]
    checked = host.docker("exec", container, *health, "/var/lib/mlflow/settings.json", check=False)
    assert checked.strip() == f"mlflow_entry: {said}"
    assert host.docker("inspect", "--format", "{{.RestartCount}}", container).strip() == "0"
    good = host.ids()["good"]
    result = host.converge(host.server("good"), host.server("bad"))
    assert actions(result) == {"good": "keep", "bad": "restart"}
    assert host.ids()["good"] == good


def test_a_server_without_enough_memory_is_told(host: DockerHost) -> None:
    """The limit is named, not the exit code."""
    sentence = host.refuse(host.server("a"), memory="48m")
    assert sentence.startswith(
        "Server of project 'a' was killed: out of memory (raise its limit); its log ("
    )


@pytest.mark.thorough("Servers as processes run twice at once every time, under the same lock.")
def test_two_runs_at_once(host: DockerHost) -> None:
    """Both succeed, one does it."""
    options = host.options(*both(host))
    processes = [host.modules.start("mlflow_server", options) for _number in range(2)]
    results = [host.modules.finish(process) for process in processes]
    assert [result.get("msg") for result in results] == [None, None]
    assert sorted(result["changed"] for result in results) == [False, True]
    assert set(host.ids()) == set("ab")


@pytest.mark.thorough("test_a_killed_server_comes_back and a killed job run every time.")
def test_killed_at_any_moment_it_converges(host: DockerHost) -> None:
    """With kill -9, between running, changed, stopped and removed, again and again."""
    generator = random.Random(3)
    for number in range(6):
        state = generator.choice(["stopped", "present", "absent", "present"])
        servers = both(host, environment={"N": str(number)})
        process = host.modules.start("mlflow_server", host.options(*servers, state=state))
        time.sleep(generator.uniform(0.3, 1.2))
        os.kill(process.pid, signal.SIGKILL)
        host.converge(*servers, state=state)
        end_group(process)
        assert not host.converge(*servers, state=state)["changed"]
        found = host.containers()
        running = {name for name, (_id, status, _pid) in found.items() if status == "running"}
        assert running == (set("ab") if state == "present" else set())
        assert set(found) == host.volumes()
        if state == "absent":
            assert found == {}


@pytest.mark.thorough("Two servers at once run every time.")
def test_ten_servers_at_once(host: DockerHost) -> None:
    """All come up together; a second run takes seconds."""
    servers = [host.server(f"p{number}") for number in range(10)]
    process = host.modules.start("mlflow_server", host.options(*servers, timeout=300))
    result = host.modules.finish(process, seconds=350)
    assert {record["healthy"] for record in result["servers"]} == {True}
    began = time.monotonic()
    assert not host.converge(*servers)["changed"]
    assert time.monotonic() - began < 10
    assert actions(host.converge(*servers, state="absent")) == dict.fromkeys(
        (f"p{number}" for number in range(10)), "remove"
    )


@pytest.fixture
def api(docker: Docker) -> Engine:
    """Return our own client of the engine."""
    return Engine(docker.host)


class Jobs:
    """Runs one-shot containers of the image, with Python as their program."""

    def __init__(self, engine: Engine, image: str, docker: Docker) -> None:
        """Keep what each job is run with."""
        self.engine, self.image, self.docker = engine, image, docker

    def run(
        self,
        program: str,
        timeout: float = 60,
        show: Callable[[str], None] | None = None,
        **files: str,
    ) -> Any:
        """Run the entry point, which the image starts, over a program put where it looks first."""
        return run_once(
            self.engine,
            self.image,
            [program],
            files,
            binds={},
            network="none",
            user="",
            environment={},
            timeout=timeout,
            show=show,
        )

    def left(self) -> list[str]:
        """Return the containers and volumes of jobs that are there."""
        flag = ("--filter", "label=io.github.mlops-collections.mlflow_aws.job")
        containers = self.docker("ps", "-a", *flag, "--format", "{{.Names}}")
        volumes = self.docker("volume", "ls", *flag, "--format", "{{.Name}}")
        return containers.split() + volumes.split()


@pytest.fixture
def jobs(api: Engine, image: str, docker: Docker) -> Jobs:
    """Return what runs one-shot containers."""
    return Jobs(api, image, docker)


def test_a_job_runs_to_its_end(jobs: Jobs) -> None:
    """Its output, errors and exit code come back, and nothing of it stays."""
    ran = jobs.run("describe")
    assert ran.code == 0
    assert json.loads(ran.stdout)["version"]
    ran = jobs.run("nonsense")
    assert (ran.code, ran.stdout) == (2, "")
    assert ran.stderr.startswith("mlflow_entry: Usage:")
    shown: list[str] = []
    assert jobs.run("nonsense", show=shown.append) == ran
    assert shown == ran.stderr.splitlines()
    assert not [name for name in jobs.left() if name.startswith(f"{os.getpid()}")]


def test_a_job_that_does_not_end_is_ended(jobs: Jobs) -> None:
    """And what it printed last is told."""
    with pytest.raises(MlflowError, match=r"^describe did not end within 0 seconds in its cont"):
        jobs.run("describe", timeout=0.1)
    with pytest.raises(MlflowError, match=r"^describe did not end within 0 seconds in its cont"):
        jobs.run("describe", timeout=0.1, show=print)


def test_a_job_without_its_image_is_told(jobs: Jobs) -> None:
    """In one sentence."""
    jobs.image = NOWHERE
    with pytest.raises(EngineError, match=r"No such image: .*\); pull the image first"):
        jobs.run("describe")


JOB = """
import sys
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.jobs import run_once
how = dict(binds={}, network="none", user="", environment={}, timeout=60)
run_once(Engine(sys.argv[1]), sys.argv[2], ["describe"], {"request.json": "{}"}, **how)
"""


def test_what_a_killed_run_left_is_removed_by_the_next(jobs: Jobs, modules: Modules) -> None:
    """A job that still runs is let go on."""
    command = [sys.executable, "-c", JOB, jobs.docker.host, jobs.image]
    environment = os.environ | {"PYTHONPATH": str(modules.path)}
    with subprocess.Popen(command, env=environment) as process:
        before = set(jobs.left())
        await_(lambda: set(jobs.left()) - before, "no job was started")
        process.kill()
    left = set(jobs.left()) - before
    name = left.pop()
    if jobs.docker("ps", "-q", "--filter", f"name={name}"):
        jobs.run("describe")
    await_(lambda: not jobs.docker("ps", "-q", "--filter", f"name={name}"), "it does not end")

    def swept() -> bool:
        jobs.run("describe")
        return name not in jobs.left()

    # An engine may still be making what the killed process had asked for.
    await_(swept, f"{name} is left")
