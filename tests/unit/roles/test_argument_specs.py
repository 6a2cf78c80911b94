# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Defaults, argument specs and uses of the roles' variables are equal, for every entry point.

Ansible validates what an entry point's spec names and is silent about the rest, so a
variable that the spec forgets is one that no user can find, and a default that the spec
repeats wrongly is a lie in the documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jinja2
import jinja2.nodes
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
# What Ansible itself sets.
MAGIC = re.compile(r"ansible_\w+|groups|hostvars|inventory_hostname|item|lookup|now|omit|role_path")
# Task keywords whose text is an expression without braces.
EXPRESSIONS = {"when", "that", "changed_when", "failed_when", "until"}
# The spec checks these and no task needs them; the reason stands beside each.
VALIDATED_ONLY = {
    # The first role of every playbook refuses what no later one knows.
    ("mlflow_project", "mlflow_backend"),
    # What is read after everything was made is checked before anything is.
    ("mlflow_verify", "mlflow_verify_always"),
}


def load(path: Path) -> Any:
    """Read a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def entry_points() -> list[tuple[str, str]]:
    """Return role and name of every entry point that a playbook can call."""
    found = []
    for role in ROLES:
        files = sorted((ROOT / "roles" / role / "tasks").glob("*.yml"))
        found += [(role, path.stem) for path in files]
    return found


ENTRIES = entry_points()


# Parsing alone does not ask for the filters and tests that only Ansible knows.
ENVIRONMENT = jinja2.Environment(autoescape=True)


def templates(node: Any, key: str = "") -> Iterator[str]:
    """Return every template below a YAML node; an expression is put into braces."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from templates(value, str(name))
    elif isinstance(node, list):
        for value in node:
            yield from templates(value, key)
    elif isinstance(node, str):
        yield "{{ " + node + " }}" if key in EXPRESSIONS else node


def names(text: str) -> set[str]:
    """Return the variables that a template reads."""
    tree = ENVIRONMENT.parse(text)
    found = {node.name for node in tree.find_all(jinja2.nodes.Name) if node.ctx == "load"} - set(
        ENVIRONMENT.globals
    )
    return {name for name in found if not MAGIC.fullmatch(name)}


def is_wired(value: Any) -> bool:
    """Say whether a default is made of something else."""
    return any("{{" in text for text in templates(value))


def fallbacks(text: str) -> dict[str, Any]:
    """Return the values that a template gives variables which are not set."""
    found: dict[str, Any] = {}
    for node in ENVIRONMENT.parse(text).find_all(jinja2.nodes.Filter):
        if node.name == "default" and isinstance(node.node, jinja2.nodes.Name):
            # What is made of other variables, or is `omit`, is no default of the variable.
            with suppress(jinja2.nodes.Impossible):
                found[node.node.name] = node.args[0].as_const()
    return found


