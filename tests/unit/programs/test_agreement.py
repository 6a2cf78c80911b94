# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What programs and plugins both say is the same: neither can import the other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.filter import mlflow_setting_fault
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import environ
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import (
    model,
    mysql_migration,
    revisions,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import (
    application,
    cli,
    environment,
    errors,
    installation,
    mysql,
    processes,
    refusal,
    schema_state,
    verification,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.data import (
    mysql_database,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.revisions import Head
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.schema_state import (
    Found,
)

ROOT = Path(__file__).resolve().parents[3]
PLUGINS = "\n".join(
    path.read_text(encoding="utf-8") for path in sorted((ROOT / "plugins").rglob("*.py"))
)
TUNNEL = ROOT / "programs" / "tunnel" / "mlflow_tunnel.py"
PROCESSES = ROOT / "programs" / "server" / "mlflow_aws_server" / "processes.py"
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        # Headers, tags, variables and lines by which the plugins know a server.
        f'"{refusal.CONFIGURATION_HEADER}"',
        f'"{refusal.CONFINED_HEADER}"',
        f'"{refusal.REFUSAL_HEADER}"',
        f'{{"{refusal.PROBE_HEADER}": "{refusal.LOOK}"}}',
        f'"{verification.KEY_TAG}"',
        f'{processes.SUPERVISOR_VARIABLE}="',
        f'"{errors.NAME}: "',
        f'"{errors.NAME} loads "',
        # Names of files.
        f'"{installation.LAUNCHER.name}"',
        f'"{installation.KNOWN.name}"',
        # Verbs; the others are the program's own, the image's, or for a person.
        *(
            f'"{verb}"'
            for verb in sorted(
                {*cli._WITH_FILE, *cli._ALONE}
                - {"check", "credentials", "health", "job", "jobs", "survey"}
            )
        ),
    ],
)
def test_the_plugins_use_the_programs_words(text: str) -> None:
    """A word that is changed on one side only is not understood on the other."""
    assert text in PLUGINS


def test_limits_may_be_set_for_a_project() -> None:
    """Each variable is one that the list of projects lets through."""
    for name in mysql.LIMITS:
        assert f'"{name}"' in PLUGINS


def test_settings_need_the_same_mlflow() -> None:
    """What the playbooks refuse beforehand, a server of an older image refuses, too."""
    told = {key: ".".join(map(str, release)) for key, release in mlflow_setting_fault.SINCE.items()}
    assert told == application.SINCE


def test_the_environment_of_programs() -> None:
    """Both keep the same; MALLOC_ARENA_MAX is set where a server is started."""
    assert set(environment.KEPT) - {"MALLOC_ARENA_MAX"} == set(environ._KEPT)


def test_the_migrator_has_what_a_migration_needs() -> None:
    """And schemas are created as a migration wants them."""
    assert set(schema_state.PRIVILEGES) == model.rights("migrator", "mlflow_a")["mlflow_a"]
    assert schema_state.COLLATION == model.COLLATION
    assert {schema_state.VERSIONS, *schema_state._FIRST_TABLES} == set(model.LANDMARKS)


@pytest.mark.parametrize(
    "schema", ["mlflow_a_b", "mlflow_" + "a" * 40, "mlflow_" + "a_" * 20 + "b"]
)
def test_schemas_beside_a_project_have_one_name(schema: str) -> None:
    """Which a grant's pattern can name."""
    found = _names.schemas_beside(schema)
    assert found == [mysql_database.beside(schema, suffix) for suffix in ("__next", "__prev")]
    assert (mysql_database.NEXT, mysql_database.PREVIOUS) == _names.BESIDE
    for name in found:
        assert len(name) + name.count("_") <= 64
    own = model.rights("migrator", schema)
    assert list(own) == [schema, *found]
    assert model.rights("runtime", schema).keys() == {schema}


HEAD = Head("c", {"a": 5, "b": 6, "c": 7})
TABLES = ("alembic_version", "experiments", "runs", "metrics", "params", "tags", "more")


@pytest.mark.parametrize(
    ("tables", "revision", "state"),
    [
        (0, "", schema_state.EMPTY),
        (7, "c", schema_state.CURRENT),
        (5, "a", schema_state.BEHIND),
        (6, "c", schema_state.HALF),
        (7, "a", schema_state.HALF),
        (3, "", schema_state.HALF),
        (7, "z", schema_state.AHEAD),
    ],
)
def test_a_schema_is_classified_alike(tables: int, revision: str, state: str) -> None:
    """What the plugins refuse as newer is `ahead` here."""
    found = Found(dict.fromkeys(TABLES[:tables], ""), [revision] if revision else [], "")
    assert schema_state.classify(found, HEAD) == state
    item = {"name": "demo", "uri": "mysql+pymysql://h:1/mlflow_demo", "database": {"user": "u"}}
    known = revisions.Revisions(
        "3",
        HEAD.revision,
        frozenset(HEAD.known),
        {name: count or 0 for name, count in HEAD.known.items()},
    )
    record = {"tables": tables, "revision": revision, "obstacles": []}
    if state == schema_state.AHEAD:
        with pytest.raises(MlflowError, match="a newer MLflow wrote it"):
            mysql_migration.classify(item, record, known)
    else:
        assert mysql_migration.classify(item, record, known).state == state


def function(path: Path, name: str) -> str:
    """Return the source of a function, as Python reads it."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return ast.unparse(node)
    raise AssertionError(f"{path} has no {name}")


@pytest.mark.parametrize("name", ["end_with_parent", "stop"])
def test_the_tunnel_ends_as_servers_do(name: str) -> None:
    """It is one file in another environment, and says both functions itself."""
    assert function(TUNNEL, name) == function(PROCESSES, name)


def test_the_tunnels_retries_are_counted() -> None:
    """By a line of its log."""
    assert '"Reopening it in"' in PLUGINS
    assert 'f"Reopening it in {' in TUNNEL.read_text(encoding="utf-8")


def test_the_image_holds_the_program() -> None:
    """With the files that it looks for beside itself."""
    copied = " ".join(line for line in DOCKERFILE.splitlines() if line.startswith("COPY")).split()
    assert {installation.KNOWN.name, installation.AUTHORITIES.name} < set(copied)
    assert f"programs/server/{installation.LAUNCHER.name}" in copied
    assert f"programs/server/{PROCESSES.parent.name}" in copied
    assert {"programs/broker/mlflow_broker.py", "programs/broker/mlflow_aws_broker"} <= set(copied)
