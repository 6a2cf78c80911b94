# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mlflow_deployment_removal against an emulator that enforces IAM, with a cluster of the stack's own.

Stacks, bucket, key, cluster and snapshot are the emulator's; what the templates make is tested with the playbook.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import (
    ACCOUNT,
    REGION,
    Ministack,
    ministack,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Modules

pytestmark = pytest.mark.timeout(300)

BACKEND = """
Parameters:
  DeletionProtection: {Type: String, Default: "false"}
  ImageRepository: {Type: String, Default: "mlflow*"}
  ExistingDatabaseEndpoint: {Type: String, Default: ""}
Conditions:
  Protected: {"Fn::Equals": [{Ref: DeletionProtection}, "true"]}
Resources:
  Key:
    Type: AWS::KMS::Key
    DeletionPolicy: RetainExceptOnCreate
    Properties:
      KeyPolicy:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {AWS: {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}
            Action: kms:*
            Resource: "*"
  ArtifactBucket:
    Type: AWS::S3::Bucket
    DeletionPolicy: RetainExceptOnCreate
    Properties:
      VersioningConfiguration: {Status: Enabled}
      Tags: [{Key: Name, Value: {Ref: AWS::StackName}}]
  Database:
    Type: AWS::RDS::DBCluster
    DeletionPolicy: Snapshot
    Properties:
      Engine: aurora-mysql
      MasterUsername: admin
      MasterUserPassword: not-a-secret-of-anyone
      DeletionProtection: {"Fn::If": [Protected, true, false]}
Outputs:
  ArtifactBucket:
    Value: {Ref: ArtifactBucket}
  Cluster:
    Value: {Ref: Database}
  Key:
    Value: {Ref: Key}
"""
PROJECTS = """
Parameters:
  Projects: {Type: CommaDelimitedList, Default: "demo,churn"}
Resources:
  Secret:
    Type: AWS::SecretsManager::Secret
    Properties:
      Tags: [{Key: mlflow-stack, Value: STACK}]
      GenerateSecretString: {}
"""
HOSTS = """
Parameters:
  HostCount: {Type: Number, Default: 2}
Resources:
  Queue: {Type: AWS::SQS::Queue}
"""
DENIES = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:DeleteBucket"],
            "Resource": ["arn:aws:s3:::BUCKET", "arn:aws:s3:::BUCKET/*"],
        }
    ],
}


