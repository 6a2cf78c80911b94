# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users deleted goes for good, and nothing else does; projects are archived, removed and brought back."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_aws.tests.parts import data_verbs, seeds, server_program
from ansible_collections.mlops.mlflow_aws.tests.parts.data_verbs import Verbs
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Installation
from ansible_collections.mlops.mlflow_aws.tests.support import (
    CHECKOUT,
    Done,
    clean_environment,
    run,
    short_folder,
)

# The first test may have to install a release.
pytestmark = pytest.mark.timeout(600)

DAY = 86_400
PROGRAM = seeds.PROGRAMS / "deleted_program.py"
# The experiment of the runs that verify a server, and their IDs.
VERIFICATION = "mlflow-aws-verify"
VERIFIED = (
    "SELECT run_uuid FROM runs JOIN experiments USING (experiment_id) "
    f"WHERE experiments.name = '{VERIFICATION}'"
)
# Text that says what once was, rather than leading to it.
PROVENANCE = {("logged_models", "source_run_id"), ("runs", "name")}


@dataclass(frozen=True)
class Seed:
    """A project in which things were deleted, and their IDs."""

    release: seeds.Release
    verbs: Verbs
    project: seeds.Project
    ids: dict[str, dict[str, str]]


@dataclass(frozen=True)
class Case:
    """A copy of it that a test changes."""

    seed: Seed
    project: seeds.Project
    folder: Path

    def request(self, **more: Any) -> dict[str, Any]:
        """Return a request."""
        project = {
            "name": "demo",
            "backend_store_uri": self.project.uri,
            "artifacts_destination": str(self.project.artifacts),
        }
        made = {"projects": [project], "destination": str(self.folder / "backups")}
        return {**made, "retention_days": {"demo": 30}, **more}

    def gc(self, **more: Any) -> dict[str, Any]:
        """Find what was deleted; return the record of the project."""
        (record,) = self.seed.verbs.records("gc", self.request(**more))
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
) -> Iterator[Seed]:
    """Return a project that MLflow's own server and client made."""
    python = environment(*seeds.ENVIRONMENTS[seeds.NEWEST]) / "python"
    release = seeds.Release(python, tmp_path_factory.mktemp("home"))
    project = seeds.in_folder(tmp_path_factory.mktemp("seed"))
    with seeds.serving(release, project, free_ports(1)[0]) as url:
        output = release.run(PROGRAM, MLFLOW_TRACKING_URI=url)
    entry = server_program.lay_out(tmp_path_factory.mktemp("program"))
    with data_verbs.started(python, entry.parent, clean_environment(release.home)) as verbs:
        yield Seed(release, verbs, project, json.loads(output.splitlines()[-1]))


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
    orphan, young = (f"1/{uuid.uuid4().hex}/artifacts/a.txt" for _number in range(2))
    left, unknown = f"1/models/m-{uuid.uuid4().hex}/artifacts/a.txt", "1/notes.txt"
    for path in (orphan, unknown, left):
        case.write(path)
    case.write(young, days=0.9)
    # As a run that was killed leaves it.
    place = case.folder / "backups" / "demo"
    place.mkdir(parents=True)
    (place / "gc.json").write_text(json.dumps([["model", left.split("/")[2]]]))
    removed = case.remove()
    wanted = {"runs": 2, "experiments": 1, "logged_models": 2, "traces": 1, "model_versions": 2}
    assert {key: removed[key] for key in wanted} == wanted
    assert (removed["error"], removed["removed"]) == ("", True)
    assert removed["kept"] == [
        "1 deleted logged models stay, since versions of registered models refer to them",
        "1 deleted runs stay, since versions of registered models refer to them",
    ]
    assert removed["orphans"] == {"objects": 1, "bytes": 5, "examples": [orphan]}
    assert removed["unknown"] == {"objects": 1, "bytes": 5, "examples": [unknown]}
    gone = set(removed["artifacts"]["examples"])
    assert (len(gone), left in gone) == (5, True)
    assert case.files() == (before | {orphan, young, unknown, left}) - gone
    for kind in ("runs", "models", "traces"):
        for name, identifier in ids[kind].items():
            named = case.mentions(identifier) - PROVENANCE
            assert bool(named) == (not name.startswith("goes")), (kind, name, named)
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
    assert not (place / "gc.json").exists()


