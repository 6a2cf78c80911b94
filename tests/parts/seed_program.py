# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a team has after some months of work with one release of MLflow, made in some seconds.

Run by the Python of that release, with MLFLOW_TRACKING_URI set to a server or to a folder of files:
    python seed_program.py WORK
WORK is an empty folder for files on their way. Each action names the release from which on it is
possible; what an older one lacks is not attempted, and nothing that fails is passed over.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

RELEASE = tuple(int(part) for part in mlflow.__version__.split(".")[:3])
# The releases that are used: what 3.0 lacks and 3.16 has is said to be the latter's.
OLD, THREE, YOUNG = (2, 22), (3, 0), (3, 16)
# The time of all that is logged with one.
WHEN = 1_700_000_000_000
NAME = "Prüfung 🍇 100%/a b"
DELETED = "deleted"
# More than one request and one page of a client's.
HISTORY = 2_500
BATCH = 1_000
LARGE = 6 * 1024 * 1024
ODD = {
    "empty": b"",
    "one byte.txt": b"1",
    "grün ✓ 🍇/ü 1.txt": "ä\n".encode(),
    "a+b & c=d.txt": b"plus",
    "100%.txt": b"percent",
    "deep/er/and/deeper/x.json": b'{"a": [1, 2]}\n',
    "medium.bin": random.Random(1).randbytes(200_000),
    "large.bin": random.Random(2).randbytes(LARGE),
}
# Older servers run under gunicorn, which stores such a file and cannot send it back.
BEYOND_LATIN = {"🍇 ✓.txt": b"grapes"}
MODEL = {
    "MLmodel": b"artifact_path: model\nflavors: {}\nmlflow_version: 0.0.0\n",
    "python_env.yaml": b"dependencies: []\n",
    "weights.bin": random.Random(3).randbytes(10_000),
}
FIRST_TEXT = "Hallo {{name}}, {{ question }} 🍇?"


class Maker:
    """Makes one project's content by the client of one release."""

    def __init__(self, work: Path) -> None:
        """Take an empty folder for files on their way; the experiment is made by the first action."""
        self.client: Any = MlflowClient()
        self.work = work
        self.experiment = ""

    def run(self, name: str, experiment: str = "", **tags: str) -> str:
        """Make a run and return its ID."""
        where = experiment or self.experiment
        made = self.client.create_run(where, start_time=WHEN, run_name=name, tags=tags)
        return str(made.info.run_id)

    @contextmanager
    def files(self, contents: dict[str, bytes]) -> Iterator[Path]:
        """Give a folder with these files, by their paths in it, while the block runs."""
        folder = self.work / f"files-{os.urandom(4).hex()}"
        for name, content in contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield folder


def experiments(maker: Maker) -> None:
    """Make an experiment with tags, an empty one, a renamed one, and a deleted one with a run."""
    client = maker.client
    maker.experiment = client.create_experiment(NAME, tags={"team": "grün", "empty": ""})
    client.set_experiment_tag(maker.experiment, "mlflow.note.content", "# Notes\n" + "🍇 " * 500)
    client.create_experiment("empty")
    client.rename_experiment(client.create_experiment("before"), "renamed")
    gone = client.create_experiment(DELETED, tags={"left": "yes"})
    maker.run("of a deleted experiment", gone)
    client.delete_experiment(gone)


def runs(maker: Maker) -> None:
    """Make runs in every state, three generations of them, and a deleted one."""
    client = maker.client
    parent = maker.run("parent", colour="blau", **{"mlflow.note.content": "x" * 5_000})
    children = [maker.run(f"child {n}", **{"mlflow.parentRunId": parent}) for n in range(3)]
    maker.run("grandchild", **{"mlflow.parentRunId": children[0]})
    states = ["FINISHED", "FAILED", "KILLED", "FINISHED"]
    for run_id, state in zip([parent, *children], states, strict=True):
        client.set_terminated(run_id, state, end_time=WHEN + 60_000)
    deleted = maker.run("deleted", kept="until gc")
    client.log_metric(deleted, "loss", 0.5, timestamp=WHEN, step=1)
    client.delete_run(deleted)


