# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb info of mlflow_entry.py for many projects, on a real MySQL and an emulated S3."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.data.info import AT_ONCE
from ansible_collections.mlops.mlflow_aws.tests.integration.aws._entry import (
    HEAD,
    MIGRATOR,
    Place,
    place,
)

pytestmark = pytest.mark.timeout(900)
__all__ = ["place"]

PROJECTS = 2 * AT_ONCE
BUCKET = "status-artifacts"
# SET SESSION, names, connections, numbers; what PyMySQL asks when it connects; its end.
MOST_STATEMENTS = 8


@pytest.fixture(scope="module")
def projects(place: Place) -> list[dict[str, Any]]:
    """Return projects with the same content, each with its own migrator and artifacts."""
    client = place.aws.client("s3")
    client.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    first = place.new_schema("mlflow_p0")
    assert place.migrate(first)[0]["error"] == ""
    place.database.query(
        "INSERT INTO mlflow_p0.experiments (name, lifecycle_stage) "
        "VALUES ('kept', 'active'), ('gone', 'deleted')"
    )
    made = [first]
    for number in range(1, PROJECTS):
        name = f"mlflow_p{number}"
        place.copy("mlflow_p0", name)
        identity = place.identity(name, MIGRATOR, suffix="m")
        made.append({"name": name, "uri": place.uri(name), "database": identity})
    for number in range(PROJECTS):
        client.put_object(Bucket=BUCKET, Key=f"p{number}/0/run/a.bin", Body=b"x" * (number + 1))
    return [
        {
            "name": f"p{number}",
            "backend_store_uri": one["uri"],
            "artifacts_destination": f"s3://{BUCKET}/p{number}",
            "database": one["database"],
        }
        for number, one in enumerate(made)
    ]


def ask(place: Place, projects: list[dict[str, Any]], **more: Any) -> dict[str, dict[str, Any]]:
    """Return what is told of projects, by name."""
    request = {"projects": projects, "aws": place.aws.options(), "objects": True, "patience": 20}
    path = place.folder / f"info-{uuid.uuid4().hex}.json"
    path.write_text(json.dumps({**request, **more}))
    done = place.call("info", path)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(records) == len(projects)
    return {record["name"]: record for record in records}


def asked(place: Place) -> tuple[int, int]:
    """Return how many connections and statements the database has had."""
    rows = dict(
        place.database.query(
            "SHOW GLOBAL STATUS WHERE variable_name IN ('Connections', 'Questions')"
        )
    )
    return int(rows["Connections"]), int(rows["Questions"])


def test_many_projects_take_one_connection_each(
    place: Place, projects: list[dict[str, Any]]
) -> None:
    """And a few statements; benchmarks/status.py measures the time."""
    before = asked(place)
    found = ask(place, projects)
    after = asked(place)
    assert [found[one["name"]]["error"] for one in projects] == [""] * PROJECTS
    assert {one["schema"] for one in found.values()} == {"current"}
    assert {(one["revision"], one["head"]) for one in found.values()} == {(HEAD, HEAD)}
    assert found["p0"]["counts"]["experiments"] == 2
    assert found["p0"]["deleted"] == {"experiments": 1, "runs": 0}
    assert found["p3"]["counts"]["runs"] == 0
    assert [found[f"p{number}"]["artifacts"] for number in range(PROJECTS)] == [
        {"objects": 1, "bytes": number + 1} for number in range(PROJECTS)
    ]
    # The two questions of this test connect, too.
    assert after[0] - before[0] <= PROJECTS + 2
    assert after[1] - before[1] <= (PROJECTS + 2) * MOST_STATEMENTS


@pytest.fixture
def refused(place: Place, projects: list[dict[str, Any]]) -> Iterator[str]:
    """Return the name of a project whose migrator the database does not know."""
    one = projects[1]
    user = one["database"]["user"]
    place.database.query("ALTER USER %s@'%%' ACCOUNT LOCK", user)
    yield one["name"]
    place.database.query("ALTER USER %s@'%%' ACCOUNT UNLOCK", user)


def test_what_cannot_be_read_is_told_of_its_project_alone(
    place: Place, projects: list[dict[str, Any]], refused: str
) -> None:
    """The others are told, and of that project its artifacts."""
    missing = {**projects[2], "name": "nobody", "backend_store_uri": place.uri("mlflow_nobody")}
    absent = {**projects[3], "name": "absent", "backend_store_uri": ""}
    secretless = {**projects[4], "database": {**projects[4]["database"], "secret": "no/such"}}
    found = ask(place, [projects[0], projects[1], missing, absent, secretless])
    assert found["p0"]["error"] == ""
    assert found[refused]["error"].startswith(f"Project '{refused}': The database at 127.0.0.1:")
    assert found[refused]["schema"] == "unread"
    assert found[refused]["artifacts"] == {"objects": 1, "bytes": 2}
    assert (found["nobody"]["error"], found["nobody"]["schema"]) == ("", "empty")
    assert (found["absent"]["error"], found["absent"]["engine"]) == ("", "")
    assert found["absent"]["artifacts"] == {"objects": 1, "bytes": 4}
    assert "no/such" in found["p4"]["error"]
    assert found["p4"]["artifacts"] == {"objects": 1, "bytes": 5}


def test_a_database_that_sleeps_on_is_not_asked(
    place: Place, projects: list[dict[str, Any]]
) -> None:
    """No connection is made, and artifacts are counted."""
    before = asked(place)
    found = ask(place, projects[:3], database=False)
    assert asked(place)[0] - before[0] == 1
    assert [one["schema"] for one in found.values()] == ["unread"] * 3
    assert all(one["artifacts"]["objects"] == 1 for one in found.values())


def test_a_frozen_database_does_not_hold_the_report(
    place: Place, projects: list[dict[str, Any]]
) -> None:
    """Each project says so within the time it was given."""
    with place.frozen():
        begun = time.monotonic()
        found = ask(place, projects[:3], patience=3)
        assert time.monotonic() - begun < 30
    for one in found.values():
        assert f"Project '{one['name']}': The database at" in one["error"]
        assert one["artifacts"]["objects"] == 1
