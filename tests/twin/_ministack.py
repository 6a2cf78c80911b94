# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS's stand-in: ministack on a loopback port, from a locked environment of its own."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import boto3
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment, new_environment
from botocore.config import Config

REGION = "eu-central-1"
ACCOUNT = "000000000000"
# The keys of ministack's root user, who may do everything with `auth` on, too.
ROOT = ("test", "test")
_START_SECONDS = 60
_END_SECONDS = 10
_OPENER = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class Ministack:
    """A running ministack: its URL, its log and its process."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]

    def environment(self, key: str = ROOT[0], secret: str = ROOT[1]) -> dict[str, str]:
        """Return the variables that give a program credentials and a region, but no endpoint."""
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def options(self) -> dict[str, str]:
        """Return the connection options of our modules."""
        return {"region": REGION, "endpoint_url": self.url}

    def client(self, service: str, key: str = ROOT[0], secret: str = ROOT[1]) -> Any:
        """Return a boto3 client of a service."""
        session = boto3.session.Session(key, secret, region_name=REGION)
        settings = Config(s3={"addressing_style": "path"}, read_timeout=60)
        return session.client(service, endpoint_url=self.url, config=settings)

    def reset(self) -> None:
        """Forget everything that was made."""
        with _OPENER.open(Request(f"{self.url}/_ministack/reset", b""), timeout=60) as answer:
            assert answer.status == 200

    def user(self, name: str, *allowed: str, deny: tuple[str, ...] = ()) -> tuple[str, str]:
        """Make an IAM user who may do these actions, all resources alike; return his keys."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        statements = [{"Effect": "Allow", "Action": list(allowed), "Resource": "*"}]
        if deny:
            statements.append({"Effect": "Deny", "Action": list(deny), "Resource": "*"})
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="test", PolicyDocument=document)
        keys = iam.create_access_key(UserName=name)["AccessKey"]
        return keys["AccessKeyId"], keys["SecretAccessKey"]


@contextmanager
def ministack(
    port: int, folder: Path, *, auth: bool = False, **environment: str
) -> Iterator[Ministack]:
    """Start ministack on a loopback port, give it when it answers, and end it by its process id.

    folder takes its log and is its HOME; auth makes it enforce IAM; environment holds further
    settings of its own, such as DOCKER_HOST.
    """
    program = new_environment("ministack") / "ministack"
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
            [program],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=variables,
            cwd=folder,
            start_new_session=True,
        )
    server = Ministack(f"http://127.0.0.1:{port}", log, process)
    try:
        _await_ready(server)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_END_SECONDS)


def _await_ready(server: Ministack) -> None:
    """Wait until the server says that it is ready, or fail with its log."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            with _OPENER.open(f"{server.url}/_ministack/ready", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    text = server.log.read_text(encoding="utf-8", errors="replace")[-5000:]
    raise AssertionError(f"ministack did not become ready at {server.url}; its log ends:\n{text}")
