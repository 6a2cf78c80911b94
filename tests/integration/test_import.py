# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of files, SQLite files and servers of real releases of MLflow, brought into projects."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.parts import bulk, seeds, server_program
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Modules
from ansible_collections.mlops.mlflow_aws.tests.parts.importer import (
    BUSY,
    Importer,
    as_files_tell,
    comparable,
    content,
    options,
    rows,
    tell_folder,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.tracking_gate import gate

# The first test may have to install a release.
pytestmark = pytest.mark.timeout(600)
WHY = "A folder and a server of the newest release are imported every time."
SMALL = bulk.Size(runs=450, points=9_000, spans=0, objects=900)


@pytest.fixture(scope="module")
def releases(
    environment: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], seeds.Release]:
    """Return a function that gives a release by name, which is installed where it is missing."""
    home = tmp_path_factory.mktemp("home")

    def release(name: str) -> seeds.Release:
        return seeds.Release(environment(*seeds.ENVIRONMENTS[name]) / "python", home)

    return release


@pytest.fixture(scope="module")
def importer(
    releases: Callable[[str], seeds.Release], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Importer]:
    """Return what imports; no log may hold a secret."""
    entry = server_program.lay_out(tmp_path_factory.mktemp("program"))
    made = Importer(releases(seeds.NEWEST), entry, tmp_path_factory.mktemp("projects"))
    yield made
    assert not [log for log in made.logs if TOKEN in log]


TOKEN = "t0ken-4711"


