# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook status: what it takes longer with many projects than with one.

With SQLite the whole playbook is measured, on a local backend whose projects have runs, metric points and
artifacts. With --mysql what reads the projects is measured, MLflow's program, on a real MySQL with TLS and an
emulated S3, where each project has a schema, a migrator with a secret, and artifacts of its own.

Runs alternate; times are medians. --mysql wants a Docker engine or root.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ansible_collections.mlops.mlflow_aws.benchmarks import _bench
from ansible_collections.mlops.mlflow_aws.tests.integration.aws import _entry
from ansible_collections.mlops.mlflow_aws.tests.parts import base_images, docker_engine
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import ministack
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment

# The aims, of which the second is that of the program alone, which starts in less than a second.
RATIO, PROGRAM_RATIO, SECONDS = 2.0, 5.0, 10.0
RUNS, POINTS, OBJECTS = 200, 20_000, 100
BUCKET = "status"


def fill(path: Path) -> None:
    """Give a database runs and metric points."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (7, 'some', 'active')"
        )
        runs = [(f"{number:032x}", 7, "active") for number in range(RUNS)]
        connection.executemany(
            "INSERT INTO runs (run_uuid, experiment_id, lifecycle_stage) VALUES (?, ?, ?)", runs
        )
        connection.executemany(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)",
            [("loss", 0.5, number, f"{number % RUNS:032x}", number) for number in range(POINTS)],
        )
        connection.commit()


@contextlib.contextmanager
def on_sqlite(counts: tuple[int, ...], folder: Path) -> Iterator[Callable[[int], float]]:
    """Yield what runs the playbook on so many projects, and returns its seconds."""
    kinds = _bench.Kinds(_bench.installation(), Path())
    state = kinds.ours.parents[4]
    template = _bench.database(kinds, folder)
    fill(template)
    inventories = {count: _inventory(folder, state, template, count) for count in counts}
    home = folder / "home"
    home.mkdir()
    playbook = str(_bench.ROOT / "playbooks" / "status.yml")
    environment = clean_environment(home) | {
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(sys.path),
        "ANSIBLE_LOCALHOST_WARNING": "false",
    }

    def measure(count: int) -> float:
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i"]
        command += [
            str(inventories[count]),
            playbook,
            "-e",
            f"mlflow_status_report={folder}/{count}",
        ]
        begun = time.monotonic()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - begun
        if done.returncode != 0:
            raise SystemExit(done.stdout + done.stderr)
        found = json.loads((folder / f"{count}.json").read_text())["projects"]
        if [one["counts"].get("metric_points") for one in found] != [POINTS] * count:
            raise SystemExit("The report does not hold what is there.")
        return seconds

    yield measure


def _inventory(folder: Path, installed: Path, template: Path, count: int) -> Path:
    """Make a state folder with so many projects, and an inventory for it."""
    state = folder / f"state-{count}"
    (state / "runtimes").parent.mkdir()
    (state / "runtimes").symlink_to(installed / "runtimes")
    names = [f"p{number}" for number in range(count)]
    for name in names:
        artifacts = state / "projects" / name / "artifacts"
        artifacts.mkdir(parents=True)
        shutil.copyfile(template, artifacts.parent / "mlflow.db")
        for number in range(OBJECTS):
            (artifacts / f"{number}.bin").write_bytes(b"x" * 100)
    path = folder / f"inventory-{count}.yml"
    host = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "mlflow_state_dir": str(state),
        "mlflow_projects": [{"name": name} for name in names],
        "mlflow_server_runtime": "process",
    }
    path.write_text(json.dumps({"mlflow_servers": {"hosts": {"here": host}}}))
    return path


@contextlib.contextmanager
def on_mysql(counts: tuple[int, ...], folder: Path) -> Iterator[Callable[[int], float]]:
    """Yield what has MLflow's program read so many projects, and returns its seconds."""
    python = _bench.installation()
    engine = docker_engine.find() or docker_engine.start(folder / "engine")
    os.environ["DOCKER_HOST"] = engine.host
    image = base_images.provide(engine, base_images.mysql())
    try:
        with (
            _entry.database_server(image, _bench.free_port()) as database,
            ministack(_bench.free_port(), folder) as aws,
        ):
            entry = python.parents[2] / "mlflow_entry.py"
            place = _entry.Place(python, entry, database, aws, folder, _bench.free_ports)
            projects = _in_mysql(place, max(counts))

            def measure(count: int) -> float:
                path = folder / f"{uuid.uuid4().hex}.json"
                request = {"projects": projects[:count], "aws": aws.options(), "objects": True}
                path.write_text(json.dumps(request))
                begun = time.monotonic()
                done = place.call("info", path)
                seconds = time.monotonic() - begun
                records = [json.loads(line) for line in done.stdout.splitlines()]
                if [one["counts"].get("runs") for one in records] != [RUNS] * count:
                    raise SystemExit(done.stdout + done.stderr)
                return seconds

            yield measure
    finally:
        docker_engine.stop(engine)


def _in_mysql(place: _entry.Place, count: int) -> list[dict[str, Any]]:
    """Make so many projects with the same content."""
    client = place.aws.client("s3")
    client.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    first = place.new_schema("mlflow_p0")
    if place.migrate(first)[0]["error"]:
        raise SystemExit("The schema cannot be made.")
    made = [first]
    for number in range(1, count):
        name = f"mlflow_p{number}"
        place.copy("mlflow_p0", name)
        identity = place.identity(name, _entry.MIGRATOR, suffix="m")
        made.append({"name": name, "uri": place.uri(name), "database": identity})
    for number in range(count):
        values = ", ".join(f"('{run:032x}', 'active')" for run in range(RUNS))
        place.database.query(
            f"INSERT INTO mlflow_p{number}.runs (run_uuid, lifecycle_stage) VALUES {values}"
        )
        client.put_object(Bucket=BUCKET, Key=f"p{number}/a.bin", Body=b"x")
    return [
        {
            "name": f"p{number}",
            "backend_store_uri": one["uri"],
            "artifacts_destination": f"s3://{BUCKET}/p{number}",
            "database": one["database"],
        }
        for number, one in enumerate(made)
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--projects", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mysql", action="store_true", help="on MySQL rather than on SQLite")
    arguments = parser.parse_args()
    counts = (1, arguments.projects)
    place = on_mysql if arguments.mysql else on_sqlite
    with _bench.workplace() as folder, place(counts, folder) as measure:
        for count in counts:
            measure(count)
        times: dict[int, list[float]] = {count: [] for count in counts}
        for _round in range(arguments.rounds):
            for count in counts:
                times[count].append(measure(count))
    one, many = (statistics.median(times[count]) for count in counts)
    print(f"status of {arguments.projects} projects: {many:.1f} s (aim: {SECONDS:.0f} s or less)")
    aim = PROGRAM_RATIO if arguments.mysql else RATIO
    _bench.report(f"{arguments.projects} projects to one", many, one, "s", aim)


if __name__ == "__main__":
    main()
