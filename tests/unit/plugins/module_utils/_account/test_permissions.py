# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Permissions: whose can be simulated, for which names, and what a simulation decides."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account import permissions

NAMES = {
    "partition": "aws",
    "region": "eu-central-1",
    "account": "123456789012",
    "stack": "team",
    "repository": "images/mlflow",
}


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("arn:aws:iam::123456789012:user/ops/ada", ("arn:aws:iam::123456789012:user/ops/ada", "")),
        ("arn:aws:sts::123456789012:assumed-role/Admin/ada@example.com", ("", "Admin")),
        ("arn:aws-cn:sts::123456789012:assumed-role/Admin/ada", ("", "Admin")),
        ("arn:aws:iam::123456789012:root", ("", "")),
        ("arn:aws:sts::123456789012:federated-user/ada", ("", "")),
    ],
)
def test_whose_policies_are_simulated(identity: str, expected: tuple[str, str]) -> None:
    """A session's role has a path that only IAM knows; the root user has no policies."""
    assert permissions.principal(identity) == expected


def result(name: str, decision: str = "allowed", *missing: str) -> dict[str, Any]:
    """Return an evaluation."""
    return {
        "EvalActionName": name,
        "EvalDecision": decision,
        "MissingContextValues": list(missing),
    }


def test_what_a_simulation_decides() -> None:
    """Each action once; a missing value of the request is no denial, but an explicit one is."""
    found = permissions.decisions(
        [
            result("s3:PutObject"),
            result("iam:CreateRole"),
            result("iam:CreateRole", "implicitDeny"),
            result("iam:PassRole", "implicitDeny", "iam:PassedToService"),
            result("iam:TagRole", "explicitDeny", "aws:RequestTag/team"),
            result("kms:CreateKey", "explicitDeny"),
        ]
    )
    assert found.allowed == 1
    assert found.denied == ["iam:CreateRole", "iam:TagRole", "kms:CreateKey"]
    assert found.undecided == ["iam:PassRole"]


def test_the_actions_have_their_names() -> None:
    """Every placeholder is filled in, and no statement comes twice."""
    found = permissions.filled(NAMES)
    resources = [statement.resource for statement in found]
    assert "arn:aws:iam::123456789012:role/mlflow/team/example" in resources
    assert "arn:aws:ecr:eu-central-1:123456789012:repository/images/mlflow" in resources
    assert not [resource for resource in resources if "{" in resource]
    pairs = [(one.resource, action) for one in found for action in one.actions]
    assert len(set(pairs)) == len(pairs)
