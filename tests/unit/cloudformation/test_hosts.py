# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the template of the EC2 hosts says; the emulator starts none."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation import (
    test_templates as templates,
)
from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation._deployed import (
    ACCOUNT,
    FOLDER,
    PSEUDO,
    Deployed,
    Wrong,
    deploy,
    load,
)

GIVEN = {
    "HostCount": "2",
    "SubnetIds": "subnet-01234567,subnet-89abcdef",
    "BackendStackName": "team",
    "ServerInstanceProfileArn": f"arn:aws:iam::{ACCOUNT}:instance-profile/server",
    "ServerRoleArn": f"arn:aws:iam::{ACCOUNT}:role/server",
    "ServerSecurityGroupId": "sg-0123456789abcdef0",
}
INVENTORIES = FOLDER.parent / "inventories"


def hosts(**parameters: str) -> Deployed:
    """Return the hosts' stack."""
    return deploy("hosts", **GIVEN | parameters)


def data(**parameters: str) -> dict[str, Any]:
    """Return what a host starts from."""
    found: dict[str, Any] = hosts(**parameters).properties("HostLaunchTemplate")[
        "LaunchTemplateData"
    ]
    return found


@pytest.mark.parametrize(
    "check",
    [
        templates.test_a_template_is_plain_yaml,
        templates.test_everything_declared_is_used,
        templates.test_every_parameter_explains_itself,
        templates.test_nothing_secret_goes_in_or_out,
        templates.test_stacks_do_not_hold_each_other,
        templates.test_policies_allow_nothing_everywhere,
    ],
)
def test_it_keeps_to_what_holds_for_all_templates(check: Callable[[str], None]) -> None:
    """Short enough, free of secrets, exports and wide policies, and explained."""
    check("hosts")


@pytest.mark.parametrize("count", ["1", "2", "100"])
def test_one_number_is_the_size_of_the_group(count: str) -> None:
    """Least, most and wanted: it neither grows nor shrinks by itself."""
    group = hosts(HostCount=count).properties("HostGroup")
    assert {group[key] for key in ("MinSize", "MaxSize", "DesiredCapacity")} == {count}


def test_no_hosts_are_no_group() -> None:
    """A group that nothing starts in could not be waited for; none is the default."""
    assert load("hosts")["Parameters"]["HostCount"]["Default"] == 0
    stack = hosts(HostCount="0")
    assert "HostGroup" not in stack.resources
    assert "HostAutoScalingGroup" not in stack.outputs


def test_hosts_that_fail_fail_the_stack() -> None:
    """As many signals as hosts are waited for, and each names the resource that waits."""
    policy = hosts(HostCount="3").resources["HostGroup"]["CreationPolicy"]
    assert policy == {"ResourceSignal": {"Count": "3", "Timeout": "PT15M"}}
    script = data()["UserData"]
    assert f"cfn-signal --stack {PSEUDO['AWS::StackName']} --resource HostGroup" in script


def signals(script: str, folder: Path, *failing: str) -> list[str]:
    """Run a host's script with stand-ins for what it calls; return what it signals."""
    for name in ("dnf", "rpm", "systemctl", "sleep", "cfn-signal"):
        stand_in = folder / name
        code = 1 if name in failing else 0
        stand_in.write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/calls\nexit {code}\n')
        stand_in.chmod(0o755)
    script = script.replace("/opt/aws/bin/", f"{folder}/")
    for top in ("etc", "root"):
        script = script.replace(f" /{top}/", f" {folder}/{top}/")
    for made in ("dnf/vars", "systemd/system"):
        (folder / "etc" / made).mkdir(parents=True)
    env = {"PATH": f"{folder}:/usr/bin:/bin"}
    subprocess.run(["bash", "-c", script], env=env, cwd=folder, check=False, timeout=30)
    calls = (folder / "calls").read_text().splitlines()
    return [call for call in calls if call.startswith("cfn-signal")]


@pytest.mark.parametrize(
    ("failing", "code", "reason"),
    [
        ((), 0, "Docker runs."),
        (("dnf", "rpm"), 1, "Docker could not be installed; hosts need a way to S3"),
        (("systemctl",), 1, "Docker did not start"),
    ],
)
def test_a_host_says_how_it_went(
    tmp_path: Path, failing: tuple[str, ...], code: int, reason: str
) -> None:
    """Once, whether it is ready or not; the script really runs."""
    (signal,) = signals(data()["UserData"], tmp_path, *failing)
    assert f"--exit-code {code} " in signal
    assert reason in signal


