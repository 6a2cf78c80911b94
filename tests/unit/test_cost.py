# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What idle projects cost by AWS's list prices: the templates decide, and the documentation says it."""

from __future__ import annotations

import math

import pytest
from ansible_collections.mlops.mlflow_aws.benchmarks import cost
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT

ROWS = {"iam": "that log in [with IAM]", "password": "that log in with passwords"}


def test_ten_idle_projects_cost_little() -> None:
    """Not more than their target, and one more project costs nothing while it is idle."""
    ten, eleven = (sum(cost.prices(number, "iam").values()) for number in (10, 11))
    assert ten <= cost.TARGET
    assert eleven == ten
    two = sum(cost.prices(11, "password").values()) - sum(cost.prices(10, "password").values())
    assert two == pytest.approx(2 * cost.SECRET)


@pytest.mark.parametrize("login", list(ROWS))
def test_the_documentation_says_what_they_cost(login: str) -> None:
    """In whole dollars, rounded up."""
    dollars = math.ceil(sum(cost.prices(10, login).values()))
    lines = (CHECKOUT / "docs" / "aws.md").read_text(encoding="utf-8").splitlines()
    (row,) = [line for line in lines if ROWS[login] in line]
    assert row.endswith(f"| {dollars} |")
