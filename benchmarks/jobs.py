# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What jobs cost: memory of an idle server with its runner against one without, size with huey against without.

Proportional set size, both servers up at the same time and idle for a minute. With the name of a base, both
images are built, for which an engine is needed.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.benchmarks import _bench, image, size
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import context

PACKAGE = "huey"
LOCK = "requirements.txt"
# What the runner is given to start.
_START_SECONDS = 300


def without(lock: str) -> str:
    """Return a lock without the package."""
    return re.sub(rf"^{PACKAGE}==.*\n(?:[ #].*\n)*", "", lock, flags=re.MULTILINE)


def memory(python: Path, idle: float) -> None:
    """Run both servers, and compare."""
    kinds = _bench.Kinds(python, python)
    with _bench.workplace() as folder:
        template = _bench.database(kinds, folder)
        ports = _bench.free_ports(2)
        plain, jobs = (
            _bench.command("ours", kinds, folder, template, port, jobs=jobs)
            for port, jobs in zip(ports, (False, True), strict=True)
        )
        with (
            _bench.served(plain, ports[0]) as (alone, _seconds),
            _bench.served(jobs, ports[1]) as (both, _seconds),
        ):
            deadline = time.monotonic() + _START_SECONDS
            # The runner has loaded MLflow when it takes as much as a server does.
            while _bench.memory(both) < 1.5 * _bench.memory(alone) and time.monotonic() < deadline:
                time.sleep(1)
            time.sleep(idle)
            _bench.report("memory", _bench.memory(both), _bench.memory(alone), "MiB", 2.1)


def images(base: str) -> None:
    """Build the image with the package and without, and compare."""
    files = context.read(_bench.ROOT / "docker")
    bare = without(files[LOCK].data.decode()).encode()
    sizes = []
    for tag, lock in (("ours", files[LOCK]), ("bare", files[LOCK]._replace(data=bare))):
        with tempfile.TemporaryDirectory() as folder:
            context.write({**files, LOCK: lock}, Path(folder))
            sizes.append(image.build(Path(folder), base, f"{image.PREFIX}:{tag}"))
    _bench.compare("image", sizes[0], sizes[1], "MiB", 1.01)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", nargs="?", help="the base of both images; none are built if unset")
    parser.add_argument("--idle", type=float, default=60, help="seconds to stand idle (60)")
    given = parser.parse_args()
    python = _bench.installation()
    memory(python, given.idle)
    packages = size.size(python)
    [folder] = (python.parents[1] / "lib").glob(f"python*/site-packages/{PACKAGE}")
    _bench.compare("packages", packages, packages - size.below(folder), "MiB", 1.01)
    if given.base:
        images(given.base)


if __name__ == "__main__":
    main()
