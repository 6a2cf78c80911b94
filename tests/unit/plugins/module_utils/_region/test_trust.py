# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the principals that a project's role trusts fit into its trust policy."""

from __future__ import annotations

import json

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.filter.mlflow_trust_fault import (
    mlflow_trust_fault,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._region.trust import (
    TRUST_LETTERS,
    trust_policy,
)
from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation._deployed import ACCOUNT
from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation.test_templates import (
    BACKEND,
    projects,
)

ROLE = f"arn:aws:iam::{ACCOUNT}:role/mlflow-ServerRole-0123456789AB"


def colleagues(count: int, letters: int = 90) -> list[str]:
    """Return ARNs of so many letters, as those of single sign-on are."""
    start = f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/"
    return [f"{start}{number:0{letters - len(start)}}" for number in range(count)]


def test_the_policy_is_the_templates() -> None:
    """To the letter, as its length is what counts."""
    trusted = colleagues(2)
    role = projects("a", TrustedPrincipals=",".join(trusted)).properties("Rolea")
    assert role["AssumeRolePolicyDocument"] == trust_policy(BACKEND["ServerRoleArn"], trusted)


def test_how_many_fit() -> None:
    """The longest list that passes is within the limit, and one more is not."""
    least = next(n for n in range(1, 50) if mlflow_trust_fault(colleagues(n), ROLE, "mlflow"))
    lengths = [
        len(json.dumps(trust_policy(ROLE, colleagues(n)), separators=(",", ":")))
        for n in (least - 1, least)
    ]
    assert lengths[0] <= TRUST_LETTERS < lengths[1]
    assert 10 < least < 25


@pytest.mark.parametrize("role", [ROLE, ""])
def test_too_many_are_refused(role: str) -> None:
    """In a first run, too, when the role has no name yet."""
    fault = mlflow_trust_fault(colleagues(40), role, "mlflow")
    assert fault.startswith("mlflow_stack_trusted_principals lists 40 principals, whose trust")
    assert fault.endswith("or none, and allow sts:AssumeRole in their own policies.")
    assert "IAM allows 2,048" in fault


def test_none_fit_always() -> None:
    """Then the account itself is trusted."""
    assert mlflow_trust_fault([], "", "mlflow") == ""
    assert mlflow_trust_fault(colleagues(3), "", "m" * 128) == ""
