# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A front door as a process of its own, as hosts run it, with members, tokens and a CA of its own."""

from __future__ import annotations

import base64
import errno
import hashlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT

PROGRAM = CHECKOUT / "programs" / "door" / "mlflow_door.py"
HOST = "mlflow.example.com"
SECRET = "s" * 43
PASSWORD = "correct horse"
_START_SECONDS, _LOAD_SECONDS = 60, 20
# Of which door requests are sent to the server of a project.
MEMBER, KNOWN_BY = "X-Mlflow-Member", "Authorization"


class Answer(NamedTuple):
    """An answer of the door."""

    status: int
    headers: http.client.HTTPMessage
    text: str


@dataclass
class Door:
    """A door that runs, and what it takes to change it and to start it again.

    members: name to roles in projects; url: its address, for clients that know its name as this machine's.
    """

    python: Path
    folder: Path
    port: int
    settings: dict[str, Any]
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the address of its pages."""
        return f"https://{self.settings['host']}:{self.port}"

    @property
    def log(self) -> str:
        """Return its log."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def audit(self) -> list[dict[str, Any]]:
        """Return the lines of its audit log."""
        return [json.loads(line) for line in (self.folder / "audit.log").read_text().splitlines()]

    @property
    def authority(self) -> Path:
        """Return the certificate of its CA."""
        return Path(self.state()["authority"])

    def state(self) -> dict[str, Any]:
        """Return what it tells of itself."""
        found: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return found

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self.write()
        (self.folder / "state.json").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as output:
            self.process = subprocess.Popen(
                [self.python, "-I", PROGRAM, "serve", self.folder / "settings.json"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log
            with suppress(OSError, ValueError):
                if self.state()["configuration"] and self.certificate():
                    return
            time.sleep(0.05)
        raise AssertionError(f"The door did not get ready: {self.log}")

    def certificate(self) -> bool:
        """Return whether it shows a certificate; the first one takes a moment."""
        context = ssl._create_unverified_context()
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname=self.settings["host"]) as made,
        ):
            return bool(made.getpeercert(binary_form=True))

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal; return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(40)

    def change(self, **changes: Any) -> dict[str, Any]:
        """Replace settings, and wait until the door tells what it did; return its state."""
        before = (self.folder / "state.json").stat().st_mtime_ns
        self.settings |= {"configuration": secrets.token_hex(8), **changes}
        self.write()
        deadline = time.monotonic() + _LOAD_SECONDS
        while (self.folder / "state.json").stat().st_mtime_ns == before:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)
        return self.state()

    def write(self, name: str = "settings.json", content: object = None) -> None:
        """Write a file as the modules do: whole, and in place of the former one."""
        made = self.folder / f".{name}"
        made.touch(0o600)
        made.write_text(json.dumps(self.settings if content is None else content))
        made.replace(self.folder / name)

    def token(self, member: str, *, expires: float = 0) -> str:
        """Give a member a token."""
        key, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        self.tokens[key] = {
            "member": member,
            "sha256": hashlib.sha256(secret.encode()).hexdigest(),
            "created": int(time.time()),
            "expires": expires,
            "name": "test",
        }
        self.write("tokens.json", self.tokens)
        return f"mlflow_{key}_{secret}"

    def revoke(self, token: str) -> None:
        """Take a token away."""
        del self.tokens[token.split("_")[1]]
        self.write("tokens.json", self.tokens)

    def context(self) -> ssl.SSLContext:
        """Return what trusts its CA alone."""
        return ssl.create_default_context(cafile=str(self.authority))

    def connection(self) -> http.client.HTTPSConnection:
        """Return a connection under its name."""
        return Connection(self.settings["host"], self.port, context=self.context(), timeout=60)

    def ask(
        self,
        method: str,
        path: str,
        token: str = "",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        connection: http.client.HTTPSConnection | None = None,
    ) -> Answer:
        """Send a request, over a connection of its own if none is given; return the answer."""
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        with closing(self.connection()) if connection is None else nullcontext(connection) as used:
            used.request(method, path, body, {**sent, **(headers or {})})
            answer = used.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode("utf-8", "replace"))


