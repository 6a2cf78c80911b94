# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which stack holds which project, and what several stacks return together."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import (
    model,
    projects,
    results,
    series,
    series_model,
    series_reader,
    series_results,
    stack,
)

TWO = series.Room(projects=2)
BODY = "Parameters: {Projects: {Type: CommaDelimitedList}}\nResources: {A: {Type: T}}\n"


def found(name: str = "mlflow-projects", **changes: Any) -> stack.Stack:
    """Return a stack as it is: of this deployment, with a project."""
    base: dict[str, Any] = {
        "name": name,
        "stack_id": f"arn:{name}",
        "status": "CREATE_COMPLETE",
        "reason": "",
        "parameters": {"Projects": "demo"},
        "tags": {"mlflow_aws": "mlflow"},
        "outputs": {},
        "protected": True,
    }
    return stack.Stack(**{**base, **changes})


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("mlflow-projects", 1),
        ("mlflow-projects-2", 2),
        ("mlflow-projects-10", 10),
        ("mlflow-projects-1", None),
        ("mlflow-projects-0", None),
        ("mlflow-projects-02", None),
        ("mlflow-projects-", None),
        ("mlflow-projects-x", None),
        ("mlflow-projects-2-projects", None),
        ("my-mlflow-projects", None),
        ("mlflow", None),
    ],
)
def test_names_and_numbers(name: str, number: int | None) -> None:
    """The first stack has the name that it always had."""
    assert series.stack_number("mlflow-projects", name) == number
    if number:
        assert series.stack_name("mlflow-projects", number) == name


@pytest.mark.parametrize(
    ("existing", "present", "absent", "expected"),
    [
        # One stack, as ever.
        ({}, ["a"], [], {1: ["a"]}),
        ({1: ["b"]}, ["a", "b"], [], {1: ["b", "a"]}),
        ({1: ["old"]}, ["a"], [], {1: ["old", "a"]}),
        ({1: ["old", "a"]}, ["a"], ["old"], {1: ["a"]}),
        ({1: []}, ["a"], ["never"], {1: ["a"]}),
        ({}, [], ["a"], {}),
        # They fill in order, and nothing moves into room that becomes free.
        ({}, ["a", "b", "c", "d", "e"], [], {1: ["a", "b"], 2: ["c", "d"], 3: ["e"]}),
        ({1: ["a", "b"], 2: ["c"]}, ["c", "b", "a"], [], {1: ["a", "b"], 2: ["c"]}),
        ({1: ["a", "b"], 2: ["c"]}, ["d", "e"], ["a"], {1: ["b", "d"], 2: ["c", "e"]}),
        # Empty ones go, whichever; their numbers are taken again.
        ({1: ["a"]}, [], ["a"], {1: []}),
        ({1: ["a", "b"], 2: ["c"], 3: ["d"]}, [], ["c"], {1: ["a", "b"], 2: [], 3: ["d"]}),
        ({1: ["a", "b"], 3: ["d"]}, ["e"], [], {1: ["a", "b"], 2: ["e"], 3: ["d"]}),
        ({2: ["c"]}, ["a"], [], {1: ["a"], 2: ["c"]}),
        ({1: ["a"], 2: ["c"]}, ["b"], ["a"], {1: ["b"], 2: ["c"]}),
        # More than fit in stay, where somebody's release allowed more.
        ({1: ["a", "b", "c"]}, ["d"], [], {1: ["a", "b", "c"], 2: ["d"]}),
        # What two runs at once put in two stacks stays in the first.
        ({1: ["a"], 2: ["a", "b"]}, ["a"], [], {1: ["a"], 2: ["b"]}),
        # Absent wins.
        ({1: ["a"]}, ["a", "b"], ["a", "b"], {1: []}),
    ],
)
def test_place(
    existing: Mapping[int, Sequence[str]],
    present: Sequence[str],
    absent: Sequence[str],
    expected: Mapping[int, Sequence[str]],
) -> None:
    """Stacks of two projects each."""
    assert series.place(existing, present, absent, TWO) == expected


def test_no_project_ever_moves() -> None:
    """Through a hundred random changes of the list, and a run that finds nothing to do after each."""
    dice = random.Random(11)
    names = [f"p{number}" for number in range(40)]
    now: dict[int, list[str]] = {}
    for _change in range(100):
        listed = dice.sample(names, dice.randrange(20))
        gone = dice.sample(names, dice.randrange(10))
        placed = series.place(now, listed, gone, series.Room(projects=4))
        before = {name: number for number, names in now.items() for name in names}
        after = {name: number for number, names in placed.items() for name in names}
        assert set(after) == (set(before) | set(listed)) - set(gone)
        assert {name: after[name] for name in before if name in after} == {
            name: number for name, number in before.items() if name in after
        }
        assert max(map(len, placed.values()), default=0) <= 4
        now = {number: names for number, names in placed.items() if names}
        assert series.place(now, listed, gone, series.Room(projects=4)) == now


@pytest.mark.parametrize(("count", "sizes"), [(100, [100]), (101, [100, 1]), (250, [100, 100, 50])])
def test_a_stack_takes_a_hundred_projects(count: int, sizes: list[int]) -> None:
    """As many as the template's resources, outputs and processed size allow."""
    placed = series.place({}, [f"p{number}" for number in range(count)], [])
    assert list(map(len, placed.values())) == sizes


