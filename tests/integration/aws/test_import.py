# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of files, SQLite files and servers of real releases, brought into a real MySQL and an emulated S3."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.integration.aws._data import (
    BUCKET,
    Space,
    copied,
    schema_of,
    space,
)
from ansible_collections.mlops.mlflow_aws.tests.integration.aws._entry import RUNTIME, place
from ansible_collections.mlops.mlflow_aws.tests.parts import bulk, seeds
from ansible_collections.mlops.mlflow_aws.tests.parts.importer import (
    BUSY,
    as_files_tell,
    comparable,
    tell_folder,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.tracking_gate import gate

__all__ = ["place", "space"]

# The first test may have to install a release and to make an image.
pytestmark = pytest.mark.timeout(900)

WHY = "A file is imported every time, and real releases into SQLite."
NAMES = (*seeds.OLDER, seeds.NEWEST)
# More runs than one transaction takes.
SIZE = bulk.Size(runs=260, points=5_200, spans=40, objects=80)
TOKEN = "t0ken-4711"
OLDER = "75868b020152"
EXPERIMENT = (
    "INSERT INTO {} (name, artifact_location, lifecycle_stage, creation_time, last_update_time) "
    "VALUES (%s, 'mlflow-artifacts:/1', 'active', 1, 1)"
)


@pytest.fixture(scope="module")
def bare(space: Space) -> dict[str, Any]:
    """Return the request of a project without runs, to be read only."""
    schema = space.schema()
    space.store(schema)
    return space.request(schema)


@pytest.fixture(scope="module")
def source(space: Space, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a project with an SQLite file."""
    folder = tmp_path_factory.mktemp("source")
    project = seeds.in_folder(folder)
    seeds.upgrade(space.release(seeds.NEWEST), project)
    bulk.bulk(project, SIZE)
    with closing(seeds.connect(project)) as connection:
        connection.execute(seeds.DEFAULT_EXPERIMENT)
        connection.commit()
    return folder


class Imported(NamedTuple):
    """A project into which the source was imported: its request, the record, and the calls that it took."""

    asked: dict[str, Any]
    record: dict[str, Any]
    calls: int


@pytest.fixture(scope="module")
def imported(space: Space, bare: dict[str, Any], source: Path) -> Imported:
    """Return a project into which the source was imported, to be read only."""
    asked = target(space, bare)
    answer = space.verbs.run("import", {**asked, "from": str(source / "mlflow.db")})
    (record,) = answer["records"]
    assert record["error"] == ""
    return Imported(asked, record, answer["calls"])


def target(space: Space, bare: dict[str, Any], *experiments: str) -> dict[str, Any]:
    """Return the request of a new project that has these experiments and no runs."""
    asked = copied(space, bare)
    schema = schema_of(asked)
    asked["projects"][0]["artifacts_destination"] = f"s3://{BUCKET}/projects/{schema}"
    for name in experiments:
        space.sql(EXPERIMENT.format(f"`{schema}`.experiments"), name)
    return asked


def everything(space: Space, asked: dict[str, Any]) -> object:
    """Return what a project is: tables, triggers and artifacts."""
    schema = schema_of(asked)
    return space.state(schema), space.objects(f"projects/{schema}/")


def bring(space: Space, asked: dict[str, Any], source: str | Path, **more: Any) -> dict[str, Any]:
    """Import twice; the second time changes nothing. Return the first record."""
    given = {**asked, "from": str(source), **more}
    record = space.verbs.call("import", given)
    kept = everything(space, asked)
    again = space.verbs.call("import", given)
    assert (again["changed"], again["different"], again["artifacts"]["differing"]) == (
        False,
        {},
        [],
    )
    assert everything(space, asked) == kept
    assert list(space.place.folder.glob(".import-*")) == []
    return record


def tell(space: Space, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what MLflow's client reads of a project, through the server that this collection runs for it."""
    schema = schema_of(asked)
    settings = space.place.settings(
        schema,
        space.place.identity(schema, RUNTIME),
        artifacts_destination=asked["projects"][0]["artifacts_destination"],
    )
    with space.place.serve(settings) as server:
        server.await_ready()
        return comparable(seeds.tell(space.release(seeds.NEWEST), server.url), BUSY)


def test_a_file_comes_whole(
    space: Space, bare: dict[str, Any], source: Path, imported: Imported
) -> None:
    """As it was planned, with the same rows and artifacts; the second time nothing changes."""
    given = {"from": f"sqlite:///{source / 'mlflow.db'}"}
    before = everything(space, bare)
    plan = space.verbs.call("import", {**bare, **given, "dry": True})
    assert everything(space, bare) == before
    for part in ("changed", "added", "there", "different", "artifacts", "left_out", "unreadable"):
        assert plan[part] == imported.record[part], part
    assert plan["added"]["runs"] == SIZE.runs
    assert plan["artifacts"]["written"] == SIZE.objects
    assert space.verbs.sums(imported.asked) == space.verbs.sums(space.folder_request(source))
    bring(space, imported.asked, source / "mlflow.db")


@pytest.mark.parametrize(
    "moment",
    left_out.params([0.4], [0.05, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97], "One is tried every time."),
)  # fmt: skip
def test_a_killed_import_is_continued(
    moment: float, space: Space, bare: dict[str, Any], source: Path, imported: Imported
) -> None:
    """Every run is whole or not there, artifacts come first, and the next import ends the same."""
    asked = target(space, bare)
    given = {**asked, "from": str(source / "mlflow.db")}
    schema = schema_of(asked)
    assert space.verbs.kill("import", given, int(imported.calls * moment))
    points = space.sql(f"SELECT COUNT(*) FROM `{schema}`.metrics GROUP BY run_uuid")
    assert {number for (number,) in points} <= {SIZE.points // SIZE.runs}
    there = {run for (run,) in space.sql(f"SELECT run_uuid FROM `{schema}`.runs")}
    kept = {key.split("/")[3] for key in space.objects(f"projects/{schema}/")}
    assert there & {bulk.run_id(number) for number in range(SIZE.objects)} <= kept
    record = bring(space, asked, source / "mlflow.db")
    assert record["added"].get("runs", 0) == SIZE.runs - len(there)
    assert space.verbs.sums(asked) == space.verbs.sums(imported.asked)


# A server makes the experiment that is about to be added.
MEANWHILE = """
from mlflow_aws_server.data import merging, mysql_database
add, insert = merging.Merge._add_experiment, mysql_database.MysqlWriter.insert
def adding(self, row, number):
    merging.Merge._add_experiment = add
    with self._project.database.changing() as writer:
        writer.execute(STATEMENT, [row["name"]])
    add(self, row, number)
def checked(self, table, rows):
    assert self.fetch("SELECT @@unique_checks") == ((1,),)
    insert(self, table, rows)
merging.Merge._add_experiment, mysql_database.MysqlWriter.insert = adding, checked
""".replace("STATEMENT", repr(EXPERIMENT.format("experiments")))


def test_a_server_goes_on_meanwhile(space: Space, bare: dict[str, Any], source: Path) -> None:
    """What it makes at the same time is taken as it is, and keys stay unique."""
    asked = target(space, bare, *BUSY)
    schema = schema_of(asked)
    record = space.verbs.call("import", {**asked, "from": str(source / "mlflow.db")}, MEANWHILE)
    assert (record["added"]["runs"], record["there"]["experiments"]) == (SIZE.runs, 2)
    names = f"SELECT experiment_id FROM `{schema}`.experiments WHERE name = 'bulk 0'"
    ((number,),) = space.sql(names)
    assert number < bulk.FIRST_EXPERIMENT
    owners = space.sql(f"SELECT DISTINCT experiment_id FROM `{schema}`.runs")
    assert owners == [(number,)]


def test_other_releases_are_refused(
    space: Space, bare: dict[str, Any], source: Path, tmp_path: Path
) -> None:
    """A source of a newer one, and a project that was not upgraded; neither is touched."""
    asked = target(space, bare)
    schema = schema_of(asked)
    newer = tmp_path / "newer.db"
    shutil.copy(source / "mlflow.db", newer)
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        connection.commit()
    before = everything(space, asked)
    assert space.verbs.refuse("import", {**asked, "from": str(newer)}) == (
        f"The source {newer} is at revision ffffffffffff, which this MLflow does not know, so a newer one wrote it; "
        "use the release of the collection that carries that MLflow. Nothing was imported."
    )
    with gate("http://127.0.0.1:9") as door:
        door.before = lambda _path: (200, b"9.9.9")
        sentence = space.verbs.refuse("import", {**asked, "from": door.url})
    assert "runs MLflow 9.9.9, which is newer than " in sentence
    assert everything(space, asked) == before
    space.sql(f"UPDATE `{schema}`.alembic_version SET version_num = '{OLDER}'")
    before = everything(space, asked)
    sentence = space.verbs.refuse("import", {**asked, "from": str(source / "mlflow.db")})
    assert sentence.startswith(f"The schema of project '{schema}' is at revision {OLDER}, and ")
    assert sentence.endswith("; run the upgrade playbook first.")
    assert everything(space, asked) == before


@pytest.mark.thorough(WHY)
@pytest.mark.parametrize("name", NAMES)
def test_a_folder_comes_whole(
    name: str,
    space: Space,
    bare: dict[str, Any],
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> None:
    """Into a project whose experiments have the same IDs: it says the same as a server of the folder."""
    folder = tmp_path / "mlruns"
    seeds.make_files(space.release(name), tmp_path)
    before = tell_folder(space.release(seeds.NEWEST), folder, free_ports(1)[0])
    asked = target(space, bare, *BUSY)
    record = bring(space, asked, folder)
    assert (record["unreadable"], record["left_out"], record["artifacts"]["missing"]) == (
        [],
        {},
        [],
    )
    assert record["added"]["runs"] == len(before["runs"])
    assert seeds.differences(before, as_files_tell(tell(space, asked))) == []


@pytest.mark.thorough(WHY)
@pytest.mark.parametrize("name", NAMES)
def test_a_server_comes_whole(
    name: str,
    space: Space,
    bare: dict[str, Any],
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> None:
    """Behind a login, then its SQLite file; both say the same as the server."""
    project = seeds.in_folder(tmp_path)
    asked, other = target(space, bare, *BUSY), target(space, bare, *BUSY)
    with seeds.serving(space.release(name), project, free_ports(1)[0]) as url:
        seeds.make(space.release(name), url)
        before = comparable(seeds.tell(space.release(seeds.NEWEST), url))
        with gate(url) as door:
            door.login = f"Bearer {TOKEN}"
            bring(space, asked, door.url, login={"token": TOKEN})
    bring(space, other, project.database)
    for each in (asked, other):
        assert seeds.differences(before, tell(space, each)) == []