class Deployment:
    """A deployment of this test's own."""

    def __init__(self, modules: Modules, aws: Ministack, name: str) -> None:
        """Keep where it is."""
        self.modules, self.aws, self.name = modules, aws, name
        self.how: dict[str, Any] = {"python": sys.executable, **aws.environment()}

    def make(self) -> dict[str, str]:
        """Create the stacks as mlflow_stack does, with protection, and what is beside them; return outputs."""
        made = {}
        for suffix, body in (("", BACKEND), ("-projects", PROJECTS), ("-hosts", HOSTS)):
            made[suffix] = self.modules.call(
                "mlflow_stack",
                {
                    "name": f"{self.name}{suffix}",
                    "owner": self.name,
                    "template_body": body.replace("STACK", self.name),
                    "protection": True,
                    "parameters": {} if suffix else {"ImageRepository": self.name},
                    **self.aws.options(),
                },
                **self.how,
            )
        self.aws.client("ecr").create_repository(repositoryName=self.name)
        self.aws.client("ssm").put_parameter(
            Name=f"/mlflow/{self.name}/demo/key", Value="x", Type="SecureString"
        )
        outputs: dict[str, str] = made[""]["outputs"]
        self.aws.client("logs").create_log_group(
            logGroupName=f"/aws/rds/cluster/{outputs['Cluster']}/audit"
        )
        return outputs

    def options(self, **more: Any) -> dict[str, Any]:
        """Return the options of the module."""
        given = {"name": self.name, "confirm": self.name, "repository": self.name}
        return {**given, **self.aws.options(), **more}

    def remove(self, *, check: bool = False, **more: Any) -> dict[str, Any]:
        """Run the module, which must succeed."""
        name = "mlflow_deployment_removal"
        return self.modules.call(name, self.options(**more), check=check, **self.how)

    def refuse(self, **more: Any) -> str:
        """Run the module, which must fail, and return its sentence."""
        return self.modules.refuse("mlflow_deployment_removal", self.options(**more), **self.how)

    def stacks(self) -> dict[str, str]:
        """Return the status of each stack of this name."""
        found = self.aws.client("cloudformation").describe_stacks()["Stacks"]
        return {
            stack["StackName"]: stack["StackStatus"]
            for stack in found
            if stack["StackName"].startswith(self.name)
        }

    def there(self) -> list[str]:
        """Return what is there that a removal has to delete, whatever it is told to keep."""
        client = self.aws.client
        buckets = [entry["Name"] for entry in client("s3").list_buckets()["Buckets"]]
        parameters = client("ssm").describe_parameters()["Parameters"]
        repositories = client("ecr").describe_repositories()["repositories"]
        groups = client("logs").describe_log_groups()["logGroups"]
        names = [
            *self.stacks(),
            *buckets,
            *(entry["Name"] for entry in parameters),
            *(entry["repositoryName"] for entry in repositories),
            *(entry["logGroupName"] for entry in groups),
        ]
        return [name for name in names if self.name in name]

    def fill(self, bucket: str, number: int) -> None:
        """Put as many versions, a delete marker and an unfinished upload into a bucket."""
        s3 = self.aws.client("s3")
        for version in range(number):
            s3.put_object(Bucket=bucket, Key="projects/demo/model", Body=str(version).encode())
        s3.delete_object(Bucket=bucket, Key="projects/demo/model")
        s3.create_multipart_upload(Bucket=bucket, Key="projects/demo/half")


@pytest.fixture(scope="module")
def aws(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ministack]:
    """Return a ministack that enforces IAM, policies of buckets too."""
    with ministack(free_ports(1)[0], tmp_path_factory.mktemp("aws"), auth=True) as server:
        yield server


