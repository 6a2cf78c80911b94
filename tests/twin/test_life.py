# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a project on the twin: imported, cleaned up, archived, removed and brought back, and moved to AWS.

Each test is a walk of docs/day-two.md, by playbooks alone: with `--check` first, which changes nothing, then for
real, then again, which changes nothing either. What is there is asked of MLflow's own client, the database, IAM,
Secrets Manager, Parameter Store and S3.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.tests.parts import seeds
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Installation
from ansible_collections.mlops.mlflow_aws.tests.parts.importer import comparable
from ansible_collections.mlops.mlflow_aws.tests.support import (
    CHECKOUT,
    Done,
    clean_environment,
    run,
    short_folder,
)
from ansible_collections.mlops.mlflow_aws.tests.twin._team import MINUTES, Team, changes, table

pytestmark = pytest.mark.timeout(40 * MINUTES)

# `sales` has content of every kind, `copy` is for what tests import and delete.
NAMES = ("demo", "churn", "sales", "copy")
MOVED = "moved"
# Each playbook that starts a server adds a run to this experiment.
VERIFICATION = "mlflow-aws-verify"
# By which what users deleted gets old enough to go.
AGED = (
    ("runs", "deleted_time"),
    ("experiments", "last_update_time"),
    ("logged_models", "last_updated_timestamp_ms"),
    ("model_versions", "last_updated_time"),
)


@dataclass(frozen=True)
class Kept:
    """What there is of a project outside of its rows."""

    schemas: list[str]
    users: list[str]
    identities: list[str]
    keys: list[str]
    versions: list[tuple[str, str]]
    backups: list[str]
    container: str


@dataclass
class Life:
    """A team with four projects that are served, and an MLflow client to look at them."""

    team: Team
    newest: seeds.Release
    urls: dict[str, str]

    def play(self, playbook: str, *options: str, check: bool = True, **states: str) -> Done:
        """Run a playbook with the projects in these states, present unless given; `project=NAME` is an `-e`."""
        listed = [{"name": name, "state": "present"} | _state(states, name) for name in NAMES]
        listed += [{"name": name, "state": states[name]} for name in states if name not in NAMES]
        words: list[str] = []
        for option in options:
            words += [option] if option.startswith("-") else ["-e", option]
        return self.team.play(playbook, *words, variables={"mlflow_projects": listed}, check=check)

    def refuse(self, playbook: str, *options: str, **states: str) -> str:
        """Run a playbook that must fail; return what it printed, in one line."""
        done = self.play(playbook, *options, check=False, **states)
        assert done.code != 0, done.output
        assert "Traceback" not in done.output, done.output
        return " ".join(done.output.split())

    def foresee(self, name: str, playbook: str, *options: str, **states: str) -> Done:
        """Run a playbook in check mode, which tells of changes and makes none."""
        before = self.kept(name), self.tell(name)
        done = self.play(playbook, *options, "--check", check=True, **states)
        assert changes(done) != []
        assert (self.kept(name), self.tell(name)) == before
        return done

    def tell(self, name: str) -> dict[str, Any]:
        """Return all that MLflow's client reads of a project; nothing if it is not served."""
        if name not in self.team.containers():
            return {}
        return own(seeds.tell(self.newest, self.urls[name]))

    def kept(self, name: str) -> Kept:
        """Return what there is of a project outside of its rows."""
        mysql = self.team.twin.mysql
        schema = _names.schema_name(name)
        schemas = [schema, *_names.schemas_beside(schema)]
        users = [_names.runtime_user(name), _names.migrator_user(name)]
        backups, root_keys = self.versions(f"backups/{name}/backups/"), self.team.keys()
        return Kept(
            schemas=[one for one in schemas if mysql.query(SCHEMA, one)],
            users=[one for one in users if mysql.query(USER, one)],
            identities=self.existing(self.identities(name)),
            keys=[key for key in root_keys if key.endswith(f"/{name}/key")],
            versions=self.versions(f"projects/{name}/"),
            backups=[key for key, _version in backups if key.endswith("/manifest.json")],
            container=self.team.containers().get(name, ""),
        )

    def identities(self, name: str) -> list[str]:
        """Return the ARNs of a project's role, its policy and its two secrets, as its stack has them."""
        place = self.team.places().get(name, {})
        return sorted(
            place[kind]
            for kind in ("role", "policy", "runtime_secret", "migrator_secret")
            if place.get(kind)
        )

    def existing(self, arns: Iterable[str]) -> list[str]:
        """Return those of some roles, policies and secrets that AWS has."""
        client = self.team.twin.aws.client
        iam = client("iam")
        there = {
            *(
                role["Arn"]
                for page in iam.get_paginator("list_roles").paginate()
                for role in page["Roles"]
            ),
            *(
                policy["Arn"]
                for page in iam.get_paginator("list_policies").paginate(Scope="Local")
                for policy in page["Policies"]
            ),
            *self.team.secrets(),
        }
        return sorted(there.intersection(arns))

    @property
    def bucket(self) -> str:
        """Return the name of the artifact bucket."""
        stacks = self.team.twin.aws.client("cloudformation").describe_stacks(StackName="mlflow")
        outputs = {one["OutputKey"]: one["OutputValue"] for one in stacks["Stacks"][0]["Outputs"]}
        return str(outputs["ArtifactRoot"]).removeprefix("s3://")

    def objects(self, prefix: str) -> list[str]:
        """Return the keys below a prefix of the bucket."""
        pages = self.team.twin.aws.client("s3").get_paginator("list_objects_v2")
        return [
            one["Key"]
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix)
            for one in page.get("Contents", [])
        ]

    def versions(self, prefix: str) -> list[tuple[str, str]]:
        """Return keys and versions below a prefix of the bucket, with those that mark deletions."""
        pages = self.team.twin.aws.client("s3").get_paginator("list_object_versions")
        return sorted(
            (one["Key"], one["VersionId"])
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix)
            for kind in ("Versions", "DeleteMarkers")
            for one in page.get(kind, [])
        )


