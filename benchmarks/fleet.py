# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring-up of many servers by one task, against what the processors alone would take, as a ratio.

The bound is N times the processor seconds of one server up to its first answer, divided by
the number of processors. One Supervisor and the module itself are part of the measured time.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.benchmarks import _bench


def servers(folder: Path, template: Path, count: int) -> list[dict[str, object]]:
    """Return the module's list of servers, each with a copy of the database."""
    listed: list[dict[str, object]] = []
    for number in range(count):
        copy = folder / f"{number}.db"
        copy.write_bytes(template.read_bytes())
        listed.append(
            {
                "name": f"p{number}",
                "port": _bench.free_port(),
                "backend_store_uri": f"sqlite:///{copy}",
                "artifacts_destination": str(folder / f"artifacts-{number}"),
            }
        )
    return listed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10, help="servers on the host (10)")
    count = parser.parse_args().count
    kinds = _bench.environments()
    with _bench.workplace() as folder:
        template = _bench.database(kinds, folder)
        costs = []
        for _round in range(3):
            port = _bench.free_port()
            command = _bench.command("ours", kinds, folder, template, port)
            with _bench.served(command, port) as (pid, _seconds):
                costs.append(_bench.processor_seconds(pid))
        bound = count * min(costs[1:]) / (os.cpu_count() or 1)
        options = {
            "state_dir": str(folder / "state"),
            "servers": servers(folder, template, count),
            "python": str(kinds.ours),
            "entrypoint": kinds.entry,
        }
        try:
            began = time.monotonic()
            _bench.module("mlflow_server", options)
            took = time.monotonic() - began
        finally:
            _bench.module("mlflow_server", {**options, "state": "absent"})
    _bench.report(f"bring-up of {count} servers", took, bound, "s", 1.3)


if __name__ == "__main__":
    main()