@pytest.mark.thorough("What is removed is tested every time.")
def test_it_is_listed_first_and_removed_once(case: Case) -> None:
    """A list has the numbers that a removal has, and changes nothing; a second removal finds nothing."""
    before = case.files()
    listed = case.gc()
    assert not listed["removed"]
    sizes = [case.project.artifacts / path for path in listed["artifacts"]["examples"]]
    assert listed["artifacts"]["bytes"] == sum(path.stat().st_size for path in sizes)
    assert case.files() == before
    assert case.mentions(case.seed.ids["runs"]["goes"])
    assert case.remove() == listed | {"removed": True}
    assert nothing(case.remove(remove_orphans=True))
    assert case.files() == before - set(listed["artifacts"]["examples"])


@pytest.mark.thorough("What stays in each table is looked at every time.")
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


@pytest.mark.thorough("One condition of a query, beside the one that is tested every time.")
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


@pytest.mark.thorough("What goes with an experiment is tested every time.")
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


@pytest.mark.thorough("One orphan of each kind is tested every time.")
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


@pytest.mark.thorough("The list that a killed run leaves is tested every time.")
def test_a_killed_run_is_ended_by_the_next_one(seed: Seed, tmp_path: Path) -> None:
    """Wherever it is killed: what lost its rows loses its artifacts too, without anybody asking for orphans."""

    def copy(name: str) -> Case:
        folder = tmp_path / name
        folder.mkdir()
        made = Case(seed, seed.project.copy(folder), folder)
        made.age()
        return made

    whole = copy("whole")
    answer = seed.verbs.run("gc", whole.request(remove=True))
    wanted = whole.files(), seeds.counts(whole.project)
    names = set()
    for at in range(1, answer["calls"], answer["calls"] // 16):
        case = copy(str(at))
        names.add(seed.verbs.kill("gc", case.request(remove=True), at))
        assert case.remove()["error"] == ""
        assert (case.files(), seeds.counts(case.project)) == wanted, at
        assert nothing(case.remove())
        assert not list(case.folder.rglob("gc.json"))
    assert len(names) > 3
    assert "" not in names, "each run was killed"


@pytest.mark.thorough("The same question to the database as every time.")
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


@pytest.mark.thorough("Needs a mount.")
def test_an_artifact_that_cannot_go_is_told_and_the_others_go(case: Case) -> None:
    """One sentence names it; the next run deletes it."""
    run_id = case.seed.ids["runs"]["goes"]
    (path,) = [path for path in case.files() if run_id in path]
    place = case.project.artifacts / path
    content = place.read_bytes()
    # Even root is refused to write to a file system that is mounted so.
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place.parent], check=True)
    try:
        place.write_bytes(content)
        subprocess.run(["mount", "-o", "remount,ro", place.parent], check=True)
        told = case.remove()
        assert told["error"] == (
            f"1 artifacts of project 'demo' could not be deleted, the first is {path}: Read-only file system; the "
            "others are gone. Rerun to delete the rest."
        )
        assert [name for name in case.files() if any(i in name for i in goes(case))] == [path]
        assert not case.mentions(run_id) - PROVENANCE
        subprocess.run(["mount", "-o", "remount,rw", place.parent], check=True)
        assert case.remove()["error"] == ""
        assert path not in case.files()
    finally:
        subprocess.run(["umount", place.parent], check=True)


@pytest.mark.thorough("The lock is that of all verbs.")
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


