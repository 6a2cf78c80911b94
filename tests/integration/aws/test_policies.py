# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policies of cloudformation/policies.yml against every call that is known to be needed.

What decides is the emulator's own evaluator of IAM. The calls are those that the playbooks made on
the twin (recorded_calls.json), what AWS's schemas say that CloudFormation calls for the types of the
templates (needed_permissions.json), and what only AWS's documents tell (DOCUMENTED). A
statement or an action that none of them needs is an error, as is a call that is refused.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.scripts import _policies
from ansible_collections.mlops.mlflow_aws.tests.parts import rights
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import ACCOUNT, REGION
from ansible_collections.mlops.mlflow_aws.tests.support import new_environment
from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation._linked import VARIANTS, linked

# Environments are installed one at a time.
pytestmark = pytest.mark.timeout(600)

HERE = Path(__file__).resolve().parent
NEEDED = HERE / "needed_permissions.json"
# A managed policy's limit, without whitespace.
CHARACTERS = 6144
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::URLSuffix": "amazonaws.com",
}
VALUES = {"StackName": "mlflow", "ImageRepository": "mlflow"}
MASTER = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!cluster-1a2b3c-AbCdEf"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/mlflow-policies/mlflow-boundary"
Call = dict[str, Any]

EVALUATE = """
import json, sys
from ministack.core.iam_evaluator import EvalContext, evaluate, parse_policy_document
asked = json.load(open(sys.argv[1]))
pieces = [(place, parse_policy_document({"Statement": [piece]})) for place, piece in asked["pieces"]]
answer = []
for call in asked["calls"]:
    request = EvalContext(
        principal_arn="arn:aws:iam::000000000000:user/someone", principal_type="User",
        principal_account="000000000000", action=call["action"], resource_arn=call["resource"],
        region="eu-central-1",
        service_context={key.lower(): value for key, value in call["context"].items()},
    )
    answer.append([place for place, piece in pieces if evaluate(request, [piece]).decision == "Allow"])
print(json.dumps(answer))
"""


def arn(service: str, rest: str, region: str = REGION, account: str = ACCOUNT) -> str:
    """Return an ARN."""
    return f"arn:aws:{service}:{region}:{account}:{rest}"


