"""Train a classifier on scikit-learn's wine data, register it, and use it from the server."""

import argparse
import os
import sys
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ALIAS = "champion"


def read_arguments() -> argparse.Namespace:
    """Read the entry point's parameters; their defaults stand in MLproject too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inverse-penalty", type=float, default=0.5)
    parser.add_argument("--max-iter", type=int, default=500)
    parser.add_argument("--test-size", type=float, default=0.25)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--model-name", default="wine")
    return parser.parse_args()


def load_data() -> tuple[pd.DataFrame, Any]:
    """Give the 13 measurements of 178 wines, and each wine's class by name."""
    wine = load_wine(as_frame=True)
    return wine.data, wine.target_names[wine.target]


def train(arguments: argparse.Namespace) -> str:
    """Train, log and register one model; give the number of its version."""
    features, classes = load_data()
    x_train, x_test, y_train, y_test = train_test_split(
        features,
        classes,
        test_size=arguments.test_size,
        random_state=arguments.seed,
        stratify=classes,
    )
    # Under `mlflow run` this continues the run that MLflow has already made.
    with mlflow.start_run() as run:
        # `mlflow run` has logged the entry point's parameters, as text and under the
        # same names. A parameter cannot be logged twice with different text.
        known = run.data.params
        mlflow.log_params({k: v for k, v in vars(arguments).items() if k not in known})

        # MLflow stores scikit-learn models as skops files, which hold only types that are
        # safe to load. Trees are not among them: they need `skops_trusted_types`.
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=arguments.inverse_penalty, max_iter=arguments.max_iter),
        )
        model.fit(x_train, y_train)
        predicted = model.predict(x_test)
        mlflow.log_metrics(
            {
                "accuracy": float(accuracy_score(y_test, predicted)),
                "f1_macro": float(f1_score(y_test, predicted, average="macro")),
            }
        )
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(x_train, predicted),
            input_example=x_train.head(3),
            registered_model_name=arguments.model_name,
        )
        version = str(logged.registered_model_version)
        MlflowClient().set_registered_model_alias(arguments.model_name, ALIAS, version)

        uri = f"models:/{arguments.model_name}@{ALIAS}"
        served = mlflow.pyfunc.load_model(uri).predict(x_test)
        if list(served) != list(predicted):
            raise SystemExit(f"{uri} does not predict what the model in memory predicts.")
    print(f"{uri} is version {version}; {len(served)} predictions equal those made in memory.")
    return version


def main() -> int:
    """Train on the server that MLFLOW_TRACKING_URI names."""
    arguments = read_arguments()
    server = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not server.startswith(("http://", "https://")):
        print(
            "Set MLFLOW_TRACKING_URI to the address of an MLflow server, "
            "for example: export MLFLOW_TRACKING_URI=http://127.0.0.1:5001",
            file=sys.stderr,
        )
        return 2
    # By default MLflow retries for about four minutes before it says that a server is
    # not there. For an example a few seconds are enough.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    try:
        train(arguments)
    except MlflowException as error:
        print(f"Training against {server} failed: {error.message}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
