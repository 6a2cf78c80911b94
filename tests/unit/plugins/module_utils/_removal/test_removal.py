# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which stacks belong to a backend that is to be removed, and in which order they go."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal import findings, model
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


DEPLOYMENT = model.Deployment("team", "mlflow", "templates")


@pytest.mark.parametrize(
    ("tags", "ours"),
    [
        ({"mlflow_aws": "team"}, True),
        ({"mlflow_aws": "team", "cost-center": "7"}, True),
        ({"mlflow_aws": "other"}, False),
        ({"cost-center": "team"}, False),
        ({}, False),
    ],
)
def test_a_deployment_is_proven_by_the_owner_alone(tags: dict[str, str], ours: bool) -> None:
    """By the tag that mlflow_stack sets; a throw-away backend needs its own tag as before."""
    assert model.is_ours(tags, DEPLOYMENT) is ours
    assert not model.is_ours(tags, model.Backend("team", "trial", "", ""))
    assert not model.is_ours(tags, model.Backend("team", "", "", ""))
    if not ours:
        with pytest.raises(MlflowError, match="does not have the tag mlflow_aws with the value"):
            model.require_ours("team", [tags], DEPLOYMENT)


def test_who_shares_what_is_beside_the_stacks() -> None:
    """Stacks of other deployments, as far as their hosts pull from the repository."""
    ours = stack("team", {"mlflow_aws": "team"})
    foreign = stack("network", {"team": "network"})
    other = stack("b", {"mlflow_aws": "b"})._replace(parameters={"ImageRepository": "mlflow*"})
    assert model.sharers([ours, foreign, other], "team") == [other]
    assert model.uses_repository(other, "mlflow")
    assert not model.uses_repository(other, "team")
    assert not model.uses_repository(foreign, "mlflow")


@pytest.mark.parametrize(
    ("confirm", "begins"),
    [("", "confirm is not set, so"), ("Team", "confirm is 'Team', so"), ("other", "confirm is")],
)
def test_a_removal_takes_the_word(confirm: str, begins: str) -> None:
    """In exactly this spelling."""
    with pytest.raises(MlflowError, match=f"^{begins}.* set confirm=team\\.$"):
        findings.require_confirmed(confirm, "team")
    findings.require_confirmed("team", "team")


def test_what_is_left_is_an_error() -> None:
    """With the reasons, and what was done so far."""
    left = [findings.Finding("bucket", "b", findings.DELETE, "all artifacts")]
    with pytest.raises(MlflowError) as caught:
        findings.require_complete("The deployment 'team'", left, ["AWS said no."], [])
    assert "could not be removed completely (AWS said no); left: bucket b." in str(caught.value)
    assert caught.value.details["leftovers"][0]["kind"] == "bucket"
    findings.require_complete("The deployment 'team'", [], [], [])


def test_keys_and_clusters_among_resources() -> None:
    """Keys by their ARNs; a cluster that is gone makes no snapshot any more."""
    arns = [
        "arn:aws:kms:eu-central-1:123456789012:key/1a2b",
        "arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-3c",
        "arn:aws:kms:eu-central-1:123456789012:alias/mlflow",
        "arn:aws:s3:::key/no",
    ]
    assert [one.identifier for one in model.keys(arns)] == ["1a2b", "mrk-3c"]
    assert {model.kept_kind(one) for one in model.keys(arns)} == {model.KEY}
    gone = model.Resource("AWS::RDS::DBCluster", "c", kept=False)
    assert not model.has_cluster([gone])
    assert model.has_cluster([gone, gone._replace(kept=True)])
