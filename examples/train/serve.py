"""Serve the registered model with `mlflow models serve` and ask it for one prediction."""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from sklearn.datasets import load_wine

ALIAS = "champion"
HOST = "127.0.0.1"
STOP_SECONDS = 10
# Never through a proxy: the model answers on this machine.
OPENER = build_opener(ProxyHandler({}))


class ServeError(Exception):
    """One sentence for the user."""


def read_arguments() -> argparse.Namespace:
    """Read the entry point's parameters; their defaults stand in MLproject too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-name", default="wine")
    parser.add_argument("--timeout", type=float, default=120, help="seconds to wait at most")
    return parser.parse_args()


def free_port() -> int:
    """Let the system choose a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server with all its children."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
            server.wait(timeout=STOP_SECONDS)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def model_server(uri: str, port: int, log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Run `mlflow models serve` in a process group of its own, and end the group after use."""
    # `mlflow models serve` looks for uvicorn on the PATH, where it is only if this
    # environment is activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    # fmt: off
    command = [
        sys.executable, "-m", "mlflow", "models", "serve",
        "--model-uri", uri, "--env-manager", "local", "--host", HOST, "--port", str(port),
    ]
    # fmt: on
    server = subprocess.Popen(
        command,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield server
    finally:
        stop(server)


def wait_until_ready(server: subprocess.Popen[bytes], port: int, timeout: float) -> None:
    """Return as soon as the model answers; raise if it does not in time, or ends."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise ServeError(f"`mlflow models serve` ended with code {server.returncode}.")
        try:
            with OPENER.open(f"http://{HOST}:{port}/ping", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise ServeError(f"The model did not answer within {timeout:g} s.")


def predict(port: int, timeout: float) -> list[Any]:
    """Ask for the classes of three wines."""
    wines = load_wine(as_frame=True).data.iloc[[0, 80, 170]]
    body = json.dumps({"dataframe_split": wines.to_dict(orient="split")}).encode()
    request = Request(
        f"http://{HOST}:{port}/invocations", body, {"Content-Type": "application/json"}
    )
    with OPENER.open(request, timeout=timeout) as response:
        predictions: list[Any] = json.load(response)["predictions"]
    return predictions


def serve_once(uri: str, timeout: float) -> list[Any]:
    """Serve the model, ask once, stop; an error carries the server's last lines."""
    port = free_port()
    with tempfile.TemporaryFile() as log:
        try:
            with model_server(uri, port, log) as server:
                wait_until_ready(server, port, timeout)
                return predict(port, timeout)
        except (ServeError, OSError) as error:
            log.seek(0)
            lines = log.read().decode(errors="replace").splitlines()[-5:]
            raise ServeError("\n".join([f"{uri}: {error} Its last lines:", *lines])) from error


def main() -> int:
    """Serve the model of the server that MLFLOW_TRACKING_URI names."""
    arguments = read_arguments()
    if not os.environ.get("MLFLOW_TRACKING_URI", "").startswith(("http://", "https://")):
        print(
            "Set MLFLOW_TRACKING_URI to the address of an MLflow server, "
            "for example: export MLFLOW_TRACKING_URI=http://127.0.0.1:5001",
            file=sys.stderr,
        )
        return 2
    # By default MLflow retries for about four minutes before it says that a server is
    # not there. For an example a few seconds are enough.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    # So that SIGTERM unwinds like Ctrl-C does, and the model server ends too.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    uri = f"models:/{arguments.model_name}@{ALIAS}"
    try:
        predictions = serve_once(uri, arguments.timeout)
    except ServeError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{uri} answered over HTTP: {json.dumps(predictions)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
