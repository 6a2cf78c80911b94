# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs about data on SQLite files and folders, and all that can go wrong on their way.

What is compared is the program's own report of content, and what MLflow's client reads through a server; that a
project was not touched is seen by its files.
"""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.parts import (
    bulk,
    clock,
    data_verbs,
    seeds,
    server_program,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.data_verbs import Verbs, contents
from ansible_collections.mlops.mlflow_aws.tests.parts.host import await_
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment

# The first test may have to install a release.
pytestmark = pytest.mark.timeout(900)

SMALL = bulk.Size(runs=30, points=900, spans=40, objects=25)
KEY, OTHER = (base64.b64encode(bytes([number] * 32)).decode() for number in (1, 2))


@dataclass
class Space:
    """Where tests make projects: the program, a project of some size, and an empty one."""

    verbs: Verbs
    python: Path
    entry: Path
    template: Path
    empty: Path
    environment: dict[str, str] = field(default_factory=dict)

    def project(self, folder: Path, name: str = "demo", *, empty: bool = False) -> Path:
        """Make a copy of the project, or of the empty one; return its folder."""
        target = folder / name
        shutil.copytree(self.empty if empty else self.template, target)
        return target


def request(*folders: Path, **more: Any) -> dict[str, Any]:
    """Return a request for projects in folders, with their backups beside the first one."""
    projects = [
        {
            "name": folder.name,
            "backend_store_uri": f"sqlite:///{folder}/mlflow.db",
            "artifacts_destination": f"{folder}/artifacts",
            "key_file": f"{folder}/key",
        }
        for folder in folders
    ]
    return {"projects": projects, "destination": f"{folders[0].parent}/backups", **more}


@pytest.fixture(scope="module")
def releases(
    environment: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], seeds.Release]:
    """Return a function that gives a release by name, which is installed where it is missing."""
    home = tmp_path_factory.mktemp("home")
    return lambda name: seeds.Release(environment(*seeds.ENVIRONMENTS[name]) / "python", home)


@pytest.fixture(scope="module")
def space(
    environment: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Space]:
    """Return the program, and a project with rows, artifacts, and a root key."""
    python = environment(*seeds.ENVIRONMENTS[seeds.NEWEST]) / "python"
    entry = server_program.lay_out(tmp_path_factory.mktemp("program"))
    folder, home = tmp_path_factory.mktemp("projects"), tmp_path_factory.mktemp("home")
    empty, template = folder / "empty", folder / "template"
    (empty / "artifacts").mkdir(parents=True)
    variables = clean_environment(home) | {"LC_ALL": "C.UTF-8"}
    subprocess.run(
        [python, "-I", entry, "migrate"],
        input=json.dumps({"uri": f"sqlite:///{empty}/mlflow.db"}),
        text=True,
        check=True,
        capture_output=True,
        env=variables,
    )
    shutil.copytree(empty, template)
    bulk.bulk(seeds.in_folder(template), SMALL)
    (template / "key").write_bytes(b"k" * 32)
    with data_verbs.started(python, entry.parent, variables) as verbs:
        yield Space(verbs, python, entry, template, empty, variables)


def change(folder: Path, *statements: str) -> None:
    """Write to a project's database."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def own(folder: Path) -> dict[str, str]:
    """Return the files of a project without those of its lock and of former databases."""
    found = contents(folder)
    return {
        name: text
        for name, text in found.items()
        if name != ".data.lock" and not name.endswith(".bak")
    }


# The way there and back.


