# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend record of kind aws, by the outputs of the stacks."""

from __future__ import annotations

import json

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

CONNECTION = aws.Connection("eu-central-1", "", "", "")


def outputs(*names: str) -> dict[str, str]:
    """Return the outputs of the projects' stacks."""
    known = {key: f"arn:{key}" for key in ("runtime_secret", "migrator_secret")}
    known["role"] = "arn:aws:iam::123456789012:role/mlflow/team/name"
    return {
        f"Project{number}": json.dumps({"name": name, **known}) for number, name in enumerate(names)
    }


def test_data_of_projects_without_an_entry_are_named() -> None:
    """By what the stack knows; an entry that is absent names its own."""
    records = [{"name": "demo", "state": "present"}, {"name": "over", "state": "absent"}]
    stack = {"ArtifactRoot": "s3://bucket"}
    made = aws.record(records, stack, outputs("demo", "over", "old-one"), CONNECTION)
    assert made["kept"] == [
        {"name": "old-one", "place": "schema mlflow_old_one, s3://bucket/projects/old-one"}
    ]
    assert aws.record(records, {}, {}, CONNECTION)["kept"] == []


def test_projects_that_no_stack_has_are_refused() -> None:
    """Where the backend is known; without any stack of projects too, unless none is to be there."""
    stack = {"ArtifactRoot": "s3://bucket"}
    demo = [{"name": "demo", "state": "present"}]
    for found in ({}, outputs("churn")):
        with pytest.raises(
            MlflowError, match=r"^The projects' stacks do not have demo; run the proj"
        ):
            aws.record(demo, stack, found, CONNECTION)
    absent = [{"name": "demo", "state": "absent"}]
    made = aws.record(absent, stack, {}, CONNECTION)
    assert made["projects"] == {}
    assert [entry["state"] for entry in made["identities"]] == ["absent"]


@pytest.mark.parametrize(
    ("login", "secret", "how", "of_servers", "of_migrator"),
    [
        (None, "arn", "password", {"secret": "arn"}, "arn"),
        ("password", "arn", "password", {"secret": "arn"}, "arn"),
        ("either", "arn", "iam", {"secret": "arn", "login": "iam"}, ""),
        ("iam", "", "iam", {"secret": "", "login": "iam"}, ""),
    ],
)
def test_how_projects_log_in(
    login: str | None, secret: str, how: str, of_servers: dict[str, str], of_migrator: str
) -> None:
    """As the stack says; one that says nothing is older and knows passwords only."""
    told = {"name": "demo", "runtime_secret": secret, "migrator_secret": secret, "role": "r"}
    stack = {"Projectdemo": json.dumps(told | ({"login": login} if login else {}))}
    made = aws.record([{"name": "demo", "state": "present"}], {}, stack, CONNECTION)
    assert made["identities"][0]["runtime"] == {
        "user": "mlflow_rt_demo",
        "secret": secret,
        "login": how,
    }
    assert made["identities"][0]["migrator"]["login"] == how
    server = {"user": "mlflow_rt_demo", "ca": "", **of_servers}
    assert made["projects"]["demo"]["database"] == server
    assert made["schemas"][0]["database"]["secret"] == of_migrator