def values(maker: Maker) -> None:
    """Log parameters and metrics: names that differ in case, numbers that are none, much history."""
    client = maker.client
    run_id = maker.run("Werte 🍇")
    metrics = [
        Metric("acc", 0.5, WHEN, 0),
        Metric("ACC", 1.5, WHEN, 0),
        Metric("nan", float("nan"), WHEN, 0),
        Metric("up", float("inf"), WHEN, 0),
        Metric("down", float("-inf"), WHEN, 0),
        Metric("mixed", float("nan"), WHEN, 0),
        Metric("mixed", 1e-300, WHEN, 1),
        Metric("mixed", -1.7e308, WHEN, -1),
        Metric("val/loss of all-1.0_x", 0.1 + 0.2, WHEN, 0),
        Metric("same step", 1.0, WHEN, 7),
        Metric("same step", 2.0, WHEN, 7),
        Metric("same step", 2.0, WHEN + 1, 7),
    ]
    parameters = [Param("lr", "0.1"), Param("LR", "0.2"), Param("long", "ß" * 6_000)]
    parameters += [Param(f"layer.{number}/units", str(number)) for number in range(60)]
    tags = [RunTag("note", "a\nb\t'\"\\"), RunTag("Note", "🍇" * 500), RunTag("empty", "")]
    client.log_batch(run_id, metrics, parameters, tags)
    history = [Metric("loss", 1 / (1 + step), WHEN + step, step) for step in range(HISTORY)]
    for first in range(0, HISTORY, BATCH):
        client.log_batch(run_id, history[first : first + BATCH])
    client.set_terminated(run_id, end_time=WHEN + HISTORY)


def datasets(maker: Maker) -> None:
    """Say which data runs used; two runs share one."""
    shared = Dataset("wine", "abc123", "local", "here", schema='{"a": "long"}', profile="{}")
    other = Dataset("Wein 🍇", "def456", "http", '{"url": "http://example.com/ü"}')
    contexts = {"trains": [shared, other], "tests": [shared]}
    for name, used in contexts.items():
        run_id = maker.run(name)
        inputs = [DatasetInput(one, [InputTag("mlflow.data.context", name)]) for one in used]
        maker.client.log_inputs(run_id, inputs)
        maker.client.set_terminated(run_id, end_time=WHEN)


def artifacts(maker: Maker) -> None:
    """Log files of several sizes with odd names, one by one and as a folder."""
    run_id = maker.run("artifacts")
    odd = ODD | (BEYOND_LATIN if RELEASE >= YOUNG else {})
    with maker.files(odd) as folder:
        maker.client.log_artifacts(run_id, str(folder))
        maker.client.log_artifact(run_id, str(folder / "one byte.txt"), "again/ü 1")
    maker.client.set_terminated(run_id, end_time=WHEN)
    deleted = maker.run("deleted with artifacts")
    maker.client.log_text(deleted, "still there", "left.txt")
    maker.client.delete_run(deleted)


def traces(maker: Maker) -> None:
    """Log traces: with nested spans, with an error, large, and of a run."""
    mlflow.set_experiment(experiment_id=maker.experiment)
    with mlflow.start_span("question", span_type="CHAIN") as span:
        span.set_inputs({"text": "Wie viele 🍇?", "nan": [1.5, None, True]})
        with mlflow.start_span("lookup", span_type="RETRIEVER", attributes={"rows": 3}) as inner:
            inner.set_outputs([{"page_content": "ü" * 50, "metadata": {"n": n}} for n in range(3)])
            with mlflow.start_span("query", attributes={"sql": "SELECT '%s'"}):
                pass
        span.set_outputs({"count": 3})
    mlflow.flush_trace_async_logging()
    _fail()
    with mlflow.start_span("large") as span:
        span.set_inputs({"text": "x" * 300_000})
        for number in range(20):
            with mlflow.start_span(f"step {number}", span_type="TOOL"):
                pass
    run_id = maker.run("traced")
    with mlflow.start_run(run_id=run_id), mlflow.start_span("of a run") as span:
        span.set_outputs("yes")
    mlflow.flush_trace_async_logging()
    for found in _traces(maker):
        maker.client.set_trace_tag(found, "rated", "gut 🍇")