class Connection(http.client.HTTPSConnection):
    """A connection to this machine under a name of the door's."""

    def __init__(self, host: str, port: int, *, context: ssl.SSLContext, timeout: float) -> None:
        """Take where it leads."""
        super().__init__(host, port, context=context, timeout=timeout)
        self._tls = context

    def connect(self) -> None:
        """Connect."""
        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


def quick(connection: http.client.HTTPConnection) -> http.client.HTTPConnection:
    """Connect, and send what is written at once, as MLflow's client does."""
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def basic(name: str, password: str) -> str:
    """Return the header for a name and a password."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@contextmanager
def door(
    python: Path,
    port: int,
    upstreams: Mapping[str, str],
    members: Mapping[str, Mapping[str, str]],
    **settings: Any,
) -> Iterator[Door]:
    """Run a door before these servers (project to HOST:PORT), and end it.

    members: name to roles by project; each has a token in `secrets`, and ann the password PASSWORD.
    """
    folder = Path(tempfile.mkdtemp(prefix="door-"))
    made = Door(
        python,
        folder,
        port,
        {
            "configuration": "0123456789abcdef",
            "host": HOST,
            "listen": [f"127.0.0.1:{port}"],
            "redirect": [],
            "port": port,
            "tls": {"kind": "internal"},
            "secret": SECRET,
            "projects": {
                name: {
                    "upstream": upstream,
                    "owner": "research",
                    "description": f"About {name}",
                    "members": {
                        one: roles[name] for one, roles in members.items() if name in roles
                    },
                }
                for name, upstream in upstreams.items()
            },
            "members": {
                name: {"kind": "person", "email": f"{name}@example.com"} for name in members
            },
            "oidc": None,
            "session": 3600,
            "hold": 10,
            **settings,
        },
    )
    for member in members:
        made.secrets[member] = made.token(member)
    salt = secrets.token_bytes(16)
    scrypt = hashlib.scrypt(PASSWORD.encode(), salt=salt, n=2**16, r=8, p=1, maxmem=2**27, dklen=32)
    made.write("passwords.json", {"ann": {"salt": salt.hex(), "scrypt": scrypt.hex()}})
    (folder / "session.key").write_text(secrets.token_hex(32))
    try:
        made.start()
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.end()
        shutil.rmtree(folder)


class Seen(NamedTuple):
    """A request that reached a server."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Upstream:
    """A server that notes what reaches it."""

    address: str
    seen: list[Seen] = field(default_factory=list)


@contextmanager
def upstream(port: int = 0, *, keep: bool = True) -> Iterator[Upstream]:
    """Run a server that answers everything, and notes it; with keep=False only how often."""
    made = Upstream("")

    class Handler(BaseHTTPRequestHandler):
        """Notes each request."""

        protocol_version = "HTTP/1.1"
        # An answer is one packet, so that nobody waits for another.
        wbufsize = -1

        def __getattr__(self, name: str) -> Any:
            """Answer any method."""
            if name.startswith("do_"):
                return self.answer
            raise AttributeError(name)

        def answer(self) -> None:
            """Read the request, note and answer it."""
            length = int(self.headers.get("Content-Length") or 0)
            body = (
                self.chunks() if self.headers.get("Transfer-Encoding") else self.rfile.read(length)
            )
            made.seen.append(
                Seen(self.command, self.path, dict(self.headers), body if keep else b"")
            )
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.send_header("Set-Cookie", "evil=1")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(b"{}")

        def chunks(self) -> bytes:
            """Read a body that comes in chunks."""
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    class Server(ThreadingHTTPServer):
        """Takes many connections at once."""

        request_queue_size = 128
        daemon_threads = True

    with Server(("127.0.0.1", port), Handler) as server:
        made.address = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


def runs(pid: int) -> bool:
    """Return whether a process runs, and is not a zombie."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def caddies(keeper: int) -> list[int]:
    """Return the processes that a door's process has started."""
    with suppress(OSError):
        children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
        return [int(child) for child in children if _name(int(child)) == "caddy"]
    return []


def _name(pid: int) -> str:
    """Return the name of a process's program."""
    with suppress(OSError):
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    return ""


def listener(port: int) -> socket.socket:
    """Return a socket that listens on a port of this machine."""
    return socket.create_server(("127.0.0.1", port))


def refuses(port: int) -> bool:
    """Return whether nobody listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
