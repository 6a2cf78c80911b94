# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EC2's metadata service at its own address, for what must not get a host's credentials from it.

It runs in a network namespace, whose only neighbour is this machine, as the service is each instance's
neighbour. Tokens are required (IMDSv2), and what is sent of one has the hop limit as its time to live: so
this machine's kernel, and none of ours, keeps an answer from a container that is one hop further away.
This machine itself reaches the service from inside the namespace, and containers by a rule for what comes
from their bridge, so that no other process is led there.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ADDRESS = "169.254.169.254"
KEY = "ASIAOFTHEHOST0000000"
ROLE = "host"
_START_SECONDS = 30
_TOKEN = "token-of-the-host"
_PLACE = "/latest/meta-data/iam/security-credentials/"
# The requests by which a client gets the host's credentials.
FIRST_REQUEST, LAST_REQUEST = "PUT /latest/api/token", f"GET {_PLACE}{ROLE}"
# Whoever looks for credentials as botocore does; the client is the one that has always come with it.
FETCH = """
import json
from botocore.utils import InstanceMetadataFetcher
fetcher = InstanceMetadataFetcher(timeout=3, num_attempts=1, env={})
print(json.dumps(fetcher.retrieve_iam_role_credentials().get("access_key")))
"""


class _Service(BaseHTTPRequestHandler):
    """One request: for a token, or with one."""

    protocol_version = "HTTP/1.1"
    hops = 1

    def do_PUT(self) -> None:
        """Give a token, which comes as far as the hop limit."""
        if self.path != "/latest/api/token":
            self._answer(404, "")
            return
        self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, self.hops)
        self._answer(200, _TOKEN)

    def do_GET(self) -> None:
        """Give the role's name, or its credentials, to those who have a token."""
        end = datetime.now(UTC) + timedelta(hours=6)
        credentials = {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": KEY,
            "SecretAccessKey": "of-the-host",
            "Token": "session-of-the-host",
            "LastUpdated": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        content = {_PLACE: ROLE, f"{_PLACE}{ROLE}": json.dumps(credentials)}
        if self.headers["X-aws-ec2-metadata-token"] != _TOKEN:
            self._answer(401, "")
        elif self.path in content:
            self._answer(200, content[self.path])
        else:
            self._answer(404, "")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_arguments: object) -> None:
        """Note each request in a line of its own."""
        print(self.command, self.path, flush=True)


@dataclass(frozen=True)
class Metadata:
    """The service while it runs: its namespace, and the file of its requests."""

    namespace: str
    log: Path

    @property
    def inside(self) -> list[str]:
        """Return what a command begins with that runs as if on the instance itself."""
        return ["ip", "netns", "exec", self.namespace]

    @property
    def requests(self) -> list[str]:
        """Return the requests so far, each as its method and path."""
        return self.log.read_text().splitlines()[1:]


@contextmanager
def metadata_service(folder: Path, *, hops: int = 1, bridge: str = "") -> Iterator[Metadata]:
    """Run it with this hop limit, for what comes from a bridge of this machine; as root.

    folder takes the file of its requests. Nothing of it is left afterwards.
    """
    name, near = f"imds-{os.getpid()}", f"mlfm-{os.getpid()}"
    number = 4 * random.randrange(64)
    host, service = f"203.0.113.{number + 1}", f"203.0.113.{number + 2}"
    table = str(20_000 + os.getpid() % 10_000)
    log = folder / f"metadata-{hops}.log"
    with ExitStack() as stack:
        _ip("netns", "add", name)
        stack.callback(_ip, "netns", "delete", name)
        _ip("-n", name, "link", "set", "lo", "up")
        _ip("link", "add", near, "type", "veth", "peer", "name", "far", "netns", name)
        # It would outlive the namespace for a while.
        stack.callback(_ip, "link", "delete", near)
        _ip("address", "add", f"{host}/30", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", name, "address", "add", f"{service}/30", "dev", "far")
        _ip("-n", name, "address", "add", f"{ADDRESS}/32", "dev", "far")
        _ip("-n", name, "link", "set", "far", "up")
        if bridge:
            _ip("route", "add", ADDRESS, "via", service, "dev", near, "table", table)
            rule = ("iif", bridge, "to", ADDRESS, "lookup", table)
            _ip("rule", "add", "priority", table, *rule)
            stack.callback(_ip, "rule", "delete", "priority", table, *rule)
        made = Metadata(name, log)
        with log.open("w") as output:
            process = subprocess.Popen(
                [*made.inside, sys.executable, __file__, str(hops)],
                stdout=output,
                stderr=subprocess.DEVNULL,
            )
        stack.callback(process.wait, _START_SECONDS)
        stack.callback(process.kill)
        deadline = time.monotonic() + _START_SECONDS
        while not log.read_text():
            assert process.poll() is None, "The metadata service did not start."
            assert time.monotonic() < deadline, "The metadata service did not start in time."
            time.sleep(0.05)
        yield made


def _ip(*arguments: str) -> None:
    """Run the ip program, which must succeed."""
    program = shutil.which("ip", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    done = subprocess.run(
        [program or "ip", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


def main() -> None:
    """Serve in this namespace until this process is ended."""
    _Service.hops = int(sys.argv[1])
    with ThreadingHTTPServer((ADDRESS, 80), _Service) as server:
        print("ready", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