def _fail() -> None:
    """Log a trace that ends with an error."""
    try:
        with mlflow.start_span("fails"), mlflow.start_span("raises"):
            raise ValueError("This is what the span is to hold: ü.")
    except ValueError:
        mlflow.flush_trace_async_logging()


def _traces(maker: Maker) -> list[str]:
    """Return the IDs of all traces, in the order of their making."""
    found = maker.client.search_traces([maker.experiment], order_by=["timestamp_ms ASC"])
    return [one.info.request_id for one in found]


def assessments(maker: Maker) -> None:
    """Judge traces: feedback of a person and a program, one replaced, one failed, and an expectation."""
    from mlflow.entities import AssessmentError, AssessmentSource

    first, second = _traces(maker)[:2]
    person = AssessmentSource(source_type="HUMAN", source_id="grün@example.com")
    program = AssessmentSource(source_type="CODE", source_id="checks.py")
    mlflow.log_feedback(
        trace_id=first, name="correct", value=True, source=person, rationale="Stimmt: 🍇."
    )
    given = mlflow.log_feedback(trace_id=first, name="score", value=0.25, source=program)
    mlflow.override_feedback(
        trace_id=first, assessment_id=given.assessment_id, value=0.75, rationale="again"
    )
    mlflow.log_expectation(
        trace_id=first, name="answer", value={"count": 3}, source=person, metadata={"a": "b"}
    )
    error = AssessmentError(error_code="TIMEOUT", error_message="too slow")
    mlflow.log_feedback(trace_id=second, name="correct", error=error, source=program)


def linked_traces(maker: Maker) -> None:
    """Link a trace to a run that did not make it."""
    run_id = maker.run("linked")
    maker.client.link_traces_to_run(_traces(maker)[:2], run_id)


def registry(maker: Maker) -> None:
    """Register models: versions in stages, tags, aliases, a deleted version, and a renamed model."""
    client = maker.client
    run_id = maker.run("model")
    with maker.files(MODEL) as folder:
        client.log_artifacts(run_id, str(folder), "model")
    client.create_registered_model("Wein 🍇", {"team": "grün"}, "Beschreibung " * 20)
    for number in (1, 2, 3):
        client.create_model_version(
            "Wein 🍇",
            f"runs:/{run_id}/model",
            run_id,
            {"n": str(number)},
            description=f"№ {number}",
        )
    client.transition_model_version_stage("Wein 🍇", "1", "Production")
    client.set_registered_model_alias("Wein 🍇", "champion", "1")
    client.set_registered_model_alias("Wein 🍇", "Challenger", "2")
    client.delete_model_version("Wein 🍇", "3")
    client.create_registered_model("before")
    client.create_model_version("before", f"runs:/{run_id}/model", run_id)
    client.rename_registered_model("before", "renamed")
    client.create_registered_model("none")


def prompts(maker: Maker) -> None:
    """Register prompts with versions and an alias."""
    client = maker.client
    more: dict[str, Any] = {"tags": {"language": "de"}}
    client.register_prompt("greeting", FIRST_TEXT, commit_message="erste", **more)
    client.register_prompt("greeting", FIRST_TEXT + " Bitte.", commit_message="second")
    client.set_prompt_alias("greeting", "live", 1)
    client.register_prompt("other", "Answer: {{question}}")


