# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook status on SQLite files: it tells everything, and changes nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.support import (
    CHECKOUT,
    Done,
    clean_environment,
    run,
)

pytestmark = pytest.mark.timeout(900)

PLAYBOOK_SECONDS = 300
DESCRIPTION = "<b>A & B</b>"
PROJECTS = [
    {"name": "demo", "description": DESCRIPTION},
    {"name": "quiet", "state": "stopped"},
    {"name": "gone", "state": "absent"},
]


@dataclass(frozen=True)
class Team:
    """Somebody with a state folder, an inventory and an empty home."""

    folder: Path

    @property
    def state(self) -> Path:
        """Return the state folder."""
        return self.folder / "state"

    def database(self, project: str) -> Path:
        """Return a project's file."""
        return self.state / "projects" / project / "mlflow.db"

    def status(self, *options: str) -> Done:
        """Run the playbook."""
        command: list[str | Path] = [Path(sys.executable).with_name("ansible-playbook")]
        command += ["-i", self.folder / "hosts.yml", CHECKOUT / "playbooks" / "status.yml"]
        return run(
            [*command, *options],
            cwd=self.folder,
            env=clean_environment(self.folder / "home"),
            timeout=PLAYBOOK_SECONDS,
            check=False,
        )

    def report(self, name: str = "report") -> dict[str, dict[str, Any]]:
        """Return the projects of the JSON file by name."""
        document = json.loads((self.folder / f"{name}.json").read_text())
        return {project["name"]: project for project in document["projects"]}

    def content(self) -> dict[str, bytes]:
        """Return what the state folder holds, but what is installed."""
        projects = self.state / "projects"
        return {
            str(path.relative_to(projects)): path.read_bytes()
            for path in sorted(projects.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def team(runtime: Mapping[str, Any], tmp_path: Path) -> Team:
    """Return somebody with three projects, of which one is stopped and one absent with data."""
    made = Team(tmp_path)
    (tmp_path / "home").mkdir()
    made.state.mkdir()
    installed = Path(runtime["python"]).parents[4]
    (made.state / "runtimes").symlink_to(installed / "runtimes")
    template = tmp_path / "template.db"
    migrate = [runtime["python"], "-I", runtime["entrypoint"], "migrate"]
    request = json.dumps({"uri": f"sqlite:///{template}"})
    subprocess.run(migrate, input=request, text=True, timeout=120, check=True, capture_output=True)
    with closing(sqlite3.connect(template)) as connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, lifecycle_stage) "
            "VALUES (1, 'kept', 'active'), (2, 'gone', 'deleted')"
        )
        connection.commit()
    for project in PROJECTS:
        artifacts = made.state / "projects" / project["name"] / "artifacts"
        artifacts.mkdir(parents=True)
        shutil.copyfile(template, made.database(project["name"]))
        (artifacts / "a.bin").write_bytes(b"12345")
    host = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "mlflow_server_runtime": "process",
        "mlflow_state_dir": str(made.state),
        "mlflow_projects": PROJECTS,
    }
    inventory = {"mlflow_servers": {"hosts": {"here": host}}}
    (tmp_path / "hosts.yml").write_text(json.dumps(inventory))
    return made


def test_everything_is_told_and_nothing_changed(team: Team) -> None:
    """In check mode, too, and in the same files."""
    before = team.content()
    options = ("-e", "mlflow_status_report=report.html", "-e", "mlflow_status_checksums=true")
    done = team.status(*options, "--check")
    assert (done.code, "changed=0" in done.output) == (0, True), done.output
    checked = team.report()
    done = team.status(*options)
    assert (done.code, "changed=0" in done.output) == (0, True), done.output
    assert team.content() == before
    found = team.report()
    assert list(found) == ["demo", "quiet", "gone"]
    for name, project in found.items():
        assert (project["schema"], project["error"]) == ("current", "")
        assert project["counts"]["experiments"] == 2
        assert project["deleted"]["experiments"] == 1
        assert project["artifacts"] == {"objects": 1, "bytes": 5}
        assert project["checksums"] == found["demo"]["checksums"] != {}
        assert (project["backup"], project["rehearsal"]) == (None, None)
        assert {**project, "users": []} == {**checked[name], "users": []}
    assert [found[name]["state"] for name in found] == ["present", "stopped", "absent"]
    page = (team.folder / "report.html").read_text()
    assert DESCRIPTION not in page
    assert "&lt;b&gt;A &amp; B&lt;/b&gt;" in page
    for suffix in ("html", "json"):
        assert (team.folder / f"report.{suffix}").stat().st_mode & 0o777 == 0o600
    assert "PROJECT  STATE    MLFLOW" in done.output


def test_a_project_that_cannot_be_read_fails_the_run_at_its_end(team: Team) -> None:
    """The others are told before, in the files, too."""
    team.database("quiet").write_bytes(b"no database")
    done = team.status("-e", "mlflow_status_report=report")
    assert done.code == 2, done.output
    said = (
        "The database of project 'quiet' failed (file is not a database); correct that, then rerun."
    )
    assert f"Not read: {said}" in done.output
    assert done.output.index("PROJECT  STATE") < done.output.index("FAILED!")
    found = team.report()
    assert (found["demo"]["schema"], found["quiet"]["schema"]) == ("current", "unread")
    assert found["quiet"]["error"] == said
    assert found["quiet"]["artifacts"] == {"objects": 1, "bytes": 5}
    assert "changed=0" in done.output


def test_what_is_missing_is_said_in_one_sentence(team: Team) -> None:
    """A directory for the report, and an installation of this release."""
    done = team.status("-e", "mlflow_status_report=no/such/report")
    assert done.code == 2
    assert "The directory of mlflow_status_report, no/such/report, does not exist" in done.output
    (team.state / "runtimes").unlink()
    done = team.status()
    assert done.code == 2
    assert "This release's MLflow is not installed on this host" in done.output
    assert not (team.state / "runtimes").exists()
