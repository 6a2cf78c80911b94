# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users deleted goes for good with all rows and artifacts that belong to it, and nothing else does."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts import seeds, server_program
from ansible_collections.mlops.mlflow_aws.tests.parts.host import await_
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment

# The first test may have to install a release.
pytestmark = pytest.mark.timeout(600)

DAY = 86_400
PROGRAM = seeds.PROGRAMS / "deleted_program.py"
# Text that says what once was, rather than leading to it.
PROVENANCE = {("logged_models", "source_run_id"), ("runs", "name")}


@dataclass(frozen=True)
class Seed:
    """A project in which things were deleted, and their IDs."""

    release: seeds.Release
    entry: Path
    project: seeds.Project
    ids: dict[str, dict[str, str]]


@dataclass(frozen=True)
class Case:
    """A copy of it that a test changes."""

    seed: Seed
    project: seeds.Project
    folder: Path

    def request(self, **more: Any) -> Path:
        """Write a request; return its path."""
        request = {
            "projects": [
                {
                    "name": "demo",
                    "backend_store_uri": self.project.uri,
                    "artifacts_destination": str(self.project.artifacts),
                }
            ],
            "destination": str(self.folder / "backups"),
            "retention_days": {"demo": 30},
            **more,
        }
        path = self.folder / f"request-{uuid.uuid4().hex}.json"
        path.write_text(json.dumps(request))
        return path

    def start(self, verb: str, **more: Any) -> subprocess.Popen[str]:
        """Start a verb."""
        environment = clean_environment(self.seed.release.home)
        return subprocess.Popen(
            [self.seed.release.python, "-I", self.seed.entry, verb, self.request(**more)],
            env=environment | {"XDG_RUNTIME_DIR": str(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def gc(self, verb: str = "gc", **more: Any) -> dict[str, Any]:
        """Carry out a verb; return the record of the project."""
        process = self.start(verb, **more)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
        record: dict[str, Any] = json.loads(output)
        return record

    def remove(self, **more: Any) -> dict[str, Any]:
        """Remove what was deleted."""
        return self.gc(remove=True, **more)

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Carry out a statement in the database."""
        with closing(sqlite3.connect(self.project.database)) as connection:
            rows = connection.execute(statement, values).fetchall()
            connection.commit()
        return rows

    def age(self, days: float = 40) -> None:
        """Let everything have been deleted and written so long ago."""
        then = int((time.time() - days * DAY) * 1000)
        self.sql("UPDATE runs SET deleted_time = ? WHERE deleted_time IS NOT NULL", then)
        self.sql("UPDATE experiments SET last_update_time = ?", then)
        self.sql("UPDATE logged_models SET last_updated_timestamp_ms = ?", then)
        self.sql("UPDATE model_versions SET last_updated_time = ?", then)
        for path in self.project.artifacts.rglob("*"):
            os.utime(path, (then / 1000, then / 1000))

    def write(self, path: str, days: float = 40) -> None:
        """Write an artifact so long ago."""
        place = self.project.artifacts / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"12345")
        then = time.time() - days * DAY
        os.utime(place, (then, then))

    def files(self) -> set[str]:
        """Return the paths of all artifacts."""
        root = self.project.artifacts
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    def mentions(self, text: str) -> set[tuple[str, str]]:
        """Return each table and column in which a text stands."""
        found = set()
        with closing(sqlite3.connect(self.project.database)) as connection:
            for table in seeds.tables(connection.cursor()):
                for _number, column, *_rest in connection.execute(f"PRAGMA table_info({table})"):
                    where = f"instr(CAST({table}.{column} AS TEXT), ?)"
                    if connection.execute(
                        f"SELECT 1 FROM {table} WHERE {where}", (text,)
                    ).fetchone():
                        found.add((table, column))
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return found


@pytest.fixture(scope="module")
def seed(
    environment: Callable[..., Path],
    free_ports: Callable[[int], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Seed:
    """Return a project that MLflow's own server and client made."""
    python = environment(*seeds.ENVIRONMENTS[seeds.NEWEST]) / "python"
    release = seeds.Release(python, tmp_path_factory.mktemp("home"))
    project = seeds.in_folder(tmp_path_factory.mktemp("seed"))
    with seeds.serving(release, project, free_ports(1)[0]) as url:
        output = release.run(PROGRAM, MLFLOW_TRACKING_URI=url)
    entry = server_program.lay_out(tmp_path_factory.mktemp("program"))
    return Seed(release, entry, project, json.loads(output.splitlines()[-1]))


@pytest.fixture
def case(seed: Seed, tmp_path: Path) -> Case:
    """Return a copy of it in which everything was deleted long ago."""
    folder = tmp_path / "project"
    folder.mkdir()
    made = Case(seed, seed.project.copy(folder), folder)
    made.age()
    return made


def test_what_was_deleted_goes_with_all_that_names_it(case: Case) -> None:
    """It is listed first, then removed, from every table; what registered versions refer to stays."""
    ids, before = case.seed.ids, case.files()
    listed = case.gc()
    wanted = {"runs": 2, "experiments": 1, "logged_models": 2, "traces": 1, "model_versions": 2}
    assert {key: listed[key] for key in wanted} == wanted
    assert (listed["removed"], listed["artifacts"]["objects"]) == (False, 4)
    sizes = [case.project.artifacts / path for path in listed["artifacts"]["examples"]]
    assert listed["artifacts"]["bytes"] == sum(path.stat().st_size for path in sizes)
    assert listed["kept"] == [
        "1 deleted logged models stay, since versions of registered models refer to them",
        "1 deleted runs stay, since versions of registered models refer to them",
    ]
    assert case.files() == before
    assert case.mentions(ids["runs"]["goes"])

    removed = case.remove()
    assert {key: removed[key] for key in wanted} == wanted
    assert (removed["error"], removed["removed"]) == ("", True)
    assert case.files() == before - set(listed["artifacts"]["examples"])
    for kind in ("runs", "models", "traces"):
        for name, identifier in ids[kind].items():
            left = case.mentions(identifier) - PROVENANCE
            assert bool(left) == (not name.startswith("goes")), (kind, name, left)
    assert case.sql("SELECT name FROM experiments ORDER BY 1") == [("Default",), ("stays",)]
    assert case.sql("SELECT COUNT(*) FROM experiment_tags WHERE experiment_id = 2") == [(0,)]
    assert case.sql("SELECT version FROM model_versions WHERE name = 'versions'") == [
        (1,),
        (3,),
        (4,),
    ]
    assert case.sql("SELECT version FROM model_version_tags") == [(1,), (3,)]
    inputs = case.sql("SELECT DISTINCT input_uuid FROM input_tags")
    assert set(inputs) <= set(case.sql("SELECT input_uuid FROM inputs"))

    again = case.remove(remove_orphans=True)
    assert [again[key] for key in wanted] == [0] * len(wanted)
    assert [again[key]["objects"] for key in ("artifacts", "orphans", "unknown")] == [0, 0, 0]
    assert case.files() == before - set(listed["artifacts"]["examples"])


def test_what_stays_is_what_mlflow_reads(
    case: Case, free_ports: Callable[[int], list[int]]
) -> None:
    """MLflow's client reads what is left as it did before, and a new version gets a new number."""
    newest, ids = case.seed.release, case.seed.ids
    case.remove()
    case.sql("PRAGMA integrity_check")
    with seeds.serving(newest, case.project, free_ports(1)[0]) as url:
        text = (
            "import mlflow, json; c = mlflow.MlflowClient(); v = c.create_model_version('versions', "
            f"'mlflow-artifacts:/1/{ids['runs']['stays']}/artifacts/folder', '{ids['runs']['stays']}'); "
            f"c.restore_run('{ids['runs']['used']}'); r = c.get_run('{ids['runs']['used']}'); "
            "print(json.dumps([v.version, r.data.metrics['loss'], r.data.params, "
            f"len(c.get_metric_history('{ids['runs']['used']}', 'loss')), "
            f"len(c.list_artifacts('{ids['runs']['used']}', 'folder')), "
            f"c.get_trace('{ids['traces']['stays']}').info.tags['a'], "
            f"c.get_logged_model('{ids['models']['stays']}').name]))"
        )
        told = newest.run("-c", text, MLFLOW_TRACKING_URI=url)
    assert json.loads(told.splitlines()[-1]) == ["5", 1.0, {"p": "1"}, 6000, 1, "b", "m"]


def test_what_is_young_or_comes_from_a_wrong_clock_stays(case: Case) -> None:
    """Neither what was deleted 29 days ago goes, nor what has a time to come, nor what has none."""
    before = case.files()
    case.age(29)
    assert nothing(case.remove())
    case.age(-400)
    assert nothing(case.remove())
    case.sql("UPDATE runs SET deleted_time = NULL")
    assert nothing(case.remove())
    assert case.files() == before
    case.age(29)
    assert case.gc(retention_days={"demo": 28})["runs"] == 0, "a run without a time has no age"


def test_an_experiment_stays_as_long_as_a_run_does(case: Case) -> None:
    """A run that was deleted later, or restored, keeps its experiment; the default one always stays."""
    run_id = case.seed.ids["runs"]["goes along"]
    case.sql("UPDATE runs SET deleted_time = ? WHERE run_uuid = ?", int(time.time() * 1000), run_id)
    case.sql("UPDATE experiments SET lifecycle_stage = 'deleted' WHERE experiment_id = 0")
    listed = case.gc()
    assert (listed["experiments"], listed["runs"], listed["traces"]) == (0, 1, 0)
    assert "1 deleted experiments stay, since they have runs that stay" in listed["kept"]
    case.remove()
    assert case.mentions(run_id)
    assert case.mentions(case.seed.ids["traces"]["goes along"])
    assert case.sql("SELECT COUNT(*) FROM experiments") == [(3,)]


def test_orphans_are_listed_and_go_when_asked(case: Case) -> None:
    """Orphans are of owners that are gone; what is young, or of nobody, or referred to, never is one."""
    ids = case.seed.ids
    orphans = {
        f"1/{uuid.uuid4().hex}/artifacts/a/b.txt",
        f"77/{uuid.uuid4().hex}/artifacts/b.txt",
        f"1/models/m-{uuid.uuid4().hex}/artifacts/MLmodel",
        f"1/traces/tr-{uuid.uuid4().hex}/artifacts/traces.json",
        f"trace-archive/1/traces/tr-{uuid.uuid4().hex}/artifacts/traces.pb",
        f"own/place/{uuid.uuid4().hex}/artifacts/c.txt",
    }
    unknown = {
        "1/notes.txt",
        "notes.txt",
        f"1/{uuid.uuid4().hex}/elsewhere.txt",
        f"other/place/{uuid.uuid4().hex}/artifacts/c.txt",
        f"1/traces/{ids['traces']['stays']}",
        f"1/{uuid.uuid4().hex.upper()}/artifacts/d.txt",
    }
    referred = f"1/{uuid.uuid4().hex}/artifacts/model/MLmodel"
    fresh = f"1/{uuid.uuid4().hex}/artifacts/young.txt"
    ahead = f"1/{uuid.uuid4().hex}/artifacts/ahead.txt"
    own = f"1/traces/{ids['traces']['stays']}/artifacts/traces.json"
    for path in {*orphans, *unknown - {f"1/traces/{ids['traces']['stays']}"}, referred, own}:
        case.write(path)
    unknown.discard(f"1/traces/{ids['traces']['stays']}")
    case.write(fresh, 0.9)
    case.write(ahead, -400)
    source = f"mlflow-artifacts:/{referred.rpartition('/')[0]}"
    case.sql("UPDATE model_versions SET source = ? WHERE name = 'of a run'", source)
    case.sql("INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
             "VALUES (9, 'own', 'mlflow-artifacts:/own/place', 'active')")  # fmt: skip
    before = case.files()
    listed = case.gc()
    assert set(listed["orphans"]["examples"]) == orphans
    assert (listed["orphans"]["objects"], listed["orphans"]["bytes"]) == (6, 30)
    assert set(listed["unknown"]["examples"]) == unknown
    kept = case.remove()
    assert case.files() >= orphans | unknown
    assert not kept["orphans_removed"]
    removed = case.remove(remove_orphans=True)
    assert (removed["error"], removed["orphans_removed"]) == ("", True)
    gone = {path for path in before if any(i in path for i in goes(case))}
    assert case.files() == before - orphans - gone
    assert nothing(case.remove(remove_orphans=True))


def test_a_killed_run_is_ended_by_the_next_one(case: Case) -> None:
    """What lost its rows loses its artifacts too, without anybody asking for orphans."""
    many = [uuid.uuid4().hex for _number in range(1_500)]
    columns = "run_uuid, name, lifecycle_stage, artifact_uri, experiment_id, deleted_time"
    with closing(sqlite3.connect(case.project.database)) as connection:
        for run_id in many:
            place = f"mlflow-artifacts:/1/{run_id}/artifacts"
            connection.execute(
                f"INSERT INTO runs ({columns}) VALUES (?, 'many', 'deleted', ?, 1, 1)",
                (run_id, place),
            )
            for number in range(20):
                row = (f"k{number}", 1.0, 1, run_id, 0, False)
                connection.execute("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", row)
        connection.commit()
    for run_id in many:
        case.write(f"1/{run_id}/artifacts/a.txt")

    def runs() -> int:
        return int(case.sql("SELECT COUNT(*) FROM runs WHERE name = 'many'")[0][0])

    process = case.start("gc", remove=True)
    await_(lambda: runs() < len(many), "nothing was removed", 60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = runs()
    assert sum("a.txt" in path for path in case.files()) == len(many)
    # What is on its list and not in the database is told as what goes.
    assert case.gc()["artifacts"]["objects"] >= len(many)
    done = case.remove()
    assert (done["error"], done["runs"] >= left) == ("", True)
    assert not any("a.txt" in path for path in case.files())
    assert not list(case.folder.rglob("gc.json"))
    assert nothing(case.remove())


def test_a_run_restored_meanwhile_keeps_its_artifacts(case: Case) -> None:
    """A list that a killed run left does not say more than the database."""
    run_id = case.seed.ids["runs"]["goes"]
    place = case.folder / "backups" / "demo"
    place.mkdir(parents=True)
    (place / "gc.json").write_text(json.dumps([["run", run_id]]))
    case.sql(
        "UPDATE runs SET lifecycle_stage = 'active', deleted_time = NULL WHERE run_uuid = ?", run_id
    )
    case.remove(remove_orphans=True)
    assert case.mentions(run_id)
    assert any(run_id in path for path in case.files())


def test_an_artifact_that_cannot_go_is_told_and_the_others_go(case: Case) -> None:
    """One sentence names it; the next run deletes it."""
    run_id = case.seed.ids["runs"]["goes"]
    (path,) = [path for path in case.files() if run_id in path]
    place = case.project.artifacts / path
    place.unlink()
    # A folder in the place of the file: deleting it as a file fails, even for root.
    place.mkdir()
    (place / "inside").write_text("x")
    listed = case.gc()
    failed = (place / "inside").parent
    immutable = subprocess.run(["chattr", "+i", failed], capture_output=True, check=False)
    if immutable.returncode:
        pytest.skip("the file system knows no immutable folder")
    try:
        told = case.remove()
        assert told["error"].startswith(
            "1 artifacts of project 'demo' could not be deleted, the first is "
        )
        assert told["error"].endswith("; the others are gone. Rerun to delete the rest.")
        assert [name for name in case.files() if any(i in name for i in goes(case))] == [
            f"{path}/inside"
        ]
    finally:
        subprocess.run(["chattr", "-i", failed], check=True)
    assert listed["artifacts"]["objects"] == 4
    assert case.remove()["error"] == ""
    assert f"{path}/inside" not in case.files()


def test_a_project_in_use_or_of_an_older_mlflow_is_refused(case: Case) -> None:
    """One sentence each, and nothing is removed."""
    import fcntl

    before = case.files()
    with (case.folder / ".data.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert case.remove()["error"].startswith("Project 'demo' is in use")
    case.sql("UPDATE alembic_version SET version_num = 'older'")
    assert case.remove()["error"].startswith(
        "The schema of project 'demo' is not at the revision of this MLflow"
    )
    assert case.files() == before


def goes(case: Case) -> list[str]:
    """Return the IDs of what goes."""
    kinds = ("runs", "models", "traces")
    return [
        identifier
        for kind in kinds
        for name, identifier in case.seed.ids[kind].items()
        if name.startswith("goes")
    ]


def nothing(record: dict[str, Any]) -> bool:
    """Return whether nothing was removed."""
    kinds = ("runs", "experiments", "logged_models", "traces", "model_versions")
    assert record["error"] == ""
    return not any(record[kind] for kind in kinds) and record["artifacts"]["objects"] == 0
