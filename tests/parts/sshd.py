# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that are reached over SSH: one real sshd on loopback, which one user may log in to."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.mlops.mlflow_aws.tests.parts import docker_engine
from ansible_collections.mlops.mlflow_aws.tests.parts.host import await_

CONFIGURATION = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile {folder}/pid
AuthenticationMethods publickey
PermitRootLogin prohibit-password
# A private folder below /tmp is not one that sshd trusts.
StrictModes no
# Many hosts are one here.
MaxStartups 100
# Its log then names each command that it runs.
LogLevel VERBOSE
UsePAM {pam}
AllowUsers {user}
"""


@dataclass(frozen=True)
class Sshd:
    """A running sshd, and the key that it takes."""

    port: int
    folder: Path
    user: str

    @property
    def destination(self) -> str:
        """Return it as ssh takes a host."""
        return f"ssh://{self.variables['ansible_user']}@127.0.0.1:{self.port}"

    @property
    def arguments(self) -> list[str]:
        """Return the arguments with which ssh logs in there."""
        shared = self.variables["ansible_ssh_common_args"].split()
        return ["-i", self.variables["ansible_ssh_private_key_file"], *shared]

    @property
    def variables(self) -> dict[str, Any]:
        """Return the inventory variables of a host behind it."""
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": self.user,
            "ansible_ssh_private_key_file": str(self.folder / "user_key"),
            "ansible_ssh_common_args": (
                f"-F none -o UserKnownHostsFile={self.folder}/known -o ConnectTimeout=10"
            ),
        }

    def commands(self) -> int:
        """Return how many commands it has run; with pipelining a module is one."""
        return (self.folder / "log").read_text().count("Starting session: command")


@contextlib.contextmanager
def sshd(
    folder: Path, port: int, *, user: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[Sshd]:
    """Run one while the block runs.

    user: who logs in, this one if empty; another needs root, and a folder that both may read.
    environment: variables of their sessions; a HOME among them takes the place of the user's own.
    Raises Problem where Debian's packages are missing and cannot be installed, and AssertionError
    where it does not start.
    """
    docker_engine.install("sshd", "ssh")
    for name in ("host_key", "user_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    key = (folder / "host_key.pub").read_text()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {key}")
    root = os.geteuid() == 0
    if root:
        # Its service would make it.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    configuration = folder / "sshd_config"
    # As root, so that an account without a password is no locked one.
    pam = "yes" if root else "no"
    user = user or getpass.getuser()
    lines = [CONFIGURATION.format(port=port, folder=folder, pam=pam, user=user)]
    # The first line of a keyword counts, so all stand in one.
    variables = [f'"{name}={text}"' for name, text in (environment or {}).items()]
    lines += [f"SetEnv {' '.join(variables)}\n"] if variables else []
    configuration.write_text("".join(lines))
    # It starts itself anew for each connection, by its path.
    program = shutil.which("sshd", path=docker_engine.root_environment()["PATH"])
    assert program, "sshd is not there"
    log = folder / "log"
    command = [program, "-D", "-f", str(configuration), "-E", str(log)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        await_(lambda: process.poll() is not None or (folder / "pid").exists(), "sshd is not up")
        assert process.poll() is None, log.read_text()
        yield Sshd(port, folder, user)
    finally:
        process.terminate()
        process.wait(30)
