# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many connections servers may need, and how many a database allows."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.filter.mlflow_connection_notes import (
    mlflow_connection_notes,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import connections
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import (
    connections as program,
)


def record(
    name: str, state: str = "present", workers: int = 1, **environment: Any
) -> dict[str, Any]:
    """Return a project record, as far as it matters."""
    return {
        "name": name,
        "state": state,
        "server": {"workers": workers, "environment": environment},
    }


def test_the_program_opens_what_is_computed_with() -> None:
    """Both sides have the same numbers."""
    assert program.CONNECTIONS == connections.PER_PROCESS
    assert {name: int(text) for name, text in program.POOL.items()} == connections._POOL


@pytest.mark.parametrize(
    ("capacity", "expected"),
    [
        *((0.5, 90), (1, 90), (2, 90), (4, 135), (8, 1000), (16, 2000), (32, 3000)),
        *((64, 4000), (128, 5000), (256, 5000)),
    ],
)
def test_what_aurora_allows(capacity: float, expected: int) -> None:
    """AWS's table; what is not in it has the next lower value."""
    assert connections.allowed(capacity) == expected


def test_every_process_counts() -> None:
    """Of every host that serves the project, with the pool that the project sets."""
    records = [
        record("a"),
        record("b", workers=3),
        record("c", MLFLOW_SQLALCHEMYSTORE_POOL_SIZE=4),
        record("d", MLFLOW_SQLALCHEMYSTORE_POOL_SIZE="9", MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW="11"),
        record("stopped", state="stopped"),
        record("gone", state="absent"),
    ]
    everything = 20 + 60 + 5 + 20
    assert connections.needed(records, [{}]) == everything
    hosts: list[dict[str, Any]] = [
        {},
        {"mlflow_server_projects": ["a", "c", "unknown"]},
        {"mlflow_server_projects": []},
        {"mlflow_server_state": "stopped"},
    ]
    assert connections.needed(records, hosts) == everything + 25
    assert connections.needed(records, []) == 0


def stack(capacity: str, endpoint: str = "") -> dict[str, dict[str, str]]:
    """Return a stack's parameters as mlflow_stack does."""
    values = {"MaxCapacity": capacity, "ExistingDatabaseEndpoint": endpoint}
    return {name: {"value": value, "source": "default"} for name, value in values.items()}


def test_nothing_is_said_where_they_suffice() -> None:
    """The default capacity is enough for 49 servers, and the smallest for three."""
    records = [record(f"p{number}") for number in range(49)]
    assert mlflow_connection_notes(records, [{}], stack("8")) == []
    assert mlflow_connection_notes(records[:3], [{}], stack("1")) == []
    # Of an existing database the limit is not known.
    assert mlflow_connection_notes(records, [{}], stack("1", "db.example.com")) == []


def test_a_sentence_with_the_numbers_and_the_variable() -> None:
    """What is needed, what is allowed, and what to set; the least that is enough."""
    records = [record(f"p{number}") for number in range(50)]
    (note,) = mlflow_connection_notes(records, [{}], stack("8"))
    assert note == (
        "The servers of this inventory may need 1,000 connections to the database if all are busy, and with "
        "MaxCapacity 8 it allows 1,000, 15 of which are for others; set MaxCapacity in mlflow_stack_parameters "
        "to 16, which allows 2,000 once the database has paused or rebooted, or set "
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE in server.environment, which is 19 by default, to less."
    )


def test_a_need_that_no_capacity_meets() -> None:
    """Then only smaller pools help."""
    records = [record(f"p{number}") for number in range(200)]
    (note,) = mlflow_connection_notes(records, [{}, {}], stack("128"))
    assert "may need 8,000 connections" in note
    assert "it allows 5,000" in note
    assert "set MaxCapacity" not in note
    assert note.endswith(
        "; set MLFLOW_SQLALCHEMYSTORE_POOL_SIZE in server.environment, which is 19 by default, to less."
    )
