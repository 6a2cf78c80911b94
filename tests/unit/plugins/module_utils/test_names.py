# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What projects' schemas and users are called in MySQL: within its limits, and all different."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names

LONGEST = "p" + "-abcdefgh" * 4 + "-xy"
NAMES: list[tuple[str, str, str, str]] = [
    ("demo", "mlflow_demo", "mlflow_rt_demo", "mlflow_mg_demo"),
    ("a-b", "mlflow_a_b", "mlflow_rt_a_b", "mlflow_mg_a_b"),
    (
        "exactly-22-characters1",
        "mlflow_exactly_22_characters1",
        "mlflow_rt_exactly_22_characters1",
        "mlflow_mg_exactly_22_characters1",
    ),
    (
        "exactly-23-characters12",
        "mlflow_exactly_23_characters12",
        "mlflow_rt_exactly_23_c__8ea8df2d",
        "mlflow_mg_exactly_23_c__8ea8df2d",
    ),
]


@pytest.mark.parametrize(("project", "schema", "runtime", "migrator"), NAMES)
def test_names(project: str, schema: str, runtime: str, migrator: str) -> None:
    """Dashes become underscores; a user of over 32 characters is cut and gets a hash."""
    assert _names.schema_name(project) == schema
    assert _names.runtime_user(project) == runtime
    assert _names.migrator_user(project) == migrator


def test_the_longest_name() -> None:
    """A project of 40 characters stays within MySQL's 64 and 32."""
    assert len(LONGEST) == 40
    assert len(_names.schema_name(LONGEST)) == 47
    assert len(_names.runtime_user(LONGEST)) == 32
    assert len(_names.migrator_user(LONGEST)) == 32


@pytest.mark.parametrize("dashes", range(20))
def test_a_pattern_in_a_grant_is_not_too_long(dashes: int) -> None:
    """MySQL counts the escapes of underscores, which are wildcards there, too."""
    project = ("a-" * dashes).ljust(40, "z")
    assert len(project) == 40
    schema = _names.schema_name(project)
    assert len(schema.replace("_", "\\_")) <= 64
    others = {_names.schema_name(project[:39] + letter) for letter in "abc"}
    assert len(others | {schema}) == 4


def test_no_two_names_meet() -> None:
    """Neither dashes, nor ends that are cut away, nor a name that looks like a cut one."""
    cut = _names.runtime_user(LONGEST).removeprefix("mlflow_rt_").replace("_", "-")
    ends = [LONGEST[:38] + "".join(pair) for pair in itertools.product("abc1", repeat=2)]
    projects = ["ab", "a-b", "axb", "a-b-c", "ab-c", "a-bc", cut.replace("--", "-"), *ends]
    assert len(set(projects)) == len(projects)
    for function in (
        _names.schema_name,
        _names.runtime_user,
        _names.migrator_user,
    ):
        assert len(set(map(function, projects))) == len(projects)
