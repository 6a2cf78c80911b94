# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mlflow_account_info, on both emulators: moto knows quotas, ministack simulates policies."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts import moto_server
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import (
    ACCOUNT,
    REGION,
    Ministack,
    ministack,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Modules
from ansible_collections.mlops.mlflow_aws.tests.parts.moto_server import Moto, moto

pytestmark = pytest.mark.timeout(300)

BACKEND = {
    "AWS::EC2::VPC": 1,
    "AWS::EC2::Subnet": 4,
    "AWS::EC2::InternetGateway": 1,
    "AWS::RDS::DBCluster": 1,
    "AWS::CloudFormation::Stack": 2,
    "AWS::IAM::Role": 3,
}
USUAL = 5
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@pytest.fixture(scope="module")
def known(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Moto]:
    """Return a moto."""
    with moto(free_ports(1)[0], tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="module")
def enforced(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ministack]:
    """Return a ministack that enforces IAM."""
    with ministack(free_ports(1)[0], tmp_path_factory.mktemp("aws"), auth=True) as server:
        yield server


def asked(modules: Modules, url: str, keys: dict[str, str], **options: Any) -> dict[str, Any]:
    """Run the module in check mode, as a playbook's first dry run does, and return its result."""
    given = {"region": REGION, "endpoint_url": url, **options}
    how: dict[str, Any] = {"python": sys.executable, **keys}
    process = modules.start("mlflow_account_info", given, check=True, **how)
    said = modules.finish(process)
    assert not said.get("changed")
    return said


def as_user(aws: Ministack, name: str, *allowed: str, **more: Any) -> dict[str, str]:
    """Make a user, and return his variables."""
    key, secret = aws.user(name, *allowed, **more)
    return aws.environment(key, secret)


def of_type(said: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the record of a quota."""
    (found,) = [record for record in said["quotas"] if record["resource_type"] == kind]
    return dict(found)


def test_the_vpcs_of_an_account_are_counted_until_there_is_no_room(
    modules: Modules, known: Moto
) -> None:
    """Really made up to the quota; what moto does not know is unknown and stops nothing."""
    ec2 = known.client("ec2")
    while len(ec2.describe_vpcs()["Vpcs"]) < USUAL - 1:
        ec2.create_vpc(CidrBlock="10.0.0.0/24")
    said = asked(modules, known.url, KEYS, adds=BACKEND)
    assert not said.get("failed"), said
    assert (said["account"], said["region"]) == (moto_server.ACCOUNT, REGION)
    assert len(said["quotas"]) == len(BACKEND) - 1
    vpcs = of_type(said, "AWS::EC2::VPC")
    assert (vpcs["used"], vpcs["limit"], vpcs["status"]) == (USUAL - 1, USUAL, "close")
    gateways = of_type(said, "AWS::EC2::InternetGateway")
    assert (gateways["used"], gateways["limit"], gateways["status"]) == (0, USUAL, "ok")
    assert of_type(said, "AWS::IAM::Role")["status"] == "ok"
    clusters = of_type(said, "AWS::RDS::DBCluster")
    assert (clusters["used"], clusters["limit"], clusters["status"]) == (None, None, "unknown")
    assert clusters["reason"]
    ec2.create_vpc(CidrBlock="10.0.0.0/24")
    said = asked(modules, known.url, KEYS, adds=BACKEND)
    assert said["failed"]
    assert said["msg"].startswith(
        f"Account {moto_server.ACCOUNT} in region {REGION} has 5 of 5 VPCs and needs 1 more; request"
    )
    assert of_type(said, "AWS::EC2::VPC")["status"] == "used up"
    # A run that needs no VPC is not stopped by them.
    said = asked(modules, known.url, KEYS, adds={"AWS::IAM::Role": 1})
    assert [record["name"] for record in said["quotas"]] == ["IAM roles"]


def test_permissions_are_simulated(modules: Modules, enforced: Ministack) -> None:
    """What the policies deny is named, and nothing else; a denial fails nothing."""
    keys = as_user(enforced, "ada", "*", deny=("kms:CreateKey", "rds:CreateDBCluster"))
    said = asked(modules, enforced.url, keys)
    assert said["identity"] == f"arn:aws:iam::{ACCOUNT}:user/ada"
    assert said["quotas"] == []
    found = said["permissions"]
    assert found["simulated"]
    assert found["denied"] == ["kms:CreateKey", "rds:CreateDBCluster"]
    assert found["allowed"] > 40


def test_the_role_of_a_session_is_simulated(modules: Modules, enforced: Ministack) -> None:
    """Its ARN is read, as that of the session lacks the path; the emulator knows none."""
    iam = enforced.client("iam")
    account = f"arn:aws:iam::{ACCOUNT}:root"
    trust = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName="operator",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )["Role"]
    policy = {"Effect": "Allow", "Action": ["iam:*", "s3:*"], "Resource": "*"}
    iam.put_role_policy(
        RoleName="operator",
        PolicyName="test",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [policy]}),
    )
    session = enforced.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="ada")
    keys = enforced.environment(
        session["Credentials"]["AccessKeyId"], session["Credentials"]["SecretAccessKey"]
    )
    keys["AWS_SESSION_TOKEN"] = session["Credentials"]["SessionToken"]
    found = asked(modules, enforced.url, keys)["permissions"]
    assert found["simulated"], found
    assert "kms:CreateKey" in found["denied"]
    assert "iam:CreateRole" not in found["denied"]


def test_what_may_not_be_asked_is_unknown(modules: Modules, enforced: Ministack) -> None:
    """Who may do nothing still learns who they are; each gap has half a line that says why."""
    keys = as_user(enforced, "eve", "s3:ListAllMyBuckets")
    said = asked(modules, enforced.url, keys, adds=BACKEND)
    assert not said.get("failed"), said
    assert said["identity"] == f"arn:aws:iam::{ACCOUNT}:user/eve"
    assert said["permissions"]["simulated"] is False
    assert said["permissions"]["reason"] == "AWS denied iam:SimulatePrincipalPolicy"
    assert {record["status"] for record in said["quotas"]} == {"unknown"}
    assert of_type(said, "AWS::EC2::VPC")["reason"] == "AWS denied ec2:DescribeVpcs"
    assert of_type(said, "AWS::IAM::Role")["reason"] == "AWS denied iam:GetAccountSummary"


def test_bad_input_is_one_sentence(modules: Modules, enforced: Ministack) -> None:
    """No credentials, keys that AWS does not know, a region with a typo, a number that is none."""

    def refused(keys: dict[str, str], **options: Any) -> str:
        said = asked(modules, enforced.url, keys, **options)
        assert said["failed"]
        return str(said["msg"])

    none = {"AWS_EC2_METADATA_DISABLED": "true"}
    assert refused(none).startswith(
        "Cannot look up the AWS account of these credentials: no AWS credentials were found; set a profile"
    )
    unknown = enforced.environment("AKIAUNKNOWN", "x")
    assert "AWS does not accept these credentials" in refused(unknown)
    assert "'eu-centrall-1' is not an AWS region; did you mean eu-central-1?" in refused(
        enforced.environment(), region="eu-centrall-1"
    )
    assert refused(enforced.environment(), adds={"AWS::EC2::VPC": "many"}) == (
        "adds: AWS::EC2::VPC is 'many'; write a number of resources."
    )
