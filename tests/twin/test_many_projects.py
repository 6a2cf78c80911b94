# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""More projects than two stacks hold, on the AWS path whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.tests.twin._team import MINUTES, Team, changes, table

COUNT = 250
STACK = "many"


def variables(team: Team, port: int, projects: list[dict[str, str]]) -> dict[str, Any]:
    """Return the inventory of a team with many projects, of which this host serves one."""
    return {
        "mlflow_stack_name": STACK,
        "mlflow_projects": projects,
        "mlflow_server_projects": ["p0"],
        "mlflow_base_port": port,
        # Beside the servers of the twin's other tests.
        "mlflow_server_docker_instance": f"{team.twin.instance}-many",
        "mlflow_state_dir": str(team.twin.folder / "state-many"),
    }


def stacks(places: dict[str, dict[str, str]]) -> Counter[str]:
    """Return how many projects each stack holds."""
    return Counter(place["stack"] for place in places.values())


@pytest.mark.thorough("Stacks that take two projects each do the same on the emulator every time.")
@pytest.mark.timeout(40 * MINUTES)
def test_two_hundred_and_fifty_projects(team: Team, free_ports: Callable[[int], list[int]]) -> None:
    """Deployed, one removed and one added, without a change of the others; then all removed."""
    [port] = free_ports(1)
    entries = [{"name": f"p{number}"} for number in range(COUNT)]
    team.play("deploy", variables=variables(team, port, entries[:1]))
    team.copy_schema("p0", (entry["name"] for entry in entries[1:]))
    done = team.play("deploy", variables=variables(team, port, entries))
    assert set(table(done)) == {"p0"}
    before = team.places(STACK)
    first, *others = (f"{STACK}-projects", f"{STACK}-projects-2", f"{STACK}-projects-3")
    assert stacks(before) == {first: 100, others[0]: 100, others[1]: 50}
    assert changes(team.play("deploy", variables=variables(team, port, entries))) == []

    entries[7] = {"name": "p7", "state": "absent"}
    entries.append({"name": "new"})
    assert changes(team.play("deploy", variables=variables(team, port, entries))) != []
    after = team.places(STACK)
    assert after.pop("new")["stack"] == first
    assert after == {name: place for name, place in before.items() if name != "p7"}
    assert changes(team.play("deploy", variables=variables(team, port, entries))) == []

    gone = [{"name": entry["name"], "state": "absent"} for entry in entries]
    changes(team.play("deploy", variables=variables(team, port, gone)))
    assert team.places(STACK) == {}
    assert changes(team.play("deploy", variables=variables(team, port, gone))) == []
    # What the documents say is kept.
    kept = {row[0] for row in team.twin.mysql.query("SHOW DATABASES")}
    assert kept >= {_names.schema_name(entry["name"]) for entry in entries}
    keys = team.keys()
    assert {name for name in keys if name.startswith(f"/mlflow/{STACK}/")} == {
        f"/mlflow/{STACK}/{entry['name']}/key" for entry in entries
    }
