# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS's second stand-in: moto on a loopback port, from a locked environment of its own."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import REGION
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment, new_environment
from botocore.config import Config

# moto's own.
ACCOUNT = "123456789012"
_START_SECONDS = 60
_END_SECONDS = 10


@dataclass(frozen=True)
class Moto:
    """A running moto: its URL and its log."""

    url: str
    log: Path

    def client(self, service: str) -> Any:
        """Return a boto3 client of a service, which tries once."""
        session = boto3.session.Session("test", "test", region_name=REGION)
        settings = Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
            read_timeout=60,
            proxies={},
        )
        return session.client(service, endpoint_url=self.url, config=settings)


@contextmanager
def moto(port: int, folder: Path) -> Iterator[Moto]:
    """Start moto on a loopback port, give it when it answers, and end it by its process id.

    folder takes its log and is its HOME.
    """
    server = new_environment("moto") / "moto_server"
    log = folder / "moto.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [server, "--host", "127.0.0.1", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=clean_environment(folder) | {"AWS_DEFAULT_REGION": REGION},
            cwd=folder,
            start_new_session=True,
        )
    try:
        _await_port(process, port, log)
        yield Moto(f"http://127.0.0.1:{port}", log)
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_END_SECONDS)


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the server accepts connections, or fail with its log."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    text = log.read_text(encoding="utf-8", errors="replace")[-5000:]
    raise AssertionError(f"moto did not answer on port {port}; its log ends:\n{text}")
