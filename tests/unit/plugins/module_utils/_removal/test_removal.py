# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which stacks belong to a backend that is to be removed, and in which order they go."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal import model
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import Stack

BACKEND = model.Backend("check", "trial", "check", "")
OURS = {"mlflow_aws": "check", "trial": "check"}


def stack(name: str, tags: dict[str, str] | None = None) -> Stack:
    """Return a stack."""
    return Stack(name, f"arn:{name}", "CREATE_COMPLETE", "", {}, tags or OURS, {}, False)


def test_members_go_in_order() -> None:
    """Hosts and budget, projects, the backend; stacks of other names are no members."""
    names = [
        "check",
        "check-projects-2",
        "check-projects",
        "check-hosts",
        "check-2",
        "check-budget",
    ]
    names += ["mlflow", "check-projects-x", "check-projects-1"]
    found = [entry.name for entry in model.members(map(stack, names), BACKEND)]
    assert set(found[:2]) == {"check-hosts", "check-budget"}
    assert set(found[2:4]) == {"check-projects", "check-projects-2"}
    assert found[4:] == ["check"]


@pytest.mark.parametrize(
    "tags",
    [
        {"mlflow_aws": "check"},
        {"trial": "check"},
        {"mlflow_aws": "check", "trial": "other"},
        {"mlflow_aws": "other", "trial": "check"},
    ],
)
def test_a_stack_without_both_tags_is_refused(tags: dict[str, str]) -> None:
    """Nor one that waits for another one's change set, or for none."""
    with pytest.raises(MlflowError, match="does not have the tag trial with the value 'check'"):
        model.require_ours("check", [OURS, tags], BACKEND)
    with pytest.raises(MlflowError, match="Stack 'check' exists"):
        model.require_ours("check", [], BACKEND)
    model.require_ours("check", [OURS], BACKEND)


def test_what_is_kept() -> None:
    """Buckets and keys that the deletion skipped; a cluster's name is needed when it is gone."""
    resources = [
        model.Resource("AWS::S3::Bucket", "b", True),
        model.Resource("AWS::S3::BucketPolicy", "p", True),
        model.Resource("AWS::KMS::Key", "k", True),
        model.Resource("AWS::S3::Bucket", "gone", False),
        model.Resource("AWS::RDS::DBCluster", "c", False),
    ]
    assert model.kept(resources) == [model.Item("bucket", "b"), model.Item("KMS key", "k")]
    assert model.clusters(resources) == ["c"]