SCHEMA = "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s"
USER = "SELECT 1 FROM mysql.user WHERE user = %s"


def _state(states: dict[str, str], name: str) -> dict[str, str]:
    """Return the state of a project, if one is given."""
    return {"state": states[name]} if name in states else {}


def own(told: dict[str, Any]) -> dict[str, Any]:
    """Return what a server told without the runs that verify it."""
    verified = {one["experiment_id"] for one in told["experiments"] if one["name"] == VERIFICATION}
    return {
        **told,
        "experiments": [one for one in told["experiments"] if one["experiment_id"] not in verified],
        "runs": [one for one in told["runs"] if one["info"]["experiment_id"] not in verified],
    }


def run_ids(told: dict[str, Any]) -> set[str]:
    """Return the IDs of the runs that a server told."""
    return {one["info"]["run_id"] for one in told["runs"]}


def line(done: Done, start: str) -> str:
    """Return the one line of a playbook's message that starts so."""
    (found,) = re.findall(rf'"({re.escape(start)}[^"\n]*)"', done.output)
    return str(found)


@dataclass(frozen=True)
class Laptop:
    """A folder with an SQLite file and its artifacts, as `mlflow server` leaves it, and what its server told."""

    project: seeds.Project
    told: dict[str, Any]


@dataclass(frozen=True)
class Imported:
    """A project into which a laptop's file was imported, and each run of the playbook."""

    refused: str
    checked: Done
    between: tuple[Kept, dict[str, Any]]
    done: Done
    again: Done


