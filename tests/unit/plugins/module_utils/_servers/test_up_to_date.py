# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host lacks, by what check mode says of its servers."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import up_to_date
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.records import ServersResult


def server(**changes: Any) -> dict[str, Any]:
    """Return a record of a server that runs, answers and is verified."""
    base = {"name": "demo", "action": "keep", "state": "running", "healthy": True, "reason": ""}
    return base | changes


@pytest.mark.parametrize(
    ("records", "changed", "reason"),
    [
        ([], False, ""),
        ([server(), server(state="stopped", healthy=False)], False, ""),
        ([server(state="absent", healthy=False)], False, ""),
        ([server()], True, "a file beside the servers has to change"),
        ([server(), server(action="start")], True, "the server of project 'demo' has to start"),
        (
            [server(healthy=False, reason="timed out")],
            False,
            "the server of project 'demo' is not up to date: timed out",
        ),
        (
            [server(healthy=False)],
            False,
            "the server of project 'demo' is not up to date: it runs with other settings",
        ),
    ],
)
def test_what_a_host_lacks(records: list[dict[str, Any]], changed: bool, reason: str) -> None:
    """The first thing, or nothing where servers do what they are to do."""
    assert up_to_date.lacking(ServersResult(records, changed, {})) == reason


def test_servers_are_told_only_where_nothing_lacks() -> None:
    """Else what is done about it gives them."""
    search = up_to_date.RunSearch("verify")
    resting = [server(state="stopped", healthy=False)]
    assert up_to_date.judge(ServersResult(resting, False, {}), search, always=True) == (
        "",
        resting,
        [],
    )
    found = up_to_date.judge(ServersResult([server(action="stop")], True, {}), search, always=False)
    assert found == ("the server of project 'demo' has to stop", (), ())