def test_long_names_take_more_stacks() -> None:
    """A parameter has 4,096 bytes; a short name still fits where a long one does not."""
    long = [f"{'x' * 35}{number:03}" for number in range(80)]
    placed = series.place({}, [*long, "s"], [])
    sizes = [len(",".join(map(projects.project_item, names))) for names in placed.values()]
    assert len(sizes) == 2
    assert all(size <= 4096 for size in sizes)
    assert sizes[0] + 1 + len(projects.project_item(long[-1])) > 4096
    assert "s" in placed[1]


def test_what_a_stack_holds() -> None:
    """As long as its create has not failed, or was only announced."""
    assert series.projects_in(found(parameters={"Projects": "demo, aXb,"})) == ["demo", "a-b"]
    assert series.projects_in(found(parameters={})) == []
    assert series.projects_in(found(status="UPDATE_ROLLBACK_FAILED")) == ["demo"]
    assert series.projects_in(found(status="ROLLBACK_COMPLETE")) == []
    assert series.projects_in(found(status="REVIEW_IN_PROGRESS")) == []


def test_whose_stacks_these_are() -> None:
    """Named as ours and of this deployment; who only reads takes those of other tools too."""
    stacks = [
        found("mlflow-projects-3"),
        found("mlflow-projects-2", tags={}),
        found("mlflow-projects-10", tags={"mlflow_aws": "other"}),
        found("mlflow"),
        found("mlflow-projects"),
    ]
    members = series.members("mlflow-projects", stacks)
    assert list(members) == [1, 2, 3, 10]
    assert list(series.owned(members, "mlflow")) == [1, 3]
    assert list(series.readable(members, "mlflow")) == [1, 2, 3]


def test_one_stack_of_a_series() -> None:
    """Its own name and projects, everything else as given."""
    wanted = series_model.SeriesSpec(
        "mlflow-projects", "mlflow", BODY, {"Size": 1}, ["a-b"], [], {"team": "ml"}, True
    )
    spec = series_model.member_spec(wanted, 2, ["a-b", "c"])
    assert (spec.name, spec.owner, spec.tags) == ("mlflow-projects-2", "mlflow", {"team": "ml"})
    assert spec.given == {"Size": 1, "Projects": ["aXb", "c"]}
    with pytest.raises(MlflowError, match=r"no parameter 'Projects'; use the module mlflow_stack"):
        series_model.member_spec(wanted._replace(body="Resources: {A: {Type: T}}"), 1, ["a"])


def test_outputs_together() -> None:
    """Of two stacks with the same project the first counts."""
    one = found(outputs={"Projecta": "1", "Projectb": "1"})
    two = found(outputs={"Projectb": "2", "Projectc": "2"})
    together = series_reader.outputs_of([one, two])
    assert together == {"Projecta": "1", "Projectb": "1", "Projectc": "2"}
    assert series_reader.outputs_of([]) == {}


def outcome(is_: stack.Stack | None, changed: bool = False) -> results.StackResult:
    """Return what came of one stack."""
    plan = model.Plan(model.KEEP, {}, {}, True, None, [])
    changes = [{"logical_id": "A"}] if changed else []
    diff = {"before": {}, "after": {"stack": "new"} if changed else {}}
    return results.StackResult(changed, plan, is_, changes, diff, [], [], False, 1.0)


def test_results_together() -> None:
    """What is common, what is said of which stack, and in check mode what is to come."""
    told = json.dumps({"name": "a", "role": "r"})
    done = series_results.SeriesResult(
        {1: outcome(found("p", outputs={"Projecta": told})), 2: outcome(None, changed=True)},
        "p",
        {1: ["a"], 2: ["b-c"]},
    )
    made = done.as_dict(check_mode=True)
    assert made["changed"]
    assert made["changes"] == [{"stack": "p-2", "logical_id": "A"}]
    assert made["diff"] == [{"before": {}, "after": {"stack": "new"}}]
    assert made["stacks"]["p-2"] == {
        "status": "ABSENT",
        "stack_id": "",
        "changed": True,
        "projects": ["b-c"],
    }
    assert made["projects"]["a"]["role"] == "r"
    assert made["projects"]["b-c"] == projects.empty_project("b-c")
    assert made["waited"] == 2.0
    assert set(done.as_dict(check_mode=False)["projects"]) == {"a"}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_failures_together(count: int) -> None:
    """The first one's sentence, the names of the others, and whether anything was done."""
    failed = {
        name: MlflowError(f"Stack '{name}' failed; fix it.", {"status": "X", "changed": False})
        for name in itertools.islice(("p", "p-2", "p-3"), count)
    }
    done = results.Progress()
    done.changed = True
    error = series_results.joined(failed, [results.Progress(), done])
    also = {
        1: "",
        2: "; the same goes for 'p-2', see 'failures'",
        3: "; the same goes for 'p-2', 'p-3', see 'failures'",
    }
    assert str(error) == f"Stack 'p' failed; fix it{also[count]}."
    assert error.details["changed"] is True
    assert error.details["status"] == "X"
    assert error.details["failures"] == {name: str(each) for name, each in failed.items()}
