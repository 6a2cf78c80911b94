# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which project had which port: what is refused, and that each remedy works when followed literally."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._projects.records import (
    project_records,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import port_owners
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import FoundServer
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.port_owners import (
    ListedProject,
    PortRecord,
)

Entries = list[dict[str, Any]]
THREE = {5001: "demo", 5002: "churn", 5003: "fraud"}


def entries(*names: str) -> Entries:
    """Return a list of projects without ports."""
    return [{"name": name} for name in names]


def listed(projects: Entries, base: int = 5001) -> list[ListedProject]:
    """Return a list as the inventory's reader gives it."""
    keys = ("name", "port", "port_fixed", "state")
    return [
        ListedProject(*(record[key] for key in keys)) for record in project_records(projects, base)
    ]


def record(folder: Path, projects: Entries, base: int = 5001, serving: bool = True) -> PortRecord:
    """Return the record of a host for a list."""
    return PortRecord(folder / "ports" / "mlflow.json", listed(projects, base), serving)


def run(
    folder: Path, projects: Entries, *found: FoundServer, base: int = 5001, serving: bool = True
) -> dict[int, str]:
    """Carry out a run on a host, and return what it then remembers."""
    ports = record(folder, projects, base, serving)
    plan = ports.plan({one.name: one for one in found})
    ports.write(plan)
    assert not ports.plan({}).changed
    return plan.after


def refused(folder: Path, projects: Entries, *found: FoundServer, base: int = 5001) -> str:
    """Return the sentence with which a list is refused."""
    with pytest.raises(MlflowError) as caught:
        record(folder, projects, base).plan({one.name: one for one in found})
    assert caught.value.details == {port_owners.REFUSED: True}
    return str(caught.value)


def follow(sentence: str, projects: Entries) -> list[Entries]:
    """Return the list after each remedy that the sentence names, followed to the letter."""
    lists = []
    for remedy in sentence.partition("Correct mlflow_projects: ")[2].split("; or "):
        mended = [dict(entry) for entry in projects]
        for name, port in re.findall(r"give '([^']+)' `port: (\d+)`", remedy):
            next(entry for entry in mended if entry["name"] == name)["port"] = int(port)
        for port, name in re.findall(r"`port: (\d+)` into the entry of '([^']+)'", remedy):
            next(entry for entry in mended if entry["name"] == name)["port"] = int(port)
        for name, index in re.findall(r"'([^']+)' back as mlflow_projects\[(\d+)\]", remedy):
            mended.insert(int(index), {"name": name, "state": "absent"})
        assert mended != projects, remedy
        lists.append(mended)
    return lists


def test_a_list_that_only_grows_keeps_its_ports(tmp_path: Path) -> None:
    """The first run, an appended entry, an entry marked absent, and the last entry taken out."""
    assert run(tmp_path, entries("demo", "churn")) == {5001: "demo", 5002: "churn"}
    assert run(tmp_path, entries("demo", "churn", "fraud")) == THREE
    assert run(tmp_path, [{"name": "demo", "state": "absent"}, *entries("churn", "fraud")]) == THREE
    assert run(tmp_path, entries("demo", "churn")) == THREE


def test_an_entry_taken_out_is_refused_with_both_names_and_the_remedies(tmp_path: Path) -> None:
    """The sentence in full."""
    run(tmp_path, entries("demo", "churn"))
    assert refused(tmp_path, entries("churn")) == (
        "Port 5001 of project 'churn' belonged to 'demo': clients of 'demo' would log to 'churn'. Correct "
        "mlflow_projects: give 'churn' `port: 5002`, its current port; or put 'demo' back as mlflow_projects[0] "
        "with `state: absent`; or to hand the port over anyway, write `port: 5001` into the entry of 'churn'."
    )


LISTS: dict[str, tuple[Entries, int]] = {
    "the first taken out": (entries("churn", "fraud"), 5001),
    "the middle taken out": (entries("demo", "fraud"), 5001),
    "two taken out": (entries("fraud"), 5001),
    "renamed": (entries("test", "churn", "fraud"), 5001),
    "put before the others": (entries("test", "demo", "churn", "fraud"), 5001),
    "put before the others, stopped": (
        [{"name": "test", "state": "stopped"}, *entries("demo", "churn", "fraud")],
        5001,
    ),
    "sorted": (entries("churn", "demo", "fraud"), 5001),
    "base moved up": (entries("demo", "churn", "fraud"), 5002),
    "base moved down": (entries("demo", "churn", "fraud"), 5000),
    "an old port named, its owner moved": (
        [{"name": "test", "port": 5001}, *entries("demo")],
        5001,
    ),
    "an old port named, its owner behind": (
        [{"name": "demo", "state": "absent", "port": 5009}, *entries("fraud", "test")],
        5001,
    ),
}


@pytest.mark.parametrize("case", LISTS)
def test_every_remedy_works_as_it_is_written(tmp_path: Path, case: str) -> None:
    """The list is refused, and after each remedy the same host takes it."""
    projects, base = LISTS[case]
    run(tmp_path, entries("demo", "churn", "fraud"))
    for mended in follow(refused(tmp_path, projects, base=base), projects):
        owners = record(tmp_path, mended, base).plan({}).after
        assert {
            item.port: item.name for item in listed(mended, base) if item.state == "present"
        }.items() <= (owners.items())