def test_there_and_back(space: Space, tmp_path: Path) -> None:
    """A backup, a second one that copies nothing, a rehearsal, and a restore of what was lost."""
    folder = space.project(tmp_path)
    asked = request(folder)
    before = space.verbs.sums(asked)
    assert before["counts"]["metric_points"] == SMALL.points
    assert before["artifacts"]["objects"] == SMALL.objects
    first = space.verbs.call("backup", asked)
    assert (first["copied"], first["objects"]) == (SMALL.objects, SMALL.objects)
    stored = contents(tmp_path / "backups" / "demo")
    second = space.verbs.call("backup", asked)
    assert (second["copied"], second["copied_bytes"]) == (0, 0)
    new = {name for name in contents(tmp_path / "backups" / "demo") if name not in stored}
    assert {Path(name).name for name in new} == {"manifest.json", "objects.jsonl.gz", "key"}
    untouched = own(folder)
    space.verbs.call("rehearse", asked)
    told = space.verbs.call("info", asked)
    assert told["rehearsal"]["same"], told
    assert told["backup"]["id"] == second["backup"]
    assert own(folder) == untouched
    change(folder, "DELETE FROM metrics", "UPDATE runs SET name = 'x'", "DELETE FROM spans")
    (folder / "key").unlink()
    victims = [path for path in (folder / "artifacts").rglob("*") if path.is_file()]
    victims[0].unlink()
    victims[1].write_bytes(b"\0" * victims[1].stat().st_size)
    victims[2].write_bytes(victims[2].read_bytes() + b"more")
    done = space.verbs.call("restore", asked)
    assert done["written"] == 3
    assert space.verbs.sums(asked) == before
    assert (folder / "key").read_bytes() == b"k" * 32
    assert {name for name in contents(folder) if name.startswith("artifacts")} == {
        name for name in untouched if name.startswith("artifacts")
    }
    assert own(folder).keys() == untouched.keys()
    with closing(sqlite3.connect(done["previous"])) as connection:
        assert connection.execute("SELECT COUNT(*) FROM metrics").fetchone() == (0,)
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        assert connection.execute(triggers).fetchall()


def test_a_clone(space: Space, tmp_path: Path) -> None:
    """Of another project's backup; locations follow, the source and its backups stay as they are."""
    folder = space.project(tmp_path)
    change(
        folder,
        f"UPDATE experiments SET artifact_location = '{folder}/artifacts/' || experiment_id",
        f"UPDATE runs SET artifact_uri = 'file://{folder}/artifacts/1'",
    )
    asked = request(folder)
    space.verbs.call("backup", asked)
    clone = space.project(tmp_path, "clone", empty=True)
    source = own(folder), contents(tmp_path / "backups")
    into = request(clone, source="demo", only_empty=True)
    done = space.verbs.call("restore", into)
    assert (done["relocated"], done["written"]) == (SMALL.experiments + SMALL.runs, SMALL.objects)
    assert (own(folder), contents(tmp_path / "backups")) == source
    with closing(sqlite3.connect(clone / "mlflow.db")) as connection:
        query = "SELECT artifact_location FROM experiments UNION SELECT artifact_uri FROM runs"
        found = {place for (place,) in connection.execute(query)}
    assert found == {f"file://{clone}/artifacts/1", f"{clone}/artifacts/1000"}
    one, other = space.verbs.sums(asked), space.verbs.sums(into)
    for told in (one, other):
        for table in ("runs", "experiments"):
            del told["checksums"][table]
    assert one == other


def test_a_project_with_runs_is_refused_unless_told(space: Space, tmp_path: Path) -> None:
    """And not touched."""
    folder = space.project(tmp_path)
    asked = request(folder)
    space.verbs.call("backup", asked)
    change(folder, "UPDATE runs SET name = 'x'")
    before = own(folder)
    sentence = space.verbs.refuse("restore", {**asked, "only_empty": True})
    assert sentence == (
        "Project 'demo' holds 30 runs, which a restore replaces; to do so, pass confirm=demo, or restore into "
        "another project with into=NAME."
    )
    assert own(folder) == before
    space.verbs.call("restore", asked)
    assert own(folder) != before


