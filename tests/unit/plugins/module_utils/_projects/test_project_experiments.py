# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The experiments of projects, as inventories have them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._projects.records import (
    project_records,
)

TEXT = "write a string, in quotes if necessary."


def read(experiments: Any) -> list[dict[str, Any]]:
    """Return the experiments of a project's record."""
    [record] = project_records([{"name": "demo", "experiments": experiments}])
    found: list[dict[str, Any]] = record["experiments"]
    return found


def test_names_and_dictionaries() -> None:
    """Both are read as the same; a description of nothing empties it, none leaves it."""
    assert read(
        [
            "a/b c",
            {"name": "x", "description": "", "tags": {"year": 2026, "team": "x"}},
            {"name": "y"},
        ]
    ) == [
        {"name": "a/b c", "description": None, "tags": {}},
        {"name": "x", "description": "", "tags": {"year": "2026", "team": "x"}},
        {"name": "y", "description": None, "tags": {}},
    ]


@pytest.mark.parametrize(
    ("experiments", "sentence"),
    [
        (
            "churn",
            "key 'experiments' is a string; write a list of names, or of dictionaries with a name.",
        ),
        (
            {"a": 1},
            "key 'experiments' is a dictionary; write a list of names, or of dictionaries with a name.",
        ),
        ([1], "experiments[0] is a number; write a name, or a dictionary with at least a name."),
        (["a", {"nmae": "b"}], "experiments[1]: unknown key 'nmae'; did you mean 'name'?"),
        ([{"tags": {}}], "experiments[0]: key 'name' has 0 characters; write a name of 1 to 500."),
        ([" "], "experiments[0]: key 'name' has 1 characters; write a name of 1 to 500."),
        (["x" * 501], "experiments[0]: key 'name' has 501 characters; write a name of 1 to 500."),
        (
            ["a "],
            "experiments[0]: key 'name' is 'a '; remove the whitespace at its beginning or end.",
        ),
        ([{"name": 5}], f"experiments[0]: key 'name' is a number; {TEXT}"),
        (
            [{"name": "a", "description": 5}],
            f"experiments[0]: key 'description' is a number; {TEXT}",
        ),
        (
            [{"name": "a", "tags": ["b"]}],
            "experiments[0]: key 'tags' is a list; write it as a dictionary.",
        ),
        (
            [{"name": "a", "tags": {"b": True}}],
            "experiments[0]: key 'tags': tag 'b' is true or false; write its value in quotes.",
        ),
        (
            [{"name": "a", "tags": {"b": 1.10}}],
            "experiments[0]: key 'tags': tag 'b' is a number; write its value in quotes.",
        ),
        (
            [{"name": "a", "tags": {1: "b"}}],
            "experiments[0]: key 'tags' has the tag '1'; write a name of 1 to 250 characters, in quotes if necessary.",
        ),
        (
            [{"name": "a", "description": "D", "tags": {"mlflow.note.content": "D"}}],
            (
                "experiments[0]: key 'description' is the tag mlflow.note.content, which 'tags' sets too; remove one "
                "of them."
            ),
        ),
        (
            ["b", "a", {"name": "a"}],
            "experiments[2]: key 'name' has the value 'a' of experiments[1]; keep one of them.",
        ),
    ],
)
def test_a_typo_names_the_entry_and_the_key(experiments: Any, sentence: str) -> None:
    """The project, the experiment, and what to write."""
    with pytest.raises(MlflowError) as caught:
        read(experiments)
    assert str(caught.value) == f"mlflow_projects[0] 'demo': {sentence}"