@dataclass(frozen=True)
class Local:
    """A host with the local backend, which has a copy of the seed as its project `demo`."""

    seed: Seed
    state: Path
    folder: Path

    @property
    def project(self) -> seeds.Project:
        """Return the project, as the host keeps it."""
        return seeds.in_folder(self.state / "projects" / "demo")

    def play(self, name: str, state: str, *options: str, **variables: Any) -> Done:
        """Run a playbook with the project in a state."""
        listed = {"mlflow_projects": [{"name": "demo", "state": state}]}
        extra = self.folder / "extra.yml"
        extra.write_text(yaml.safe_dump(listed | variables))
        program = Path(sys.executable).with_name("ansible-playbook")
        command: list[str | Path] = [program, "-i", self.folder / "i.yml"]
        command += [CHECKOUT / "playbooks" / f"{name}.yml", "-e", f"@{extra}", *options]
        env = clean_environment(self.folder / "home", Path(sys.executable).parent)
        env |= {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "false"}
        return run(command, cwd=self.folder, env=env, timeout=400, check=False)

    def changed(self, done: Done) -> int:
        """Return how many tasks changed something, of a play that did not fail."""
        assert done.code == 0, done.output
        [number] = re.findall(r"^localhost +: .*changed=(\d+)", done.output, re.MULTILINE)
        return int(number)

    def backups(self) -> list[Path]:
        """Return the complete backups of the project."""
        return sorted((self.state / "backups" / "demo" / "backups").glob("*/manifest.json"))

    def content(self) -> dict[str, Any]:
        """Return all rows and artifacts of the project, but those of the runs that verify its server.

        Each playbook that starts a server adds such a run, also after a restore.
        """
        found: dict[str, Any] = {}
        with closing(sqlite3.connect(self.project.database)) as connection:
            verified = [VERIFICATION, *(run_id for (run_id,) in connection.execute(VERIFIED))]

            def is_own(text: str) -> bool:
                return not any(name in text for name in verified)

            for table in seeds.tables(connection.cursor()):
                rows = map(repr, connection.execute(f"SELECT * FROM {table}"))
                found[table] = sorted(filter(is_own, rows))
        for path in sorted(self.project.artifacts.rglob("*")):
            if path.is_file() and is_own(str(path)):
                found[str(path.relative_to(self.project.artifacts))] = path.read_bytes()
        return found

    def verifications(self) -> int:
        """Return the number of runs that verified the project's server."""
        with closing(sqlite3.connect(self.project.database)) as connection:
            return len(connection.execute(VERIFIED).fetchall())


@pytest.fixture
def local(
    seed: Seed, installation: Installation, free_ports: Callable[[int], list[int]], tmp_path: Path
) -> Iterator[Local]:
    """Return such a host; MLflow is there, installed for all tests."""
    (tmp_path / "home").mkdir()
    with short_folder() as state:
        (state / "runtimes").mkdir(mode=0o700)
        (state / "runtimes" / installation.folder.name).symlink_to(installation.folder)
        made = Local(seed, state, tmp_path)
        made.project.database.parent.mkdir(parents=True)
        seed.project.copy(made.project.database.parent)
        host = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "mlflow_state_dir": str(state),
            "mlflow_base_port": free_ports(1)[0],
        }
        inventory = {"mlflow_servers": {"hosts": {"localhost": host}}}
        (tmp_path / "i.yml").write_text(yaml.safe_dump(inventory))
        yield made
        made.play("servers", "present", mlflow_server_state="absent")


@pytest.mark.thorough("test_data.py restores each row and artifact of a backup every time.")
def test_a_removed_project_comes_back_from_its_backup(local: Local) -> None:
    """It is removed whole once it is backed up; a restore brings back each row and each artifact, served."""
    before = local.content()
    assert local.verifications() == 0, "all that is compared is the project's own"
    done = local.play("remove_project", "absent", project="demo", confirm="demo")
    assert local.changed(done) == 2, "the backup, and the removal"
    assert list((local.state / "projects").iterdir()) == []
    assert len(local.backups()) == 1
    done = local.play("restore", "present", project="demo", confirm="demo")
    assert local.changed(done) > 0
    assert seeds.differences(before, local.content()) == []
    assert local.verifications() == 1