def flat(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a task, or those of a block behind what the block itself says."""
    inner = [item for key in ("block", "rescue", "always") for item in task.pop(key, [])]
    return [task, *(found for item in inner for found in flat(item))]


class Role:
    """One role's files."""

    def __init__(self, name: str) -> None:
        """Read all of them."""
        self.name = name
        self.folder = ROOT / "roles" / name
        self.defaults: dict[str, Any] = load(self.folder / "defaults" / "main.yml")
        variables = self.folder / "vars" / "main.yml"
        self.vars: dict[str, Any] = load(variables) if variables.exists() else {}
        self.specs: dict[str, Any] = load(self.folder / "meta" / "argument_specs.yml")[
            "argument_specs"
        ]

    def tasks(self, entry: str) -> list[dict[str, Any]]:
        """Return the tasks of an entry point, those of imported files too."""
        found: list[dict[str, Any]] = []
        for task in load(self.folder / "tasks" / f"{entry}.yml"):
            imported = task.get("ansible.builtin.import_tasks")
            found += self.tasks(Path(imported).stem) if imported else flat(task)
        return found

    def options(self, entry: str) -> dict[str, Any]:
        """Return the options of an entry point's spec."""
        options: dict[str, Any] = self.specs[entry]["options"]
        return options

    def texts(self, entry: str) -> list[str]:
        """Return all templates that an entry point evaluates, through defaults and vars."""
        texts = list(templates(self.tasks(entry)))
        seen: set[str] = set()
        for text in texts:
            for name in sorted(names(text) - seen):
                seen.add(name)
                # A record that an earlier role gave is not made again here.
                if name in self.defaults and (name not in RECORDS or name in self.options(entry)):
                    texts += templates(self.defaults[name])
                elif name in self.vars:
                    texts += templates(self.vars[name])
        return texts

    def reads(self, entry: str) -> set[str]:
        """Return the variables that an entry point reads."""
        return set().union(*map(names, self.texts(entry)))


def given(role: str) -> set[str]:
    """Return the variables that a role's tasks hand on to other roles."""
    found: set[str] = set()
    for path in (ROOT / "roles" / role / "tasks").glob("*.yml"):
        for task in (inner for item in load(path) for inner in flat(item)):
            found |= set(task.get("ansible.builtin.set_fact", {}))
            found |= {name for name in [task.get("register", "__")] if not name.startswith("__")}
    return found


# Project records are a default, made anew wherever they are read; the others are facts.
RECORDS = {"mlflow_project_records"}.union(*map(given, ROLES))


@pytest.fixture(params=ENTRIES, ids="-".join)
def entry(request: pytest.FixtureRequest) -> tuple[Role, str]:
    """Give each entry point of each role."""
    role, name = request.param
    return Role(role), name


def test_there_are_roles() -> None:
    """The tests below would pass over nothing."""
    assert {"mlflow_project", "mlflow_server"} <= set(ROLES)
    assert len(ENTRIES) >= 8


def test_each_entry_point_has_a_spec(entry: tuple[Role, str]) -> None:
    """And the spec has no other."""
    role, name = entry
    assert name in role.specs
    assert {(role.name, found) for found in role.specs} <= set(ENTRIES)


def test_what_the_spec_names_is_used(entry: tuple[Role, str]) -> None:
    """An option that nothing reads promises what it does not keep."""
    role, name = entry
    unused = set(role.options(name)) - role.reads(name)
    assert {(role.name, option) for option in unused} <= VALIDATED_ONLY


def test_what_is_used_is_in_the_spec(entry: tuple[Role, str]) -> None:
    """Every variable that is read is an option, a record, wired from them, or internal."""
    role, name = entry
    wired = {key for key, value in role.defaults.items() if is_wired(value)}
    lookups = {key for key, value in role.defaults.items() if "lookup(" in str(value)}
    known = set(role.options(name)) | RECORDS | wired | lookups | set(role.vars)
    local = {key for task in role.tasks(name) for key in task.get("vars", {})}
    registered = {task["register"] for task in role.tasks(name) if "register" in task}
    assert role.reads(name) - known - local - registered == set()


def test_defaults_are_those_of_the_spec(entry: tuple[Role, str]) -> None:
    """A literal default and a fallback in a template equal what the spec tells."""
    role, name = entry
    values = dict(role.defaults)
    for text in role.texts(name):
        values.update(fallbacks(text))
    for option, spec in role.options(name).items():
        if option not in values or is_wired(values[option]):
            continue
        assert values[option] == spec.get("default"), option
        assert type(values[option]) is type(spec.get("default")), option


def test_a_default_that_a_user_may_set_is_in_a_spec() -> None:
    """A literal default is an input; one made of other variables is wiring."""
    for role in map(Role, ROLES):
        options = {option for name in role.specs for option in role.options(name)}
        literal = {
            key
            for key, value in role.defaults.items()
            if not any(map(names, templates(value))) and "lookup(" not in str(value)
        }
        assert literal - options == set(), role.name


def test_every_option_is_documented_to_the_leaves() -> None:
    """Each has a type and a description, and a dictionary says what it holds."""

    def walk(where: str, options: dict[str, Any]) -> None:
        for key, spec in options.items():
            assert spec["type"], f"{where}.{key}"
            assert spec["description"], f"{where}.{key}"
            assert spec["type"] != "list" or spec["elements"], f"{where}.{key}"
            walk(f"{where}.{key}", spec.get("options", {}))

    for role in map(Role, ROLES):
        for name, spec in role.specs.items():
            assert spec["short_description"]
            walk(f"{role.name}:{name}", spec["options"])


def test_an_option_is_told_alike_in_every_spec() -> None:
    """Two entry points that take one variable agree on its type, choices and default."""
    seen: dict[str, dict[str, Any]] = {}
    for role in map(Role, ROLES):
        for name in role.specs:
            for option, spec in role.options(name).items():
                facts = {key: spec.get(key) for key in ("type", "choices", "default")}
                assert seen.setdefault(option, facts) == facts, f"{role.name}:{name}: {option}"


def unconverted(text: str, booleans: set[str]) -> set[str]:
    """Return the booleans that a template reads as they came, which may be text."""
    tree = ENVIRONMENT.parse(text)
    converted = {
        id(name)
        for found in tree.find_all(jinja2.nodes.Filter)
        if found.name == "bool"
        for name in found.find_all(jinja2.nodes.Name)
    }
    read = {name.name for name in tree.find_all(jinja2.nodes.Name) if id(name) not in converted}
    return read & booleans


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{ not on }}", {"on"}),
        ("{{ on is boolean }}", {"on"}),
        ("{{ not on | bool }}", set()),
        ("{{ 1 if on | default(true) | bool else off }}", {"off"}),
    ],
)
def test_unconverted_booleans_are_found(text: str, found: set[str]) -> None:
    """The function that the next test leans on."""
    assert unconverted(text, {"on", "off"}) == found


