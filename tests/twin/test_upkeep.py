# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a team does with its projects' data over the years, on the twin: back up, restore, rehearse, upgrade, import.

The servers run as containers, their data is in MySQL and in a bucket, and the program that works on
it runs in a container with the role for migrations alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.tests.parts.host import ask, experiments
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, Done, run
from ansible_collections.mlops.mlflow_aws.tests.twin._team import (
    MINUTES,
    Team,
    changes,
    projects,
    table,
)

pytestmark = pytest.mark.timeout(30 * MINUTES)

TEAM = projects("demo", "churn")
# A revision that has spans, labels and guardrails, and not what came in the last releases.
OLDER = "6f8d9c3b2a1e"
TOLD = re.compile(r'"(\S+): (backup|restored from backup) (\d{6}-\w+)')


@pytest.fixture(scope="module")
def served(team: Team) -> dict[str, str]:
    """Return the URLs of two projects."""
    return table(team.play("deploy", variables=TEAM))


def told(done: Done) -> dict[str, str]:
    """Return the ID of the backup that a run tells of each project."""
    return {name: identifier for name, _verb, identifier in TOLD.findall(done.output)}


def make(url: str, name: str) -> None:
    """Make an experiment."""
    status, _answer = ask(url, "/api/2.0/mlflow/experiments/create", {"name": name})
    assert status == 200


@pytest.mark.thorough("aws/test_data.py and test_data.py restore every time.")
def test_a_backup_comes_back_into_another_project(team: Team, served: dict[str, str]) -> None:
    """By S3 and MySQL; the project it was made of and everything later are as they were."""
    make(served["demo"], "before")
    done = team.play("backup", "-e", "project=demo", variables=TEAM)
    backup = told(done)["demo"]
    make(served["demo"], "after")
    again = team.play("backup", "-e", "project=demo", variables=TEAM)
    assert "of which 0 artifacts (0 bytes) are new" in again.output

    refused = team.play(
        "restore", "-e", "project=demo", "-e", "into=churn", variables=TEAM, check=False
    )
    assert refused.code != 0
    assert "which a restore replaces; to do so, pass `-e confirm=churn`" in refused.output

    options = ("-e", "project=demo", "-e", "into=churn", "-e", "confirm=churn")
    restored = team.play("restore", *options, "-e", f"backup={backup}", variables=TEAM)
    assert told(restored) == {"churn": backup}
    assert set(table(restored)) == {"demo", "churn"}
    assert "before" in experiments(served["churn"])
    assert "after" not in experiments(served["churn"])
    assert {"before", "after"} <= set(experiments(served["demo"]))
    for secret, password in {**team.secrets(), **team.keys()}.items():
        for shown in (done, again, restored):
            assert password not in shown.output, secret


def test_a_project_is_imported_and_nothing_is_removed_unasked(
    team: Team, served: dict[str, str]
) -> None:
    """From another server; `gc` lists what could go, and a project that is present stays; test_life.py has more."""
    make(served["demo"], "brought")
    options = ("-e", "project=churn", "-e", f"source={served['demo']}")
    done = team.play("import", *options, variables=TEAM)
    assert f"churn: imported from {served['demo']}: " in done.output
    assert "brought" in experiments(served["churn"])
    listed = team.play("gc", variables=TEAM)
    assert changes(listed) == []
    assert listed.output.count(": can be removed: ") == len(served)
    options = ("-e", "project=churn", "-e", "confirm=churn")
    refused = team.play("remove_project", *options, variables=TEAM, check=False)
    assert refused.code != 0
    assert "Project 'churn' is present in mlflow_projects" in " ".join(refused.output.split())
    assert set(team.containers()) == set(served)


@pytest.mark.thorough("test_data.py of tests/integration/aws rehearses and restores every time.")
def test_a_backup_is_rehearsed(team: Team, served: dict[str, str]) -> None:
    """Nothing is changed, and what was made for it is gone."""
    team.play("backup", variables=TEAM)
    before = team.containers()
    done = team.play("rehearse", variables=TEAM)
    assert changes(done) == []
    assert len(re.findall(r"can be restored: \d+ rows and \d+ artifacts", done.output)) == len(
        served
    )
    assert team.containers() == before
    assert team.twin.mysql.query("SHOW DATABASES LIKE '%\\_\\_next'") == []


@pytest.mark.thorough("test_data.py of tests/integration/aws upgrades schemas every time.")
def test_older_projects_are_upgraded(
    team: Team, served: dict[str, str], environment: Callable[..., Path], tmp_path: Path
) -> None:
    """One first, then the others."""
    python = environment("server", "../docker/requirements") / "python"
    for project in served:
        set_back(team, project, python, tmp_path)
    done = team.play("upgrade", variables=TEAM)
    assert done.output.count(": upgraded from revision") == len(served)
    for project, url in served.items():
        assert f"{project}-kept" in experiments(url)
    assert changes(team.play("upgrade", variables=TEAM)) == []


@pytest.mark.thorough("test_data.py of tests/integration has migrations that fail every time.")
def test_a_failed_upgrade_leaves_old_servers_running(
    team: Team, served: dict[str, str], environment: Callable[..., Path], tmp_path: Path
) -> None:
    """The containers that were there are there again, as they were, with their data."""
    python = environment("server", "../docker/requirements") / "python"
    before = team.containers()
    set_back(team, "demo", python, tmp_path)
    schema = _names.schema_name("demo")
    team.twin.mysql.query(f"CREATE TABLE `{schema}`.foreign_table (id INT PRIMARY KEY)")
    done = team.play("upgrade", variables=TEAM, check=False)
    assert done.code != 0
    assert "has tables that are not MLflow's, such as foreign_table" in done.output
    assert "their servers run again as before" in done.output
    assert team.containers() == before
    assert team.twin.mysql.query(f"SELECT version_num FROM `{schema}`.alembic_version") == [
        (OLDER,)
    ]
    team.twin.mysql.query(f"DROP TABLE `{schema}`.foreign_table")
    team.play("upgrade", variables=TEAM)
    assert "demo-kept" in experiments(served["demo"])


def set_back(team: Team, project: str, python: Path, folder: Path) -> None:
    """Put a schema of an older release in place of a project's, with an experiment in it."""
    mysql, schema = team.twin.mysql, _names.schema_name(project)
    mysql.query(f"DROP DATABASE `{schema}`")
    mysql.query(f"CREATE DATABASE `{schema}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    (folder / "ca.pem").write_text(mysql.ca)
    options = f'[client]\nuser = "{mysql.user}"\npassword = "{mysql.password}"\n'
    (folder / "my.cnf").write_text(options)
    place = f"mysql+pymysql://{mysql.host}:{mysql.port}/{schema}"
    uri = f"{place}?read_default_file={folder}/my.cnf&ssl_ca={folder}/ca.pem"
    program = (
        f"import sys; sys.path.insert(0, {str(CHECKOUT / 'programs' / 'server')!r})\n"
        "from mlflow_aws_server import revisions\n"
        f"revisions.create_at({uri!r}, {OLDER!r})\n"
    )
    run([python, "-I", "-c", program], cwd=folder, env=team.environment, timeout=300)
    mysql.query(
        f"INSERT INTO `{schema}`.experiments "
        "(name, artifact_location, lifecycle_stage, creation_time, last_update_time) "
        "VALUES (%s, 'mlflow-artifacts:/1', 'active', 1, 1)",
        f"{project}-kept",
    )
