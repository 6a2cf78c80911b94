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
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.parts import (
    bulk,
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
    change(template, seeds.DEFAULT_EXPERIMENT)
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
    assert (done["relocated"], done["written"]) == (
        SMALL.experiments + 1 + SMALL.runs,
        SMALL.objects,
    )
    assert (own(folder), contents(tmp_path / "backups")) == source
    with closing(sqlite3.connect(clone / "mlflow.db")) as connection:
        query = "SELECT artifact_location FROM experiments UNION SELECT artifact_uri FROM runs"
        found = {place for (place,) in connection.execute(query)}
    assert found == {
        f"file://{clone}/artifacts/1", f"{clone}/artifacts/1000", f"{clone}/artifacts/0",
    }  # fmt: skip
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


@pytest.mark.parametrize(
    "damage",
    left_out.params(
        ["no database", "cut"],
        ["gone", "a foreign journal"],
        "Two kinds of damage are tried every time.",
    ),
)
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


@pytest.mark.parametrize(
    "key",
    left_out.params([KEY], [""], "Encrypted files are read as others are, and decrypted as well."),
)
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
        sentence = ""
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


def test_tables_of_something_else(space: Space, tmp_path: Path) -> None:
    """No backup is made of them, and nothing is written."""
    folder = space.project(tmp_path)
    asked = request(folder)
    change(folder, "CREATE TABLE notes (id INTEGER)")
    before = own(folder), contents(tmp_path / "backups")
    assert space.verbs.refuse("backup", asked) == (
        "The schema of project 'demo' has tables that are not MLflow's, such as notes; move them elsewhere, then "
        "rerun. The project is as it was."
    )
    assert (own(folder), contents(tmp_path / "backups")) == before
    change(folder, "DROP TABLE notes")
    space.verbs.call("backup", asked)
    space.verbs.call("rehearse", asked)


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

KILLED_FEW = {"backup": 3, "restore": 3}


# Migrations take most of the time, and are killed by tests of their own.
WITHOUT_MIGRATIONS = """
import shutil
from mlflow_aws_server.data import replacement
replacement.create_at = lambda uri, _revision: shutil.copyfile("EMPTY", uri.removeprefix("sqlite:///"))
replacement.migrate = lambda _uri: None
"""


def kill_at(
    space: Space, tmp_path: Path, verb: str, moments: int, seed: int, how: str = ""
) -> set[str]:
    """Kill a verb at moments all over its way, then run it again; return where it was killed."""
    folder = space.project(tmp_path)
    asked = request(folder)
    sums = space.verbs.sums(asked)
    if verb != "backup":
        space.verbs.call("backup", asked)
    space.verbs.call("backup", asked)
    how = how.replace("EMPTY", str(space.empty / "mlflow.db"))
    whole = space.verbs.run(verb, asked, change=how)["calls"]
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
        place = space.verbs.kill(verb, asked, at, how)
        seen.add(place)
        # Whole in either state.
        assert space.verbs.sums(asked) == sums, place
        after = {name: text for name, text in own(folder).items() if not name.startswith(".")}
        if verb != "restore":
            assert after == untouched, place
        else:
            assert after.keys() == untouched.keys(), place
        space.verbs.call(verb, {**asked, "keep": 2}, how)
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
    seen = kill_at(space, tmp_path, verb, moments, 1, WITHOUT_MIGRATIONS)
    assert len(seen) > 1


@pytest.mark.thorough("A few moments are tried every time.")
@pytest.mark.parametrize(("verb", "moments"), [("backup", 150), ("restore", 40), ("rehearse", 20)])
def test_kills_at_many_moments(space: Space, tmp_path: Path, verb: str, moments: int) -> None:
    """The same; moments fall into many places of the program, of which a verb has a few dozen."""
    assert len(kill_at(space, tmp_path, verb, moments, 2)) > min(moments // 4, 15)


@pytest.fixture(scope="module")
def older(releases: Callable[[str], seeds.Release], space: Space) -> Path:
    """Return the folder of a project of an older release, with spans."""
    folder = space.template.parent / "older"
    folder.mkdir()
    seeds.upgrade(releases(seeds.OLDER[2]), seeds.in_folder(folder))
    bulk.bulk(seeds.in_folder(folder), SMALL)
    change(folder, seeds.DEFAULT_EXPERIMENT)
    return folder


@pytest.mark.thorough("An upgrade of MySQL's is killed at its steps every time.")
def test_upgrades_that_are_killed(space: Space, older: Path, tmp_path: Path) -> None:
    """At calls of this collection and in the middle of migrations: the project is whole, at one of both revisions."""
    folder = tmp_path / "demo"
    shutil.copytree(older, folder)
    asked = request(folder)
    before = space.verbs.sums(asked)
    whole = space.verbs.run("upgrade", asked)
    after = space.verbs.sums(asked)
    assert (after["checksums"], after["counts"]) == (before["checksums"], before["counts"])
    chance = random.Random(3)
    for number in range(30):
        shutil.rmtree(folder)
        shutil.copytree(older, folder)
        if number % 2:
            place = space.verbs.kill("upgrade", asked, chance.randrange(1, whole["calls"]))
        else:
            seconds = chance.uniform(0, whole["seconds"])
            place = f"after {seconds} seconds"
            space.verbs.run(
                "upgrade",
                asked,
                change=f"import resource; resource.setrlimit(resource.RLIMIT_CPU, ({int(seconds) + 1},) * 2)",
            )
        told = space.verbs.sums(asked)
        assert told in (before, after), place
        assert space.verbs.call("upgrade", asked)["after"] == after["revision"]
        assert space.verbs.sums(asked) == after, place


# What can happen on the way.


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a small file system; requires root."""
    folder.mkdir()
    options = f"size={size},mode=0700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True
    )
    if done.returncode != 0:
        pytest.fail(f"A small disk requires root: {done.stderr.decode()}", pytrace=False)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


MIB = 1 << 20


def test_a_full_disk(space: Space, tmp_path: Path) -> None:
    """Of the backups, of the project: one sentence, the project is as it was, and later it goes on."""
    with small_disk(tmp_path / "disk", 80 * MIB) as disk:
        folder = space.project(tmp_path)
        asked = request(folder, destination=str(disk))
        before = own(folder)
        filler = disk / "filler"
        filler.write_bytes(b"x" * 20 * MIB)
        sentence = space.verbs.refuse("backup", asked)
        assert sentence.startswith(f"The disk of {disk}/demo has ")
        # Enough for the database, and not for what is found then.
        (folder / "artifacts" / "large").write_bytes(os.urandom(70 * MIB))
        filler.write_bytes(b"x" * 12 * MIB)
        sentence = space.verbs.refuse("backup", asked)
        assert sentence == f"The disk of {disk}/demo is full; free space, then rerun."
        (folder / "artifacts" / "large").unlink()
        assert own(folder) == before
        filler.unlink()
        made = space.verbs.call("backup", {**asked, "keep": 3})
        assert made["removed"]
        assert {entry.name for entry in (disk / "demo" / "backups").iterdir()} == {made["backup"]}
        # Artifacts do not fit; the result of the rehearsal does.
        filler.write_bytes(b"x" * (shutil.disk_usage(disk).free - (32 << 10)))
        sentence = space.verbs.refuse("rehearse", asked)
        assert sentence == f"The disk of {disk}/demo/rehearsal is full; free space, then rerun."
        told = space.verbs.call("info", asked)["rehearsal"]
        assert (told["same"], told["problem"]) == (False, sentence)
        filler.unlink()
    with small_disk(tmp_path / "own", 8 * MIB) as disk:
        folder = space.project(disk)
        asked = request(folder, destination=str(tmp_path / "backups"))
        space.verbs.call("backup", asked)
        before = own(folder)
        (disk / "filler").write_bytes(b"x" * (shutil.disk_usage(disk).free - MIB // 2))
        for verb in ("restore", "rehearse"):
            sentence = space.verbs.refuse(verb, asked)
            assert "full" in sentence, sentence
            assert own(folder) == before
        change(folder, "UPDATE runs SET name = 'x'")
        assert "full" in space.verbs.refuse("backup", asked)
        assert own(folder).keys() == before.keys()
        (disk / "filler").unlink()
        space.verbs.call("restore", asked)


def test_two_verbs_at_once(space: Space, tmp_path: Path) -> None:
    """The second one names the first; what only reads goes on."""
    folder = space.project(tmp_path)
    asked = request(folder)
    slow = "import time; from mlflow_aws_server.data import backup; backup._write_key = lambda *a: time.sleep(60)"
    with data_verbs.started(space.python, space.entry.parent, space.environment) as others:
        first = threading.Thread(target=lambda: space_killed(others, asked, slow))
        first.start()
        lock = folder / ".data.lock"
        await_(lambda: lock.exists() and "backup" in lock.read_text(), "no backup is made")
        holder = json.loads(lock.read_text())
        for verb in ("backup", "restore", "rehearse", "upgrade"):
            assert space.verbs.refuse(verb, asked) == (
                f"Project 'demo' is in use (backup by {holder['by']}, process {holder['pid']}, since "
                f"{holder['since']}); wait for its end, then rerun."
            )
        space.verbs.sums(asked)
        os.kill(holder["pid"], signal.SIGKILL)
        first.join(60)
        assert not first.is_alive()
    space.verbs.call("backup", asked)


def space_killed(verbs: Verbs, asked: dict[str, Any], how: str) -> None:
    """Make a backup that is killed."""
    assert verbs.run("backup", asked, change=how)["status"] == -signal.SIGKILL


def test_artifacts_that_change_meanwhile(space: Space, tmp_path: Path) -> None:
    """One vanishes before it is read, one grows, one comes: what was there is stored, and the next backup has all."""
    folder = space.project(tmp_path)
    asked = request(folder)
    artifacts = folder / "artifacts"
    for name in ("a vanishes", "b grows", "c is empty", "50%\n", "Wein \N{GRAPES}", "d" * 255):
        (artifacts / name).write_bytes(b"" if name == "c is empty" else b"x" * 1000)
    (artifacts / "link").symlink_to(artifacts / "b grows")
    (artifacts / "nowhere").symlink_to(tmp_path / "nothing")
    meanwhile = f"""
import os
from pathlib import Path
from mlflow_aws_server.data.places import Folder
folder, read = Path({str(artifacts)!r}), Folder.read
def slow(self, path):
    if path == "a vanishes":
        (folder / path).unlink()
    for chunk in read(self, path):
        if path == "b grows":
            with (folder / path).open("ab") as stream:
                stream.write(b"y" * 1000)
            (folder / "e comes").write_bytes(b"z")
        yield chunk
Folder.read = slow
"""
    made = space.verbs.call("backup", asked, meanwhile)
    assert made["objects"] == SMALL.objects + 6
    clone = space.project(tmp_path, "clone", empty=True)
    space.verbs.call("restore", request(clone, source="demo"))
    restored = contents(clone / "artifacts")
    assert "a vanishes" not in restored
    # What was there when it was listed, though it grew as fast as it was read.
    assert (clone / "artifacts" / "b grows").read_bytes() == b"x" * 1000
    assert (clone / "artifacts" / "c is empty").read_bytes() == b""
    again = space.verbs.call("backup", asked)
    # What has grown, by its name and by its link, and what had come too late.
    assert again["copied"] <= 3
    space.verbs.call("restore", request(clone, source="demo"))
    expected = contents(artifacts)
    expected["link"] = expected["b grows"]
    assert contents(clone / "artifacts") == expected
    assert space.verbs.call("backup", asked)["copied"] == 0


def test_a_clock_that_jumps(space: Space, tmp_path: Path) -> None:
    """Numbers grow; the newest backup is the one that was made last, and stays, however old it says it is."""
    folder = space.project(tmp_path)
    asked = request(folder, keep=2, days=7)
    made = []
    for days in (0, 30, -30, 1, -1):
        change(folder, f"UPDATE runs SET source_name = '{days}'")
        jump = f"import time; real = time.time; time.time = lambda: real() + {days} * 86400"
        made.append(space.verbs.call("backup", asked, jump))
    names = [one["backup"] for one in made]
    assert [name[:6] for name in names] == [f"{number:06d}" for number in range(1, 6)]
    assert space.verbs.call("info", asked)["backup"]["id"] == names[-1]
    # What was made 30 days ago is old; what comes from the future is young.
    assert [one["removed"] for one in made] == [[], [], [], [], [names[2]]]
    (folder / "mlflow.db").unlink()
    assert space.verbs.call("restore", asked)["backup"] == names[-1]


def test_a_migration_that_fails(space: Space, older: Path, tmp_path: Path) -> None:
    """By its content, or by a process that is killed: the project is as it was, and can be served."""
    folder = tmp_path / "demo"
    shutil.copytree(older, folder)
    asked = request(folder)
    # MLflow makes a table of this name.
    change(folder, "CREATE TABLE sql_assessment_daily_rollups (a INTEGER)")
    before = own(folder), space.verbs.sums(asked)
    for _time in range(2):
        sentence = space.verbs.refuse("upgrade", asked)
        assert sentence.startswith("The migration of a copy of project 'demo' failed (")
        assert sentence.endswith("), so the project is as it was; correct that, then rerun.")
        assert (own(folder), space.verbs.sums(asked)) == before
    change(folder, "DROP TABLE sql_assessment_daily_rollups")
    done = space.verbs.call("upgrade", asked)
    assert done["before"] != done["after"]
    after = space.verbs.sums(asked)
    assert (after["checksums"], after["counts"]) == (before[1]["checksums"], before[1]["counts"])


# Real content.


@pytest.mark.thorough("Upgrades of generated content, and the seeds' own, run every time.")
@pytest.mark.parametrize("name", [*seeds.OLDER, seeds.NEWEST])
def test_real_projects(
    name: str,
    space: Space,
    releases: Callable[[str], seeds.Release],
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> None:
    """Backed up, upgraded, restored and cloned: told alike by MLflow's client, with the same checksums."""
    newest = releases(seeds.NEWEST)
    folder = tmp_path / "demo"
    folder.mkdir()
    project = seeds.in_folder(folder)
    with seeds.serving(releases(name), project, free_ports(1)[0]) as url:
        seeds.make(releases(name), url)
        told = seeds.tell(newest, url)
    asked = request(folder)
    before = space.verbs.sums(asked)
    space.verbs.call("backup", asked)
    space.verbs.call("rehearse", asked)
    space.verbs.call("upgrade", asked)
    clone = space.project(tmp_path, "clone", empty=True)
    into = request(clone, source="demo")
    space.verbs.call("restore", into)
    for one, where in ((folder, asked), (clone, into)):
        after = space.verbs.sums(where)
        assert (after["checksums"], after["artifacts"]) == (
            before["checksums"], before["artifacts"],
        )  # fmt: skip
        with seeds.serving(newest, seeds.in_folder(one), free_ports(1)[0]) as url:
            assert seeds.differences(told, seeds.tell(newest, url)) == []


WRITER = """
import sys, time, mlflow
from pathlib import Path
client = mlflow.MlflowClient()
end = time.monotonic() + float(sys.argv[1])
number = 0
while time.monotonic() < end:
    run = client.create_run("0", run_name=f"{sys.argv[2]}-{number}")
    for step in range(5):
        client.log_metric(run.info.run_id, "m", step * 0.1, step=step)
    client.log_text(run.info.run_id, "content", "file.txt")
    # Written after its artifact: a database that has it refers to that.
    client.set_tag(run.info.run_id, "has", "file.txt")
    number += 1
print(number)
"""


@pytest.mark.thorough("aws/test_data.py writes during a backup every time.")
def test_a_backup_while_clients_write(
    space: Space,
    releases: Callable[[str], seeds.Release],
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> None:
    """Nothing of what they do fails, and its clone is of one moment: runs, points and artifacts belong together."""
    folder = space.project(tmp_path, empty=True)
    asked = request(folder)
    newest = releases(seeds.NEWEST)
    with seeds.serving(newest, seeds.in_folder(folder), free_ports(1)[0]) as url:
        writers = [
            subprocess.Popen(
                [newest.python, "-c", WRITER, "6", str(number)],
                env=newest.environment(MLFLOW_TRACKING_URI=url),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(2)
        ]
        made = []
        while any(writer.poll() is None for writer in writers):
            made.append(space.verbs.call("backup", asked)["backup"])
            time.sleep(0.5)
        for writer in writers:
            output, errors = writer.communicate(timeout=60)
            assert writer.returncode == 0, errors
            assert int(output) > 0
    assert len(made) > 2
    seen = []
    for number, name in enumerate((made[len(made) // 2], made[-1])):
        clone = space.project(tmp_path, f"clone{number}", empty=True)
        space.verbs.call("restore", request(clone, source="demo", backup=name))
        seen.append(consistent(clone))
    assert 0 < seen[0] <= seen[1]


def consistent(folder: Path) -> int:
    """Fail unless what a database has belongs together, and with its artifacts; return the number of runs."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        lost = "SELECT COUNT(*) FROM metrics WHERE run_uuid NOT IN (SELECT run_uuid FROM runs)"
        assert connection.execute(lost).fetchone() == (0,)
        query = "SELECT run_uuid FROM tags WHERE key = 'has'"
        whole = [run for (run,) in connection.execute(query)]
        for run in whole:
            points = "SELECT COUNT(*) FROM metrics WHERE run_uuid = ?"
            assert connection.execute(points, (run,)).fetchone() == (5,)
            path = folder / "artifacts" / "0" / run / "artifacts" / "file.txt"
            assert path.read_text() == "content"
        (number,) = connection.execute("SELECT COUNT(*) FROM runs").fetchone()
    return int(number)


@pytest.mark.thorough("Its size is that of a team's project after a year.")
@pytest.mark.timeout(3600)
def test_memory_does_not_grow_with_a_project(space: Space, tmp_path: Path) -> None:
    """Below 300 MiB, MLflow itself included."""
    folder = space.project(tmp_path, empty=True)
    bulk.bulk(seeds.in_folder(folder), bulk.Size())
    with (folder / "artifacts" / "large").open("wb") as stream:
        stream.truncate(3 << 30)
    asked = request(folder)
    for verb in ("backup", "backup", "rehearse", "restore"):
        answer = space.verbs.run(verb, asked)
        assert answer["records"][0]["error"] == ""
        assert answer["memory"] < 300, (verb, answer)