def prompt_of_a_run(maker: Maker) -> None:
    """Say which prompt a run used."""
    run_id = maker.run("prompted")
    if RELEASE < YOUNG:
        maker.client.log_prompt(run_id, "prompts:/greeting/1")
    else:
        prompt = maker.client.load_prompt("prompts:/greeting/1")
        maker.client.link_prompt_version_to_run(run_id, prompt)


def chat_prompt(maker: Maker) -> None:
    """Register a prompt that is a list of messages, with a response format."""
    messages = [
        {"role": "system", "content": "Sei kurz."},
        {"role": "user", "content": "{{question}}"},
    ]
    answer = {"type": "object", "properties": {"text": {"type": "string"}}}
    maker.client.register_prompt("chat", messages, response_format=answer, tags={"kind": "chat"})


def logged_models(maker: Maker) -> None:
    """Log models of MLflow 3's own kind: ready with files and metrics, registered, failed, deleted."""
    from mlflow.entities import LoggedModelOutput

    client = maker.client
    run_id = maker.run("trains a model")
    many = {f"p{number}": str(number) for number in range(30)}
    ready = client.create_logged_model(
        maker.experiment, "tree", run_id, {"size": "klein"}, many, "agent"
    ).model_id
    with maker.files(MODEL) as folder:
        client.log_model_artifacts(ready, str(folder))
    client.finalize_logged_model(ready, "READY")
    client.set_logged_model_tags(ready, {"colour": "grün 🍇"})
    client.log_outputs(run_id, [LoggedModelOutput(ready, 3)])
    client.log_inputs(run_id, [DatasetInput(Dataset("eval", "e1", "local", "here"))])
    data = {"dataset_name": "eval", "dataset_digest": "e1"}
    for step, value in enumerate((0.5, float("nan"), 0.75)):
        client.log_metric(run_id, "f1", value, WHEN + step, step, model_id=ready, **data)
    client.create_registered_model("tree")
    client.create_model_version("tree", f"models:/{ready}", run_id, model_id=ready)
    failed = client.create_logged_model(maker.experiment, "failed").model_id
    client.finalize_logged_model(failed, "FAILED")
    client.create_logged_model(maker.experiment, "pending")
    deleted = client.create_logged_model(maker.experiment, "deleted").model_id
    client.delete_logged_model(deleted)


def evaluation_datasets(maker: Maker) -> None:
    """Keep records for evaluations."""
    made = maker.client.create_dataset("Fragen 🍇", [maker.experiment], {"stage": "spät"})
    records = [
        {"inputs": {"question": f"Frage {number}"}, "expectations": {"answer": str(number)}}
        for number in range(5)
    ]
    made.merge_records(records)


@dataclass(frozen=True)
class Action:
    """One kind of content, the release from which on a server has it, and that for folders of files."""

    make: Callable[[Maker], None]
    since: tuple[int, ...] = OLD
    # None where no release keeps it in files.
    in_files_since: tuple[int, ...] | None = OLD


# In this order; a later one may need what an earlier one made.
ACTIONS: Sequence[Action] = (
    Action(experiments),
    Action(runs),
    Action(values),
    Action(datasets),
    Action(artifacts),
    Action(traces),
    Action(assessments, YOUNG, YOUNG),
    Action(linked_traces, YOUNG, None),
    Action(registry),
    Action(prompts),
    Action(prompt_of_a_run),
    Action(chat_prompt, YOUNG, YOUNG),
    Action(logged_models, THREE, THREE),
    Action(evaluation_datasets, YOUNG, None),
)


def main() -> None:
    """Do what this release can, in order, and print each kind that was made."""
    maker = Maker(Path(sys.argv[1]))
    files = not mlflow.get_tracking_uri().startswith("http")
    for action in ACTIONS:
        since = action.in_files_since if files else action.since
        if since is not None and since <= RELEASE:
            action.make(maker)
            print("made", action.make.__name__, flush=True)


if __name__ == "__main__":
    main()
