# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples run as processes against a real project, as a data scientist runs them."""

from __future__ import annotations

import csv
import io
import json
import signal
import socket
import subprocess
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.e2e._examples import (
    EXAMPLES,
    User,
    api,
    get,
    logged_page,
)
from ansible_collections.mlops.mlflow_aws.tests.support import command_line

# The first test may have to make the examples' environment.
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.thorough(
        "Clients log and read back through servers every time; examples change seldom."
    ),
]

TRAIN = EXAMPLES / "train"
SERVE = TRAIN / "serve.py"
CLASSES = ["class_0", "class_1", "class_2"]


@pytest.fixture
def user(examples_python: Path, project_url: str, tmp_path: Path) -> User:
    """Return a user who has set nothing but MLFLOW_TRACKING_URI."""
    return User(examples_python, tmp_path, project_url)


@pytest.fixture(scope="module")
def model(
    examples_python: Path, project_url: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str]:
    """Train once by `mlflow run`; give the model's name and all that was printed."""
    name = f"wine-{uuid.uuid4().hex[:8]}"
    user = User(examples_python, tmp_path_factory.mktemp("train"), project_url)
    done = user.run("mlflow", "run", TRAIN, "--env-manager", "local", "-P", f"model_name={name}")
    return name, done.output


def champion(server: str, name: str) -> dict[str, Any]:
    """Read the version that the alias points to."""
    answer = api(server, "registered-models/alias", name=name, alias="champion")
    version: dict[str, Any] = answer["model_version"]
    return version


def parameters(server: str, run_id: str) -> dict[str, str]:
    """Read a run's parameters."""
    data = api(server, "runs/get", run_id=run_id)["run"]["data"]
    return {item["key"]: item["value"] for item in data["params"]}


def test_tracking_logs_what_it_says(user: User, project_url: str) -> None:
    """The printed run holds the parameters, the steps, the tag and the artifact."""
    done = user.run(user.python, EXAMPLES / "tracking.py", "--learning-rate", "0.2")
    assert f"{project_url}/#/experiments/" in done.output
    _experiment, run_id = logged_page(done.output)

    logged = api(project_url, "runs/get", run_id=run_id)["run"]
    assert logged["info"]["run_name"] == "first-steps"
    assert logged["info"]["status"] == "FINISHED"
    assert {"key": "team", "value": "demo"} in logged["data"]["tags"]
    assert parameters(project_url, run_id) == {
        "learning_rate": "0.2",
        "epochs": "20",
        "start": "4.0",
    }
    history = api(project_url, "metrics/get-history", run_id=run_id, metric_key="loss")["metrics"]
    losses = [metric["value"] for metric in sorted(history, key=lambda metric: metric["step"])]
    assert len(losses) == 20
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == pytest.approx((4.0 * 0.6) ** 2)

    report = get(project_url, "get-artifact", path="history.csv", run_uuid=run_id).decode()
    rows = list(csv.DictReader(io.StringIO(report)))
    assert [float(row["loss"]) for row in rows] == losses
    assert not list(user.home.rglob("mlruns")), "nothing may be left in the user's folder"


@pytest.mark.parametrize("program", ["tracking.py", "train/train.py", "train/serve.py"])
@pytest.mark.parametrize("address", [None, "sqlite:///runs.db"])
def test_an_example_without_a_server_says_so(
    program: str, address: str | None, examples_python: Path, tmp_path: Path
) -> None:
    """One sentence that says what to set, and exit code 2."""
    user = User(examples_python, tmp_path, address)
    done = user.run(user.python, EXAMPLES / program, check=False)
    assert done.code == 2
    assert done.output.startswith("Set MLFLOW_TRACKING_URI to the address of an MLflow server")
    assert len(done.output.splitlines()) == 1


@pytest.mark.parametrize("program", ["tracking.py", "train/train.py"])
def test_an_example_against_a_stopped_server_gives_up_soon(
    program: str, examples_python: Path, tmp_path: Path
) -> None:
    """One sentence that names the server instead of minutes of silence."""
    with socket.socket() as unused:
        # Bound but not listening: nobody else can take the port, and connections fail.
        unused.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{unused.getsockname()[1]}"
        user = User(examples_python, tmp_path, server)
        done = user.run(user.python, EXAMPLES / program, check=False)
    assert done.code == 1
    assert "Traceback" not in done.output
    assert server in done.output.splitlines()[-1]


