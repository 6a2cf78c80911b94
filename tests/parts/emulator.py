# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS's stand-in: ministack on loopback ports, from a locked environment of its own."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import HTTPSHandler, OpenerDirector, ProxyHandler, Request, build_opener

import boto3
from ansible_collections.mlops.mlflow_aws.tests.parts.mysql_server import make_certificates
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment, new_environment
from botocore.config import Config

REGION = "eu-central-1"
ACCOUNT = "000000000000"
# The keys of ministack's root user, who may do everything with `auth` on, too.
ROOT = ("test", "test")
_START_SECONDS = 60
_END_SECONDS = 10


@dataclass(frozen=True)
class Ministack:
    """A running ministack: its URL, its log and its process.

    Where it speaks TLS, ca is the file of the CA that its certificate is verified by, and
    plain_url reaches it without TLS.
    """

    url: str
    log: Path
    process: subprocess.Popen[bytes]
    plain_url: str
    ca: Path | None = None

    def environment(self, key: str = ROOT[0], secret: str = ROOT[1]) -> dict[str, str]:
        """Return the variables that give a program credentials and a region, but no endpoint."""
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            **({"AWS_CA_BUNDLE": str(self.ca)} if self.ca else {}),
        }

    def options(self) -> dict[str, str]:
        """Return the connection options of our modules."""
        return {"region": REGION, "endpoint_url": self.url}

    def client(
        self,
        service: str,
        key: str = ROOT[0],
        secret: str = ROOT[1],
        token: str | None = None,
        *,
        plain: bool = False,
    ) -> Any:
        """Return a boto3 client of a service; a plain one does without TLS."""
        session = boto3.session.Session(key, secret, token, region_name=REGION)
        settings = Config(s3={"addressing_style": "path"}, read_timeout=60, proxies={})
        url = self.plain_url if plain else self.url
        verify = str(self.ca) if self.ca else None
        return session.client(service, endpoint_url=url, config=settings, verify=verify)

    def reset(self) -> None:
        """Forget everything that was made."""
        request = Request(f"{self.url}/_ministack/reset", b"")
        with _opener(self.ca).open(request, timeout=60) as answer:
            assert answer.status == 200

    def user(
        self, name: str, *allowed: str, deny: tuple[str, ...] = (), resource: str = "*"
    ) -> tuple[str, str]:
        """Make an IAM user who may do these actions, to all resources unless one is named.

        Return his keys.
        """
        iam = self.client("iam")
        iam.create_user(UserName=name)
        statements = [{"Effect": "Allow", "Action": list(allowed), "Resource": resource}]
        if deny:
            statements.append({"Effect": "Deny", "Action": list(deny), "Resource": "*"})
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="test", PolicyDocument=document)
        keys = iam.create_access_key(UserName=name)["AccessKey"]
        return keys["AccessKeyId"], keys["SecretAccessKey"]


@contextmanager
def ministack(
    port: int,
    folder: Path,
    tls: int = 0,
    /,
    *,
    auth: bool = False,
    record: str | Path = "",
    **environment: str,
) -> Iterator[Ministack]:
    """Start ministack on a loopback port, give it when it answers, and end it by its process id.

    folder takes its log and is its HOME; tls is one more loopback port, on which it speaks TLS,
    and which its URL then names; auth makes it enforce IAM, and record is the file in which it then
    writes what it asks of IAM; environment holds further settings of its own, such as DOCKER_HOST.
    """
    programs = new_environment("ministack")
    command: list[str | Path] = [programs / "ministack"]
    if record:
        command = [programs / "python", Path(__file__).parent / "iam_record.py", record]
    if tls:
        command = _both_ways(programs, port, tls, folder)
    variables = clean_environment(folder) | {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "AUTH": str(auth).lower(),
        "LOG_LEVEL": "INFO",
        **environment,
    }
    log = folder / "ministack.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=variables,
            cwd=folder,
            start_new_session=True,
        )
    plain = f"http://127.0.0.1:{port}"
    url, ca = (f"https://127.0.0.1:{tls}", folder / "ca.pem") if tls else (plain, None)
    server = Ministack(url, log, process, plain, ca)
    try:
        _await_ready(server)
        yield server
    finally:
        process.terminate()
        try:
            # With TLS it would wait half a minute for clients that keep their connections.
            process.wait(1 if tls else _END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_END_SECONDS)


def _both_ways(programs: Path, port: int, tls: int, folder: Path) -> list[str | Path]:
    """Return how to serve plain HTTP and TLS at once, with a CA and a certificate made for it.

    ministack's own USE_SSL would leave no plain HTTP, and open port 443 too where root may.
    """
    made = make_certificates("127.0.0.1")
    for name, text in (("ca.pem", made.ca), ("tls.pem", made.server), ("tls.key", made.key)):
        (folder / name).write_text(text)
    ports = ["--bind", f"127.0.0.1:{tls}", "--insecure-bind", f"127.0.0.1:{port}"]
    files = ["--certfile", str(folder / "tls.pem"), "--keyfile", str(folder / "tls.key")]
    # Without workers it is one process, which holds all state and ends when it is told to.
    rest = ["--workers", "0", "--keep-alive", "75", "ministack.app:app"]
    return [programs / "hypercorn", *ports, *files, *rest]


def _opener(ca: Path | None) -> OpenerDirector:
    """Return what asks a server on this machine, by no proxy; its certificate is verified."""
    context = ssl.create_default_context(cafile=ca)
    return build_opener(ProxyHandler({}), HTTPSHandler(context=context))


def _await_ready(server: Ministack) -> None:
    """Wait until the server says that it is ready, or fail with its log."""
    opener, why = _opener(server.ca), "it ended"
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            with opener.open(f"{server.url}/_ministack/ready", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (URLError, ConnectionError, TimeoutError) as error:
            why = str(error)
            time.sleep(0.1)
    text = server.log.read_text(encoding="utf-8", errors="replace")[-5000:]
    raise AssertionError(
        f"ministack did not become ready at {server.url} ({why}); its log ends:\n{text}"
    )