def test_root_logs_in_to_the_registry_by_itself(tmp_path: Path) -> None:
    """By a helper that asks with the host's role, so that no token has to be sent there."""
    signals(data()["UserData"], tmp_path)
    calls = (tmp_path / "calls").read_text()
    assert "rpm --query docker amazon-ecr-credential-helper" in calls
    settings = json.loads((tmp_path / "root/.docker/config.json").read_text())
    assert settings == {
        "credHelpers": {f"{ACCOUNT}.dkr.ecr.{PSEUDO['AWS::Region']}.amazonaws.com": "ecr-login"}
    }


def test_hosts_update_themselves(tmp_path: Path) -> None:
    """Security updates each day, and a reboot where one requires it."""
    signals(data()["UserData"], tmp_path)
    assert (tmp_path / "etc/dnf/vars/releasever").read_text() == "latest\n"
    settings = configparser.ConfigParser()
    settings.read(tmp_path / "etc/dnf/automatic.conf")
    assert dict(settings["commands"]) == {"upgrade_type": "security", "apply_updates": "yes"}
    units = tmp_path / "etc/systemd/system"
    assert "OnCalendar=Sun" in (units / "mlflow-reboot.timer").read_text()
    assert "needs-restarting" in (units / "mlflow-reboot.service").read_text()
    calls = (tmp_path / "calls").read_text()
    assert "systemctl enable --now dnf-automatic.timer mlflow-reboot.timer" in calls


def test_hosts_are_where_they_should_be() -> None:
    """In the subnets that were named, from the newest version of the launch template."""
    group = hosts().properties("HostGroup")
    assert group["VPCZoneIdentifier"] == ["subnet-01234567", "subnet-89abcdef"]
    assert group["LaunchTemplate"] == {
        "LaunchTemplateId": "<HostLaunchTemplate>",
        "Version": "<HostLaunchTemplate.LatestVersionNumber>",
    }
    assert load("hosts")["Resources"]["HostGroup"]["DependsOn"] == "SessionPolicy"


def test_metadata_wants_tokens_and_reaches_containers() -> None:
    """IMDSv2, and two hops for a container on a bridge."""
    assert data()["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
    }


@pytest.mark.parametrize(("public", "address"), [({}, False), ({"PublicAddress": "true"}, True)])
def test_nothing_connects_to_a_host(public: dict[str, str], address: bool) -> None:
    """It has the backend's group for hosts alone, which accepts nothing, and no address unasked."""
    stack = hosts(**public)
    launch = stack.properties("HostLaunchTemplate")["LaunchTemplateData"]
    (interface,) = launch["NetworkInterfaces"]
    assert interface["Groups"] == [GIVEN["ServerSecurityGroupId"]]
    assert interface["AssociatePublicIpAddress"] is address
    assert "SecurityGroupIds" not in launch
    assert stack.types() == {
        "AWS::IAM::Policy",
        "AWS::EC2::LaunchTemplate",
        "AWS::AutoScaling::AutoScalingGroup",
    }
    group = load("backend")["Resources"]["ServerSecurityGroup"]["Properties"]
    assert "SecurityGroupIngress" not in group


def test_disk_is_encrypted_and_goes_with_its_host() -> None:
    """It holds nothing that is to stay, and costs nothing afterwards."""
    (mapping,) = data(DiskSize="50")["BlockDeviceMappings"]
    assert mapping == {
        "DeviceName": "/dev/xvda",
        "Ebs": {
            "Encrypted": True,
            "VolumeType": "gp3",
            "VolumeSize": "50",
            "DeleteOnTermination": True,
        },
    }


@pytest.mark.parametrize(
    ("given", "architecture", "size"),
    [
        ({}, "x86_64", "t3.medium"),
        ({"Architecture": "arm64"}, "arm64", "t4g.medium"),
        ({"InstanceType": "m7i-flex.large"}, "x86_64", "m7i-flex.large"),
        ({"Architecture": "arm64", "InstanceType": "m8g.large"}, "arm64", "m8g.large"),
    ],
)
def test_image_and_size_fit_each_other(given: dict[str, str], architecture: str, size: str) -> None:
    """Amazon Linux 2023 as AWS names it, and a default size of that architecture."""
    launch = data(**given)
    assert launch["ImageId"] == (
        f"resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{architecture}"
    )
    assert launch["InstanceType"] == size


