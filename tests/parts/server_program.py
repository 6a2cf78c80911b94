# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's program of the checkout: as the modules get it."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The example of packages of one's own.
LITELLM = ROOT / "examples" / "requirements" / "litellm.txt"
DOCKER = ROOT / "docker"
SERVER = ROOT / "programs" / "server"
PACKAGE = "mlflow_aws_server"


def installation_files() -> dict[str, object]:
    """Return the options of mlflow_installation that name what is installed, as the role sets them.

    Ansible's lookup of files strips white space at their end.
    """
    locks = (DOCKER / "requirements.txt", SERVER / "process.txt")
    programs = {
        path.relative_to(SERVER).as_posix(): path.read_text(encoding="utf-8")
        for path in SERVER.rglob("*.py")
    }
    known = (DOCKER / "mlflow.json").read_text(encoding="utf-8").rstrip()
    return {
        "requirements": [lock.read_text(encoding="utf-8").rstrip() for lock in locks],
        "programs": programs | {"mlflow.json": known},
    }


def lay_out(folder: Path) -> Path:
    """Write the program into a folder, as hosts with the backend aws have it; returns the launcher."""
    shutil.copytree(
        SERVER, folder, ignore=shutil.ignore_patterns("*.in", "*.txt"), dirs_exist_ok=True
    )
    for name in ("mlflow.json", "rds-ca.pem"):
        shutil.copy(DOCKER / name, folder)
    return folder / "mlflow_entry.py"
