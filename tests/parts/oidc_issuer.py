# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real issuer of OpenID Connect on loopback: the certified oidc-provider for Node.js, locked beside this file.

It demands PKCE and the exact redirect URI, and gives the email address at its userinfo endpoint, as the
specification has it. Its own pages take any login.
"""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, NEEDS, clean_environment

SOURCE = Path(__file__).with_suffix("")
CLIENT, SECRET = "door", "a secret for tests"
_START_SECONDS, _INSTALL_SECONDS = 60, 300


@dataclass
class Issuer:
    """An issuer that runs."""

    port: int
    redirect: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, str]:
        """Return the door's settings for it."""
        return {
            "issuer": f"http://localhost:{self.port}",
            "client_id": CLIENT,
            "client_secret": SECRET,
            "name": "Acme",
        }

    def start(self, folder: Path) -> None:
        """Start it, and wait until it listens; what it makes is in memory."""
        home = install()
        command = ["node", "issuer.mjs", str(self.port), CLIENT, SECRET, self.redirect]
        log = folder / "issuer.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=home,
                env=clean_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, log.read_text()
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return
            time.sleep(0.05)
        raise AssertionError(log.read_text())

    def end(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def install() -> Path:
    """Install the locked packages into .venvs/ unless they are there; return the folder."""
    lock = (SOURCE / "package-lock.json").read_bytes()
    home = CHECKOUT / ".venvs" / f"oidc-issuer-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not shutil.which("npm"):
        pytest.skip(f"{NEEDS}Node.js 18 or newer with npm.")
    if not (home / "node_modules" / "oidc-provider").is_dir():
        home.parent.mkdir(exist_ok=True)
        made = home.with_suffix(".part")
        shutil.rmtree(made, ignore_errors=True)
        shutil.copytree(SOURCE, made)
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=made,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        made.replace(home)
    shutil.copy(SOURCE / "issuer.mjs", home)
    return home


@contextmanager
def issuer(port: int, redirect: str, folder: Path) -> Iterator[Issuer]:
    """Run an issuer for one client, and end it."""
    made = Issuer(port, redirect)
    made.start(folder)
    try:
        yield made
    finally:
        made.end()
