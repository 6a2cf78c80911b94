# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tunnel to a database whose name nobody can resolve: a real sshd as the bastion, a real MySQL.

The relay of AWS cannot be had here. A stand-in answers the calls that open a session, and another
one carries it as AWS's plugin would; what stands between them, the session's token, is looked for
where it may not be.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pymysql
import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import option_file
from ansible_collections.mlops.mlflow_aws.tests.integration.aws._entry import (
    RUNTIME,
    Place,
    database_server,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import REGION, ministack
from ansible_collections.mlops.mlflow_aws.tests.parts.host import (
    Modules,
    await_,
    experiments,
    processes,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.sshd import Sshd, sshd
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, short_folder

pytestmark = pytest.mark.timeout(600)

# Nothing resolves it.
DATABASE = "database.mlflow.invalid"
# The address is how this test asks the database itself.
NAMES = (DATABASE, "127.0.0.1")
SCHEMA = "mlflow_far"
FILES = CHECKOUT / "programs" / "tunnel"
TOKEN = "token-of-a-session"
CUT_SECONDS = 60
# What stands for the plugin: it forwards the port to where the stand-in of AWS says.
PLUGIN = """\
#!{python}
import asyncio, json, os, sys
if sys.argv[1:] == ["--version"]:
    print("1.2.707.0")
    sys.exit()
variable, region, verb, profile, request, endpoint = sys.argv[1:]
session, asked = json.loads(os.environ[variable]), json.loads(request)
assert session["TokenValue"] == "{token}" and verb == "StartSession", session
async def carry(source, sink):
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.close()
async def accept(reader, writer):
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", {target})
    await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))
async def serve():
    [port] = asked["Parameters"]["localPortNumber"]
    server = await asyncio.start_server(accept, "127.0.0.1", int(port))
    await server.serve_forever()
asyncio.run(serve())
"""


@dataclass(frozen=True)
class Laptop:
    """A host that reaches the database by its tunnel alone."""

    modules: Modules
    state: Path
    place: Place
    bastion: Sshd
    port: int

    @property
    def options(self) -> dict[str, Any]:
        """Return the options of a tunnel through the bastion."""
        return {
            "state_dir": str(self.state),
            "kind": "ssh",
            "port": self.port,
            # As the bastion knows it.
            "database_host": "127.0.0.1",
            "database_port": self.place.database.port,
            "ssh": {"bastion": self.bastion.destination, "options": self.bastion.arguments},
            "requirements": (FILES / "requirements.txt").read_text(),
            "program": (FILES / "mlflow_tunnel.py").read_text(),
            "timeout": 120,
        }

    @property
    def folder(self) -> Path:
        """Return where the tunnel has its files."""
        return self.state / "tunnel" / "database"

    def change(self, **more: Any) -> dict[str, Any]:
        """Open the tunnel, with other options on top, and return the module's result."""
        return self.modules.call("mlflow_database_tunnel", {**self.options, **more})

    def refuse(self, environment: Mapping[str, str] | None = None, **more: Any) -> str:
        """Return the one sentence with which the module fails."""
        options = {**self.options, **more}
        return self.modules.refuse("mlflow_database_tunnel", options, **(environment or {}))

    def close(self) -> dict[str, Any]:
        """End the tunnel."""
        options = {"state_dir": str(self.state), "state": "absent"}
        return self.modules.call("mlflow_database_tunnel", options)

    def carrier(self) -> int:
        """Return the process that carries the tunnel."""
        return int(json.loads((self.folder / "child.json").read_text())["pid"])

    def greets(self) -> bool:
        """Say whether a database greets at the tunnel's beginning."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            return bool(connection.recv(1))
        return False

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return the settings of a server that goes through the tunnel."""
        user = self.place.identity(SCHEMA, RUNTIME, suffix=uuid.uuid4().hex[:8])
        database = {**user, "tunnel": f"127.0.0.1:{self.port}"}
        uri = self.place.uri(SCHEMA, more.pop("host", DATABASE))
        return self.place.settings(SCHEMA, database, backend_store_uri=uri, **more)


@pytest.fixture(scope="module")
def laptop(
    modules: Modules,
    runtime: Mapping[str, Any],
    mysql_image: str,
    free_ports: Callable[[int], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Laptop]:
    """Start the bastion, MySQL and the emulated AWS for all tests."""
    with (
        database_server(mysql_image, free_ports(1)[0], names=NAMES) as database,
        ministack(free_ports(1)[0], tmp_path_factory.mktemp("aws")) as aws,
        sshd(tmp_path_factory.mktemp("sshd"), free_ports(1)[0]) as bastion,
        short_folder() as state,
    ):
        program = (Path(runtime["python"]), Path(runtime["entrypoint"]))
        place = Place(*program, database, aws, tmp_path_factory.mktemp("place"), free_ports)
        made = Laptop(modules, state, place, bastion, free_ports(1)[0])
        yield made
        made.close()


def test_it_opens_once(laptop: Laptop) -> None:
    """Check mode makes nothing; then it is there, and a second run changes nothing."""
    check = laptop.modules.call("mlflow_database_tunnel", laptop.options, check=True)
    assert check["changed"]
    assert list(laptop.state.iterdir()) == []
    record = laptop.change()["tunnel"]
    assert record["state"] == "running"
    assert record["address"] == f"127.0.0.1:{laptop.port}"
    assert laptop.greets()
    again = laptop.change()
    assert not again["changed"]
    assert again["tunnel"]["pid"] == record["pid"]


def test_servers_reach_their_database_and_verify_its_name(laptop: Laptop) -> None:
    """Migration and server go through the tunnel; a database of another name is refused."""
    schema = laptop.place.new_schema(SCHEMA)
    schema["database"]["tunnel"] = f"127.0.0.1:{laptop.port}"
    schema["uri"] = laptop.place.uri(SCHEMA, DATABASE)
    (record,) = laptop.place.migrate(schema)
    assert record["error"] == ""
    with laptop.place.serve(laptop.settings()) as server:
        server.await_ready()
        assert experiments(server.url) == {"Default"}
    told = laptop.place.refuse(laptop.settings(host="other.mlflow.invalid"))
    assert "a certificate that is not trusted" in told
    assert "other.mlflow.invalid" in told


def test_it_is_built_again(laptop: Laptop) -> None:
    """Whatever ends of it comes back: ssh, its keeper, and both with their Supervisor."""
    first = laptop.carrier()
    os.kill(first, signal.SIGKILL)
    await_(lambda: laptop.carrier() != first and laptop.greets(), "ssh did not come back")

    keeper, second = laptop.change()["tunnel"]["pid"], laptop.carrier()
    os.kill(keeper, signal.SIGKILL)
    await_(lambda: laptop.carrier() != second and laptop.greets(), "its keeper did not come back")

    # As a host that reboots, but for what ends in time.
    supervisor = int((laptop.state / "tunnel" / "supervisord.pid").read_text())
    for pid in (supervisor, laptop.change()["tunnel"]["pid"]):
        os.kill(pid, signal.SIGKILL)
    assert laptop.change()["changed"]
    assert laptop.greets()


@contextmanager
def cut(bastion: Sshd) -> Iterator[None]:
    """End all sessions of the bastion, and let it answer nobody meanwhile."""
    listener = int((bastion.folder / "pid").read_text())
    os.kill(listener, signal.SIGSTOP)
    try:
        for pid in processes(listener):
            if pid != listener:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        yield
    finally:
        os.kill(listener, signal.SIGCONT)


@pytest.mark.thorough("It waits for a minute; test_it_is_built_again cuts the tunnel every time.")
def test_a_minute_without_it_loses_nothing(laptop: Laptop) -> None:
    """A client that logs goes on by its own retries, the server by itself; every point is there."""
    with laptop.place.serve(laptop.settings()) as server:
        server.await_ready()
        program = (CHECKOUT / "tests" / "twin" / "_clients.py").read_text()
        command: list[str | Path] = [
            laptop.place.python,
            "-",
            server.url,
            "cut",
            "4",
            "40",
            "5",
            "0.5",
        ]
        with subprocess.Popen(
            command,
            env=laptop.place.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as clients:
            assert clients.stdin
            clients.stdin.write(program)
            clients.stdin.close()
            query = f"SELECT count(*) FROM {SCHEMA}.metrics WHERE `key` = 'cut'"
            await_(lambda: laptop.place.database.query(query)[0][0] > 20, "nothing was logged")
            with cut(laptop.bastion):
                await_(lambda: not laptop.greets(), "the tunnel is not cut")
                time.sleep(CUT_SECONDS)
            assert clients.stdout
            told = json.loads(clients.stdout.read())
    assert told["ended"] - told["began"] > CUT_SECONDS
    assert [run["error"] for run in told["runs"]] == [""] * 4
    points = {run["run_id"]: run["sent"] for run in told["runs"]}
    assert set(points.values()) == {200}
    query = f"SELECT run_uuid, count(*) FROM {SCHEMA}.metrics WHERE `key` = 'cut' GROUP BY run_uuid"
    assert dict(laptop.place.database.query(query)) == points


@dataclass
class Relay:
    """The stand-in of AWS: an Auto Scaling group that starts an instance, and sessions."""

    desired: int = 0
    sessions: int = 0
    document: str = ""

    def scaling(self, action: str) -> str:
        """Answer Auto Scaling, in the form of its query protocol."""
        if action == "SetDesiredCapacity":
            self.desired = 1
        member = (
            "<member><InstanceId>i-0</InstanceId><LifecycleState>InService</LifecycleState>"
            "<AvailabilityZone>a</AvailabilityZone><HealthStatus>Healthy</HealthStatus>"
            "<ProtectedFromScaleIn>false</ProtectedFromScaleIn></member>"
        )
        group = (
            f"<member><AutoScalingGroupName>relay</AutoScalingGroupName>"
            f"<DesiredCapacity>{self.desired}</DesiredCapacity>"
            f"<Instances>{member * self.desired}</Instances></member>"
        )
        result = f"<AutoScalingGroups>{group}</AutoScalingGroups>" if action[0] == "D" else ""
        return f"<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"

    def systems_manager(self, action: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer Systems Manager."""
        if action == "DescribeInstanceInformation":
            return {"InstanceInformationList": [{"InstanceId": "i-0", "PingStatus": "Online"}]}
        assert action == "StartSession", action
        assert asked["Target"] == "i-0"
        self.sessions += 1
        self.document = asked["DocumentName"]
        return {"SessionId": "ada-0", "StreamUrl": "wss://stream", "TokenValue": TOKEN}


@contextmanager
def standing_in(relay: Relay) -> Iterator[str]:
    """Serve the stand-in on loopback and give its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            target = self.headers.get("X-Amz-Target", "")
            if target:
                told = relay.systems_manager(target.rpartition(".")[2], json.loads(text))
                body = json.dumps(told).encode()
            else:
                body = relay.scaling(parse_qs(text)["Action"][0]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.thorough("Servers reach their database through a tunnel every time.")
def test_through_the_relay(laptop: Laptop, tmp_path: Path) -> None:
    """The relay is started, a session of the stack's document opened, its token in no argument."""
    relay = Relay()
    plugin = tmp_path / "session-manager-plugin"
    plugin.write_text(
        PLUGIN.format(python=sys.executable, token=TOKEN, target=laptop.place.database.port)
    )
    plugin.chmod(0o700)
    keys = {"AWS_SHARED_CREDENTIALS_FILE": str(laptop.place.home / ".aws" / "credentials")}
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(laptop.place.home)}
    with standing_in(relay) as url:
        ssm = {"group": "relay", "document": "mlflow-relay", "region": REGION, "endpoint_url": url}
        options = {**laptop.options, "kind": "ssm", "ssm": ssm}
        del options["ssh"]
        # Another carrier, so the one before ends first.
        laptop.close()
        done = laptop.modules.call("mlflow_database_tunnel", options, **path, **keys)
        assert done["tunnel"]["kind"] == "ssm"
        assert laptop.greets()
        assert (relay.desired, relay.sessions, relay.document) == (1, 1, "mlflow-relay")
        arguments = [
            one.read_bytes() for one in Path("/proc").glob("[0-9]*/cmdline") if one.exists()
        ]
        assert not [one for one in arguments if TOKEN.encode() in one]
        for file in laptop.folder.rglob("*"):
            assert TOKEN not in file.read_text(errors="replace")
        # A session that ends is followed by another.
        os.kill(laptop.carrier(), signal.SIGTERM)
        await_(lambda: relay.sessions == 2 and laptop.greets(), "no session followed")
        laptop.close()


def test_a_connection_through_it_says_when_it_is_not_open() -> None:
    """As an error of the driver that is worth another try, with the tunnel's address."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    opened = option_file.opener({"tunnel": f"127.0.0.1:{port}"}, {})
    with pytest.raises(pymysql.err.OperationalError) as raised:
        opened(host="db.invalid", user="u", password="p", connect_timeout=5)
    assert raised.value.args[0] == 2003
    assert f"the tunnel at 127.0.0.1:{port} is not open" in raised.value.args[1]
    direct = option_file.opener({}, {})
    assert isinstance(direct, functools.partial)
    assert direct.func is pymysql.connect


def test_faults_are_one_sentence(laptop: Laptop, free_ports: Callable[[int], list[int]]) -> None:
    """Each names what to do; what was there goes on, and nothing is left where nothing was."""
    laptop.close()
    with socket.create_server(("127.0.0.1", laptop.port)):
        told = laptop.refuse()
        assert f"Port {laptop.port} for the tunnel to the database is in use by" in told
        assert "mlflow_database_tunnel_port" in told
    assert "install the OpenSSH client" in laptop.refuse({"PATH": "/nowhere"})
    ssm = {"group": "relay", "document": "mlflow-relay", "region": REGION}
    told = laptop.refuse(kind="ssm", ssm=ssm)
    assert "This host has no session-manager-plugin 1.2.497.0 or newer" in told
    assert not laptop.folder.exists()
    nobody = {**laptop.options["ssh"], "bastion": f"ssh://nobody@127.0.0.1:{laptop.bastion.port}"}
    told = laptop.refuse(ssh=nobody)
    assert "The tunnel to the database does not come up; check mlflow_database_tunnel" in told
    assert "Permission denied" in told
    away = {**laptop.options["ssh"], "bastion": f"ssh://127.0.0.1:{free_ports(1)[0]}"}
    assert "Connection refused" in laptop.refuse(ssh=away)
    (nowhere,) = free_ports(1)
    told = laptop.refuse(database_port=nowhere, timeout=15)
    assert (
        f"its far end cannot reach 127.0.0.1:{nowhere}, so allow it in the database's security"
        in told
    )


def test_it_ends_without_a_trace(laptop: Laptop) -> None:
    """Absent ends processes and removes what was installed; a second time changes nothing."""
    laptop.change()
    assert laptop.greets()
    assert laptop.close()["changed"]
    assert not laptop.greets()
    assert {path.name for path in (laptop.state / "tunnel").glob("*/")} == set()
    assert not laptop.close()["changed"]
