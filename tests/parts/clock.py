# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A clock that programs under test have for themselves, by Debian's libfaketime."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.tests.parts import docker_engine
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Problem

PATTERN = "*/faketime/libfaketime.so.1"


@dataclass(frozen=True)
class Clock:
    """A clock beside this machine's; whoever has its environment sees it change at once."""

    file: Path
    library: str

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of a program that goes by this clock."""
        return {
            "LD_PRELOAD": self.library,
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            # Otherwise Python's Event.wait() would not end; time.sleep() fails this way.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, minutes: int) -> None:
        """Let it be so many minutes ahead of this machine's, or behind."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{minutes:+d}m\n")
        new.replace(self.file)


@contextlib.contextmanager
def clock(folder: Path) -> Iterator[Clock]:
    """Give a clock that is right until it is set; raise Problem where libfaketime is missing."""
    made = Clock(folder / "clock", str(_library(folder)))
    made.set(0)
    try:
        yield made
    finally:
        # What the library leaves of programs that were killed.
        for path in Path("/dev/shm").glob("*faketime_s*m_*"):
            if not Path("/proc", path.name.rpartition("_")[2]).exists():
                path.unlink(missing_ok=True)


def _library(folder: Path) -> Path:
    """Return libfaketime: Debian's, which root installs and everybody may unpack."""
    if os.geteuid() == 0:
        docker_engine.install("faketime")
    installed = list(Path("/usr/lib").glob(PATTERN))
    if installed:
        return installed[0]
    try:
        command = ["apt-get", "-q", "download", "libfaketime"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
        (package,) = folder.glob("libfaketime_*.deb")
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True, timeout=60)
        return next(folder.glob(f"usr/lib/{PATTERN}"))
    except (OSError, subprocess.SubprocessError, ValueError, StopIteration):
        raise Problem(
            "A test of wrong clocks needs Debian's libfaketime: install it and run this again."
        ) from None