# What AWS names the resources of the templates, by their types.
PLACES = {
    "AWS::AutoScaling::AutoScalingGroup": (
        arn("autoscaling", "autoScalingGroup:UUID:autoScalingGroupName/mlflow-RelayGroup-AB1"),
        arn("autoscaling", "autoScalingGroup:UUID:autoScalingGroupName/mlflow-hosts-HostGroup-AB1"),
    ),
    "AWS::Budgets::Budget": (arn("budgets", "budget/Budget-AB1", ""),),
    "AWS::CloudWatch::Alarm": tuple(
        arn("cloudwatch", f"alarm:mlflow-{kind}Alarm-AB1")
        for kind in ("Awake", "Capacity", "Connections")
    ),
    "AWS::IAM::InstanceProfile": tuple(
        arn("iam", f"instance-profile/mlflow-{kind}InstanceProfile-AB1", "")
        for kind in ("Server", "Relay")
    ),
    "AWS::IAM::ManagedPolicy": tuple(
        arn("iam", f"policy/mlflow/mlflow/mlflow-{name}-AB1", "")
        for name in ("RelayUserPolicy", "projects-Policydemo")
    ),
    "AWS::IAM::Policy": (arn("iam", "role/mlflow-ServerRole-AB1", ""),),
    "AWS::IAM::Role": tuple(
        arn("iam", f"role/{name}-AB1", "")
        for name in (
            "mlflow-ServerRole",
            "mlflow-RelayRole",
            "mlflow/mlflow/mlflow-PullRole",
            "mlflow/mlflow/mlflow-projects-Roledemo",
            "mlflow-migrations/mlflow/mlflow-MigrationRole",
        )
    ),
    "AWS::KMS::Alias": (arn("kms", "alias/mlflow"), arn("kms", "key/UUID")),
    "AWS::KMS::Key": (arn("kms", "key/UUID"),),
    "AWS::RDS::DBCluster": (
        arn("rds", "cluster:mlflow-database-ab1"),
        arn("rds", "cluster-snapshot:mlflow-snapshot-database-ab1"),
    ),
    "AWS::RDS::DBClusterParameterGroup": (arn("rds", "cluster-pg:mlflow-databaseparameters-ab1"),),
    "AWS::RDS::DBInstance": (arn("rds", "db:mlflow-databaseinstance-ab1"),),
    "AWS::RDS::DBSubnetGroup": (arn("rds", "subgrp:mlflow-databasesubnetgroup-ab1"),),
    "AWS::S3::Bucket": ("arn:aws:s3:::mlflow-artifactbucket-ab1",),
    "AWS::S3::BucketPolicy": ("arn:aws:s3:::mlflow-artifactbucket-ab1",),
    "AWS::SNS::Topic": (arn("sns", "mlflow-AlarmTopic-AB1"),),
    "AWS::SSM::Document": (arn("ssm", "document/mlflow-RelayDocument-AB1"),),
    "AWS::SecretsManager::Secret": tuple(
        arn("secretsmanager", f"secret:{kind}Secretdemo-AB1-AbCdEf")
        for kind in ("Runtime", "Migrator")
    ),
}
# What a handler calls for something else than its own resource, and actions that know no resource.
ELSEWHERE = {
    "ec2:RunInstances": (arn("ec2", "instance/*"), arn("ec2", "image/ami-1", account="")),
    "ec2:DescribeVpcAttribute": (arn("ec2", "vpc/vpc-1"),),
    "ec2:Describe*": None,
    "ec2:*": (arn("ec2", "vpc/vpc-1"),),
    "autoscaling:Describe*": None,
    "iam:CreateServiceLinkedRole": (
        arn("iam", "role/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS", ""),
    ),
    "iam:PassRole": (
        arn("iam", "role/mlflow-ServerRole-AB1", ""),
        arn("iam", "role/mlflow-RelayRole-AB1", ""),
    ),
    "kms:CreateKey": None,
    "kms:ListAliases": None,
    "rds:DescribeDBEngineVersions": None,
    "rds:DescribeEngineDefaultClusterParameters": None,
    "rds:DescribeEvents": None,
    "rds:DescribeGlobalClusters": None,
    "secretsmanager:GetRandomPassword": None,
    "sns:Unsubscribe": None,
}
# What schemas name for properties that no template here has.
UNUSED = {
    "billing:*": "the budget uses no billing view",
    "managed-fleets:*": "the groups are no managed fleets",
    "vpc-lattice:*": "nothing is a target of VPC Lattice",
    "vpce:*": "the endpoint is of this region",
    "s3tables:*": "the bucket has no metadata tables",
    "elasticloadbalancing:*": "there is no load balancer",
    "autoscaling:Attach*": "there is no load balancer",
    "autoscaling:Detach*": "there is no load balancer",
    "autoscaling:*InstanceRefresh": "no update policy starts one",
    "autoscaling:*LifecycleHook": "there are no hooks",
    "autoscaling:*NotificationConfiguration": "nobody is notified",
    "autoscaling:*MetricsCollection": "the group's metrics are off",
    "autoscaling:*Processes": "no update policy suspends any",
    "ec2:Get*": "the launch templates name types, not requirements",
    "ec2:*SubnetCidrBlock": "there is no IPv6",
    "ec2:*VpcEncryptionControl*": "the VPC has none",
    "ec2:ModifyVpcTenancy": "the tenancy is never changed",
    "ec2:*Vpn*": "there is no VPN gateway",
    "iam:*Group*": "no policy is attached to groups",
    "iam:*User*": "no policy is attached to users",
    "iam:ListRoles": "the database has no roles",
    "iam:DeleteRolePermissionsBoundary": "a boundary stays, or no operator could be bound by it",
    "kms:DisableKey": "the key is never disabled",
    "rds:*RoleTo*": "the database has no roles",
    "rds:*RoleFrom*": "the database has no roles",
    "rds:Restore*": "nothing is restored from a snapshot",
    "rds:CreateDBInstanceReadReplica": "there are no replicas",
    "rds:PromoteReadReplica": "there are no replicas",
    "rds:*AutomatedBackups*": "the cluster has the backups, in one region",
    "rds:CreateDBSnapshot": "the cluster has the snapshots",
    "rds:DescribeDBSnapshots": "the cluster has the snapshots",
    "rds:DescribeDBParameterGroups": "the instance has no group of its own",
    "rds:RemoveFromGlobalCluster": "there is no global cluster",
    "s3:Create*Table*": "the bucket has no metadata tables",
    "s3:DeleteBucket[!P]*": "only the policy and the bucket itself are ever deleted",
    "s3:DeleteObject": "only the policy and the bucket itself are ever deleted",
    "s3:DeleteBucketMetadata*": "the bucket has no metadata tables",
    "s3:GetObject": "the session document has no attachments",
    "s3:Put*Abac": "the bucket has no such setting",
    "s3:PutAccelerate*": "the bucket has no such setting",
    "s3:Put*Acl": "access is decided by policies",
    "s3:Put*Analytics*": "the bucket has no such setting",
    "s3:Put*CORS": "the bucket has no such setting",
    "s3:Put*Inventory*": "the bucket has no such setting",
    "s3:Put*Lock*": "the bucket has no such setting",
    "s3:Put*Logging": "the bucket has no such setting",
    "s3:Put*Metrics*": "the bucket has no such setting",
    "s3:Put*Notification": "the bucket has no such setting",
    "s3:Put*Replication*": "the bucket has no such setting",
    "s3:Put*Tiering*": "tiers are a rule of the lifecycle",
    "s3:Put*Website": "the bucket has no such setting",
    "s3:UpdateBucketMetadata*": "the bucket has no metadata tables",
    "secretsmanager:*Regions*": "secrets are not replicated",
    "secretsmanager:GetSecretValue": "no property needs the value",
    "sns:PutDataProtectionPolicy": "the topic has none",
}
# What is needed by AWS's documents alone: neither the emulator nor a schema shows it.
SELF = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/mlflow/UUID"
KEY = arn("kms", "key/UUID")
REPOSITORY = arn("ecr", "repository/mlflow")
TEMPLATES = f"arn:aws:s3:::mlflow-aws-cloudformation-{ACCOUNT}-{REGION}"
CLUSTER = arn("rds", "cluster:mlflow-database-ab1")