@pytest.fixture
def deployment(modules: Modules, aws: Ministack, request: pytest.FixtureRequest) -> Deployment:
    """Return a deployment that is not there yet."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return Deployment(modules, aws, name[5:25].strip("-"))


def actions(result: dict[str, Any], key: str = "found") -> dict[str, str]:
    """Return what is done about each kind."""
    return {one["kind"]: one["action"] for one in result[key]}


def test_everything_goes_but_snapshot_and_key(deployment: Deployment, tmp_path: Path) -> None:
    """Check mode lists it; 1,200 versions, a marker, an upload and a policy that denies are no obstacle."""
    outputs = deployment.make()
    bucket = outputs["ArtifactBucket"]
    deployment.fill(bucket, 1200)
    policy = json.dumps(DENIES).replace("BUCKET", bucket)
    deployment.aws.client("s3").put_bucket_policy(Bucket=bucket, Policy=policy)
    foretold = deployment.remove(check=True, confirm="")
    assert foretold["changed"]
    assert foretold["exists"]
    assert actions(foretold) == {
        "stack": "delete",
        "ECR repository": "delete",
        "parameter": "delete",
        "bucket": "delete",
        "log group": "delete",
        "KMS key": "keep",
    }
    meanings = {one["name"]: one["meaning"] for one in foretold["found"]}
    assert "1,000 or more versions" in meanings[bucket]
    assert "demo, churn" in meanings[f"{deployment.name}-projects"]
    assert "the final one" in meanings[outputs["Key"]]
    assert len(deployment.stacks()) == 3
    # The account's root, whom no policy of a bucket binds here, is nobody who removes anything.
    who = deployment.aws.environment(*deployment.aws.user(deployment.name, "*"))
    progress = tmp_path / "progress"
    progress.touch()
    name, options = "mlflow_deployment_removal", deployment.options(progress_path=str(progress))
    done = deployment.modules.call(name, options, **{**deployment.how, **who})
    assert "Deleting its policy, which denies the deletion" in progress.read_text()
    assert done["changed"]
    assert deployment.there() == []
    left = {one["kind"]: one for one in done["leftovers"]}
    assert set(left) == {"database snapshot", "KMS key"}, left
    assert outputs["Cluster"] in left["database snapshot"]["name"]
    assert left["KMS key"]["name"] == outputs["Key"]
    again = deployment.remove()
    assert not again["changed"]
    assert {one["kind"] for one in again["leftovers"]} == set(left)
    # Now without the snapshot, so that the key may go.
    foretold = deployment.remove(check=True, snapshots=True)
    assert actions(foretold) == {"database snapshot": "delete", "KMS key": "delete"}
    done = deployment.remove(snapshots=True)
    assert [one["kind"] for one in done["removed"]] == ["database snapshot", "KMS key"]
    [left_key] = done["leftovers"]
    assert "AWS deletes it on 20" in left_key["remedy"]


def test_a_name_is_used_again(deployment: Deployment) -> None:
    """The key of a stack that AWS has forgotten is known by its tag, and is kept and told as well.

    The emulator forgets a deleted stack once another one has its name, and AWS after 90 days. It does not say which key
    encrypts a snapshot, by which AWS's are found then.
    """
    keys = {deployment.make()["Key"]}
    deployment.remove()
    keys.add(deployment.make()["Key"])
    left = deployment.remove()["leftovers"]
    assert deployment.there() == []
    assert {one["name"] for one in left if one["kind"] == "KMS key"} == keys
    assert {one["kind"] for one in left} == {"KMS key", "database snapshot"}, left
    done = deployment.remove(snapshots=True)
    assert {one["name"] for one in done["removed"] if one["kind"] == "KMS key"} == keys
    assert not deployment.remove(snapshots=True)["changed"]


@pytest.mark.parametrize("confirm", ["", "mlflow", "nothing-like-it"])
def test_it_takes_the_name(deployment: Deployment, confirm: str) -> None:
    """Before anything is asked of AWS."""
    sentence = deployment.refuse(confirm=confirm, endpoint_url="http://127.0.0.1:9")
    assert (
        f"so nothing was removed; to remove all that is listed, set confirm={deployment.name}"
        in sentence
    )
    assert (confirm or "not set") in sentence


def test_a_foreign_stack_is_not_touched(deployment: Deployment) -> None:
    """Nor anything else, where only one of the names is somebody else's; the owner's tag is what counts."""
    deployment.make()
    before = deployment.there()
    cloudformation = deployment.aws.client("cloudformation")
    body = json.dumps({"Resources": {"T": {"Type": "AWS::SNS::Topic"}}})
    name = f"{deployment.name}-budget"
    cloudformation.create_stack(
        StackName=name, TemplateBody=body, Tags=[{"Key": "mlflow_aws", "Value": "other"}]
    )
    sentence = deployment.refuse()
    assert f"Stack '{name}' exists and does not have the tag mlflow_aws with the value" in sentence
    cloudformation.delete_stack(StackName=name)
    assert deployment.there() == before
    deployment.remove(snapshots=True)
    assert deployment.there() == []


def test_what_others_use_is_kept(deployment: Deployment) -> None:
    """The repository that another deployment's hosts pull from, and the bucket of templates."""
    deployment.make()
    other = Deployment(deployment.modules, deployment.aws, "others")
    other.modules.call(
        "mlflow_stack",
        {
            "name": other.name,
            "template_body": HOSTS + "",
            "tags": {},
            **other.aws.options(),
        },
        **other.how,
    )
    templates = f"mlflow-aws-cloudformation-{ACCOUNT}-{REGION}"
    place = {"LocationConstraint": REGION}
    deployment.aws.client("s3").create_bucket(Bucket=templates, CreateBucketConfiguration=place)
    done = deployment.remove(snapshots=True)
    kept = {one["kind"]: one["remedy"] for one in done["leftovers"]}
    assert kept["template bucket"] == "other stacks use it (others); keep it"
    assert deployment.there() == []
    other.aws.client("cloudformation").delete_stack(StackName=other.name)
    again = Deployment(deployment.modules, deployment.aws, deployment.name)
    done = again.remove(snapshots=True)
    assert [one["kind"] for one in done["removed"]] == ["template bucket"]


