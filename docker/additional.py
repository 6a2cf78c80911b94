# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install a user's packages beside the locked set, and set apart what they add.

The Dockerfile runs it once, with the base image's Python, when the locked set is complete: nothing is
removed from these packages, and what they add becomes a layer of its own. Without a list of packages
that is empty.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HOME = Path("/opt/mlflow")
PYTHON = HOME / "venv" / "bin" / "python"
FOLDER = Path(__file__).resolve().parent
REQUIREMENTS = FOLDER / "additional-requirements.txt"
ADDED = FOLDER / "added"


def main() -> None:
    """Install, check and set apart."""
    ADDED.mkdir()
    if not REQUIREMENTS.exists():
        return
    before = files()
    # The environment of the locked set has no pip any more. Compiled, as nobody knows what is imported.
    run(sys.executable, "-I", "-m", "venv", FOLDER / "pip")
    # And as wheels: to build one from its source, pip would fetch and run tools of no lock.
    run(
        FOLDER / "pip" / "bin" / "python", "-I", "-m", "pip", "--python", PYTHON, "install",
        "--disable-pip-version-check", "--no-cache-dir", "--no-input", "--no-deps", "--require-hashes",
        "--only-binary=:all:", "--quiet", "--requirement", REQUIREMENTS,
    )  # fmt: skip
    run(PYTHON, "-IB", HOME / "mlflow_entry.py", "packages", REQUIREMENTS)
    for path, state in files().items():
        if before.get(path) != state:
            target = ADDED / path.relative_to(HOME)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)


def files() -> dict[Path, tuple[int, int]]:
    """Return the size and the time of change of each file of the environment."""
    found = {}
    for parent, _folders, names in os.walk(HOME):
        for path in (Path(parent, name) for name in names):
            state = path.lstat()
            found[path] = (state.st_size, state.st_mtime_ns)
    return found


def run(*command: str | Path) -> None:
    """Run a step, which says itself why it failed."""
    done = subprocess.run(command, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
