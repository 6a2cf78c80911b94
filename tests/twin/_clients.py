# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many MLflow clients at once, each logging a metric's points in batches to a run of its own.

Run in a container of our image, since MLflow is there, as `python - URL METRIC CLIENTS
BATCHES POINTS PAUSE` with this file as its input; PAUSE is seconds between two batches. Prints
one JSON document: `began`, `ended` and `runs`, a list of run_id, sent (points) and error.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException


def log(url: str, metric: str, batches: int, points: int, pause: float) -> dict[str, Any]:
    """Log a run's points with a client whose retries are MLflow's own; tell how far it came."""
    client = MlflowClient(url)
    told: dict[str, Any] = {"run_id": "", "sent": 0, "error": ""}
    try:
        told["run_id"] = run_id = client.create_run("0").info.run_id
        for _batch in range(batches):
            first = told["sent"]
            steps = range(first, first + points)
            client.log_batch(run_id, [Metric(metric, step, step, step) for step in steps])
            told["sent"] += points
            time.sleep(pause)
    except (MlflowException, OSError) as error:
        told["error"] = str(error)
    return told


def main() -> None:
    """Let all clients log, and print what came of it."""
    url, metric, *numbers = sys.argv[1:]
    clients, batches, points = map(int, numbers[:3])
    pause, began = float(numbers[3]), time.time()
    with ThreadPoolExecutor(clients) as pool:
        futures = [
            pool.submit(log, url, metric, batches, points, pause) for _client in range(clients)
        ]
        runs = [future.result() for future in futures]
    print(json.dumps({"began": began, "ended": time.time(), "runs": runs}))


if __name__ == "__main__":
    main()