def test_the_role_asks_for_the_usual_size() -> None:
    """What it looks for in availability zones is what the template starts."""
    text = yaml.safe_load((FOLDER.parent / "roles/mlflow_stack/vars/main.yml").read_text())
    for given in ({}, {"Architecture": "arm64"}):
        assert f"'{data(**given)['InstanceType']}'" in text["__mlflow_stack_usual_host_type"]


def test_user_data_starts_docker_and_tells_nothing() -> None:
    """Everyone on a host can read it; bash takes it."""
    script = data()["UserData"]
    assert script.startswith("#!/bin/bash\n")
    assert "dnf install --assumeyes docker amazon-ecr-credential-helper dnf-automatic" in script
    assert "systemctl enable --now docker" in script
    assert not re.search("password|secret|token|arn:|AKIA", script, re.IGNORECASE)
    bash = shutil.which("bash")
    assert bash
    subprocess.run([bash, "-n"], input=script, text=True, check=True, timeout=10)


def test_a_key_is_a_choice() -> None:
    """None unless it is named."""
    assert "KeyName" not in data()
    assert data(KeyName="ada")["KeyName"] == "ada"


def test_hosts_have_the_backends_identity_and_a_way_in_for_people() -> None:
    """What the relay's agent may do, on the backend's role, and no more."""
    stack = hosts()
    launch = stack.properties("HostLaunchTemplate")["LaunchTemplateData"]
    assert launch["IamInstanceProfile"] == {"Arn": GIVEN["ServerInstanceProfileArn"]}
    policy = stack.properties("SessionPolicy")
    assert policy["Roles"] == ["server"]
    relay = deploy("backend").properties("RelayRole")["Policies"][0]
    assert policy["PolicyDocument"] == relay["PolicyDocument"]


def test_the_backend_gives_what_the_hosts_need() -> None:
    """Every parameter that the role takes from there is an output, and of the accepted form."""
    backend = deploy("backend")
    own = {"HostCount", "SubnetIds", "BackendStackName"}
    assert {"PublicSubnetIds", *GIVEN} - own <= set(backend.outputs)
    # Without a path, which the policy's Fn::Select counts on.
    assert "Path" not in backend.properties("ServerRole")


def test_the_inventory_finds_the_hosts_by_their_tag() -> None:
    """Hosts and disks have a name too, and hosts get their tags when they start."""
    stack = hosts()
    tags = {tag["Key"]: tag for tag in stack.properties("HostGroup")["Tags"]}
    assert {key: tag["Value"] for key, tag in tags.items()} == {
        "Name": "team-host",
        "mlflow-host": "team",
    }
    assert all(tag["PropagateAtLaunch"] for tag in tags.values())
    assert data()["TagSpecifications"] == [
        {"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": "team-host"}]}
    ]
    assert stack.outputs["HostTag"] == f"mlflow-host={PSEUDO['AWS::StackName']}"
    source = yaml.safe_load((INVENTORIES / "aws-ec2/aws_ec2.yml").read_text())
    variables = yaml.safe_load((INVENTORIES / "aws/group_vars/mlflow_servers.yml").read_text())
    assert source["filters"] == {
        "tag:mlflow-host": variables["mlflow_stack_name"],
        "instance-state-name": "running",
    }
    assert source["regions"] == [variables["mlflow_stack_region"]]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"HostCount": "-1"}, "HostCount must be from 0 to 100"),
        ({"HostCount": "101"}, "HostCount must be from 0 to 100"),
        ({"Architecture": "amd64"}, "must be x86_64 or arm64"),
        ({"InstanceType": "large"}, "must be an instance type"),
        ({"DiskSize": "8"}, "must be from 10"),
        ({"KeyName": 'ada"'}, "must be the name of a key pair"),
        ({"SubnetIds": ""}, "must be subnet IDs"),
        ({"SubnetIds": "subnet-01234567, subnet-89abcdef"}, "without spaces"),
        ({"PublicAddress": "yes"}, "must be true or false"),
        ({"BackendStackName": "a/b"}, "must be the name of a stack"),
        ({"ServerInstanceProfileArn": "server"}, "must be the ARN of an instance profile"),
        ({"ServerRoleArn": f"arn:aws:iam::{ACCOUNT}:role/a/b"}, "without a path"),
        ({"ServerSecurityGroupId": "default"}, "must be a security group ID"),
    ],
)
def test_wrong_values_get_one_sentence(given: dict[str, str], sentence: str) -> None:
    """Before anything is made."""
    with pytest.raises(Wrong, match=re.escape(sentence)):
        hosts(**given)
