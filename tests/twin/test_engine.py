# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several Docker engines on one machine: each with its own network, none in another's way."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.tests import support
from ansible_collections.mlops.mlflow_aws.tests.parts import (
    base_images,
    docker_engine,
    engine_network,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Engine
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, short_folder

SERVE = ("python3", "-m", "http.server", "--protocol", "HTTP/1.1", "--directory", "/", "80")
# Tells each client the address that it comes from.
WORLD = """
import socket
with socket.create_server(("0.0.0.0", 8000)) as server:
    print("ready", flush=True)
    while True:
        client, address = server.accept()
        with client:
            client.sendall(address[0].encode())
"""
ASK = (
    "import socket, sys; print(socket.create_connection((sys.argv[1], 8000), 10).recv(64).decode())"
)
OWNER = """
import sys
from pathlib import Path
from ansible_collections.mlops.mlflow_aws.tests.parts import docker_engine
print(docker_engine.launch(Path(sys.argv[1])).run, flush=True)
sys.stdin.read()
"""


HOLDER = """
import json, sys
from ansible_collections.mlops.mlflow_aws.tests.support import Ports
print(json.dumps(Ports()(60)), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class World:
    """What lies beyond this machine: a server in a network that knows no container's address."""

    address: str
    gateway: str


@dataclass(frozen=True)
class Server:
    """A container with a published port on an engine of its own."""

    engine: Engine
    name: str
    port: int

    def get(self, connection: http.client.HTTPConnection | None = None) -> str:
        """Return the name that the server gives itself, over a connection that is open or a new one."""
        if connection is None:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as once:
                return self.get(once)
        connection.request("GET", "/etc/hostname")
        return connection.getresponse().read().decode().strip()

    def ask(self, world: World, container: str = "") -> str:
        """Return the address under which the world sees a container of this engine."""
        command = ("exec", container or self.name, "python3", "-c", ASK, world.address)
        return self.engine.docker(*command).strip()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Make a network beyond this machine, with a server in it."""
    if os.geteuid() != 0:
        pytest.fail("Engines and networks of a test's own need root: run this as root.")
    docker_engine.install(*docker_engine.NEEDED)
    number, name = 4 * random.randrange(64), f"world-{os.getpid()}"
    made = World(f"198.51.100.{number + 2}", f"198.51.100.{number + 1}")
    near = f"mlfw-{os.getpid()}"
    with ExitStack() as stack:
        ip("netns", "add", name)
        stack.callback(ip, "netns", "delete", name)
        ip("link", "add", near, "type", "veth", "peer", "name", "far", "netns", name)
        ip("address", "add", f"{made.gateway}/30", "dev", near)
        ip("link", "set", near, "up")
        ip("-n", name, "address", "add", f"{made.address}/30", "dev", "far")
        ip("-n", name, "link", "set", "far", "up")
        command = ["ip", "netns", "exec", name, sys.executable, "-c", WORLD]
        process = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, env=engine_network.root_environment())
        )
        stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield made


def ip(*arguments: str) -> str:
    """Run the ip program, which must succeed."""
    command = ["ip", *arguments]
    env = engine_network.root_environment()
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


@contextmanager
def serving(name: str, port: int) -> Iterator[Server]:
    """Start an engine with a server, and stop it."""
    with short_folder() as folder:
        engine = docker_engine.launch(folder)
        try:
            image = base_images.provide(engine, base_images.base())
            place = ("--name", name, "--hostname", name, "--publish", f"127.0.0.1:{port}:80")
            engine.docker("run", "--detach", "--init", *place, image, *SERVE)
            server = Server(engine, name, port)
            deadline = _await(lambda: server.get() == name)
            assert deadline, engine.docker("logs", name)
            yield server
        finally:
            docker_engine.stop(engine)


def _await(wanted: Callable[[], bool], seconds: float = 30) -> bool:
    """Wait until something holds, and say whether it does."""
    ended = threading.Event()
    for _attempt in range(int(seconds * 10)):
        try:
            if wanted():
                return True
        except OSError:
            pass
        ended.wait(0.1)
    return False


@pytest.fixture(scope="module")
def two(world: World, free_ports: Callable[[int], list[int]]) -> Iterator[list[Server]]:
    """Return two servers whose engines were started at once."""
    del world
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        ports = free_ports(2)
        begun = [serving(f"server-{port}", port) for port in ports]
        waiting = [pool.submit(stack.enter_context, manager) for manager in begun]
        yield [one.result() for one in waiting]


def rules() -> str:
    """Return all rules of this machine's firewall."""
    env = engine_network.root_environment()
    return subprocess.run(
        ["iptables-save"], env=env, check=True, capture_output=True, text=True
    ).stdout


def bridges() -> list[str]:
    """Return the bridges of this machine."""
    lines = ip("-oneline", "link", "show", "type", "bridge").splitlines()
    return [line.split(": ")[1] for line in lines]


def assert_gone(engine: Engine) -> None:
    """Hold that nothing of an engine is left: bridge, rules, folder."""
    name = engine_network.name_of(engine.run)
    assert name not in rules()
    assert name not in bridges()
    assert not Path(engine.run).exists()


def subnets(engine: Engine) -> list[IPv4Network]:
    """Return the addresses that an engine's networks have."""
    identities = engine.docker("network", "ls", "--quiet", "--filter", "driver=bridge").split()
    shown = "{{range .IPAM.Config}}{{.Subnet}}{{end}}"
    lines = engine.docker("network", "inspect", "--format", shown, *identities).split()
    return [IPv4Network(line) for line in lines]


def test_engines_that_start_at_once_share_no_network(world: World, two: list[Server]) -> None:
    """Each server answers under its own name, and reaches the world from its own subnet."""
    assert [server.get() for server in two] == [server.name for server in two]
    assert [server.ask(world) for server in two] == [world.gateway] * 2
    for server in two:
        # A network that somebody makes there has the same rights.
        server.engine.docker("network", "create", "more")
        image = server.engine.docker("inspect", "--format", "{{.Config.Image}}", server.name)
        command = ("run", "--detach", "--init", "--network", "more", "--name", "other")
        server.engine.docker(*command, image.strip(), *SERVE)
        assert server.ask(world, "other") == world.gateway
        found = server.engine.docker("exec", "other", "getent", "hosts", "other")
        assert found.split()[1] == "other"
    first, second = (subnets(server.engine) for server in two)
    assert len(first) == len(second) == 2
    assert not any(one.overlaps(other) for one in first for other in second)
    # What a machine's own engine uses is left to it.
    theirs = IPv4Network("172.17.0.0/16")
    assert not any(one.overlaps(theirs) for one in first + second)


@pytest.mark.thorough("Two engines at once run every time.")
def test_an_engine_comes_and_goes_without_a_word_to_the_others(
    two: list[Server], free_ports: Callable[[int], list[int]], world: World
) -> None:
    """Connections of a server go on while another engine starts and stops; no rule of others goes."""
    server, *_others = two
    over, told = threading.Event(), []

    def use() -> int:
        count = 0
        kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        with closing(kept):
            while not over.wait(0.02):
                count += 1
                assert server.get(kept) == server.name
                assert server.get() == server.name
                if count % 20 == 0:
                    assert server.ask(world) == world.gateway
        return count

    with sentinel() as marked, ThreadPoolExecutor(1) as pool:
        client = pool.submit(use)
        try:
            with serving("third", free_ports(1)[0]) as third:
                told.append(third.get())
                name = engine_network.name_of(third.engine.run)
                assert name in rules()
                assert name in bridges()
                # An engine itself leaves the bridge of such a network.
                known = {*bridges()}
                third.engine.docker("network", "create", "more")
                (more,) = {*bridges()} - known
        finally:
            over.set()
        assert client.result(60) > 50
        # As an engine with rules of its own would have done, which empties these chains.
        assert marked in rules()
    assert told == ["third"]
    assert_gone(third.engine)
    assert more not in bridges()


@contextmanager
def sentinel() -> Iterator[str]:
    """Put a rule into the chain in which a machine's own engine publishes ports; give its text."""
    env = engine_network.root_environment()
    table = ("iptables", "--wait", "-t", "nat")
    made = subprocess.run([*table, "-N", "DOCKER"], env=env, capture_output=True, check=False)
    text = f"sentinel-{os.getpid()}"
    rule = ("DOCKER", "-d", "192.0.2.250", "-m", "comment", "--comment", text, "-j", "RETURN")
    subprocess.run([*table, "-A", *rule], env=env, check=True)
    try:
        yield text
    finally:
        subprocess.run([*table, "-D", *rule], env=env, capture_output=True, check=False)
        if made.returncode == 0:
            subprocess.run([*table, "-X", "DOCKER"], env=env, capture_output=True, check=False)


@pytest.mark.thorough("Two engines at once run every time.")
def test_what_a_killed_process_leaves_goes_with_the_next_start(
    two: list[Server], free_ports: Callable[[int], list[int]]
) -> None:
    """An engine whose owner was killed is ended, with its network; those in use stay."""
    with short_folder() as folder:
        owner = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
        )
        assert owner.stdout is not None
        run = owner.stdout.readline().strip()
        left = Engine(f"unix://{run}/docker.sock", run=run)
        assert left.answers()
        # The engine alone, as where memory runs out: what it had started is no engine any more.
        os.kill(owner.pid, signal.SIGKILL)
        owner.communicate()
        assert left.answers()
        with serving("next", free_ports(1)[0]) as following:
            assert following.get() == "next"
            assert not list(docker_engine._below(left))
            assert_gone(left)
        assert [server.get() for server in two] == [server.name for server in two]