def via(service: str) -> dict[str, Any]:
    """Return the keys of a call to KMS through a service."""
    return {
        "kms:ViaService": f"{service}.{REGION}.amazonaws.com",
        "kms:ResourceAliases": ["alias/mlflow"],
    }


def documented(*actions: str, at: str = "*", **context: Any) -> list[Call]:
    """Return calls of one resource."""
    keys = {name.replace("_", ":", 1): value for name, value in context.items()}
    return [{"action": action, "resource": at, "context": keys} for action in actions]


PUSH = (
    "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload",
    "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
)  # fmt: skip
DOCUMENTED: dict[str, list[Call]] = {
    "operator": [
        # A listing needs both; a first stack that fails, and its change set, are told and removed.
        *documented("cloudformation:ListStacks"),
        *documented(
            "cloudformation:DeleteChangeSet",
            "cloudformation:DescribeEvents",
            "cloudformation:DescribeStackEvents",
            "cloudformation:ListChangeSets",
            "cloudformation:ListStackResources",
            "cloudformation:TagResource",
            "cloudformation:UpdateTerminationProtection",
            at=SELF,
        ),
        *documented(
            "cloudformation:CreateChangeSet",
            "cloudformation:DescribeChangeSet",
            "cloudformation:ExecuteChangeSet",
            "cloudformation:DeleteStack",
            at=SELF.replace("mlflow/", "mlflow-hosts/"),
        ),
        *documented("cloudformation:CreateChangeSet", at=SELF.replace("mlflow/", "mlflow-budget/")),
        # The transform of projects.yml.
        *documented(
            "cloudformation:CreateChangeSet",
            at=f"arn:aws:cloudformation:{REGION}:aws:transform/LanguageExtensions",
        ),
        # A HEAD of the bucket, or of an object that is missing, about which the emulator does not ask.
        *documented("s3:ListBucket", at=TEMPLATES),
        # CloudFormation reads a template by the rights of who names it.
        *documented("s3:GetObject", at=f"{TEMPLATES}/x"),
        # The twin's database is one of its own, about which the region is not asked.
        *documented(
            "ec2:DescribeInstanceTypeOfferings",
            "rds:DescribeDBEngineVersions",
            "rds:DescribeOrderableDBInstanceOptions",
            "logs:DescribeLogGroups",
        ),
        *documented("rds:DescribeDBClusters", at=CLUSTER),
        # What the database uses, which the twin's does not report.
        *documented("cloudwatch:GetMetricData"),
        *documented(
            "logs:CreateLogGroup",
            "logs:PutRetentionPolicy",
            at=arn("logs", "log-group:/aws/rds/cluster/mlflow-database-ab1/audit"),
        ),
        *documented(
            "rds-data:BeginTransaction",
            "rds-data:ExecuteStatement",
            "rds-data:RollbackTransaction",
            at=CLUSTER,
        ),
        {
            "action": "secretsmanager:GetSecretValue",
            "resource": MASTER,
            "context": {"aws:ResourceTag/aws:rds:primaryDBClusterArn": CLUSTER},
        },
        # A list of secrets may lag behind.
        {
            "action": "secretsmanager:DescribeSecret",
            "resource": PLACES["AWS::SecretsManager::Secret"][0],
            "context": {"aws:ResourceTag/mlflow-stack": "mlflow"},
        },
        # What the emulator knows nothing about.
        *documented("rds:DescribeAccountAttributes", "servicequotas:GetServiceQuota"),
        # Who has taken on a role asks for its path.
        *documented("iam:GetRole", at=arn("iam", "role/operator", "")),
        # The emulator's registry asks nobody's rights, and repositories that differ are rare.
        *documented(*PUSH, at=REPOSITORY),
        *documented(
            "ecr:PutImageScanningConfiguration",
            "ecr:PutImageTagMutability",
            "ecr:PutLifecyclePolicy",
            at=REPOSITORY,
        ),
        # What destroy calls, which test_destroy.py runs.
        *documented("rds:DescribeDBClusterSnapshots", "s3:ListAllMyBuckets", "tag:GetResources"),
        *documented(
            "s3:DeleteBucket",
            "s3:DeleteBucketPolicy",
            "s3:GetBucketPolicy",
            "s3:GetBucketTagging",
            "s3:ListBucket",
            "s3:ListBucketMultipartUploads",
            "s3:ListBucketVersions",
            at="arn:aws:s3:::mlflow-artifactbucket-ab1",
        ),
        *documented(
            "s3:AbortMultipartUpload",
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            at="arn:aws:s3:::mlflow-artifactbucket-ab1/projects/demo/x",
        ),
        *documented("s3:DeleteBucket", at=TEMPLATES),
        *documented("s3:DeleteObject", at=f"{TEMPLATES}/x"),
        {
            "action": "kms:DescribeKey",
            "resource": KEY,
            "context": {"aws:ResourceTag/Name": "mlflow"},
        },
        {
            "action": "kms:ScheduleKeyDeletion",
            "resource": KEY,
            "context": {"aws:ResourceTag/Name": "mlflow"},
        },
        *documented("rds:DeleteDBClusterSnapshot", at=PLACES["AWS::RDS::DBCluster"][1]),
        *documented(
            "logs:DeleteLogGroup",
            at=arn("logs", "log-group:/aws/rds/cluster/mlflow-database-ab1/audit"),
        ),
        *documented("ecr:DeleteRepository", at=REPOSITORY),
        *documented("ssm:DeleteParameter", at=arn("ssm", "parameter/mlflow/mlflow/demo/key")),
        *(
            {
                "action": "secretsmanager:DeleteSecret",
                "resource": place,
                "context": {"aws:ResourceTag/mlflow-stack": "mlflow"},
            }
            for place in PLACES["AWS::SecretsManager::Secret"]
        ),
        # The emulator does not ask about keys of services.
        {"action": "kms:Decrypt", "resource": KEY, "context": via("secretsmanager")},
        {"action": "kms:Encrypt", "resource": KEY, "context": via("ssm")},
    ],
    "colleague": [
        # The relay, of which the emulator has no part.
        *documented("autoscaling:DescribeAutoScalingGroups", "ssm:DescribeInstanceInformation"),
        *documented(
            "autoscaling:SetDesiredCapacity", at=PLACES["AWS::AutoScaling::AutoScalingGroup"][0]
        ),
        {
            "action": "ssm:StartSession",
            "resource": arn("ec2", "instance/i-1"),
            "context": {
                "ssm:resourceTag/mlflow-relay": "mlflow",
                "ssm:SessionDocumentAccessCheck": "true",
            },
        },
        *documented("ssm:StartSession", at=PLACES["AWS::SSM::Document"][0]),
        *documented(
            "ssm:ResumeSession",
            "ssm:TerminateSession",
            "ssmmessages:OpenDataChannel",
            at=arn("ssm", "session/${aws:userid}-1"),
        ),
    ],
    "builder": documented(*PUSH, at=REPOSITORY),
    "reviewer": [
        *documented("cloudformation:GetTemplate", at=SELF.replace("mlflow/", "mlflow-budget/")),
        *documented("s3:ListBucket", at=TEMPLATES),
        *documented("s3:GetObject", at=f"{TEMPLATES}/x"),
        *documented("cloudformation:ListStacks", "logs:DescribeLogGroups"),
        *documented("cloudformation:DescribeStackEvents", "cloudformation:ListChangeSets", at=SELF),
    ],
}
# More of what CloudFormation calls for the types, by AWS's documents.
MADE_OF: list[Call] = [
    *documented("ec2:DescribeLaunchTemplateVersions"),
    *documented(
        "ssm:GetParameters",
        at=arn("ssm", "parameter/aws/service/ami-amazon-linux-latest/al2023-x", account=""),
    ),
    # A cluster and an instance name their groups, and RDS grants itself the key.
    *documented("rds:CreateDBCluster", at=arn("rds", "og:default:aurora-mysql-8-4")),
    *documented("rds:CreateDBCluster", at=PLACES["AWS::RDS::DBSubnetGroup"][0]),
    *documented("rds:CreateDBCluster", at=PLACES["AWS::RDS::DBClusterParameterGroup"][0]),
    *documented("rds:CreateDBInstance", at=arn("rds", "pg:default.aurora-mysql8.4")),
    *documented("rds:CreateDBInstance", at=CLUSTER),
    *documented("rds:ListTagsForResource", at=CLUSTER),
    *documented("kms:CreateGrant", "kms:Decrypt", "kms:EnableKey", "kms:GenerateDataKey", at=KEY),
]
# What a call of CloudFormation's carries.
CARRIED = {
    "aws:CalledVia": ["cloudformation.amazonaws.com"],
    "aws:ResourceTag/Name": "mlflow",
    "iam:PermissionsBoundary": BOUNDARY,
    "iam:PassedToService": "ec2.amazonaws.com",
    "iam:AWSServiceName": "rds.amazonaws.com",
}
# One that AWS asks before there is a resource with tags.
FIRST = {**CARRIED, "aws:RequestTag/Name": "mlflow", "aws:ResourceTag/Name": ""}
AT_FIRST = {"kms:CreateKey": [FIRST], "kms:TagResource": [FIRST, CARRIED]}


