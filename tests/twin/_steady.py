# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MLflow clients that log numbered points through several servers for as long as they may.

Run by a Python that has MLflow, as `python _steady.py METRIC URL...`; each URL has a client and a run
of its own. When its input ends it prints one JSON document: for each URL run_id, sent (points that
the server took) and error.
"""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

PAUSE_SECONDS = 0.1
BROKEN = "Connection broken: IncompleteRead"


def log(url: str, metric: str, over: threading.Event) -> dict[str, Any]:
    """Log one point after the other with a client whose retries are MLflow's own."""
    client = MlflowClient(url)
    told: dict[str, Any] = {"run_id": "", "sent": 0, "error": ""}
    try:
        told["run_id"] = run_id = client.create_run("0").info.run_id
        while not over.is_set():
            if acknowledged(client, run_id, metric, told["sent"]):
                told["sent"] += 1
            over.wait(PAUSE_SECONDS)
    except (MlflowException, OSError) as error:
        told["error"] = str(error)
    return told


def acknowledged(client: MlflowClient, run_id: str, metric: str, step: int) -> bool:
    """Log a point; say whether that was confirmed, else it is to be logged again.

    Of a server that is killed between head and body of its answer MLflow's client does not try
    again by itself. The point may be kept, and a second one like it is the same one.
    """
    try:
        client.log_metric(run_id, metric, step, step=step)
    except MlflowException as error:
        if BROKEN not in str(error):
            raise
        return False
    return True


def main() -> None:
    """Let all clients log until the input ends, and print what came of it."""
    metric, *urls = sys.argv[1:]
    over = threading.Event()
    with ThreadPoolExecutor(len(urls)) as pool:
        runs = {url: pool.submit(log, url, metric, over) for url in urls}
        sys.stdin.read()
        over.set()
    print(json.dumps({url: run.result() for url, run in runs.items()}))


if __name__ == "__main__":
    main()
