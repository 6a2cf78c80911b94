# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads of an account and of the costs in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.filter.mlflow_account_notes import (
    mlflow_account_notes,
)
from ansible_collections.mlops.mlflow_aws.plugins.filter.mlflow_added_resources import (
    mlflow_added_resources,
)
from ansible_collections.mlops.mlflow_aws.plugins.filter.mlflow_cost_notes import mlflow_cost_notes
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account import quotas
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account.quotas import Reading
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT

IDENTITY = "arn:aws:sts::123456789012:assumed-role/Admin/ada"
WHERE = {"account": "123456789012", "region": "eu-central-1", "identity": IDENTITY}
FIRST = f"Account 123456789012, region eu-central-1, as {IDENTITY}"


class Tagged(str):
    """A text as Ansible hands it over, which PyYAML's parser does not take."""


TEMPLATES = {
    name: Tagged((CHECKOUT / "cloudformation" / f"{name}.yml").read_text(encoding="utf-8"))
    for name in ("backend", "projects")
}
# Those of the template's parameters that its conditions read, with their defaults.
DEFAULTS = {
    "MinCapacity": "0",
    "MaxCapacity": "8",
    "ExistingDatabaseEndpoint": "",
    "ExistingDatabaseClusterArn": "",
    "ExistingDatabaseResourceId": "",
    "AlarmEmail": "",
    "ArtifactBucketName": "",
    "VpcId": "",
    "RouteTableIds": "",
    "Relay": "true",
}


def permissions(**values: Any) -> dict[str, Any]:
    """Return the record of a simulation."""
    record = {"simulated": True, "reason": "", "allowed": 60, "denied": [], "undecided": []}
    return record | values


def test_a_run_that_adds_nothing_shows_one_line() -> None:
    """Who acts where."""
    assert mlflow_account_notes(WHERE) == [FIRST]


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (permissions(), "none of 60 actions denied in a simulation"),
        (
            permissions(undecided=["iam:PassRole"]),
            "none of 61 actions denied in a simulation, 1 depend on conditions",
        ),
        (
            permissions(denied=["kms:CreateKey"]),
            "1 of 61 actions denied in a simulation: kms:CreateKey",
        ),
        (
            permissions(denied=[f"s3:{letter}" for letter in "abcdefgh"]),
            "8 of 68 actions denied in a simulation: s3:a, s3:b, s3:c, s3:d, s3:e, s3:f and 2 more",
        ),
        (
            permissions(simulated=False, reason="AWS denied iam:SimulatePrincipalPolicy"),
            "not simulated (AWS denied iam:SimulatePrincipalPolicy)",
        ),
    ],
)
def test_permissions_are_a_line(record: dict[str, Any], line: str) -> None:
    """The denied ones are named."""
    said = mlflow_account_notes({**WHERE, "permissions": record, "quotas": []})
    assert said == [FIRST, f"Permissions: {line}"]


def test_quotas_are_a_line() -> None:
    """What is there, what is added, and what may be; what is close or unknown has its own."""
    readings = {
        quotas.VPC: Reading(4, 5),
        quotas.STACK: Reading(1300, 2000),
        quotas.CLUSTER: Reading(None, None, "no answer"),
        quotas.INSTANCE: Reading(None, None, "no answer"),
        quotas.GATEWAY: Reading(1, None, "AWS denied it"),
    }
    records = quotas.judged(dict.fromkeys(readings, 1) | {quotas.STACK: 2}, readings)
    assert mlflow_account_notes({**WHERE, "quotas": records}) == [
        FIRST,
        "Quotas: VPCs 4 + 1 of 5, CloudFormation stacks 1,300 + 2 of 2,000",
        "Close to its quota after this run: VPCs",
        "Unknown quotas: DB clusters, DB instances (no answer); internet gateways (AWS denied it)",
    ]


def costs(logins: list[str], login: Any = "iam", **parameters: str) -> list[str]:
    """Return the lines for projects that log in so; an empty login is a project to come."""
    projects = {f"p{number}": {"login": how} for number, how in enumerate(logins)}
    values = {name: {"value": value} for name, value in {**DEFAULTS, **parameters}.items()}
    # Through JSON, as Ansible hands it over.
    return mlflow_cost_notes(json.loads(json.dumps(projects)), values, login, TEMPLATES)


LAST = "Not included: requests, data transfer, storage beyond a few GB, EC2 hosts"
START = "Costs in US dollars a month by list prices of us-east-1: "


def test_the_costs_are_a_formula() -> None:
    """The sum that scripts/prices prints for ten idle projects, and what an awake hour adds."""
    first, awake, last = costs([""] * 10, {"create": "iam"})
    assert first == f"{START}1.59 idle = backend 1.59 + 10 projects with IAM login x 0.00"
    assert awake == (
        "Database: + 0.12 x ACU x hours awake, 0.06 (0.5 ACU) to 0.96 (8 ACU, MaxCapacity) an hour; 176 hours at 0.5 "
        "ACU make 12.15 a month"
    )
    assert last == LAST
    assert costs(["password"] * 10, "iam")[0] == (
        f"{START}9.60 idle = backend 1.59 + 10 projects with passwords x 0.80"
    )


def test_projects_may_log_in_differently() -> None:
    """Each as its stack says, and those to come as the parameter does."""
    assert costs(["password", "", ""], "iam")[0] == (
        f"{START}2.40 idle = backend 1.59 + 2 projects with IAM login x 0.00 + 1 project with passwords x 0.80"
    )
    assert costs([])[0] == f"{START}1.59 idle = backend 1.59"


def test_what_is_asked_for_costs_more() -> None:
    """Alarms; a database that never pauses; one of one's own costs its owner, not this stack."""
    assert "1.90 idle" in costs([""], AlarmEmail="team@example.com")[0]
    assert costs([""], MinCapacity="0.5", MaxCapacity="2")[1] == (
        "Database: 0.06 (0.5 ACU) to 0.24 (2 ACU, MaxCapacity) an hour, and never pauses with MinCapacity 0.5: 45.39 a "
        "month at least"
    )
    own = costs([""], ExistingDatabaseEndpoint="db.example.com")
    assert own == [f"{START}1.05 idle = backend 1.05 + 1 project with IAM login x 0.00", LAST]


def test_what_a_run_adds() -> None:
    """Of both results, and the stacks themselves; a rerun adds nothing."""

    def change(kind: str, action: str = "Add") -> dict[str, str]:
        return {"type": kind, "action": action}

    backend = {
        "status": "ABSENT",
        "changes": [change("AWS::EC2::VPC"), change("AWS::EC2::Subnet"), change("AWS::IAM::Role")],
    }
    projects = {
        "stacks": {"a": {"status": "ABSENT"}, "b": {"status": "CREATE_COMPLETE"}},
        "changes": [change("AWS::IAM::Role"), change("AWS::IAM::ManagedPolicy", "Modify")],
    }
    assert mlflow_added_resources(backend, projects) == {
        "AWS::EC2::VPC": 1,
        "AWS::IAM::Role": 2,
        "AWS::CloudFormation::Stack": 2,
    }
    rerun = {"status": "CREATE_COMPLETE", "changes": [change("AWS::IAM::Role", "Modify")]}
    assert mlflow_added_resources(rerun, {"stacks": {}, "changes": []}) == {}