def policies() -> dict[str, dict[str, Any]]:
    """Return the documents as an account has them."""
    return _policies.policies(PSEUDO, VALUES)


def made() -> list[Call]:
    """Return what CloudFormation calls for the types of the templates."""
    found = [{**call, "context": CARRIED} for call in MADE_OF]
    for kind, permissions in json.loads(NEEDED.read_text()).items():
        for action in permissions:
            if not unused(kind, action):
                found += [
                    {"action": action, "resource": place, "context": context}
                    for place in places(kind, action)
                    for context in AT_FIRST.get(action, [CARRIED])
                ]
    return found


def unused(kind: str, action: str) -> bool:
    """Return whether an action is for a property that no template has."""
    foreign = kind == "AWS::AutoScaling::AutoScalingGroup" and action.startswith("cloudwatch:")
    boundless = kind == "AWS::AutoScaling::AutoScalingGroup" and action in (
        "ssm:Get*",
        "ec2:Describe*",
    )
    return foreign or boundless or any(fnmatchcase(action, pattern) for pattern in UNUSED)


def places(kind: str, action: str) -> tuple[str, ...]:
    """Return the resources for which AWS asks about an action."""
    for pattern, elsewhere in ELSEWHERE.items():
        if action == pattern or fnmatchcase(action, pattern):
            return elsewhere or ("*",)
    service = action.partition(":")[0]
    owners = {
        "ClusterParameter": "AWS::RDS::DBClusterParameterGroup",
        "SubnetGroup": "AWS::RDS::DBSubnetGroup",
        "DBInstance": "AWS::RDS::DBInstance",
        "DBCluster": "AWS::RDS::DBCluster",
    }
    if service == "rds":
        kind = next((owner for word, owner in owners.items() if word in action), kind)
    if service == "secretsmanager" and "SecretsManager" not in kind:
        return (MASTER,)
    if service == "kms" and "KMS" not in kind:
        return (KEY,)
    if service == "iam" and "IAM" not in kind:
        return PLACES["AWS::IAM::Role"]
    if kind == "AWS::IAM::ManagedPolicy" and "Role" in action:
        return PLACES["AWS::IAM::Role"]
    return PLACES[kind]