@pytest.mark.thorough(
    "A removal that is not confirmed is an assertion, and what it removes is tested with modules."
)
def test_a_removal_is_listed_confirmed_and_not_repeated(local: Local) -> None:
    """Nothing is touched without the name, in check mode, in another state, or if the backup fails."""
    before = local.content()
    refused = {
        "confirm is '', and the project to remove with all of its data is 'demo' (folder ": (
            "absent",
            {},
        ),
        "confirm is 'dem', and the project": ("archived", {"confirm": "dem"}),
        "Project 'demo' is present in mlflow_projects, so the next deploy": (
            "present",
            {"confirm": "demo"},
        ),
        "Project 'demo' is stopped in mlflow_projects, so the next deploy": (
            "stopped",
            {"confirm": "demo"},
        ),
        "is neither s3://BUCKET/PREFIX nor an absolute path": (
            "absent",
            {"confirm": "demo", "mlflow_backup_destination": "relative"},
        ),
    }
    for sentence, (state, variables) in refused.items():
        done = local.play("remove_project", state, project="demo", **variables)
        assert done.code != 0, sentence
        assert sentence in " ".join(done.output.split())
    missing = local.play("remove_project", "absent", project="other", confirm="other")
    assert "There is no project 'other' in mlflow_projects" in missing.output
    assert local.changed(local.play("remove_project", "absent", "--check", project="demo")) == 1
    assert local.content() == before
    assert not local.backups()
    local.play("remove_project", "archived", project="demo", confirm="demo")
    assert not local.project.database.parent.exists()
    done = local.play("remove_project", "absent", project="demo", confirm="demo")
    assert local.changed(done) == 0
    assert len(local.backups()) == 1


@pytest.mark.thorough("What a killed removal leaves is a project without a database.")
def test_a_killed_removal_is_continued(local: Local) -> None:
    """Once the database is gone, no backup of the rest takes the place of the whole one."""
    before = local.content()
    local.play("backup", "present", project="demo")
    assert len(local.backups()) == 1
    kept = local.project.artifacts / "0" / "later.txt"
    local.project.database.unlink()
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("in no backup")
    done = local.play("remove_project", "absent", project="demo", confirm="demo")
    assert done.code != 0
    assert "its newest backup does not hold 0/later.txt" in " ".join(done.output.split())
    kept.unlink()
    done = local.play("remove_project", "absent", project="demo", confirm="demo")
    assert local.changed(done) == 2
    assert len(local.backups()) == 1
    assert not local.project.database.parent.exists()
    assert local.changed(local.play("restore", "present", project="demo", confirm="demo")) > 0
    assert seeds.differences(before, local.content()) == []


@pytest.mark.thorough("Takes several deploys.")
def test_an_archived_project_is_saved_once_and_comes_back(local: Local) -> None:
    """Its server goes, one backup is made, a rerun changes nothing, and with `present` it serves again."""
    assert local.changed(local.play("deploy", "present")) > 0
    before = local.content()
    assert local.changed(local.play("deploy", "archived", "--check")) > 0
    assert not local.backups()
    assert local.changed(local.play("deploy", "archived")) > 0
    assert len(local.backups()) == 1
    assert not (local.state / "servers" / "demo").exists()
    assert local.changed(local.play("deploy", "archived")) == 0
    assert local.changed(local.play("servers", "archived")) == 0
    assert len(local.backups()) == 1
    assert seeds.differences(before, local.content()) == []
    assert local.changed(local.play("gc", "archived", project="demo", confirm="demo")) == 0
    assert local.changed(local.play("deploy", "present")) > 0
    assert (local.state / "servers" / "demo").exists()
    assert local.changed(local.play("deploy", "archived")) > 0
    assert len(local.backups()) == 2


@pytest.mark.thorough("The program is tested every time.")
def test_gc_by_its_playbook(local: Local) -> None:
    """It lists all projects, refuses another name, and removes what is confirmed, once."""
    case = Case(local.seed, local.project, local.project.database.parent)
    case.age()
    before = local.content()
    listed = local.play("gc", "present")
    assert local.changed(listed) == 0
    assert "demo: can be removed: 2 runs, 1 experiments, 2 logged models, 1 traces" in listed.output
    wrong = local.play("gc", "present", project="demo", confirm="demos")
    assert wrong.code != 0
    assert (
        "confirm is 'demos', and the project from which deleted data would be removed"
        in wrong.output
    )
    assert (
        local.changed(local.play("gc", "present", "--check", project="demo", confirm="demo")) == 1
    )
    assert local.content() == before
    assert local.changed(local.play("gc", "present", project="demo", confirm="demo")) == 1
    assert local.content() != before
    assert local.changed(local.play("gc", "present", project="demo", confirm="demo")) == 0
