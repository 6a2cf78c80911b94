# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection says of itself and what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = "mlops.mlflow_aws"


def load(path: Path) -> Any:
    """Read a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def stems(folder: str, suffix: str) -> set[str]:
    """Return the names of the public files in a folder."""
    files = (ROOT / folder).glob(f"*{suffix}")
    return {path.stem for path in files if not path.stem.startswith("_")}


def test_the_action_group_is_all_modules() -> None:
    """Defaults for the group reach every module; no module is named that is not there."""
    group = load(ROOT / "meta" / "runtime.yml")["action_groups"]["mlflow"]
    assert group == sorted(stems("plugins/modules", ".py"))


def test_old_names_of_modules_lead_to_new_ones() -> None:
    """Each redirect names a module that is there, and says until when the old name works."""
    modules = load(ROOT / "meta" / "runtime.yml")["plugin_routing"]["modules"]
    assert "mlflow_schema_migration" in modules
    there = stems("plugins/modules", ".py")
    for name, routing in modules.items():
        if "redirect" not in routing:
            continue
        assert name not in there
        assert routing["redirect"].removeprefix(f"{COLLECTION}.") in there
        assert routing["redirect"] in routing["deprecation"]["warning_text"]
        assert routing["deprecation"]["removal_version"] == "1.0.0"


def test_what_takes_long_is_shown() -> None:
    """Each module that has progress_path is run by the action plugin that shows what it writes there."""
    modules = load(ROOT / "meta" / "runtime.yml")["plugin_routing"]["modules"]
    shown = {name for name, routing in modules.items() if "action_plugin" in routing}
    files = (ROOT / "plugins" / "modules").glob("*.py")
    fragment = f"  - {COLLECTION}.progress\n"
    asked = {path.stem for path in files if fragment in path.read_text(encoding="utf-8")}
    assert shown == asked - stems("plugins/action", ".py")
    assert {modules[name]["action_plugin"] for name in shown} == {f"{COLLECTION}.mlflow_stack"}


def test_the_oldest_ansible_is_the_one_that_the_roles_name() -> None:
    """meta/runtime.yml and each role's meta agree."""
    requires = load(ROOT / "meta" / "runtime.yml")["requires_ansible"]
    for path in (ROOT / "roles").glob("*/meta/main.yml"):
        oldest = load(path)["galaxy_info"]["min_ansible_version"]
        assert requires == f">={oldest}.0", path


def test_each_filter_has_its_documentation() -> None:
    """A YAML file of the same name, which names the filter."""
    assert stems("plugins/filter", ".py") == stems("plugins/filter", ".yml")
    for path in (ROOT / "plugins" / "filter").glob("*.yml"):
        assert load(path)["DOCUMENTATION"]["name"] == path.stem


def test_private_code_says_so() -> None:
    """Each module util, or its folder, has a private name and calls itself private in its first words."""
    folder = ROOT / "plugins" / "module_utils"
    files = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.py")}
    assert len(files) > 40
    for path, text in files.items():
        assert path.relative_to(folder).parts[0].startswith("_"), path
        if text or path.name != "__init__.py":
            assert text.split('"""')[1].startswith(f"Private to {COLLECTION}: "), path


def test_playbooks_call_what_is_there() -> None:
    """Every role and entry point that a playbook imports exists, by its full name."""
    imported = 0
    for path in (ROOT / "playbooks").glob("*.yml"):
        for play in load(path):
            for task in play.get("tasks", []):
                role = task.get("ansible.builtin.import_role")
                if role:
                    name = role["name"].removeprefix(f"{COLLECTION}.")
                    tasks = (
                        ROOT / "roles" / name / "tasks" / f"{role.get('tasks_from', 'main')}.yml"
                    )
                    assert tasks.is_file(), tasks
                    imported += 1
    assert imported > 5
