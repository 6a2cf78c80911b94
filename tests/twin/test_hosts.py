# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook hosts on the twin, whose Auto Scaling group is a number and starts nothing.

The tests build on each other: check, refusals, two hosts, the same again, find them, none.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import ACCOUNT
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, run
from ansible_collections.mlops.mlflow_aws.tests.twin._team import MINUTES, Team, changes

pytestmark = pytest.mark.timeout(30 * MINUTES)

STACK = "mlflow-hosts"
TAG = "mlflow-host"
# A backend in a VPC of the team's own, as far as hosts go.
OWN = f"""
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {{Service: ec2.amazonaws.com}}
            Action: sts:AssumeRole
Outputs:
  ServerInstanceProfileArn: {{Value: "arn:aws:iam::{ACCOUNT}:instance-profile/own"}}
  ServerRoleArn: {{Value: {{Fn::GetAtt: [Role, Arn]}}}}
  ServerSecurityGroupId: {{Value: sg-0123456789abcdef0}}
"""
MADE = "mlops.mlflow_aws.mlflow_stack : Create or update the hosts stack"


@pytest.fixture(scope="module")
def backend(team: Team) -> Team:
    """Return a team whose backend is there."""
    changes(team.play("backend"))
    return team


def stacks(team: Team) -> dict[str, str]:
    """Return the status of each stack by its name."""
    found = team.twin.aws.client("cloudformation").describe_stacks()["Stacks"]
    return {stack["StackName"]: stack["StackStatus"] for stack in found}


def group(team: Team) -> dict[str, Any]:
    """Return the hosts' Auto Scaling group."""
    described = team.twin.aws.client("autoscaling").describe_auto_scaling_groups()
    (found,) = [
        entry
        for entry in described["AutoScalingGroups"]
        if TAG in {tag["Key"] for tag in entry["Tags"]}
    ]
    return dict(found)


def launch_data(team: Team) -> dict[str, Any]:
    """Return what the group's hosts start from."""
    launch = group(team)["LaunchTemplate"]
    versions = team.twin.aws.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=launch["LaunchTemplateId"], Versions=[launch["Version"]]
    )
    return dict(versions["LaunchTemplateVersions"][0]["LaunchTemplateData"])


def size(team: Team) -> tuple[int, int, int]:
    """Return the group's least, most and wanted number of hosts."""
    found = group(team)
    return found["MinSize"], found["MaxSize"], found["DesiredCapacity"]


def hosts(count: object) -> dict[str, Any]:
    """Return the variables of an inventory with so many EC2 hosts."""
    return {"mlflow_stack_hosts": count}


def test_check_mode_makes_nothing(backend: Team) -> None:
    """It tells of the stack that would be made."""
    before = stacks(backend)
    done = backend.play("hosts", "--check", "--diff", variables=hosts(2))
    assert changes(done) == [MADE]
    assert "HostGroup" in done.output
    assert stacks(backend) == before


def test_without_a_backend(backend: Team) -> None:
    """Check mode foretells on an account that has none yet; a real run says what is missing."""
    before = stacks(backend)
    none = hosts(1) | {"mlflow_stack_name": "none"}
    assert changes(backend.play("hosts", "--check", "--diff", variables=none)) == [MADE]
    done = backend.play("hosts", variables=none, check=False)
    assert "Stack 'none' is not deployed in region" in " ".join(done.output.split())
    assert stacks(backend) == before


@pytest.mark.parametrize(
    ("variables", "sentence"),
    left_out.params(
        [(hosts(-1), "Parameter 'HostCount' is '-1' and must be 0 or more")],
        [
            (hosts("two"), "argument 'mlflow_stack_hosts' is of type str"),
            (hosts(1) | {"mlflow_stack_host_parameters": {"Size": 1}}, "no parameter 'Size'"),
            (hosts(1) | {"mlflow_backend": "local"}, "mlflow_backend is not 'aws' for localhost"),
        ],
        "One value that AWS would refuse runs every time.",
    ),
)
def test_bad_input_is_refused(backend: Team, variables: dict[str, Any], sentence: str) -> None:
    """Before anything is made."""
    before = stacks(backend)
    done = backend.play("hosts", variables=variables, check=False)
    assert done.code != 0
    assert sentence in " ".join(done.output.split())
    assert stacks(backend) == before


def test_an_inventory_without_this_machine_is_refused(backend: Team) -> None:
    """The group's variables do not reach it then, and no hosts would be the default."""
    playbook = CHECKOUT / "playbooks" / "hosts.yml"
    program = Path(sys.executable).parent / "ansible-playbook"
    command: list[str | Path] = [program, "--inventory", "ada,", playbook]
    done = run(command, cwd=backend.home, env=backend.environment, timeout=MINUTES, check=False)
    assert done.code != 0
    assert "mlflow_backend is not 'aws' for localhost" in done.output