@pytest.fixture(scope="module")
def newest(
    environment: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> seeds.Release:
    """Return the release that the projects are served by."""
    python = environment(*seeds.ENVIRONMENTS[seeds.NEWEST]) / "python"
    return seeds.Release(python, tmp_path_factory.mktemp("newest"))


@pytest.fixture(scope="module")
def life(team: Team, newest: seeds.Release) -> Life:
    """Return a team whose projects are served."""
    made = Life(team, newest, {})
    made.urls.update(table(made.play("deploy")))
    assert set(made.urls) == set(NAMES)
    return made


@pytest.fixture(scope="module")
def laptop(
    newest: seeds.Release,
    free_ports: Callable[[int], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Laptop:
    """Return a laptop's folder, which no other user may read at first."""
    folder = tmp_path_factory.mktemp("laptop") / "work"
    folder.mkdir(0o700)
    project = seeds.in_folder(folder)
    with seeds.serving(newest, project, free_ports(1)[0]) as url:
        seeds.make(newest, url)
        return Laptop(project, seeds.tell(newest, url))


@pytest.fixture(scope="module")
def imported(life: Life, laptop: Laptop) -> Imported:
    """Import a laptop's file into `sales`."""
    missing = life.refuse("import", "project=sales", "source=/nowhere/mlflow.db")
    assert "There is no source /nowhere/mlflow.db on this host; correct the path." in missing
    options = ("project=sales", f"source={laptop.project.database}")
    before = life.kept("sales"), life.tell("sales")
    refused = life.refuse("import", *options)
    laptop.project.database.parent.chmod(0o755)
    checked = life.play("import", *options, "--check")
    between = life.kept("sales"), life.tell("sales")
    assert between == before
    done = life.play("import", *options)
    return Imported(refused, checked, between, done, life.play("import", *options))


@pytest.mark.thorough(
    "test_import.py of the integration tests imports folders and files every time."
)
def test_a_laptops_file_is_imported(life: Life, laptop: Laptop, imported: Imported) -> None:
    """Whole, by the container that sees the folder alone; one that it cannot read is refused."""
    assert "cannot be read by the user with ID" in imported.refused
    assert len(changes(imported.checked)) == 1
    assert len(changes(imported.done)) == 1
    start = f"sales: imported from {laptop.project.database}: "
    foreseen = line(imported.checked, f"sales: would be imported from {laptop.project.database}: ")
    assert counted(foreseen) == counted(line(imported.done, start))
    assert changes(imported.again) == []
    assert "nothing new, 0 artifacts" in line(imported.again, start)
    told = comparable(life.tell("sales"))
    assert seeds.differences(comparable(laptop.told), told) == []


def counted(text: str) -> list[str]:
    """Return the numbers of a report, without how long it took."""
    return re.findall(r"\d+ [a-z][a-z ]*", text.partition(": ")[2].partition(" in ")[0])


@pytest.mark.thorough("test_import.py of the integration tests imports a server every time.")
def test_a_server_is_imported(life: Life, imported: Imported) -> None:
    """One that is served by this collection too, over loopback."""
    assert imported.done.code == 0
    options = ("project=copy", f"source={life.urls['sales']}")
    life.foresee("copy", "import", *options)
    assert len(changes(life.play("import", *options))) == 1
    assert changes(life.play("import", *options)) == []
    wanted = comparable(life.tell("sales"))
    assert seeds.differences(wanted, comparable(life.tell("copy"))) == []


@pytest.mark.thorough(
    "test_life.py of the integration tests removes the same rows and files every time."
)
def test_what_users_deleted_goes_for_good(life: Life) -> None:
    """It is listed, removed once it is confirmed, and nothing else is; also not from other projects."""
    output = life.newest.run(
        seeds.PROGRAMS / "deleted_program.py", MLFLOW_TRACKING_URI=life.urls["copy"]
    )
    ids = json.loads(output.splitlines()[-1])
    assert "0 runs, 0 experiments" in line(life.play("gc"), "copy: can be removed: ")
    for name, column in AGED:
        life.team.twin.mysql.query(
            f"UPDATE `{_names.schema_name('copy')}`.{name} SET {column} = 1000 "
            f"WHERE {column} IS NOT NULL"
        )
    before, others = life.tell("copy"), life.kept("sales")
    listed = life.play("gc")
    assert changes(listed) == []
    foreseen = line(listed, "copy: can be removed: ")
    refused = life.refuse("gc", "project=copy", "confirm=sales")
    assert "confirm is 'sales', and the project from which deleted data would be removed" in refused
    life.foresee("copy", "gc", "project=copy", "confirm=copy")
    done = life.play("gc", "project=copy", "confirm=copy")
    assert len(changes(done)) == 1
    removed = line(done, "copy: removed ")
    assert removed.partition(" removed ")[2] == foreseen.partition(" removed: ")[2]
    assert changes(life.play("gc", "project=copy", "confirm=copy")) == []
    after = life.tell("copy")
    gone = run_ids(before) - run_ids(after)
    assert {ids["runs"]["goes"], ids["runs"]["goes along"]} <= gone
    assert {ids["runs"]["stays"], ids["runs"]["used"]} <= run_ids(after)
    stayed = {run["info"]["run_id"]: run for run in after["runs"]}
    for run_of in before["runs"]:
        name = run_of["info"]["run_id"]
        if name not in gone:
            assert seeds.differences(run_of, stayed[name]) == []
    keys = life.objects("projects/copy/")
    assert not [key for key in keys if any(name in key for name in gone)]
    assert any(ids["runs"]["stays"] in key for key in keys)
    assert life.kept("sales") == others


@pytest.mark.thorough(
    "test_project_schema.py drops and creates an archived project's user, and test_data.py makes backups, every time."
)
def test_an_archived_project_comes_back(life: Life, imported: Imported) -> None:
    """Its server and that one's user are gone, its data stays, and one backup is made."""
    assert imported.done.code == 0
    served, told = life.kept("sales"), life.tell("sales")
    neighbours = life.team.containers()
    del neighbours["sales"]
    life.foresee("sales", "deploy", sales="archived")
    done = life.play("deploy", sales="archived")
    assert "archived, with backup 000001-" in line(done, "sales: ")
    archived = life.kept("sales")
    assert archived.container == ""
    assert archived.users == [_names.migrator_user("sales")]
    assert len(archived.backups) == len(served.backups) + 1
    assert (archived.schemas, archived.versions) == (served.schemas, served.versions)
    assert (archived.identities, archived.keys) == (served.identities, served.keys)
    assert life.team.containers() == neighbours
    for playbook in ("deploy", "projects", "servers"):
        assert changes(life.play(playbook, sales="archived")) == [], playbook
    assert life.kept("sales") == archived
    life.play("rehearse", "project=sales", sales="archived")
    assert life.kept("sales").users == archived.users
    back = life.play("deploy")
    assert table(back)["sales"] == life.urls["sales"]
    assert seeds.differences(told, life.tell("sales")) == []
    assert life.kept("sales").users == served.users
    assert {key: life.team.containers()[key] for key in neighbours} == neighbours
    assert changes(life.play("deploy")) == []


@pytest.mark.thorough(
    "test_project_schema.py drops a project's schema and users, and test_data.py restores backups, every time."
)
def test_a_removed_project_comes_back(life: Life, imported: Imported) -> None:
    """It leaves nothing but backups and its key, and a restore before the next deploy brings back all of it."""
    assert imported.done.code == 0
    told, passwords = life.tell("sales"), {**life.team.secrets(), **life.team.keys()}
    before, made = life.kept("sales"), life.identities("sales")
    neighbours = life.kept("churn")
    assert len(life.existing(made)) == 4
    assert (
        "Project 'sales' is present in mlflow_projects, so the next deploy would create it again"
        in life.refuse("remove_project", "project=sales", "confirm=sales")
    )
    life.play("deploy", sales="absent")
    absent = life.kept("sales")
    assert (absent.users, absent.container, life.existing(made)) == ([], "", [])
    assert (absent.schemas, absent.versions) == (before.schemas, before.versions)
    listed = life.refuse("remove_project", "project=sales", sales="absent")
    assert "confirm is '', and the project to remove with all of its data is 'sales'" in listed
    assert f"schema {_names.schema_name('sales')} and its data" in listed
    assert f"prefix s3://{life.bucket}/projects/sales {len(before.versions)} versions" in listed
    assert life.kept("sales") == absent
    life.play("remove_project", "project=sales", "--check", sales="absent")
    assert life.kept("sales") == absent

    options = ("project=sales", "confirm=sales")
    done = life.play("remove_project", *options, sales="absent")
    removed = life.kept("sales")
    assert len(removed.backups) == len(before.backups) + 1
    assert removed == Kept([], [], [], before.keys, [], removed.backups, "")
    assert "sales" not in life.team.places()
    assert life.existing(made) == []
    assert life.kept("churn") == neighbours
    assert changes(life.play("remove_project", *options, sales="absent")) == []
    assert changes(life.play("deploy", sales="absent")) == []
    assert life.kept("sales") == removed

    life.play("restore", *options, "--check")
    assert life.kept("sales") == removed
    back = life.play("restore", *options)
    assert "restored from backup" in line(back, "sales: ")
    assert table(back)["sales"] == life.urls["sales"]
    assert seeds.differences(told, life.tell("sales")) == []
    assert changes(life.play("deploy")) == []
    assert len(life.existing(life.identities("sales"))) == 4
    passwords |= {**life.team.secrets(), **life.team.keys()}
    for name, password in passwords.items():
        assert password not in done.output + back.output, name


@pytest.fixture
def local(
    laptop: Laptop,
    installation: Installation,
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> Iterator[Callable[..., Done]]:
    """Return what runs playbooks on a laptop with the local backend, whose project is MOVED."""
    (tmp_path / "home").mkdir()
    with short_folder() as state:
        (state / "runtimes").mkdir(mode=0o700)
        (state / "runtimes" / installation.folder.name).symlink_to(installation.folder)
        folder = state / "projects" / MOVED
        folder.mkdir(parents=True)
        laptop.project.copy(folder)
        host = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "mlflow_state_dir": str(state),
            "mlflow_base_port": free_ports(1)[0],
            "mlflow_projects": [{"name": MOVED, "state": "stopped"}],
        }
        inventory = tmp_path / "hosts.yml"
        inventory.write_text(yaml.safe_dump({"mlflow_servers": {"hosts": {"localhost": host}}}))

        def play(playbook: str, *options: str) -> Done:
            command: list[str | Path] = [Path(sys.executable).with_name("ansible-playbook")]
            command += ["-i", inventory, CHECKOUT / "playbooks" / f"{playbook}.yml"]
            command += [word for option in options for word in ("-e", option)]
            env = clean_environment(tmp_path / "home", Path(sys.executable).parent)
            return run(command, cwd=tmp_path, env=env, timeout=10 * MINUTES)

        yield play


@pytest.mark.thorough(
    "test_data.py of tests/integration/aws restores backups of SQLite into MySQL every time."
)
def test_a_project_moves_from_a_laptop_to_aws(
    life: Life, laptop: Laptop, local: Callable[..., Done], tmp_path: Path
) -> None:
    """By a backup that is copied to the bucket and restored there; checksums and content are the same."""
    local("backup", f"project={MOVED}", f"mlflow_backup_destination={tmp_path / 'backups'}")
    local("status", "mlflow_status_checksums=true", f"mlflow_status_report={tmp_path / 'there'}")
    s3 = life.team.twin.aws.client("s3")
    for path in (tmp_path / "backups").rglob("*"):
        if path.is_file():
            s3.upload_file(
                str(path), life.bucket, f"backups/{path.relative_to(tmp_path / 'backups')}"
            )
    shutil.rmtree(tmp_path / "backups")

    life.play("restore", f"project={MOVED}", "--check", moved="stopped")
    assert life.kept(MOVED).schemas == []
    done = life.play("restore", f"project={MOVED}", moved="stopped")
    assert "restored from backup 000001-" in line(done, f"{MOVED}: ")
    life.play(
        "status",
        "mlflow_status_checksums=true",
        f"mlflow_status_report={tmp_path / 'here'}",
        moved="stopped",
    )
    assert state_of(tmp_path / "here.json") == state_of(tmp_path / "there.json")
    served = life.play("deploy", moved="present")
    life.urls[MOVED] = table(served)[MOVED]
    assert seeds.differences(laptop.told, life.tell(MOVED)) == []
    assert changes(life.play("deploy", moved="present")) == []


def state_of(report: Path) -> dict[str, Any]:
    """Return what a report of `status` says of the content of MOVED."""
    (row,) = [one for one in json.loads(report.read_text())["projects"] if one["name"] == MOVED]
    assert row["checksums"]
    return {key: row[key] for key in ("counts", "deleted", "checksums", "artifacts")}