@pytest.mark.thorough("Two engines at once run every time.")
@pytest.mark.parametrize("name", ["end", "cut_off"])
def test_an_engine_that_starts_again_has_its_network(
    name: str, world: World, free_ports: Callable[[int], list[int]]
) -> None:
    """Stopped like by its administrator, or with its machine: afterwards all is as before."""
    with serving("server", free_ports(1)[0]) as server:
        getattr(docker_engine, name)(server.engine)
        engine = docker_engine.resume(
            server.engine, Path(server.engine.data).with_name("engine.log")
        )
        try:
            engine.docker("start", "server")
            again = Server(engine, "server", server.port)
            assert _await(lambda: again.get() == "server")
            assert again.ask(world) == world.gateway
        finally:
            docker_engine.end(engine)


def test_ports_of_another_process_are_left_alone(tmp_path: Path) -> None:
    """Also those on which it does not listen yet; they are free again when it has ended."""
    few = 3
    held = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert held.stdout is not None
    theirs = json.loads(held.stdout.readline())
    assert not support._reserve(theirs[:few])
    held.kill()
    held.communicate()
    assert support._reserve(theirs[:few])


def test_addresses_in_use_are_left_alone() -> None:
    """Blocks that a route covers are passed over, whole ranges too; where none is left, it says so."""
    choose = engine_network.choose
    first = choose([])
    assert first == IPv4Network("10.208.0.0/20")
    assert choose([IPv4Network("10.208.3.0/24")]) == IPv4Network("10.208.16.0/20")
    assert choose([IPv4Network("10.0.0.0/8")]) == IPv4Network("172.24.0.0/20")
    private = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
    assert choose([IPv4Network(text) for text in private]) == IPv4Network("198.18.0.0/20")
    with pytest.raises(engine_network.Problem, match="is free for a Docker engine's containers"):
        choose([IPv4Network(text) for text in engine_network.RANGES])


def test_a_machine_without_rights_is_told_in_a_sentence() -> None:
    """What the kernel refuses is said with the command that it refused; nothing stays."""
    if shutil.which("ip", path=engine_network.root_environment()["PATH"]) is None:
        docker_engine.install("ip")
    with pytest.raises(
        engine_network.Problem, match=r"`ip link add .*` failed \(.*\); let this process"
    ):
        engine_network.make("a-name-that-is-too-long")
