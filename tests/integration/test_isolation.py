# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every Python that we start loads its own MLflow, whatever the host's environment names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import interpreter
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sqlite_migration
from ansible_collections.mlops.mlflow_aws.tests.integration.test_schemas import revision
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Host, by_name, experiments

# The first test may have to install MLflow.
pytestmark = pytest.mark.timeout(600)

FOREIGN = "b7e2c1a4d9f3"
# Another MLflow, as far as a migration is concerned: its schema is at a revision of its own.
OTHER = f"""
import sqlite3

class upgrade:
    @staticmethod
    def callback(uri):
        with sqlite3.connect(uri.removeprefix("sqlite:///")) as connection:
            connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
            connection.execute("INSERT INTO alembic_version VALUES ('{FOREIGN}')")
"""


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """Return a folder with another MLflow, and with packages that servers and Supervisor import."""
    other = tmp_path / "trap" / "mlflow"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text('__version__ = "9.9.9"\n')
    (other / "db.py").write_text(OTHER)
    for name in ("alembic", "supervisor", "uvicorn", "sqlalchemy"):
        (tmp_path / "trap" / f"{name}.py").write_text(f"raise ImportError('trapped: {name}')\n")
    return tmp_path / "trap"


def steered(host: Host, trap: Path, tmp_path: Path) -> dict[str, str]:
    """Return variables of a user who steers each Python that obeys them to the trap."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = tmp_path / "base" / "lib" / version / "site-packages"
    site.mkdir(parents=True)
    (site / "usercustomize.py").write_text(f"import sys; sys.path.insert(0, {str(trap)!r})\n")
    return {
        # Ansible and the collection, for the module itself, come with the trap.
        "PYTHONPATH": os.pathsep.join([str(trap), str(host.modules.path)]),
        "PYTHONUSERBASE": str(tmp_path / "base"),
        "PYTHONSTARTUP": str(trap / "alembic.py"),
    }


def prove(host: Host, servers: list[Mapping[str, Any]], **how: Any) -> dict[str, Any]:
    """Log a run through servers by mlflow_run."""
    options = {
        "servers": [{"name": one["name"], "url": one["url"], "key": "k"} for one in servers],
        **host.program,
    }
    return host.modules.call("mlflow_run", options, **how)


@pytest.mark.thorough("The image is tried with another MLflow on its path every time.")
def test_another_mlflow_on_the_python_path_is_not_loaded(
    new_host: Callable[..., Host], trap: Path, tmp_path: Path
) -> None:
    """Migration, Supervisor, servers, workers and the verification run: each says or shows its own MLflow."""
    host = new_host()
    host.backend("demo", "many")
    how = steered(host, trap, tmp_path)
    migrated = host.migrate("demo", "many", **how)
    own = Path(host.runtime["path"]) / "venv"
    assert migrated["mlflow"].startswith(f"MLflow {host.runtime['version']} from {own}/")
    assert revision(host.database("demo")) == migrated["schemas"][0]["head"] != FOREIGN
    places = host.backend("demo", "many")["backend"]["projects"]
    ports = host.new_ports(2)
    servers: list[dict[str, Any]] = [
        {"name": "demo", "port": ports[0], **places["demo"]},
        {
            "name": "many",
            "port": ports[1],
            "workers": 2,
            "environment": {"PYTHONPATH": str(trap), "PYTHONHOME": "/nowhere"},
            **places["many"],
        },
    ]
    records = by_name(host.converge(*servers, how=how))
    for record in records.values():
        assert record["healthy"], record
        assert record["version"] == host.runtime["version"]
        first = Path(record["log_path"]).read_text().splitlines()[0]
        assert first.startswith(f"mlflow_entry loads MLflow {record['version']} from {own}/"), first
        assert experiments(record["url"]) == {"Default"}
    pythons = [words for words in host.processes().values() if "python" in words[0]]
    # Supervisor, two servers, and what the second one has spawned.
    assert len(pythons) >= 5
    assert all("-I" in words for words in pythons), pythons
    assert len(prove(host, list(records.values()), **how)["runs"]) == 2


def test_a_python_home_of_elsewhere_is_ignored(
    new_host: Callable[..., Host], tmp_path: Path
) -> None:
    """PYTHONHOME names no Python at all: nothing of ours would start by it."""
    host = new_host()
    host.backend("demo")
    request = json.dumps({"uri": f"sqlite:///{tmp_path}/x.db"})
    command = interpreter.isolated(host.runtime["python"], host.runtime["entrypoint"], "migrate")
    environment = {"PATH": os.defpath, "PYTHONHOME": str(tmp_path)}
    done = subprocess.run(
        command, env=environment, input=request, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    known = sqlite_migration.read_revisions(host.runtime["entrypoint"])
    assert known
    assert revision(tmp_path / "x.db") == known.head


@pytest.mark.parametrize("verb", ["migrate", "describe", "serve"])
def test_started_otherwise_it_refuses_another_mlflow(
    runtime: dict[str, Any], trap: Path, tmp_path: Path, verb: str
) -> None:
    """Whoever starts the program without -I gets one sentence instead of a foreign schema."""
    settings = tmp_path / "settings.json"
    settings.write_text("{}")
    command = [runtime["python"], runtime["entrypoint"], verb]
    done = subprocess.run(
        command + ([str(settings)] if verb == "serve" else []),
        env={"PATH": os.defpath, "PYTHONPATH": str(trap)},
        input=json.dumps({"uri": f"sqlite:///{tmp_path}/x.db"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        f"mlflow_entry: MLflow would be loaded from {trap}/mlflow instead"
    )
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "x.db").exists()