@pytest.fixture(scope="module")
def folder(
    releases: Callable[[str], seeds.Release], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder in which the newest release has made `mlruns`."""
    made = tmp_path_factory.mktemp("files")
    seeds.make_files(releases(seeds.NEWEST), made)
    return made


@pytest.fixture(scope="module")
def filled(importer: Importer, folder: Path) -> seeds.Project:
    """Return a project into which a folder was imported, to be read only."""
    project = importer.project()
    record = importer.bring(project, folder)
    assert (record["error"], record["unreadable"]) == ("", [])
    return project


@pytest.fixture(scope="module")
def large(importer: Importer) -> seeds.Project:
    """Return a project with many runs, to be read only."""
    project = importer.project()
    bulk.bulk(project, SMALL)
    return project


# Tables that a server tells whole. It gives datasets other IDs, and says nothing of what is deleted of models.
SERVED = (
    "assessments",
    "logged_model_params",
    "logged_model_tags",
    "metrics",
    "params",
    "registered_model_aliases",
    "runs",
    "tags",
    "trace_info",
    "trace_request_metadata",
)


def assert_same(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Fail unless two projects hold the same."""
    # Each has made its default experiment itself.
    for found in (mine, theirs):
        found["checksums"].pop("experiments")
    assert mine["checksums"] == theirs["checksums"]
    assert (mine["counts"], mine["artifacts"]) == (theirs["counts"], theirs["artifacts"])


@pytest.mark.parametrize("name", left_out.params([], [*seeds.OLDER, seeds.NEWEST], WHY))
def test_a_folder_comes_whole(
    name: str,
    importer: Importer,
    releases: Callable[[str], seeds.Release],
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> None:
    """Into a project whose experiments have the same IDs: it says the same as a server of the folder."""
    newest = releases(seeds.NEWEST)
    seeds.make_files(releases(name), tmp_path)
    before = tell_folder(newest, tmp_path / "mlruns", free_ports(1)[0])
    moved = tmp_path / "moved" / "mlruns"
    moved.parent.mkdir()
    shutil.move(tmp_path / "mlruns", moved)
    project = importer.project(*BUSY)
    record = importer.bring(project, moved.parent)
    assert (record["error"], record["unreadable"], record["left_out"]) == ("", [], {})
    assert record["artifacts"]["missing"] == []
    assert record["added"]["runs"] == len(before["runs"])
    kept = content(project)
    again = importer.bring(project, moved)
    assert (again["changed"], again["different"], again["artifacts"]["differing"]) == (
        False,
        {},
        [],
    )
    assert content(project) == kept
    with seeds.serving(newest, project, free_ports(1)[0]) as url:
        after = comparable(seeds.tell(newest, url), BUSY)
    assert seeds.differences(before, as_files_tell(after)) == []


@pytest.mark.parametrize("name", left_out.params([], [*seeds.OLDER, seeds.NEWEST], WHY))
def test_a_server_comes_whole(
    name: str,
    importer: Importer,
    releases: Callable[[str], seeds.Release],
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> None:
    """Behind a login, then its SQLite file; both say the same as the server."""
    newest = releases(seeds.NEWEST)
    source = seeds.in_folder(tmp_path)
    project = importer.project(*BUSY)
    with seeds.serving(releases(name), source, free_ports(1)[0]) as url:
        seeds.make(releases(name), url)
        before = comparable(seeds.tell(newest, url))
        with gate(url) as door:
            door.login = f"Bearer {TOKEN}"
            reason = importer.refuse(project, door.url)
            assert reason == (
                f"The server {door.url} refuses the login (401); correct mlflow_import_login."
            )
            record = importer.bring(project, door.url, login={"token": TOKEN})
        assert record["error"] == ""
        kept = content(project)
        again = importer.bring(project, url)
        assert (again["changed"], again["different"]) == (False, {})
        assert content(project) == kept
    copied = importer.project(*BUSY)
    assert importer.bring(copied, source.database)["error"] == ""
    kept = content(copied)
    again = importer.bring(copied, source.database)
    assert (again["changed"], again["different"]) == (False, {})
    assert content(copied) == kept
    for each in (project, copied):
        with seeds.serving(newest, each, free_ports(1)[0]) as url:
            after = comparable(seeds.tell(newest, url), BUSY)
        assert seeds.differences(before, after) == []


def test_a_server_that_runs_comes_whole(
    importer: Importer, filled: seeds.Project, free_ports: Callable[[int], list[int]]
) -> None:
    """What it tells is the same, and a second import changes nothing: it serves a folder that was imported."""
    project = importer.project()
    begun = int(time.time() * 1000)
    with seeds.serving(importer.release, filled, free_ports(1)[0]) as url:
        record = importer.bring(project, url)
        again = importer.bring(project, url)
    assert record["error"] == ""
    assert (record["added"]["runs"], record["unreadable"]) == (16, [])
    assert (again["changed"], again["different"]) == (False, {})
    mine, theirs = importer.sums(project), importer.sums(filled)
    assert {
        name for name in SERVED if mine["checksums"][name] != theirs["checksums"][name]
    } == set()
    assert mine["artifacts"] == theirs["artifacts"]
    # A server does not say when; gc must leave users their time to restore a run.
    [[deleted]] = rows(
        project, "SELECT MIN(deleted_time) FROM runs WHERE lifecycle_stage = 'deleted'"
    )
    assert deleted >= begun


def test_a_file_comes_whole(importer: Importer, filled: seeds.Project) -> None:
    """All content that is compared is the same; where IDs are free, they are kept."""
    project = importer.project()
    plan = importer.bring(project, filled.database, dry=True)
    assert (plan["changed"], rows(project, "SELECT COUNT(*) FROM runs")) == (True, [(0,)])
    assert list(project.artifacts.rglob("*")) == []
    record = importer.bring(project, f"sqlite:///{filled.database}")
    for part in ("added", "there", "different"):
        assert plan[part] == record[part]
    assert plan["artifacts"] == record["artifacts"]
    assert_same(importer.sums(project), importer.sums(filled))
    assert not list(project.database.parent.glob(".import-*"))


@pytest.mark.parametrize(
    "files", left_out.params([1, 300], [100, 500, 700, 899], "Two moments are tried every time.")
)
def test_a_killed_import_is_continued(files: int, importer: Importer, large: seeds.Project) -> None:
    """Every run is whole or not there, artifacts come first, and the next import ends the same."""
    project = importer.project()
    process = importer.begin(project, large.database)
    while sum(path.is_file() for path in project.artifacts.rglob("*")) < files:
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.communicate(timeout=60)
    for run, number in rows(project, "SELECT run_uuid, COUNT(*) FROM metrics GROUP BY run_uuid"):
        assert number == SMALL.points // SMALL.runs, run
    there = {run for (run,) in rows(project, "SELECT run_uuid FROM runs")}
    assert len(there) < SMALL.runs
    with_files = {path.parents[2].name for path in project.artifacts.rglob("part *")}
    assert there <= with_files
    record = importer.bring(project, large.database)
    assert record["added"].get("runs", 0) == SMALL.runs - len(there)
    assert_same(importer.sums(project), importer.sums(large))
    assert not list(project.database.parent.glob(".import-*"))


def test_servers_go_on_meanwhile(importer: Importer, large: seeds.Project) -> None:
    """A writer never waits for long."""
    project = importer.project("busy")
    waits: list[float] = []
    ended = threading.Event()

    def write() -> None:
        number = 0
        with closing(sqlite3.connect(project.database, timeout=10)) as connection:
            while not ended.is_set():
                begun = time.monotonic()
                with connection:
                    connection.execute(
                        "INSERT INTO experiment_tags VALUES (?, 'x', 1)", (f"tag {number}",)
                    )
                waits.append(time.monotonic() - begun)
                number += 1
                time.sleep(0.005)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        record = importer.bring(project, large.database)
    finally:
        ended.set()
        writer.join()
    assert (record["error"], record["added"]["runs"]) == ("", SMALL.runs)
    assert len(waits) > 100
    assert max(waits) < 3
    assert rows(project, "SELECT COUNT(*) FROM experiment_tags WHERE experiment_id = 1") == [
        (len(waits),)
    ]


def test_what_is_there_is_reported_and_kept(importer: Importer, filled: seeds.Project) -> None:
    """A run, an artifact, an experiment, a model that was changed, and another one of the same name."""
    project = importer.project()
    importer.bring(project, filled.database)
    (run,) = rows(project, "SELECT run_uuid FROM runs WHERE name = 'artifacts'")[0]
    rows(project, "UPDATE tags SET value = 'changed' WHERE run_uuid = ?", [run])
    rows(project, "UPDATE registered_models SET description = 'mine' WHERE name = 'none'")
    rows(project, "UPDATE registered_models SET creation_time = 1 WHERE name = 'Wein 🍇'")
    rows(project, "DELETE FROM model_versions WHERE name = 'Wein 🍇' AND version = 2")
    rows(project, "DELETE FROM model_versions WHERE name = 'renamed'")
    rows(project, "UPDATE experiment_tags SET value = 'blau' WHERE key = 'team'")
    (file,) = project.artifacts.rglob("a+b & c=d.txt")
    file.write_bytes(b"PLUS")
    kept = content(project)
    record = importer.bring(project, filled.database)
    assert record["differing"] == {
        "experiments": ["Prüfung 🍇 100%/a b"],
        "registered_models": ["Wein 🍇", "none"],
        "runs": [run],
    }
    assert record["artifacts"]["differing"] == [run]
    # A model of the same origin gets the version that it lacks.
    assert record["added"] == {"model_versions": 1}
    now = content(project)
    assert {name for name in now if now[name] != kept[name]} == {"mlflow.db"}
    assert rows(project, "SELECT version FROM model_versions WHERE name = 'renamed'") == [(1,)]


def test_a_folder_with_damage(importer: Importer, folder: Path, tmp_path: Path) -> None:
    """A point that is there twice is one; what cannot be read is reported, and the rest comes."""
    copy = tmp_path / "mlruns"
    shutil.copytree(folder / "mlruns", copy)
    first, second = sorted(copy.rglob("metrics/loss"))[:2]
    first.write_text(first.read_text() + first.read_text().splitlines()[0] + "\n")
    second.write_text(second.read_text() + "no number\n")
    (empty,) = [
        path.parent
        for path in copy.glob("*/meta.yaml")
        if "name: empty\n" in path.read_text(encoding="utf-8")
    ]
    (empty / "meta.yaml").write_text("a: [")
    project = importer.project()
    record = importer.bring(project, tmp_path)
    assert (record["error"], record["added"]["runs"]) == ("", 16)
    assert sorted(record["unreadable"]) == sorted(
        [str(empty / "meta.yaml"), f"{second}: no number"]
    )
    assert importer.bring(project, tmp_path)["changed"] is False


def test_what_is_no_source(importer: Importer, filled: seeds.Project, tmp_path: Path) -> None:
    """It is refused in a sentence, before anything is touched."""
    project = importer.project()
    text = tmp_path / "text.db"
    text.write_text("no database")
    foreign = tmp_path / "foreign.db"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE x (y)")
        connection.commit()
    refused: dict[str | Path, str] = {
        "mlruns": "The source mlruns is neither an absolute path nor the URL of a server; correct it.",
        tmp_path / "x": f"There is no source {tmp_path / 'x'} on this host; correct the path.",
        tmp_path: f"{tmp_path} is no folder of MLflow's files: neither it nor {tmp_path}/mlruns has a folder of an "
        "experiment; correct the source.",
        text: f"The source {text} is neither a folder of MLflow's files nor an SQLite file; correct it.",
        foreign: f"The source {foreign} has no schema of MLflow's; correct the path.",
        "http://ann:pw@127.0.0.1:9": "The source holds a password; name the server without it, and pass the login in "
        "mlflow_import_login.",
    }
    for source, reason in refused.items():
        assert importer.refuse(project, source) == reason
    newer = seeds.in_folder(tmp_path / "newer")
    shutil.copytree(filled.database.parent, tmp_path / "newer")
    rows(newer, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    assert importer.refuse(project, newer.database) == (
        f"The source {newer.database} is at revision ffffffffffff, which this MLflow does not know, so a newer one "
        "wrote it; use the release of the collection that carries that MLflow. Nothing was imported."
    )
    assert "ffffffffffff, and what is imported is at " in importer.refuse(newer, filled.database)


@pytest.mark.parametrize("place", ["s3://elsewhere/1/artifacts", "elsewhere"])
def test_artifacts_beside_a_folder(
    place: str, importer: Importer, folder: Path, tmp_path: Path
) -> None:
    """A run of a folder whose artifacts are elsewhere is not imported without them."""
    copy = tmp_path / "mlruns"
    shutil.copytree(folder / "mlruns", copy)
    (meta,) = [
        path
        for path in copy.rglob("meta.yaml")
        if "run_name: artifacts\n" in path.read_text(encoding="utf-8")
    ]
    shutil.rmtree(meta.parent / "artifacts")
    (meta.parent / "artifacts").mkdir()
    if "://" not in place:
        (tmp_path / place).mkdir()
        (tmp_path / place / "model").write_text("m")
        place = str(tmp_path / place)
    text = meta.read_text(encoding="utf-8")
    meta.write_text(re.sub("artifact_uri: .*", f"artifact_uri: {place}", text), encoding="utf-8")
    assert importer.refuse(importer.project(), copy) == (
        f"The artifacts at {place} are outside of the source, so nothing was imported; pass their root, an absolute "
        "path or s3://BUCKET/PREFIX, as artifacts."
    )


def test_artifacts_elsewhere(importer: Importer, filled: seeds.Project, tmp_path: Path) -> None:
    """A source cannot make an import read any folder of the host."""
    project = importer.project()
    lone = tmp_path / "lone.db"
    shutil.copy(filled.database, lone)
    assert importer.refuse(project, lone).endswith(
        "are relative to the server of the source; pass its artifacts destination, an absolute path or "
        "s3://BUCKET/PREFIX, as artifacts."
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    outside = seeds.Project(f"sqlite:///{lone}", empty)
    rows(outside, "UPDATE runs SET artifact_uri = 'file:///etc' WHERE name = 'artifacts'")
    assert importer.refuse(project, lone, artifacts=str(empty)) == (
        "The artifacts at file:///etc are outside of the source, so nothing was imported; pass their root, an "
        "absolute path or s3://BUCKET/PREFIX, as artifacts."
    )
    # Neither by a way around.
    rows(outside, "UPDATE runs SET artifact_uri = 'mlflow-artifacts:/../../etc'")
    reason = importer.refuse(project, lone, artifacts=str(empty))
    assert reason == "../../etc is not a path of an artifact; correct it at the source."


@pytest.mark.thorough("What may not be read is tested every time.")
def test_artifacts_of_a_lone_file(
    importer: Importer, filled: seeds.Project, tmp_path: Path
) -> None:
    """They come from the root that is named, wherever the database says that they are."""
    lone = tmp_path / "lone.db"
    shutil.copy(filled.database, lone)
    files = importer.sums(filled)["artifacts"]["objects"]
    outside = seeds.Project(f"sqlite:///{lone}", filled.artifacts)
    move = "UPDATE runs SET artifact_uri = 'file:///etc' WHERE name = 'artifacts'"
    # What is below that root at a run's usual place is the run's own, as in a folder that was copied.
    for statement in ("SELECT 1", move):
        rows(outside, statement)
        record = importer.bring(importer.project(), lone, artifacts=str(filled.artifacts))
        assert (record["error"], record["artifacts"]["missing"]) == ("", [])
        assert record["artifacts"]["written"] == files
    rows(outside, "UPDATE runs SET artifact_uri = '/gone/' || run_uuid")
    empty = tmp_path / "empty"
    empty.mkdir()
    record = importer.bring(importer.project(), lone, artifacts=str(empty))
    assert (record["error"], len(record["artifacts"]["missing"])) == ("", 16)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            (200, b"9.9.9"),
            "runs MLflow 9.9.9, which is newer than ",
        ),
        (
            (404, b"nothing"),
            " is no MLflow server: it answers /version with 404; correct the source.",
        ),
        (
            (200, b"hello"),
            " is no MLflow server: it answers /version with 200; correct the source.",
        ),
    ],
)
def test_other_servers_are_refused(
    answer: tuple[int, bytes], reason: str, importer: Importer
) -> None:
    """A newer one, and what is none."""
    with gate("http://127.0.0.1:9") as door:
        door.before = lambda _path: answer
        assert reason in importer.refuse(importer.project(), door.url)
        assert door.requests == ["GET /version"]


def test_the_module(importer: Importer, filled: seeds.Project, modules: Modules) -> None:
    """It plans in check mode, imports, and changes nothing the second time."""
    project = importer.project()
    given: dict[str, Any] = {
        "projects": [options(project)],
        "source": str(filled.database),
        "python": str(importer.release.python),
        "entrypoint": str(importer.entry),
    }
    planned = modules.call("mlflow_project_import", given, check=True)
    assert (planned["changed"], planned["projects"][0]["added"]["runs"]) == (True, 16)
    assert rows(project, "SELECT COUNT(*) FROM runs") == [(0,)]
    for changed in (True, False):
        done = modules.call("mlflow_project_import", given)
        assert done["changed"] is changed
    assert rows(project, "SELECT COUNT(*) FROM runs") == [(16,)]
    failed = modules.refuse("mlflow_project_import", {**given, "source": "/none/at all"})
    assert failed.startswith("There is no source /none/at all on this host; correct the path.")


def test_nothing_else_is_read_as_a_token(importer: Importer) -> None:
    """The program's arguments and environment hold no login."""
    with gate("http://127.0.0.1:9") as door:
        seen: list[str] = []

        def look(_path: str) -> tuple[int, bytes]:
            shown = [Path(f"/proc/{process.pid}/{name}") for name in ("cmdline", "environ")]
            seen.extend(path.read_text(errors="replace") for path in shown)
            return 200, b"9.9.9"

        door.before = look
        process = importer.begin(
            importer.project(), door.url, login={"password": TOKEN, "user": "a"}
        )
        importer.finish(process)
        assert len(seen) == 2
        assert not [text for text in seen if TOKEN in text]
        assert os.getpid() != process.pid