def test_training_registers_a_model_that_predicts_the_same(
    model: tuple[str, str], project_url: str
) -> None:
    """`mlflow run` logs, registers, moves the alias, and compares the loaded model."""
    name, output = model
    assert f"models:/{name}@champion is version 1; 45 predictions equal" in output
    version = champion(project_url, name)
    assert version["version"] == "1"
    logged = api(project_url, "runs/get", run_id=version["run_id"])["run"]
    assert logged["info"]["status"] == "FINISHED"
    metrics = {item["key"]: item["value"] for item in logged["data"]["metrics"]}
    assert metrics.keys() == {"accuracy", "f1_macro"}
    assert 0.9 < metrics["accuracy"] <= 1


def test_the_model_knows_its_signature_and_example(model: tuple[str, str], user: User) -> None:
    """What the registry holds says what goes in and what comes out."""
    script = (
        "import json, mlflow; info = mlflow.models.get_model_info("
        f"'models:/{model[0]}@champion'); print(json.dumps([info.signature.inputs.input_names(),"
        " info.signature.outputs.to_dict(), info.saved_input_example_info['artifact_path']]))"
    )
    done = user.run(user.python, "-c", script)
    inputs, outputs, example = json.loads(done.output.splitlines()[-1])
    assert len(inputs) == 13
    assert "alcohol" in inputs
    assert len(outputs) == 1
    assert example == "input_example.json"


def test_a_second_training_moves_the_alias(
    model: tuple[str, str], user: User, project_url: str
) -> None:
    """Also without `mlflow run`, whose defaults must equal those of the program."""
    name, _output = model
    before = champion(project_url, name)
    user.run(user.python, TRAIN / "train.py", "--model-name", name)
    after = champion(project_url, name)
    assert int(after["version"]) == int(before["version"]) + 1
    assert parameters(project_url, after["run_id"]) == parameters(project_url, before["run_id"])


def processes(mark: str) -> list[str]:
    """Find the command lines of what runs with the mark in its environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        # A process may end in the meantime, or be another user's.
        with suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(" ".join(command_line(folder)))
    return found


@pytest.fixture
def mark() -> str:
    """Return a text that tells one test's processes from all others."""
    return uuid.uuid4().hex


def test_serving_answers_one_request_and_ends(
    model: tuple[str, str], user: User, mark: str
) -> None:
    """`mlflow run -e serve` prints the answer and leaves no process behind."""
    options = ["--env-manager", "local", "-P", f"model_name={model[0]}"]
    done = user.run("mlflow", "run", TRAIN, "-e", "serve", *options, MARK=mark)
    assert f"models:/{model[0]}@champion answered over HTTP: {json.dumps(CLASSES)}" in done.output
    assert processes(mark) == []


def test_serving_an_unknown_model_says_so(user: User) -> None:
    """The server's own reason reaches the user."""
    done = user.run(user.python, SERVE, "--model-name", "no-such-model", check=False)
    assert done.code == 1
    assert "`mlflow models serve` ended with code 1" in done.output
    assert "name=no-such-model not found" in done.output


def test_a_model_that_does_not_answer_in_time_is_ended(
    model: tuple[str, str], user: User, mark: str
) -> None:
    """The wait has a bound, and nothing is left over."""
    limit = ["--timeout", "0.5"]
    done = user.run(user.python, SERVE, "--model-name", model[0], *limit, check=False, MARK=mark)
    assert done.code == 1
    assert "did not answer within 0.5 s" in done.output
    assert processes(mark) == []


@pytest.mark.parametrize(
    "number", left_out.params([signal.SIGINT], [signal.SIGTERM], "SIGINT runs every time.")
)
def test_an_interrupted_serve_leaves_nothing_behind(
    number: signal.Signals, model: tuple[str, str], user: User, mark: str
) -> None:
    """The model server ends with the example."""
    with subprocess.Popen(
        [user.python, SERVE, "--model-name", model[0]],
        env=user.environment(MARK=mark),
        cwd=user.home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as example:
        deadline = time.monotonic() + 60
        while not any("models serve" in line for line in processes(mark)):
            assert time.monotonic() < deadline, "the model server was never started"
            assert example.poll() is None, "the example ended by itself"
            time.sleep(0.05)
        example.send_signal(number)
        assert example.wait(timeout=60) != 0
    assert processes(mark) == []
