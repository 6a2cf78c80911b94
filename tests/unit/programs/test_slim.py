# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image leaves out nothing that its program calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def calls(path: Path, name: str) -> Iterator[ast.Call]:
    """Give every call of a function or method in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and name in (
            getattr(node.func, "id", ""),
            getattr(node.func, "attr", ""),
        ):
            yield node


def kept() -> set[str]:
    """Return the services of AWS that docker/slim.py keeps."""
    for node in ast.parse((ROOT / "docker/slim.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SERVICES":
            return set(ast.literal_eval(node.value))
    raise AssertionError("docker/slim.py names no SERVICES")


def test_every_service_that_a_program_calls_is_kept() -> None:
    """Botocore fails for any other only when a container calls it."""
    called = {
        ast.literal_eval(call.args[1])
        for path in (ROOT / "programs" / "server").rglob("*.py")
        for call in calls(path, "_call")
    }
    called |= {
        ast.literal_eval(call.args[0])
        for path in (ROOT / "programs" / "broker").rglob("*.py")
        for call in calls(path, "client")
    }
    assert {"secretsmanager", "ssm", "sts"} <= called
    assert called <= kept()
