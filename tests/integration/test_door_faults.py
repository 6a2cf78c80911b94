# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The front door while its settings, its files, its servers and itself change, with clients at work."""

from __future__ import annotations

import http.client
import os
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts import door as doors
from ansible_collections.mlops.mlflow_aws.tests.parts.door import Door, Upstream
from ansible_collections.mlops.mlflow_aws.tests.parts.host import await_
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# The first test may have to install Caddy.
pytestmark = pytest.mark.timeout(600)

CREATE = "/churn/api/2.0/mlflow/runs/create"
UPLOAD = "/churn/api/2.0/mlflow-artifacts/artifacts/1/file"
MEMBERS = {
    "ann": {"churn": "manage", "other": "manage"},
    "ed": {"churn": "edit"},
    "rae": {"churn": "read"},
}
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def door_python(environment: Callable[..., Path]) -> Path:
    """Return the Python of the door's locked requirements."""
    return environment("door", "../programs/door/requirements") / "python"


@pytest.fixture(scope="module")
def churn() -> Iterator[Upstream]:
    """Return a server that notes what reaches it."""
    with doors.upstream(keep=False) as found:
        yield found


@pytest.fixture(scope="module")
def front(
    door_python: Path, churn: Upstream, free_ports: Callable[[int], list[int]]
) -> Iterator[Door]:
    """Return a door before it, and before a server that nobody starts."""
    port, dead = free_ports(2)
    upstreams = {"churn": churn.address, "other": f"127.0.0.1:{dead}"}
    with doors.door(door_python, port, upstreams, MEMBERS, hold=6) as found:
        yield found


@contextmanager
def clients(front: Door, count: int) -> Iterator[list[int]]:
    """Let clients create runs, each over a kept connection; give the statuses of all answers.

    As MLflow's, they try again after 429.
    """
    statuses: list[int] = []
    ending = threading.Event()

    def work() -> None:
        with closing(front.connection()) as connection:
            while not ending.is_set():
                asked = ("POST", CREATE, front.secrets["ed"], b"{}", None, connection)
                status = front.ask(*asked).status
                if status != 429:
                    statuses.append(status)

    threads = [threading.Thread(target=work) for _number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        ending.set()
        for thread in threads:
            thread.join(60)


def test_settings_are_replaced_under_clients(front: Door, churn: Upstream) -> None:
    """A project comes, and goes: no request of the others fails, nor a slow upload."""
    before = len(churn.seen)
    projects = dict(front.settings["projects"])
    with clients(front, 3) as statuses, closing(front.connection()) as slow:
        slow.putrequest("PUT", UPLOAD)
        slow.putheader("Authorization", f"Bearer {front.secrets['ed']}")
        slow.putheader("Content-Length", str(8 * MEBIBYTE))
        slow.endheaders()
        slow.send(b"x" * MEBIBYTE)
        for number in range(4):
            more = {f"project-{number}": projects["churn"]}
            state = front.change(projects=projects | more)
            assert (state["error"], state["configuration"]) == ("", front.settings["configuration"])
            assert (
                front.ask("GET", f"/project-{number}/version", front.secrets["rae"]).status == 200
            )
            slow.send(b"x" * MEBIBYTE)
        front.change(projects=projects)
        assert front.ask("GET", "/project-3/version", front.secrets["rae"]).status == 403
        slow.send(b"x" * 3 * MEBIBYTE)
        assert slow.getresponse().status == 200
    assert len(statuses) > 20
    assert set(statuses) == {200}
    created = [seen for seen in churn.seen[before:] if seen.method == "POST"]
    assert len(created) == len(statuses)


def test_caddy_loads_under_clients(front: Door) -> None:
    """What is Caddy's own changes, and no request fails that had begun."""
    with closing(front.connection()) as slow:
        slow.putrequest("PUT", UPLOAD)
        slow.putheader("Authorization", f"Bearer {front.secrets['ed']}")
        slow.putheader("Content-Length", str(2 * MEBIBYTE))
        slow.endheaders()
        slow.send(b"x" * MEBIBYTE)
        assert front.change(session=1800, hold=5)["error"] == ""
        assert front.ask("GET", "/churn/version", front.secrets["rae"]).status == 200
        slow.send(b"x" * MEBIBYTE)
        assert slow.getresponse().status == 200
    front.change(hold=6)


def test_broken_settings_change_nothing(front: Door) -> None:
    """The state says why, and the next ones that are right are used."""
    kept = front.state()["configuration"]
    good = dict(front.settings)
    for changes, words in (
        ({"secret": ""}, "secret is too short"),
        ({"tls": {"kind": "files", "certificate": "/none", "key": "/none"}}, "Caddy refuses"),
        ({"listen": ["127.0.0.1:99999"]}, "Caddy refuses"),
    ):
        state = front.change(**changes)
        assert words in state["error"]
        assert "\n" not in state["error"]
        assert state["configuration"] == kept
        assert front.ask("GET", "/churn/version", front.secrets["rae"]).status == 200
        front.settings = dict(good)
    assert front.change()["error"] == ""


def test_tokens_and_members_end_in_use(front: Door) -> None:
    """Over a connection that is kept, at the next request."""
    token = front.token("ed")
    with closing(front.connection()) as connection:
        asked = ("POST", CREATE, token, b"{}", None, connection)
        assert front.ask(*asked).status == 200
        front.revoke(token)
        assert front.ask(*asked).status == 401
        asked = ("POST", CREATE, front.secrets["ed"], b"{}", None, connection)
        assert front.ask(*asked).status == 200
        members = dict(front.settings["members"])
        front.change(members={name: one for name, one in members.items() if name != "ed"})
        assert front.ask(*asked).status == 401
        front.change(members=members)
        assert front.ask(*asked).status == 200


def test_requests_wait_for_a_server(front: Door, free_ports: Callable[[int], list[int]]) -> None:
    """One that closes its port for three seconds is missed by nobody, and gets each request once."""
    [port] = free_ports(1)
    projects = dict(front.settings["projects"])
    with ExitStack() as stack:
        first = stack.enter_context(doors.upstream(port, keep=False))
        front.change(projects=projects | {"churn": projects["churn"] | {"upstream": first.address}})
        with clients(front, 4) as statuses:
            await_(lambda: len(statuses) > 8, "requests are answered")
            stack.close()
            count = len(statuses)
            time.sleep(3)
            # At most those that were on their way.
            assert len(statuses) <= count + 4
            second = stack.enter_context(doors.upstream(port, keep=False))
            await_(lambda: len(second.seen) > 8, "requests are answered again")
        assert set(statuses) == {200}
        assert len(first.seen) + len(second.seen) == len(statuses)
        front.change(projects=projects)


def test_a_server_that_is_gone(front: Door) -> None:
    """Clients are told to try again, by the one status after which each of MLflow's does."""
    began = time.monotonic()
    answer = front.ask("POST", CREATE.replace("churn", "other"), front.secrets["ann"], b"{}")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "2")
    assert 5 < time.monotonic() - began < 12


