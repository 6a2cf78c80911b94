# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Size of the installed lean set, drivers included, against plain `pip install mlflow`, as a ratio."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.benchmarks import _bench


def size(python: Path) -> float:
    """Return the MiB that an environment's packages take on disk, without compiled bytecode."""
    return below(python.parents[1] / "lib")


def below(top: Path) -> float:
    """Return the MiB of the files below a folder, without compiled bytecode."""
    total = 0
    for folder, names, files in os.walk(top):
        names[:] = [name for name in names if name != "__pycache__"]
        total += sum((Path(folder) / name).lstat().st_blocks * 512 for name in files)
    return total / 1024**2


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    kinds = _bench.environments()
    _bench.report("packages", size(kinds.ours), size(kinds.stock), "MiB", 0.5)


if __name__ == "__main__":
    main()
