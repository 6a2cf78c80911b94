# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Size of our image against `pip install mlflow pymysql boto3 cryptography` on the same base."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.benchmarks import _bench
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import context

RECIPE = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN python3 -m venv /opt/mlflow"
INSTALL = " && /opt/mlflow/bin/pip install --no-cache-dir --quiet mlflow=={} {}\n"
DRIVERS = "pymysql boto3 cryptography"
PREFIX = "mlflow-benchmark-image"


def build(folder: Path, base: str, name: str) -> float:
    """Build a folder's image on a base; return its size in MiB."""
    command = ["docker", "build", "--network", "host", "--build-arg", f"BASE_IMAGE={base}"]
    command += ["--tag", name, str(folder)]
    # The classic builder, which every engine has.
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    subprocess.run(command, env=environment, check=True, stdout=sys.stderr)
    inspect = ["docker", "image", "inspect", "--format", "{{.Size}}", name]
    told = subprocess.run(inspect, check=True, capture_output=True, text=True)
    return int(told.stdout) / 1024**2


def main() -> None:
    """Build both, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "base",
        nargs="?",
        default="python:3.11-slim-bookworm",
        help="the base of both images (default: %(default)s)",
    )
    base = parser.parse_args().base
    docker = _bench.ROOT / "docker"
    lock = (docker / "requirements.txt").read_text()
    version = next(line for line in lock.splitlines() if line.startswith("mlflow=="))
    number = version.partition("==")[2].split()[0]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Dockerfile").write_text(RECIPE + INSTALL.format(number, DRIVERS))
        stock = build(Path(folder), base, f"{PREFIX}:stock")
    with tempfile.TemporaryDirectory() as folder:
        context.write(context.read(docker), Path(folder))
        ours = build(Path(folder), base, f"{PREFIX}:ours")
    _bench.report("image", ours, stock, "MiB", 0.45)


if __name__ == "__main__":
    main()