def test_every_list_of_four_names_is_taken_or_gets_remedies_that_work(tmp_path: Path) -> None:
    """All orders and choices of old and new entries, some stopped, some with a port of their own."""
    run(tmp_path, entries("demo", "churn", "fraud"))
    refusals = 0
    for number in range(1, 5):
        for names in itertools.permutations(("demo", "churn", "fraud", "test"), number):
            for changed, key, value in (
                (0, "state", "present"),
                (0, "state", "stopped"),
                (number - 1, "state", "absent"),
                (0, "port", 5002),
                (number - 1, "port", 5001),
            ):
                projects = entries(*names)
                projects[changed][key] = value
                if len({item.port for item in _safe(projects)}) < number:
                    continue
                try:
                    record(tmp_path, projects).plan({})
                except MlflowError as error:
                    refusals += 1
                    for mended in follow(str(error), projects):
                        record(tmp_path, mended).plan({})
    assert refusals > 100


def _safe(projects: Entries) -> list[ListedProject]:
    """Return the list as read, empty where the reader itself refuses it."""
    try:
        return listed(projects)
    except MlflowError:
        return []


def test_a_base_far_away_hands_nothing_on(tmp_path: Path) -> None:
    """Clients then find nobody, and are told so."""
    run(tmp_path, entries("demo", "churn"))
    owners = run(tmp_path, entries("demo", "churn"), base=6001)
    assert owners == {5001: "demo", 5002: "churn", 6001: "demo", 6002: "churn"}
    # The old ones are remembered nevertheless, and may be gone back to.
    assert "Port 5001 of project 'test'" in refused(tmp_path, entries("test"))
    assert list(run(tmp_path, entries("demo", "churn"))) == [6001, 6002, 5001, 5002]


def test_at_the_last_port_the_other_remedies_are_left(tmp_path: Path) -> None:
    """Where no port is free for the new project, it is not given one."""
    run(tmp_path, entries("demo", "churn"), base=65534)
    sentence = refused(tmp_path, entries("fraud", "churn"), base=65534)
    assert "which is free" not in sentence
    assert follow(sentence, entries("fraud", "churn"))


def test_a_port_that_is_named_is_meant(tmp_path: Path) -> None:
    """If its owner is gone from the list, or names another port itself: two may swap."""
    run(tmp_path, entries("demo", "churn"))
    swapped = [{"name": "demo", "port": 5002}, {"name": "churn", "port": 5001}]
    assert run(tmp_path, swapped) == {5002: "demo", 5001: "churn"}
    assert run(tmp_path, [{"name": "test", "port": 5002}]) == {5001: "churn", 5002: "test"}


def test_what_is_remembered_outlives_all(tmp_path: Path) -> None:
    """A removed project has its port when it comes back, and its successor is refused until then."""
    run(tmp_path, entries("demo", "churn"))
    run(tmp_path, entries("churn"), serving=False)
    run(tmp_path, [{"name": "demo", "state": "absent"}, *entries("churn")])
    assert "belonged to 'demo'" in refused(tmp_path, entries("churn"))
    run(tmp_path, [{"name": "churn", "port": 5002}])
    assert run(tmp_path, [*entries("demo"), {"name": "churn", "port": 5002}]) == {
        5001: "demo",
        5002: "churn",
    }


def test_stopping_and_removing_are_never_refused(tmp_path: Path) -> None:
    """Nobody's clients reach a server that does not run."""
    run(tmp_path, entries("demo", "churn"))
    assert run(tmp_path, entries("churn"), serving=False) == {5001: "demo", 5002: "churn"}
    stopped = [{"name": "churn", "state": "stopped"}]
    assert run(tmp_path, stopped) == {5001: "demo", 5002: "churn"}


def at(name: str, port: int, running: bool = False) -> FoundServer:
    """Return a server that an older release left on the host."""
    return FoundServer(name, running=running, known=True, settings={"port": port})


def test_servers_of_an_older_release_stand_for_the_record(tmp_path: Path) -> None:
    """A stopped one has its port; where two claim one, it is the one that runs; each survives removal."""
    assert "belonged to 'demo'" in refused(tmp_path, entries("churn"), at("demo", 5001))
    runs = [at("demo", 5001), at("churn", 5001, running=True)]
    assert run(tmp_path / "moved", entries("churn"), *runs) == {5001: "churn"}
    run(tmp_path, entries("churn"), at("demo", 5001), serving=False)
    assert "belonged to 'demo'" in refused(tmp_path, entries("churn"))


def test_a_broken_record_is_told(tmp_path: Path) -> None:
    """With its path and what to do."""
    path = tmp_path / "ports" / "mlflow.json"
    path.parent.mkdir()
    for text in ("{", "[]", '{"port": "demo"}'):
        path.write_text(text)
        with pytest.raises(MlflowError, match=f"cannot be read .{path}: .*delete it to have it"):
            record(tmp_path, entries("demo")).plan({})


def test_without_a_list_nothing_is_remembered(tmp_path: Path) -> None:
    """As for who calls the module by itself."""
    ports = PortRecord(tmp_path / "ports" / "mlflow.json", None, True)
    plan = ports.plan({"demo": at("demo", 5001, running=True)})
    ports.write(plan)
    assert not plan.changed
    assert not ports.path.exists()


def test_the_file_and_the_difference(tmp_path: Path) -> None:
    """One line for each port, for this user alone; the difference shows what changes."""
    run(tmp_path, entries("demo"))
    plan = record(tmp_path, entries("demo", "churn")).plan({})
    assert plan.difference() == ({}, {"5002": "churn"})
    path = tmp_path / "ports" / "mlflow.json"
    assert json.loads(path.read_text()) == {"5001": "demo"}
    assert path.stat().st_mode & 0o777 == 0o600