def test_a_boolean_may_come_as_text() -> None:
    """What -e gives is text: handed on alone a module converts it, anything else takes `bool`."""
    specs = [spec for role in map(Role, ROLES) for spec in role.specs.values()]
    booleans = {
        name for spec in specs for name, it in spec["options"].items() if it["type"] == "bool"
    }
    assert "mlflow_verify_always" in booleans
    alone = re.compile(r"\{\{ \w+( \| default\(\w+\))? \}\}")
    files = [path for path in (ROOT / "roles").glob("*/*/*.yml") if path.parent.name != "meta"]
    for path in [*files, *(ROOT / "playbooks").glob("*.yml")]:
        for text, is_expression in with_kind(load(path)):
            if is_expression or not alone.fullmatch(text):
                assert unconverted(text, booleans) == set(), f"{path.relative_to(ROOT)}: {text}"


def with_kind(node: Any, key: str = "") -> Iterator[tuple[str, bool]]:
    """Return every template below a YAML node, and whether Ansible takes it for a condition."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from with_kind(value, str(name))
    elif isinstance(node, list):
        for value in node:
            yield from with_kind(value, key)
    else:
        for text in templates(node, key):
            yield text, key in EXPRESSIONS


def test_names_carry_their_owner() -> None:
    """Defaults start with the role's name; what is internal starts with two underscores."""
    for role in map(Role, ROLES):
        others = set(role.defaults) - {role.name}
        assert {key for key in others if not key.startswith(f"{role.name}_")} == set()
        assert {key for key in role.vars if not key.startswith("__")} == set()
        for name in (found for owner, found in ENTRIES if owner == role.name):
            for task in role.tasks(name):
                others = {key for key in task.get("vars", {}) if not key.startswith("ansible_")}
                # A result may be a record, which is documented.
                others |= {task.get("register", "__")} - given(role.name)
                assert {key for key in others if not key.startswith("__")} == set(), task["name"]


def test_records_are_documented_by_the_role_that_gives_them() -> None:
    """The name stands in the description of an entry point, as C(name)."""
    for role in map(Role, ROLES):
        descriptions = " ".join(
            " ".join(spec.get("description", [])) for spec in role.specs.values()
        )
        given_here = given(role.name) | (RECORDS & set(role.defaults))
        for name in given_here:
            assert name.startswith(f"{role.name}_"), name
            assert f"C({name})" in descriptions, name


def test_the_inventory_and_the_playbooks_set_what_roles_know() -> None:
    """A variable of the shipped inventory or of a play is an option of a role."""
    options = {
        option for role in map(Role, ROLES) for name in role.specs for option in role.options(name)
    }
    written: set[str] = set()
    for path in (ROOT / "inventories").glob("*/group_vars/**/*.yml"):
        written |= set(load(path))
    for path in (ROOT / "playbooks").glob("*.yml"):
        for play in load(path):
            for part in (play, *play.get("tasks", [])):
                written |= set(part.get("vars", {}))
    assert "mlflow_projects" in written
    assert {name for name in written if not name.startswith("__")} - options == set()
