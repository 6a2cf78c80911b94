# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each name of MLflow's that the server's program leans on is there, in the MLflow that we serve."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.filter.mlflow_setting_fault import SINCE
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.environment import (
    LEAN_DEFAULTS,
)
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, clean_environment, run

PROGRAM = CHECKOUT / "programs" / "server" / "mlflow_aws_server"
# Which of some dotted names cannot be reached: each part is an attribute, or else a module.
LACKING = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")

def is_there(name):
    first, *rest = name.split(".")
    found = importlib.import_module(first)
    for index, part in enumerate(rest):
        if not hasattr(found, part):
            try:
                importlib.import_module(".".join([first, *rest[: index + 1]]))
            except ModuleNotFoundError:
                return False
        found = getattr(found, part)
    return True

print(json.dumps([name for name in json.loads(sys.argv[1]) if not is_there(name)]))
"""


def leaned_on(source: str) -> Iterator[tuple[int, str]]:
    """Yield the dotted names of MLflow's that a file imports, and of what it imports the attributes it uses."""
    tree = ast.parse(source)
    bound = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            for one in node.names:
                bound[one.asname or one.name] = name = f"{node.module}.{one.name}"
                if name.startswith("mlflow."):
                    yield node.lineno, name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = bound.get(node.value.id, "")
            if name.startswith("mlflow."):
                yield node.lineno, f"{name}.{node.attr}"


@pytest.mark.mlflow
@pytest.mark.timeout(900)
def test_mlflow_has_what_the_program_leans_on(runtime: Mapping[str, Any], tmp_path: Path) -> None:
    """Modules, functions and attributes, many of them internal; a release that lacks one is told by its name."""
    places: dict[str, str] = {}
    for path in sorted(PROGRAM.glob("*.py")):
        for line, name in leaned_on(path.read_text()):
            places.setdefault(name, f"{path.name}:{line}")
    assert {"mlflow.server.jobs.local_executor._prepare_job_subprocess", "mlflow.db.upgrade"} <= {
        *places
    }
    python = Path(runtime["python"])
    told = run(
        [python, "-I", "-c", LACKING, json.dumps([*places])],
        cwd=tmp_path,
        env=clean_environment(tmp_path, python.parent) | LEAN_DEFAULTS,
        timeout=300,
    )
    lacking = json.loads(told.output.splitlines()[-1])
    if tuple(map(int, runtime["version"].split(".")[:2])) < SINCE["jobs"]:
        # There, jobs are refused.
        lacking = [name for name in lacking if not places[name].startswith("jobs")]
    assert not lacking, f"MLflow {runtime['version']} lacks " + ", ".join(
        f"{name} ({places[name]})" for name in lacking
    )
