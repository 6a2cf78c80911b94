# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects as real releases of MLflow leave them: made, served, told, and large ones.

    release = Release(environment(*ENVIRONMENTS["mlflow-2.22"]) / "python", home)
    project = in_folder(folder)
    with serving(release, project, port) as url:
        make(release, url)
        told = tell(newest, url)

What is in one: seed_program.py. How it is read: tell_program.py. test_seeds.py has the number of rows.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.environment import (
    LEAN_DEFAULTS,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.host import ask, await_
from ansible_collections.mlops.mlflow_aws.tests.parts.mysql_server import Mysql
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, clean_environment, run

# Releases older than the one that is served.
OLDER = ("mlflow-2.22", "mlflow-3.0", "mlflow-3.16")
NEWEST = "mlflow"
# What the fixture `environment` takes for each.
ENVIRONMENTS = {
    **{name: (name,) for name in OLDER},
    NEWEST: ("server", "../docker/requirements"),
}
PROGRAMS = CHECKOUT / "tests" / "parts"
# What every server makes that finds none; large projects have none of their own.
DEFAULT_EXPERIMENT = (
    "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, "
    "last_update_time) VALUES (0, 'Default', 'mlflow-artifacts:/0', 'active', 1, 1)"
)
_SECONDS = 300
# Settings of all programs: a server that never answers fails soon, and traces are there when their call returns.
_SETTINGS = {
    **LEAN_DEFAULTS,
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "PYTHONWARNINGS": "ignore",
}
# Newer releases keep folders of files only for those who insist.
_FILES_ALLOWED = {"MLFLOW_ALLOW_FILE_STORE": "true"}


@dataclass(frozen=True)
class Release:
    """One installed MLflow, and an empty HOME for its programs."""

    python: Path
    home: Path

    def environment(self, **more: str) -> dict[str, str]:
        """Return what its processes see: nothing of this machine's MLflow."""
        variables = clean_environment(self.home, self.python.parent)
        # As it is set, some releases behave in a way of their own.
        variables.pop("CI", None)
        return variables | {"LC_ALL": "C.UTF-8"} | _SETTINGS | more

    def run(self, *arguments: str | Path, **more: str) -> str:
        """Run its Python to the end; return what it printed."""
        command = [self.python, *arguments]
        return run(command, cwd=self.home, env=self.environment(**more), timeout=_SECONDS).output


@dataclass(frozen=True)
class Project:
    """A backend store and the folder of its artifacts, as a project of this collection has them.

    The URI holds no password: one of MySQL names an option file.
    """

    uri: str
    artifacts: Path

    @property
    def database(self) -> Path:
        """Return the SQLite file."""
        return Path(self.uri.removeprefix("sqlite:///"))

    @property
    def schema(self) -> str:
        """Return the name of the MySQL schema."""
        return self.uri.partition("?")[0].rpartition("/")[2]

    def copy(self, folder: Path) -> Project:
        """Copy a project with an SQLite file into a folder."""
        shutil.copytree(self.artifacts, folder / "artifacts")
        shutil.copy(self.database, folder / "mlflow.db")
        return in_folder(folder)


def in_folder(folder: Path) -> Project:
    """Return the project in a folder, as projects/NAME of a state folder is one."""
    return Project(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")


def in_mysql(mysql: Mysql, schema: str, folder: Path) -> Project:
    """Return the project in a MySQL schema, which is created, with an option file and artifacts in a folder."""
    mysql.query(f"CREATE DATABASE `{schema}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    authority, options = folder / "ca.pem", folder / "my.cnf"
    authority.write_text(mysql.ca)
    options.touch(0o600)
    # PyMySQL takes the quotes off, and nothing else.
    options.write_text(
        f'[client]\nuser = {mysql.user}\npassword = "{mysql.password}"\nssl-ca = {authority}\n'
    )
    uri = f"mysql+pymysql://{mysql.host}:{mysql.port}/{schema}?read_default_file={options}"
    return Project(uri, folder / "artifacts")


def make(release: Release, url: str) -> list[str]:
    """Fill a new project by its server, of the same release; return the kinds of content that it has."""
    with tempfile.TemporaryDirectory() as work:
        return _made(release, work, MLFLOW_TRACKING_URI=url)


def make_files(release: Release, folder: Path) -> list[str]:
    """Fill a folder `mlruns`, without a server; return the kinds of content that it has.

    Evaluation datasets, and links from traces to runs, are kept in databases only.
    """
    place = (folder / "mlruns").as_uri()
    with tempfile.TemporaryDirectory() as work:
        return _made(release, work, MLFLOW_TRACKING_URI=place, **_FILES_ALLOWED)


def _made(release: Release, work: str, **more: str) -> list[str]:
    """Run the program that makes content; return the kinds that it made."""
    output = release.run(PROGRAMS / "seed_program.py", work, **more)
    return re.findall(r"^made (\w+)$", output, re.MULTILINE)


def upgrade(release: Release, project: Project) -> None:
    """Bring a project's schema to the revision of a release, by its own command."""
    release.run("-m", "mlflow", "db", "upgrade", project.uri)


def tell(release: Release, url: str) -> dict[str, Any]:
    """Return all that a server has, read by the client of a release, the newest unless another is asked for.

    Before and after an upgrade or a restore it is the same, but for what the newer release adds.
    """
    with tempfile.TemporaryDirectory() as work:
        release.run(PROGRAMS / "tell_program.py", work, MLFLOW_TRACKING_URI=url)
        told: dict[str, Any] = json.loads(Path(work, "told.json").read_text(encoding="utf-8"))
    return told


def differences(one: object, other: object, place: str = "") -> list[str]:
    """Return where two documents differ, one line for each place."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted({*one, *other})
        pairs = [(f"{place}/{key}", one.get(key, _ABSENT), other.get(key, _ABSENT)) for key in keys]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        numbered = enumerate(zip(one, other, strict=True))
        pairs = [(f"{place}/{number}", *pair) for number, pair in numbered]
    else:
        return [] if one == other else [f"{place}: {_short(one)} | {_short(other)}"]
    return [line for where, left, right in pairs for line in differences(left, right, where)]


_ABSENT = "(absent)"


def _short(value: object) -> str:
    """Return the beginning of a value."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


@contextmanager
def serving(release: Release, project: Project, port: int) -> Iterator[str]:
    """Run `mlflow server` of a release for a project while the block runs; give its URL.

    It makes the tables of a new one. A newer release would migrate an older schema.
    """
    command: list[str | Path] = [
        release.python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--backend-store-uri", project.uri, "--serve-artifacts",
        "--artifacts-destination", str(project.artifacts),
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            command,
            cwd=release.home,
            env=release.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            await_(lambda: _answers(process, url, log), f"{command} does not answer", 150)
            yield url
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(process: subprocess.Popen[bytes], url: str, log: Any) -> bool:
    """Say whether a server answers; one that has ended fails with its log."""
    if process.poll() is not None:
        log.seek(0)
        raise RuntimeError(f"mlflow server ended: {log.read()[-3000:]}")
    return ask(url, "/version")[0] == 200


def counts(project: Project, mysql: Mysql | None = None) -> dict[str, int]:
    """Return the number of rows of each table that has any, read from the database."""
    with closing(connect(project, mysql)) as connection:
        cursor = connection.cursor()
        found = {}
        for table in tables(cursor, mysql):
            cursor.execute(f"SELECT COUNT(*) FROM {table}")
            (found[table],) = cursor.fetchone()
    return {table: count for table, count in found.items() if count}


def connect(project: Project, mysql: Mysql | None = None) -> Any:
    """Return a connection to a project's database; of MySQL as its administrator."""
    if mysql is None:
        return sqlite3.connect(project.database)
    return mysql.connect(database=project.schema, autocommit=False, read_timeout=600)


def tables(cursor: Any, mysql: Mysql | None = None) -> list[str]:
    """Return the names of a database's tables."""
    listed = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    cursor.execute("SHOW TABLES" if mysql else listed)
    return sorted(name for (name,) in cursor.fetchall())