@pytest.mark.parametrize("damage", ["gone", "no database", "cut", "a foreign journal"])
def test_a_damaged_project_is_restored(space: Space, tmp_path: Path, damage: str) -> None:
    """That is what backups are for."""
    folder = space.project(tmp_path)
    asked = request(folder)
    before = space.verbs.sums(asked)
    space.verbs.call("backup", asked)
    path = folder / "mlflow.db"
    if damage == "gone":
        path.unlink()
    elif damage == "no database":
        path.write_bytes(b"x" * 10_000)
    elif damage == "cut":
        os.truncate(path, path.stat().st_size // 2)
    else:
        _leave_journal(path)
    space.verbs.call("restore", asked)
    assert space.verbs.sums(asked) == before
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _leave_journal(path: Path) -> None:
    """Leave a journal with pages of the database, as a server does that is killed while it writes."""
    pid = os.fork()
    if pid == 0:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA cache_size = 2")
        connection.execute("BEGIN")
        connection.execute("UPDATE metrics SET value = value + 1")
        os._exit(0)
    os.waitpid(pid, 0)
    assert Path(f"{path}-journal").stat().st_size > 0


# Backups that are not as they were written.


def files_of(backups: Path) -> list[Path]:
    """Return one file of each kind of a backup, and the first and the last of its tables with rows."""
    tables = sorted((backups / "tables").rglob("*"), key=lambda path: -path.stat().st_size)
    objects = sorted(path for path in (backups / "objects").rglob("*") if path.is_file())
    (folder,) = (backups / "backups").iterdir()
    large = max(objects, key=lambda path: path.stat().st_size)
    tables = [path for path in tables if path.is_file()]
    return [*sorted(folder.iterdir()), tables[0], tables[-1], large]


@pytest.mark.parametrize("key", ["", KEY])
def test_an_altered_backup_is_refused(space: Space, tmp_path: Path, key: str) -> None:
    """One byte changed, cut or gone, in any kind of file; nothing of the project is touched."""
    folder = space.project(tmp_path)
    asked = request(folder, backup_key=key)
    space.verbs.call("backup", asked)
    change(folder, "UPDATE runs SET name = 'x'")
    for path in (folder / "artifacts").rglob("*.bin"):
        path.unlink()
    (folder / "key").unlink()
    before = own(folder)
    chance = random.Random(7)
    backups = tmp_path / "backups" / "demo"
    assert len(files_of(backups)) == 6
    for path in files_of(backups):
        data = path.read_bytes()
        place = chance.randrange(len(data))
        if path.name == "manifest.json":
            place = data.index(b'"rows": ') + 8
        for altered in (
            data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :],
            data[: len(data) // 2],
            data[:-2],
            None,
        ):
            path.unlink()
            if altered is not None:
                path.write_bytes(altered)
            sentence = space.verbs.refuse("restore", asked)
            name = (
                "There is no backup"
                if (path.name, altered) == ("manifest.json", None)
                else str(path)
            )
            assert sentence.startswith(name), (path, sentence)
            assert own(folder) == before
        path.write_bytes(data)
    assert space.verbs.call("restore", asked)["written"] == SMALL.objects


@pytest.mark.thorough("Every kind of file is altered every time.")
def test_every_file_of_a_backup_counts(space: Space, tmp_path: Path) -> None:
    """Each of its tables and artifacts, at a random byte; a rehearsal says so, too."""
    folder = space.project(tmp_path)
    asked = request(folder)
    space.verbs.call("backup", asked)
    before = own(folder)
    backups = tmp_path / "backups" / "demo"
    chance = random.Random(8)
    for path in sorted(path for path in backups.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if not data or path.name == "manifest.json":
            continue
        place = chance.randrange(len(data))
        path.write_bytes(
            data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]
        )
        for verb in ("restore", "rehearse"):
            sentence = space.verbs.refuse(verb, asked)
            assert sentence.startswith(f"{path} was altered or cut short"), sentence
        told = space.verbs.call("info", asked)["rehearsal"]
        assert (told["same"], told["problem"]) == (False, sentence)
        assert own(folder) == before
        path.write_bytes(data)
        (backups / "rehearsal.json").unlink()
    space.verbs.call("rehearse", asked)


def test_keys(space: Space, tmp_path: Path) -> None:
    """Nothing readable is stored; without the key, or with another one, one sentence says which is missing."""
    folder = space.project(tmp_path)
    asked = request(folder, backup_key=KEY)
    before = space.verbs.sums(asked)
    made = space.verbs.call("backup", asked)["backup"]
    listing = tmp_path / "backups" / "demo" / "backups" / made
    for path in (listing / "objects.jsonl.gz", listing / "key"):
        assert path.read_bytes()[:2] != b"\x1f\x8b"
        assert b"kkkk" not in path.read_bytes()
    for key in ("", OTHER):
        assert space.verbs.refuse("restore", {**asked, "backup_key": key}) == (
            f"The backup {made} is encrypted with another key; set mlflow_backup_key_file to the one with which it "
            "was made."
        )
    with_other = space.verbs.call("backup", {**asked, "backup_key": OTHER, "keep": 1})
    assert with_other["copied"] == SMALL.objects
    plain = space.verbs.call("backup", {**asked, "backup_key": ""})
    assert plain["copied"] == SMALL.objects
    assert space.verbs.refuse("restore", asked) == (
        f"The backup {plain['backup']} is not encrypted; unset mlflow_backup_key_file."
    )
    shutil.rmtree(folder)
    shutil.copytree(space.empty, folder)
    space.verbs.call("restore", {**asked, "backup_key": OTHER, "backup": with_other["backup"]})
    assert space.verbs.sums(asked) == before
    answer = space.verbs.run("backup", {**asked, "backup_key": "x"})
    assert "is not 32 bytes in base64" in answer["log"] + json.dumps(answer["records"])
    assert KEY not in json.dumps(answer)


def test_a_backup_of_a_newer_mlflow_is_refused(space: Space, tmp_path: Path) -> None:
    """Its revision is not known; nothing is touched, neither by a restore nor by an upgrade."""
    folder = space.project(tmp_path)
    asked = request(folder)
    change(folder, "UPDATE alembic_version SET version_num = 'f00dfeed0001'")
    space.verbs.call("backup", asked)
    before = own(folder)
    for verb in ("restore", "rehearse", "upgrade"):
        assert space.verbs.refuse(verb, asked) == (
            "The data of project 'demo' is at revision f00dfeed0001, which this MLflow does not know, so a newer one "
            "wrote it; use the release of the collection that carries that MLflow."
        )
        assert own(folder) == before


def test_a_second_root_key_is_refused(space: Space, tmp_path: Path) -> None:
    """If the backup holds secrets that it could not decrypt."""
    folder = space.project(tmp_path)
    asked = request(folder)
    change(
        folder,
        "INSERT INTO secrets (secret_id, secret_name, encrypted_value, wrapped_dek, kek_version, masked_value, "
        "created_at, last_updated_at, workspace) VALUES ('s', 'n', x'00ff', x'01', 1, '{}', 1, 1, 'default')",
    )
    space.verbs.call("backup", asked)
    (folder / "key").write_bytes(b"o" * 32)
    before = own(folder)
    assert space.verbs.refuse("restore", asked).startswith(
        "Project 'demo' has another root key than the backup "
    )
    assert own(folder) == before
    (folder / "key").unlink()
    space.verbs.call("restore", asked)
    assert (folder / "key").read_bytes() == b"k" * 32


# Kills.

KILLED_FEW = {"backup": 12, "restore": 4, "rehearse": 2}


def kill_at(space: Space, tmp_path: Path, verb: str, moments: int, seed: int) -> set[str]:
    """Kill a verb at moments all over its way, then run it again; return where it was killed."""
    folder = space.project(tmp_path)
    asked = request(folder)
    sums = space.verbs.sums(asked)
    if verb != "backup":
        space.verbs.call("backup", asked)
    space.verbs.call("backup", asked)
    whole = space.verbs.run(verb, asked)["calls"]
    chance = random.Random(seed)
    points = sorted({chance.randrange(1, whole) for _number in range(moments)} | {whole})
    seen = set()
    for number, at in enumerate(points):
        if verb == "backup":
            # So that there is something to write.
            change(folder, f"UPDATE runs SET source_name = '{number}'")
            (folder / "artifacts" / f"new {number}").write_bytes(b"x" * number)
            sums = space.verbs.sums(asked)
        untouched = own(folder)
        place = space.verbs.kill(verb, asked, at)
        seen.add(place)
        # Whole in either state.
        assert space.verbs.sums(asked) == sums, place
        after = {name: text for name, text in own(folder).items() if not name.startswith(".")}
        if verb != "restore":
            assert after == untouched, place
        else:
            assert after.keys() == untouched.keys(), place
        space.verbs.call(verb, {**asked, "keep": 2})
        assert space.verbs.sums(asked) == sums, place
        left = [name for name in contents(folder) if name.startswith(".") and name != ".data.lock"]
        assert left == [], place
    backups = tmp_path / "backups" / "demo"
    space.verbs.call("backup", {**asked, "keep": 1})
    assert len(list((backups / "backups").iterdir())) == 1
    assert not list(backups.rglob(".mlflow-aws-new-*"))
    # What is left is what one backup consists of.
    assert (
        len([path for path in (backups / "objects").rglob("*") if path.is_file()])
        == sums["artifacts"]["objects"]
        or verb != "backup"
    )
    shutil.rmtree(folder)
    shutil.copytree(space.empty, folder)
    space.verbs.call("restore", asked)
    assert space.verbs.sums(asked) == sums
    return seen


@pytest.mark.parametrize(("verb", "moments"), KILLED_FEW.items())
def test_kills(space: Space, tmp_path: Path, verb: str, moments: int) -> None:
    """A project is whole whenever a verb was killed, and the next run completes it and leaves nothing over."""
    assert len(kill_at(space, tmp_path, verb, moments, 1)) > moments // 2


@pytest.mark.thorough("A few moments are tried every time.")
@pytest.mark.parametrize(("verb", "moments"), [("backup", 150), ("restore", 40), ("rehearse", 20)])
def test_kills_at_many_moments(space: Space, tmp_path: Path, verb: str, moments: int) -> None:
    """The same."""
    assert len(kill_at(space, tmp_path, verb, moments, 2)) > moments // 4
