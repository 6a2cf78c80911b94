# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time from start to the first API answer against `mlflow server` with its defaults, as a ratio.

Both start alternately on copies of one database that is at the head revision; the first pair
warms the file cache and does not count. Medians of the others.
"""

from __future__ import annotations

import argparse
import statistics

from ansible_collections.mlops.mlflow_aws.benchmarks import _bench


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="pairs that count (5)")
    pairs = parser.parse_args().pairs
    kinds = _bench.environments()
    seconds: dict[str, list[float]] = {"ours": [], "stock": []}
    with _bench.workplace() as folder:
        template = _bench.database(kinds, folder)
        for _pair in range(pairs + 1):
            for kind, found in seconds.items():
                port = _bench.free_port()
                command = _bench.command(kind, kinds, folder, template, port)
                with _bench.served(command, port) as (_pid, took):
                    found.append(took)
    ours, stock = (statistics.median(found[1:]) for found in seconds.values())
    _bench.report("start", ours, stock, "s", 0.30)


if __name__ == "__main__":
    main()
