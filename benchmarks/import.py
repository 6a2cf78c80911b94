# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An import of a folder `mlruns`, against MLflow's own command followed by a load.

What it is compared with: `mlflow migrate-filestore` into a new file, then all of its rows inserted into the project's
database by SQLite itself, and the folders of artifacts copied by `cp`. It leaves locations and IDs of experiments as
they were, so it does less. Rounds alternate; times are medians.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.benchmarks import _bench
from ansible_collections.mlops.mlflow_aws.tests.parts import seeds, server_program
from ansible_collections.mlops.mlflow_aws.tests.parts.importer import Importer, rows
from ansible_collections.mlops.mlflow_aws.tests.support import new_environment

TARGET = 1.0
WHEN = 1_700_000_000_000
KEYS, PARAMETERS = 5, 8
_META = """\
artifact_uri: {place}/{experiment}/{run}/artifacts
end_time: {end}
entry_point_name: ''
experiment_id: '{experiment}'
lifecycle_stage: active
run_id: {run}
run_name: run-{number}
source_name: ''
source_type: 4
source_version: ''
start_time: {start}
status: 3
tags: []
user_id: someone
"""


def write_files(folder: Path, runs: int, points: int) -> None:
    """Write a folder `mlruns` as MLflow does: each run with parameters, tags, metrics and an artifact."""
    place, chance = folder / "mlruns", random.Random(5)
    experiment = "417355214981023741"
    root = place / experiment
    for name in ("0", experiment):
        (place / name).mkdir(parents=True)
        (place / name / "meta.yaml").write_text(
            f"artifact_location: {place.as_uri()}/{name}\ncreation_time: {WHEN}\nexperiment_id: '{name}'\n"
            f"last_update_time: {WHEN}\nlifecycle_stage: active\nname: {'Default' if name == '0' else 'bench'}\n"
        )
    for number in range(runs):
        run = f"{number + 1:032x}"
        own = root / run
        for name in ("params", "tags", "metrics", "artifacts"):
            (own / name).mkdir(parents=True)
        start = WHEN + number
        meta = _META.format(
            place=place.as_uri(),
            experiment=experiment,
            run=run,
            number=number,
            start=start,
            end=start,
        )
        (own / "meta.yaml").write_text(meta)
        for key in range(PARAMETERS):
            (own / "params" / f"layer_{key}").write_text(str(number * key))
        for tag, text in (("mlflow.runName", f"run-{number}"), ("mlflow.user", "someone")):
            (own / "tags" / tag).write_text(text)
        for key in range(KEYS):
            lines = (
                f"{start + step} {1 / (1 + step) + key} {step}" for step in range(points // KEYS)
            )
            (own / "metrics" / f"metric_{key}").write_text("\n".join(lines) + "\n")
        (own / "artifacts" / "model.bin").write_bytes(chance.randbytes(4096))


def load(source: Path, project: seeds.Project, folder: Path) -> None:
    """Insert the rows of a file into a project's database, and copy artifacts."""
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute("ATTACH ? AS source", (str(source),))
        listed = "SELECT name FROM source.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        with connection:
            for (table,) in connection.execute(listed).fetchall():
                found = connection.execute(f"PRAGMA table_xinfo({table})").fetchall()
                columns = ", ".join(f'"{column[1]}"' for column in found if not column[6])
                connection.execute(
                    f"INSERT OR IGNORE INTO main.{table} ({columns}) SELECT {columns} FROM source.{table}"
                )
    subprocess.run(["cp", "-r", f"{folder}/mlruns/.", project.artifacts], check=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--points", type=int, default=100, help="of each run")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    python = new_environment("server", "../docker/requirements") / "python"
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "home").mkdir()
        release = seeds.Release(python, work / "home")
        importer = Importer(release, server_program.lay_out(work / "program"), work)
        write_files(work / "files", given.runs, given.points)
        mine: list[float] = []
        theirs: list[float] = []
        for number in range(given.rounds):
            project = importer.project()
            begun = time.monotonic()
            record = importer.bring(project, work / "files")
            mine.append(time.monotonic() - begun)
            assert (record["error"], record["added"]["runs"]) == ("", given.runs)
            other = importer.project()
            target = work / f"migrated-{number}.db"
            begun = time.monotonic()
            release.run(
                "-m", "mlflow", "migrate-filestore", "--source", str(work / "files"),
                "--target", f"sqlite:///{target}", "--no-progress",
            )  # fmt: skip
            load(target, other, work / "files")
            theirs.append(time.monotonic() - begun)
            for each in (project, other):
                assert rows(each, "SELECT COUNT(*) FROM metrics") == [(given.runs * given.points,)]
                shutil.rmtree(each.artifacts)
        what = f"import of {given.runs} runs to migrate-filestore and a load"
        _bench.compare(what, statistics.median(mine), statistics.median(theirs), "s", TARGET)


if __name__ == "__main__":
    main()
