# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks need of Ansible's configuration they say themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
INTERNAL = re.compile(r"\b__mlflow_\w+")
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))


def plays(path: Path) -> list[dict[str, Any]]:
    """Return the plays of a playbook, without the playbooks that it imports."""
    found: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [play for play in found if "hosts" in play]


def imports(node: Any) -> Iterator[dict[str, Any]]:
    """Return every role that is imported below a node, blocks and rescues included."""
    if isinstance(node, dict):
        if "ansible.builtin.import_role" in node:
            yield node["ansible.builtin.import_role"]
        if "ansible.builtin.import_tasks" in node:
            tasks = ROOT / "playbooks" / node["ansible.builtin.import_tasks"]
            yield from imports(yaml.safe_load(tasks.read_text(encoding="utf-8")))
        for value in node.values():
            yield from imports(value)
    elif isinstance(node, list):
        for value in node:
            yield from imports(value)


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_plays_say_what_they_lean_on(path: Path) -> None:
    """A user's strategy, any_errors_fatal or gathering must not decide what a play does."""
    found = plays(path)
    assert found
    for play in found:
        assert play["strategy"] == "ansible.builtin.linear", play["name"]
        assert play["any_errors_fatal"] is False, play["name"]
        assert play["gather_facts"] is False, play["name"]


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_imported_roles_show_their_defaults(path: Path) -> None:
    """Plays hand one role's records to the next, which a user's private_role_vars would hide."""
    for role in imports(plays(path)):
        assert role.get("public") is True, role


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_plays_read_no_internal_variable_of_a_role(path: Path) -> None:
    """What a role returns has a public name; a play's own internal variables stand in the play."""
    for play in plays(path):
        own = {name for name in play.get("vars", {}) if name.startswith("__")}
        assert set(INTERNAL.findall(yaml.safe_dump(play))) - own == set(), play["name"]


def test_no_plugin_reads_an_internal_variable_of_a_role() -> None:
    """Filters and modules get what they need from whoever calls them."""
    for path in (ROOT / "plugins").glob("**/*.py"):
        assert INTERNAL.findall(path.read_text(encoding="utf-8")) == [], path


def test_no_role_reads_an_internal_variable_of_another() -> None:
    """Its own start with its name."""
    names = sorted((path.name for path in (ROOT / "roles").iterdir()), key=len, reverse=True)
    for path in (ROOT / "roles").glob("*/*/*.yml"):
        role = path.parents[1].name
        for found in INTERNAL.findall(path.read_text(encoding="utf-8")):
            owner = next(name for name in names if found.startswith(f"__{name}_"))
            assert owner == role, f"{path.relative_to(ROOT)}: {found}"
