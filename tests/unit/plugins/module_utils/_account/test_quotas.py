# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quotas: which of them a deployment needs, and whether they have room."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account import quotas
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account.quotas import Reading
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError


@pytest.mark.parametrize(
    ("reading", "needed", "status"),
    [
        (Reading(0, 5), 1, quotas.OK),
        (Reading(3, 5), 1, quotas.OK),
        # The last one leaves none.
        (Reading(4, 5), 1, quotas.CLOSE),
        (Reading(5, 5), 1, quotas.USED_UP),
        # A quota may have been lowered.
        (Reading(7, 5), 1, quotas.USED_UP),
        (Reading(890, 1000), 10, quotas.OK),
        (Reading(891, 1000), 10, quotas.CLOSE),
        (Reading(991, 1000), 10, quotas.USED_UP),
        (Reading(None, 5), 1, quotas.UNKNOWN),
        (Reading(5, None), 1, quotas.UNKNOWN),
        (Reading(None, None), 1, quotas.UNKNOWN),
    ],
)
def test_a_quota_is_judged_by_what_is_left_afterwards(
    reading: Reading, needed: int, status: str
) -> None:
    """What is not known is not guessed, and has its reason; what is known has none."""
    told = reading._replace(reason="AWS denied it")
    (record,) = quotas.judged({quotas.VPC: needed}, {quotas.VPC: told})
    assert record["status"] == status
    assert (record["used"], record["limit"]) == (reading.used, reading.limit)
    assert record["reason"] == ("AWS denied it" if status == quotas.UNKNOWN else "")


def test_only_what_a_quota_counts_is_asked_for() -> None:
    """Nothing else, and nothing of which there is no more."""
    adds = {"AWS::EC2::VPC": 1, "AWS::EC2::Subnet": 4, "AWS::IAM::Role": 0}
    assert quotas.limited(adds) == {"AWS::EC2::VPC": 1}
    assert quotas.limited({}) == {}


def test_a_quota_that_is_used_up_is_refused() -> None:
    """With each of them, the numbers, where to ask for more, and the way without."""
    needed = {quotas.VPC: 1, quotas.GATEWAY: 1, quotas.ROLE: 12, quotas.CLUSTER: 1}
    readings = {
        quotas.VPC: Reading(5, 5),
        quotas.GATEWAY: Reading(2, 5),
        quotas.ROLE: Reading(995, 1000),
        quotas.CLUSTER: Reading(None, None, "AWS denied rds:DescribeAccountAttributes"),
    }
    records = quotas.judged(needed, readings)
    with pytest.raises(MlflowError) as caught:
        quotas.require_room(records, "123456789012", "eu-central-1")
    assert str(caught.value) == (
        "Account 123456789012 in region eu-central-1 has 5 of 5 VPCs and needs 1 more, 995 of 1,000 IAM roles and "
        "needs 12 more; request a higher quota (vpc/L-F678F1CE and iam/L-FE177D64 in Service Quotas), or delete what "
        "is not in use, or set VpcId in mlflow_stack_parameters to a VPC of your own."
    )
    assert caught.value.details == {"quotas": records}
    quotas.require_room([record for record in records if record["used"] != 5][:1], "1", "x")


def test_there_is_a_way_out_of_each_quota() -> None:
    """Where there is none but to ask for more, the sentence ends there."""
    records = quotas.judged({quotas.STACK: 2}, {quotas.STACK: Reading(2000, 2000)})
    with pytest.raises(MlflowError, match=r"or delete what is not in use\.$"):
        quotas.require_room(records, "1", "x")
