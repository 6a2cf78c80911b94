# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which state a schema is, and what would break a migration off half way."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import schema_state
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.errors import EntryError
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.revisions import Head
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.schema_state import (
    AHEAD,
    BEHIND,
    COLLATION,
    CURRENT,
    EMPTY,
    FOREIGN,
    HALF,
    PRIVILEGES,
    Found,
    Grants,
)

HEAD = Head("c", {"a": 5, "b": 6, "c": 7, "d": None})
FIRST = ("alembic_version", "experiments", "runs", "metrics", "params", "tags", "more")
WHOLE = Grants("u@%", "NONE", frozenset(PRIVILEGES), logged=False, trusted=False)


def found(tables: int, *revisions: str, collation: str = COLLATION) -> Found:
    """Return a schema with so many of MLflow's tables, all of the same collation."""
    return Found(dict.fromkeys(FIRST[:tables], collation), list(revisions), collation)


@pytest.mark.parametrize(
    ("schema", "state"),
    [
        (found(0), EMPTY),
        (found(7, "c"), CURRENT),
        (found(5, "a"), BEHIND),
        (found(3, "d"), BEHIND),
        (found(7, "z"), AHEAD),
        (found(6, "c"), HALF),
        (found(7, "a"), HALF),
        (found(7), HALF),
        (found(1), HALF),
        (found(7, "a", "b"), FOREIGN),
        (Found({"wp_posts": COLLATION}, [], COLLATION), FOREIGN),
    ],
)
def test_the_state_of_a_schema(schema: Found, state: str) -> None:
    """By its revision and the number of its tables, where that is known."""
    assert schema_state.classify(schema, HEAD) == state


@pytest.mark.parametrize(
    ("state", "schema", "words"),
    [
        (AHEAD, found(7, "z"), "revision z, which this MLflow, whose head is c, does not know"),
        (FOREIGN, Found({"b": "", "a": ""}, [], ""), "2 tables of something else, such as a;"),
        (HALF, found(6, "c"), "revision c and has 6 tables, not 7, as after"),
        (HALF, found(6), "revision none and has 6 tables, as after"),
    ],
)
def test_why_a_schema_is_not_migrated(state: str, schema: Found, words: str) -> None:
    """What was found, and what to do."""
    sentence = schema_state.refusal(state, schema, HEAD)
    assert words in sentence
    assert "; " in sentence
    assert sentence.endswith(".")


def assert_refused(check: Callable[[], None], words: str) -> None:
    """Check that a sentence with these words is raised; without words, none."""
    if not words:
        check()
        return
    with pytest.raises(EntryError, match=re.escape(words)):
        check()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"logged": True, "trusted": True}, ""),
        ({"logged": True}, "log_bin_trust_function_creators is off"),
        ({"logged": True, "held": frozenset({*PRIVILEGES, "SUPER"})}, ""),
        (
            {"held": frozenset(PRIVILEGES) - {"TRIGGER", "DROP"}},
            "The user u@% lacks DROP, TRIGGER on demo",
        ),
        # What a role grants is not visible here.
        ({"held": frozenset(), "role": "admin@%", "logged": True}, ""),
    ],
)
def test_rights_that_a_migration_needs(change: dict[str, Any], words: str) -> None:
    """Without them it would stop half way."""
    assert_refused(lambda: schema_state.require_rights("demo", WHOLE._replace(**change)), words)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (found(0), ""),
        (found(7, "c"), ""),
        # It is as it was made, and holds together.
        (found(7, "c", collation="utf8mb4_0900_ai_ci"), ""),
        (found(0, collation="utf8mb4_0900_ai_ci"), "ALTER DATABASE `demo` CHARACTER SET utf8mb4"),
        (
            found(7, "c", collation="latin1_swedish_ci"),
            "The table alembic_version has the collation latin1",
        ),
        (Found({"a": COLLATION, "b": "utf8mb4_general_ci"}, ["c"], COLLATION), "The table b has"),
    ],
)
def test_collations_that_fit(schema: Found, words: str) -> None:
    """New tables refer to old ones, and names that differ in case are two names."""
    assert_refused(lambda: schema_state.require_collation("demo", schema), words)


def test_the_first_fault_is_raised() -> None:
    """Rights come first, as they are the projects playbook's."""
    poor = WHOLE._replace(held=frozenset())
    with pytest.raises(EntryError, match="lacks"):
        schema_state.require_fit("demo", found(0, collation="latin1_swedish_ci"), poor)
    with pytest.raises(EntryError, match="ALTER DATABASE"):
        schema_state.require_fit("demo", found(0, collation="latin1_swedish_ci"), WHOLE)
    schema_state.require_fit("demo", found(0), WHOLE)
