# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done to bring an ECR repository to its settings."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import repository
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image.repository import Repository

WANTED = repository.wanted(14)


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        ({}, ()),
        ({"immutable": False}, ("mutability",)),
        ({"scan_on_push": False}, ("scanning",)),
        ({"lifecycle": {}}, ("lifecycle",)),
        ({"lifecycle": repository.wanted(3).lifecycle}, ("lifecycle",)),
        (
            {"immutable": False, "scan_on_push": False, "lifecycle": {}},
            ("mutability", "scanning", "lifecycle"),
        ),
    ],
)
def test_only_what_differs_is_changed(change: dict[str, Any], steps: tuple[str, ...]) -> None:
    """An existing repository keeps everything else."""
    assert repository.plan(Repository("uri", WANTED._replace(**change)), WANTED) == steps


def test_a_missing_repository_is_created() -> None:
    """The policy needs a call of its own."""
    assert repository.plan(None, WANTED) == ("create", "lifecycle")


@pytest.mark.parametrize("days", [0, -1])
def test_a_number_of_days_is_one_at_least(days: int) -> None:
    """ECR would refuse it, in other words."""
    with pytest.raises(
        MlflowError, match=f"mlflow_ecr_untagged_days is {days}; set it to a number"
    ):
        repository.wanted(days)
