# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's credential broker as a process of its own, as hosts run it."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT

PROGRAM = CHECKOUT / "programs" / "broker" / "mlflow_broker.py"
_START_SECONDS = 120


@dataclass
class Broker:
    """A broker that runs: its sockets, and what it takes to start it again."""

    python: Path
    folder: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Path:
        """Return its settings file."""
        return self.folder / "settings.json"

    @property
    def log(self) -> str:
        """Return its log."""
        return (self.folder / "log").read_text(errors="replace")

    def socket(self, project: str) -> str:
        """Return the path of a project's socket."""
        return str(self.folder / project / "aws.sock")

    def get(self, project: str) -> dict[str, Any]:
        """Return what the project's socket gives."""
        return ask(self.socket(project))

    def state(self) -> dict[str, Any]:
        """Return the broker's state."""
        return ask(str(self.folder / "state"))

    def start(self) -> None:
        """Start it, and wait until it has asked AWS for each project."""
        with (self.folder / "log").open("ab") as output:
            self.process = subprocess.Popen(
                [self.python, "-I", PROGRAM, "serve", self.settings],
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log
            with suppress(OSError, ValueError):
                if self.state()["ready"]:
                    return
            time.sleep(0.1)
        raise AssertionError(f"The broker did not get ready: {self.log}")

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal; return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)


def ask(path: str) -> dict[str, Any]:
    """Return what a socket of a broker gives to whoever sends the key in the file beside it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(path)
        connection.sendall(Path(path).with_suffix(".key").read_bytes())
        with connection.makefile("rb") as stream:
            answer: dict[str, Any] = json.loads(stream.read())
            return answer


@contextmanager
def broker(
    python: Path,
    projects: Mapping[str, str],
    options: Mapping[str, str],
    environment: Mapping[str, str],
    prepare: Callable[[Broker], None] = lambda _made: None,
) -> Iterator[Broker]:
    """Run a broker for these projects (name to role), and end it.

    options: region and endpoint_url, and a profile if any; environment: the broker's own.
    """
    # The paths of sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="broker-"))
    settings = {
        "profile": "",
        **options,
        "configuration": "0123456789abcdef",
        "environment": {},
        "state": str(folder / "state"),
        "projects": {
            name: {"role_arn": role, "socket": str(folder / name / "aws.sock")}
            for name, role in projects.items()
        },
    }
    for project in projects:
        (folder / project).mkdir(0o700)
    made = Broker(python, folder, environment)
    made.settings.write_text(json.dumps(settings))
    prepare(made)
    try:
        made.start()
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.end()
        shutil.rmtree(folder)
