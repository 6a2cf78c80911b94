"""Log one run to an MLflow server: parameters, a metric with steps, a tag and an artifact.

Set MLFLOW_TRACKING_URI to the server and run this file:

    MLFLOW_TRACKING_URI=http://127.0.0.1:5001 python examples/tracking.py

Run it again with another --learning-rate and compare the runs on the experiment's page.
"""

import argparse
import csv
import os
import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

EXPERIMENT = "tracking-example"
START = 4.0
EPOCHS = 20


def read_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Log one run to an MLflow server.")
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--run-name", default="first-steps")
    return parser.parse_args()


def descend(learning_rate: float) -> list[dict[str, float]]:
    """Minimize x² by gradient descent; return loss and gradient after every epoch."""
    x, history = START, []
    for _epoch in range(EPOCHS):
        x -= learning_rate * 2 * x
        history.append({"loss": x * x, "gradient": 2 * x})
    return history


def write_report(path: Path, history: list[dict[str, float]]) -> None:
    """Write the history as CSV, one line per epoch."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["epoch", "loss", "gradient"])
        writer.writeheader()
        writer.writerows({"epoch": n, **metrics} for n, metrics in enumerate(history, start=1))


def log_run(run_name: str, learning_rate: float) -> str:
    """Log the run and return the URL of its page."""
    experiment = mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=run_name) as run, tempfile.TemporaryDirectory() as folder:
        mlflow.log_params({"learning_rate": learning_rate, "epochs": EPOCHS, "start": START})
        mlflow.set_tag("team", "demo")

        history = descend(learning_rate)
        for epoch, metrics in enumerate(history, start=1):
            mlflow.log_metrics(metrics, step=epoch)

        report = Path(folder) / "history.csv"
        write_report(report, history)
        mlflow.log_artifact(str(report))
    server = mlflow.get_tracking_uri().rstrip("/")
    return f"{server}/#/experiments/{experiment.experiment_id}/runs/{run.info.run_id}"


def main() -> int:
    """Log one run to the server that MLFLOW_TRACKING_URI names."""
    arguments = read_arguments()
    server = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not server.startswith(("http://", "https://")):
        print(
            "Set MLFLOW_TRACKING_URI to the address of an MLflow server, "
            "for example: export MLFLOW_TRACKING_URI=http://127.0.0.1:5001",
            file=sys.stderr,
        )
        return 2
    # By default MLflow retries for about four minutes before it reports that a server does not
    # answer. A few seconds are enough for an example.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    try:
        page = log_run(arguments.run_name, arguments.learning_rate)
    except MlflowException as error:
        print(f"Could not log a run to {server}: {error.message}", file=sys.stderr)
        return 1
    print(f"Logged the run {arguments.run_name}: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