def test_secrets_that_outlived_their_stack(deployment: Deployment) -> None:
    """They can be recovered for a while, unless they are to go at once."""
    manager = deployment.aws.client("secretsmanager")
    tags = [{"Key": "mlflow-stack", "Value": deployment.name}]
    arn = manager.create_secret(Name=deployment.name, SecretString="x", Tags=tags)["ARN"]
    longer = [{"Key": "mlflow-stack", "Value": f"{deployment.name}-2"}]
    other = manager.create_secret(Name="of-another", SecretString="x", Tags=longer)["ARN"]
    done = deployment.remove()
    assert [one["name"] for one in done["removed"]] == [arn]
    [left] = done["leftovers"]
    assert left["name"] == arn
    assert "can be recovered until AWS deletes it" in left["remedy"]
    done = deployment.remove(secrets_at_once=True)
    assert [one["name"] for one in done["removed"]] == [arn]
    assert done["leftovers"] == []
    assert manager.describe_secret(SecretId=other)["ARN"] == other
    assert not deployment.remove(secrets_at_once=True)["changed"]


def test_a_later_bucket_of_the_same_name_is_not_ours(deployment: Deployment) -> None:
    """The history of a deleted stack names it, and its tag says that it is another one."""
    bucket = deployment.make()["ArtifactBucket"]
    deployment.remove(snapshots=True)
    place = {"LocationConstraint": REGION}
    s3 = deployment.aws.client("s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    s3.put_object(Bucket=bucket, Key="of-another-team", Body=b"x")
    assert not deployment.remove(snapshots=True)["changed"]
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def test_what_may_not_be_deleted_keeps_the_stack(deployment: Deployment) -> None:
    """The repository is known by the stack; so the stack stays until the repository is gone."""
    deployment.make()
    keys = deployment.aws.user(deployment.name, "*", deny=("ecr:DeleteRepository",))
    how = {**deployment.how, **deployment.aws.environment(*keys)}
    sentence = deployment.modules.refuse("mlflow_deployment_removal", deployment.options(), **how)
    assert (
        f"The deployment '{deployment.name}' could not be removed completely (Cannot delete"
        in sentence
    )
    assert "AWS denied ecr:DeleteRepository" in sentence
    assert len(deployment.stacks()) == 3
    deployment.remove(snapshots=True)
    assert deployment.there() == []


# What the progress shows before each step, in order.
REST = pytest.mark.thorough("Two of the steps are interrupted every time.")
STEPS = (
    pytest.param("Removing ECR repository", marks=REST),
    pytest.param("Removing parameter", marks=REST),
    pytest.param("Removing stack {}-hosts", marks=REST),
    pytest.param("Removing stack {}-projects", marks=REST),
    "Removing stack {}$",
    "Removing bucket",
    pytest.param("Removing log group", marks=REST),
)


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_run_is_continued(
    modules: Modules, aws: Ministack, step: str, tmp_path: Path
) -> None:
    """By the next one, whatever it was about to do, or had just begun."""
    deployment = Deployment(modules, aws, f"killed-{hashlib.sha256(step.encode()).hexdigest()[:6]}")
    outputs = deployment.make()
    deployment.fill(outputs["ArtifactBucket"], 30)
    progress = tmp_path / "progress"
    progress.touch()
    options = deployment.options(progress_path=str(progress))
    process = deployment.modules.start("mlflow_deployment_removal", options, **deployment.how)
    wanted = re.compile(step.format(deployment.name), re.MULTILINE)
    deadline = time.monotonic() + 100
    while not wanted.search(progress.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    done = deployment.remove()
    assert deployment.there() == []
    kinds = {one["kind"] for one in done["leftovers"]}
    assert kinds == {"database snapshot", "KMS key"}, done["leftovers"]