def test_a_server_that_ends_while_it_works(
    front: Door, free_ports: Callable[[int], list[int]]
) -> None:
    """Nobody knows what it did, so that a client decides whether it repeats."""
    [port] = free_ports(1)
    projects = dict(front.settings["projects"])
    front.change(
        projects=projects | {"churn": projects["churn"] | {"upstream": f"127.0.0.1:{port}"}}
    )
    with closing(doors.listener(port)) as listening:

        def take() -> None:
            connection, _address = listening.accept()
            connection.recv(65536)
            connection.close()

        thread = threading.Thread(target=take)
        thread.start()
        answer = front.ask("POST", CREATE, front.secrets["ed"], b"{}")
        thread.join(10)
    assert answer.status == 502
    assert doors.SECRET not in front.log
    front.change(projects=projects)


def test_a_killed_door_is_gone_as_a_whole(front: Door) -> None:
    """And a new start works, with the same CA and what was stored."""
    assert front.process is not None
    authority = front.authority.read_bytes()
    pids = [front.process.pid, *doors.caddies(front.process.pid)]
    assert len(pids) == 2
    front.end(signal.SIGKILL)
    await_(lambda: not any(map(doors.runs, pids)), "Caddy is gone", 10)
    # Threads of a process may end after it.
    await_(lambda: doors.refuses(front.port), "its port is closed", 10)
    front.start()
    assert front.authority.read_bytes() == authority
    assert front.ask("GET", "/churn/version", front.secrets["rae"]).status == 200


def test_a_caddy_that_is_gone_ends_the_door(front: Door) -> None:
    """So that what supervises it starts both."""
    assert front.process is not None
    [caddy] = doors.caddies(front.process.pid)
    os.kill(caddy, signal.SIGKILL)
    assert front.process.wait(20) == 2
    assert "Caddy ended with code -9" in front.log
    front.start()


def test_nobody_else_reaches_its_sockets(front: Door) -> None:
    """Neither Caddy's administration nor the door's own process, and its files are its own."""
    assert front.process is not None
    [caddy] = doors.caddies(front.process.pid)
    private = Path(os.readlink(f"/proc/{caddy}/cwd"))
    assert private.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in private.iterdir()} == {"admin.sock", "door.sock"}
    for path in (front.folder / "caddy", *(front.folder / "caddy").rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
    words = (
        Path(f"/proc/{caddy}/cmdline").read_bytes() + Path(f"/proc/{caddy}/environ").read_bytes()
    )
    assert doors.SECRET.encode() not in words
    front.end()
    assert not private.exists()
    front.start()


def pair(folder: Path, days: int) -> None:
    """Write a certificate for the door that signs itself, which has ended if days is negative."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, doors.HOST)])
    end = datetime.now(UTC) + timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=30))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(doors.HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "door.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "door.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def test_certificates_of_files_run_out_and_are_replaced(front: Door, tmp_path: Path) -> None:
    """The client is told by TLS; new files of the same names are read when the settings change."""
    kept = dict(front.settings)
    pair(tmp_path, -1)
    files = {
        name: str(tmp_path / f"door.{end}")
        for name, end in (("certificate", "crt"), ("key", "key"))
    }

    def ask() -> int:
        context = ssl.create_default_context(cafile=files["certificate"])
        connection = doors.Connection(doors.HOST, front.port, context=context, timeout=20)
        with closing(connection):
            connection.request("GET", "/-/login")
            return connection.getresponse().status

    assert front.change(tls={"kind": "files", **files})["error"] == ""
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
        ask()
    pair(tmp_path, 30)
    assert front.change()["error"] == ""
    assert ask() == 200
    front.settings = kept
    front.change()


def test_http_is_redirected(front: Door, free_ports: Callable[[int], list[int]]) -> None:
    """To the one name, whatever the request says."""
    [port] = free_ports(1)
    front.change(redirect=[f"127.0.0.1:{port}"])
    for target, location in (
        ("/churn/?a=b", f"{front.url}/churn/?a=b"),
        ("//evil.example/", f"{front.url}//evil.example/"),
        ("http://evil.example/x", f"{front.url}/x"),
        ("http:evil.example/", None),
    ):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as plain:
            plain.request("GET", target, headers={"Host": "evil.example"})
            answer = plain.getresponse()
            assert answer.getheader("Location") == location
            assert answer.status == (308 if location else 400)
    front.change(redirect=[])
