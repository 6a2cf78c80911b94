# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory of one idle server against `mlflow server` with its defaults, as a ratio.

Proportional set size of the whole process tree, both servers up at the same time and idle
for a minute. Supervisor, one for all servers of a host, is not part of either.
"""

from __future__ import annotations

import argparse
import time

from ansible_collections.mlops.mlflow_aws.benchmarks import _bench


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=float, default=60, help="seconds to stand idle (60)")
    idle = parser.parse_args().idle
    kinds = _bench.environments()
    with _bench.workplace() as folder:
        template = _bench.database(kinds, folder)
        ports = {kind: _bench.free_port() for kind in ("ours", "stock")}
        commands = {
            kind: _bench.command(kind, kinds, folder, template, port)
            for kind, port in ports.items()
        }
        with (
            _bench.served(commands["ours"], ports["ours"]) as (ours, _ours_seconds),
            _bench.served(commands["stock"], ports["stock"]) as (stock, _stock_seconds),
        ):
            time.sleep(idle)
            _bench.report("memory", _bench.memory(ours), _bench.memory(stock), "MiB", 0.20)


if __name__ == "__main__":
    main()