def needed() -> dict[str, list[Call]]:
    """Return every call that a person's policies have to allow."""
    recorded: dict[str, list[Call]] = json.loads(rights.RECORDED.read_text())
    found = {who: recorded[who] + DOCUMENTED[who] for who in rights.PEOPLE}
    found["operator"] += made()
    return found


def statements(who: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each statement of a person's policies, with the name of its policy."""
    everything = policies()
    for name in rights.PEOPLE[who]:
        for statement in everything[name]["Statement"]:
            yield name, statement


def listed(value: str | list[str]) -> list[str]:
    """Return what is one or several as a list."""
    return [value] if isinstance(value, str) else value


def without(call: Call, *keys: str) -> Call:
    """Return a call without some keys of its context."""
    return {**call, "context": {k: v for k, v in call["context"].items() if k not in keys}}


@dataclass(frozen=True)
class Piece:
    """A statement for one of its resources."""

    policy: str
    sid: str
    resource: str


@dataclass(frozen=True)
class Decided:
    """What was asked by its name, and for each person the pieces of statements that allow a call."""

    calls: dict[str, list[Call]]
    allowing: dict[str, list[list[Piece]]]

    def of(self, who: str, asked: str = "") -> list[tuple[Call, list[Piece]]]:
        """Return a person's calls, or others, with the pieces of that person's that allow each."""
        pieces = self.allowing[asked or who]
        own = [[one for one in by if one.policy in rights.PEOPLE[who]] for by in pieces]
        return list(zip(self.calls[asked or who], own, strict=True))


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Decided:
    """Return what the emulator's evaluator says of all calls, asked once as that is what takes time."""
    calls = needed() | {
        "direct": [without(call, "aws:CalledVia") for call in made()],
        "climbs": list(CLIMBS.values()),
    }
    pieces = [
        ((name, entry["Sid"], resource), {**entry, "Resource": resource})
        for who in rights.PEOPLE
        for name, entry in statements(who)
        for resource in listed(entry["Resource"])
    ]
    path = tmp_path_factory.mktemp("policies") / "asked.json"
    together = [call for group in calls.values() for call in group]
    path.write_text(json.dumps({"pieces": pieces, "calls": together}))
    done = subprocess.run(
        [new_environment("ministack") / "python", "-c", EVALUATE, path],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    answer = iter(json.loads(done.stdout.splitlines()[-1]))
    allowing = {
        name: [[Piece(*place) for place in next(answer)] for _call in group]
        for name, group in calls.items()
    }
    return Decided(calls, allowing)


def test_the_files_are_what_the_template_makes() -> None:
    """Remedy where they are not: scripts/policies."""
    found = {path: path.read_text() for path in _policies.FOLDER.glob("*.json")}
    assert found == _policies.files()


def test_no_policy_is_too_long() -> None:
    """IAM does not count whitespace; long names of one's own have room."""
    for name, document in policies().items():
        size = len(re.sub(r"\s", "", json.dumps(document)))
        assert size < CHARACTERS - 300, f"{name} has {size} characters"


def test_every_exception_is_one() -> None:
    """Each pattern of what is unused, or elsewhere, is of some permission of the schemas."""
    named = {one for permissions in json.loads(NEEDED.read_text()).values() for one in permissions}
    for pattern in (*UNUSED, *ELSEWHERE):
        assert any(fnmatchcase(one, pattern) or one == pattern for one in named), pattern


@pytest.mark.parametrize("who", rights.PEOPLE)
def test_what_is_needed_is_allowed(decided: Decided, who: str) -> None:
    """Every call, recorded or documented; nobody is ever refused who he is."""
    missing = {
        f"{call['action']} {call['resource']}"
        for call, by in decided.of(who)
        if not by and call["action"] != "sts:GetCallerIdentity"
    }
    assert missing == set()


@pytest.mark.parametrize("who", rights.PEOPLE)
def test_no_statement_is_left_out_unnoticed(decided: Decided, who: str) -> None:
    """Without any one of them some call is refused: one that nothing else allows. None denies."""
    kept = [{(one.policy, one.sid) for one in by} for _call, by in decided.of(who)]
    alone = {next(iter(by)) for by in kept if len(by) == 1}
    for name, statement in statements(who):
        assert statement["Effect"] == "Allow"
        assert (name, statement["Sid"]) in alone, f"Nothing needs {statement['Sid']} of {name}"


@pytest.mark.parametrize("who", rights.PEOPLE)
def test_nothing_is_more_than_needed(decided: Decided, who: str) -> None:
    """Each action, and each resource, of each statement is that of some call."""
    actions, places = set(), set()
    for call, by in decided.of(who):
        for piece in by:
            actions.add((piece.policy, piece.sid, call["action"].lower()))
            places.add((piece.policy, piece.sid, piece.resource))
    for name, statement in statements(who):
        own = (name, statement["Sid"])
        given = {one.lower() for one in listed(statement["Action"])}
        assert [one for one in sorted(given) if (*own, one) not in actions] == [], own
        given = set(listed(statement["Resource"]))
        assert [one for one in sorted(given) if (*own, one) not in places] == [], own


def test_an_operators_own_keys_make_nothing(decided: Decided) -> None:
    """What CloudFormation may call for an operator, nobody may call directly, but for two."""
    via_stacks = rights.PEOPLE["operator"][2:]
    direct = {
        call["action"]
        for call, by in decided.of("operator", "direct")
        if any(piece.policy in via_stacks for piece in by)
    }
    assert direct == {"iam:PassRole", "iam:CreateServiceLinkedRole"}


ROLE = PLACES["AWS::IAM::Role"][0]
# How a right to make roles becomes every right, and what stands against it.
CLIMBS: dict[str, Call] = {
    "a-role-without-boundary": {
        "action": "iam:CreateRole",
        "resource": ROLE,
        "context": {**CARRIED, "iam:PermissionsBoundary": ""},
    },
    "a-role-with-another-boundary": {
        "action": "iam:CreateRole",
        "resource": ROLE,
        "context": {
            **CARRIED,
            "iam:PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess",
        },
    },
    "a-policy-for-a-role-without-boundary": {
        "action": "iam:PutRolePolicy",
        "resource": ROLE,
        "context": {**CARRIED, "iam:PermissionsBoundary": ""},
    },
    "no-boundary-any-more": {
        "action": "iam:DeleteRolePermissionsBoundary",
        "resource": ROLE,
        "context": CARRIED,
    },
    "another-boundary": {
        "action": "iam:CreatePolicyVersion",
        "resource": BOUNDARY,
        "context": CARRIED,
    },
    "own-policy": {
        "action": "iam:CreatePolicyVersion",
        "resource": BOUNDARY.replace("boundary", "operator-calls"),
        "context": CARRIED,
    },
    "a-policy-for-a-person": {
        "action": "iam:AttachUserPolicy",
        "resource": arn("iam", "user/operator", ""),
        "context": CARRIED,
    },
    "another-role": {
        "action": "iam:UpdateAssumeRolePolicy",
        "resource": arn("iam", "role/admin", ""),
        "context": CARRIED,
    },
    "another-role-for-a-host": {
        "action": "iam:PassRole",
        "resource": arn("iam", "role/admin", ""),
        "context": CARRIED,
    },
    "a-role-for-another-service": {
        "action": "iam:PassRole",
        "resource": ROLE,
        "context": {**CARRIED, "iam:PassedToService": "lambda.amazonaws.com"},
    },
    "a-service-role-for-a-stack": {
        "action": "iam:PassRole",
        "resource": ROLE,
        "context": {**CARRIED, "iam:PassedToService": "cloudformation.amazonaws.com"},
    },
    "another-role-at-all": {
        "action": "sts:AssumeRole",
        "resource": arn("iam", "role/admin", ""),
        "context": {},
    },
    "a-migrator's-database-login": {
        "action": "rds-db:connect",
        "resource": arn("rds-db", "dbuser:cluster-ABC/mlflow_mg_demo"),
        "context": {},
    },
    "another-backends-password": {
        "action": "secretsmanager:GetSecretValue",
        "resource": arn("secretsmanager", "secret:RuntimeSecretdemo-AbCdEf"),
        "context": {"aws:ResourceTag/mlflow-stack": "other"},
    },
    "another-clusters-password": {
        "action": "secretsmanager:GetSecretValue",
        "resource": MASTER,
        "context": {
            "aws:ResourceTag/aws:rds:primaryDBClusterArn": CLUSTER.replace("mlflow", "other")
        },
    },
    "a-server's-database-login": {
        "action": "rds-db:connect",
        "resource": arn("rds-db", "dbuser:cluster-ABC/mlflow_rt_demo"),
        "context": {},
    },
    "another-key": {
        "action": "kms:PutKeyPolicy",
        "resource": KEY,
        "context": {**CARRIED, "aws:ResourceTag/Name": "other"},
    },
    "the-policies-stack": {
        "action": "cloudformation:CreateChangeSet",
        "resource": SELF.replace("mlflow/", "mlflow-policies/"),
        "context": {},
    },
}


@pytest.mark.parametrize("who", rights.PEOPLE)
def test_nobody_climbs(decided: Decided, who: str) -> None:
    """Not an operator, and not those who have less."""
    found = zip(CLIMBS, decided.of(who, "climbs"), strict=True)
    assert {name: by for name, (_call, by) in found if by} == {}


def test_the_boundary_allows_what_roles_do() -> None:
    """Every action of the roles of the templates, and no other."""
    needed = set()
    for base, given in VARIANTS.values():
        for name, entry in linked(base, **given)["Resources"].items():
            if base == "policies" or name == "RelayUserPolicy":
                continue
            inline = [one["PolicyDocument"] for one in entry["Properties"].get("Policies", [])]
            own = entry["Properties"].get("PolicyDocument") if "::IAM::" in entry["Type"] else None
            for document in [*inline, *([own] if own else [])]:
                for statement in document["Statement"]:
                    actions = statement["Action"]
                    needed |= {actions} if isinstance(actions, str) else set(actions)
    given_actions = set()
    for statement in policies()["Boundary"]["Statement"]:
        actions = statement["Action"]
        given_actions |= {actions} if isinstance(actions, str) else set(actions)
    assert given_actions == needed
