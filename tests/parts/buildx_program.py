# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's buildx plugin: this machine's own, or Debian's, unpacked into a folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Problem

NAME = "docker-buildx"
# Where the docker command looks for plugins, beside the user's own folder.
FOLDERS = (
    Path.home() / ".docker/cli-plugins",
    Path("/usr/local/lib/docker/cli-plugins"),
    Path("/usr/local/libexec/docker/cli-plugins"),
    Path("/usr/lib/docker/cli-plugins"),
    Path("/usr/libexec/docker/cli-plugins"),
)
# Debian's stable releases with an engine of their own may lack the plugin.
SUITE = "sid"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR = "http://deb.debian.org/debian"
SECONDS = 300


def provide(folder: Path) -> Path:
    """Return the plugin's path; an empty folder takes it where the machine has none."""
    for place in FOLDERS:
        if (place / NAME).exists():
            return place / NAME
    return _unpack(folder)


def _unpack(folder: Path) -> Path:
    """Get Debian's package with a configuration of apt of its own, and unpack it."""
    mirror = os.environ.get("MLFLOW_AWS_DEBIAN_MIRROR", MIRROR)
    sources = folder / "sources.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {mirror} {SUITE} main\n")
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    settings = {
        "Dir::State": folder / "state",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "-",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
    }
    options = [word for key, text in settings.items() for word in ("-o", f"{key}={text}")]
    _run("apt-get", *options, "--quiet", "update", folder=folder)
    _run("apt-get", *options, "--quiet", "download", NAME, folder=folder)
    (package,) = folder.glob("*.deb")
    _run("dpkg-deb", "--extract", str(package), str(folder / "root"), folder=folder)
    return next((folder / "root").rglob(f"cli-plugins/{NAME}"))


def _run(*command: str, folder: Path) -> None:
    """Run one step; where it fails, its last line is the reason."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Problem(f"buildx could not be had from Debian ({error}): install it.") from None
    if done.returncode != 0:
        last = (done.stdout.strip().splitlines() or ["it said nothing"])[-1]
        raise Problem(f"buildx could not be had from Debian ({last}): install it.")