@pytest.mark.thorough("Templates and parameters are unit tests; two hosts are made every time.")
def test_a_vpc_of_ones_own_needs_subnets(backend: Team) -> None:
    """None are guessed; where they are named, no host has a public address."""
    aws = backend.twin.aws.client("cloudformation")
    aws.create_stack(StackName="own", TemplateBody=OWN, Capabilities=["CAPABILITY_IAM"])
    aws.get_waiter("stack_create_complete").wait(StackName="own")
    own = hosts(1) | {"mlflow_stack_name": "own"}
    refused = backend.play("hosts", variables=own, check=False)
    sentence = "The stack 'own' uses your own VPC and has no subnets for EC2 hosts"
    assert sentence in " ".join(refused.output.split())
    assert "own-hosts" not in stacks(backend)
    own["mlflow_stack_host_parameters"] = {"SubnetIds": ["subnet-01234567", "subnet-89abcdef"]}
    assert changes(backend.play("hosts", variables=own)) == [MADE]
    assert group(backend)["VPCZoneIdentifier"] == "subnet-01234567,subnet-89abcdef"
    assert launch_data(backend)["NetworkInterfaces"][0]["AssociatePublicIpAddress"] is False
    for name in ("own-hosts", "own"):
        aws.delete_stack(StackName=name)
        aws.get_waiter("stack_delete_complete").wait(StackName=name)


def test_two_hosts(backend: Team) -> None:
    """As many as asked for, in the backend's public subnets, with a public address and tags."""
    assert changes(backend.play("hosts", variables=hosts(2))) == [MADE]
    assert size(backend) == (2, 2, 2)
    found = group(backend)
    outputs = {
        output["OutputKey"]: output["OutputValue"]
        for output in backend.twin.aws.client("cloudformation").describe_stacks(StackName="mlflow")[
            "Stacks"
        ][0]["Outputs"]
    }
    assert found["VPCZoneIdentifier"] == outputs["PublicSubnetIds"]
    tags = {tag["Key"]: tag for tag in found["Tags"]}
    assert tags[TAG]["Value"] == "mlflow"
    assert tags[TAG]["PropagateAtLaunch"]
    launch = launch_data(backend)
    assert launch["IamInstanceProfile"]["Arn"] == outputs["ServerInstanceProfileArn"]
    (interface,) = launch["NetworkInterfaces"]
    assert interface["AssociatePublicIpAddress"] is True
    assert interface["Groups"] == [outputs["ServerSecurityGroupId"]]
    role = outputs["ServerRoleArn"].rpartition("/")[2]
    policies = backend.twin.aws.client("iam").list_role_policies(RoleName=role)["PolicyNames"]
    assert sorted(policies) == ["server-host", "session-manager"]


def test_a_second_run_changes_nothing(backend: Team) -> None:
    """Nor does check mode tell of a change."""
    assert changes(backend.play("hosts", variables=hosts(2))) == []
    assert changes(backend.play("hosts", "--check", variables=hosts(2))) == []
    # The other playbooks read the backend as before.
    assert changes(backend.play("backend", variables=hosts(2))) == []


def test_the_second_inventory_finds_them(backend: Team) -> None:
    """Running hosts with the stack's tag, behind this machine, with how they are reached."""
    ec2 = backend.twin.aws.client("ec2")
    started = [
        ec2.run_instances(
            ImageId="ami-0abcdef1234567890",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": TAG, "Value": stack}]}
            ],
        )["Instances"][0]["InstanceId"]
        for stack in ("mlflow", "mlflow", "another")
    ]
    ec2.stop_instances(InstanceIds=[started[1]])
    command: list[str | Path] = [Path(sys.executable).parent / "ansible-inventory", "--list"]
    for name in ("aws", "aws-ec2"):
        command += ["--inventory", CHECKOUT / "inventories" / name]
    env = backend.environment | {
        "AWS_URL": backend.twin.aws.url,
        # The plugin itself uses what Ansible will drop, whatever the inventory says.
        "ANSIBLE_DEPRECATION_WARNINGS": "false",
    }
    done = run(command, cwd=backend.home, env=env, timeout=MINUTES)
    assert "WARNING" not in done.output
    listed = json.loads(done.output[done.output.index("{") :])
    assert listed["ec2"]["hosts"] == [started[0]]
    assert listed["mlflow_servers"] == {"children": ["ec2"], "hosts": ["localhost"]}
    variables = listed["_meta"]["hostvars"][started[0]]
    assert variables["ansible_connection"] == "amazon.aws.aws_ssm"
    assert variables["mlflow_backend"] == "aws"
    ec2.terminate_instances(InstanceIds=started)


def test_none(backend: Team) -> None:
    """The group goes, and the stack stays."""
    done = backend.play("hosts", "--check", "--diff", variables=hosts(0))
    assert changes(done) == [MADE]
    assert size(backend) == (2, 2, 2)
    assert changes(backend.play("hosts", variables=hosts(0))) == [MADE]
    described = backend.twin.aws.client("autoscaling").describe_auto_scaling_groups()
    assert not [
        entry
        for entry in described["AutoScalingGroups"]
        if TAG in {tag["Key"] for tag in entry["Tags"]}
    ]
    assert stacks(backend)[STACK] == "UPDATE_COMPLETE"
    assert changes(backend.play("hosts", variables=hosts(0))) == []
