# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the actions that a deployment needs, and what a simulation says of them.

This is the one list of them that the preflight knows. It has the form of a policy's statements, so
that those of a ready-made policy can take its place: actions, and one resource that each of them is
simulated for. That is an example of what a deployment creates: a pattern would be simulated as denied
by a policy that allows a narrower one.
"""

from __future__ import annotations

import re
import typing as t

_ROLE_SESSION = re.compile(r"arn:[^:]+:sts::\d+:assumed-role/([^/]+)/.+")
_PRINCIPAL = re.compile(r"arn:[^:]+:iam::\d+:(user|role)/.+")


class Statement(t.NamedTuple):
    """Actions, and the resource that they are simulated for; its names in braces are filled in."""

    resource: str
    actions: tuple[str, ...]


class Decisions(t.NamedTuple):
    """How many actions a simulation allows, those that it denies, and those that it leaves open."""

    allowed: int
    denied: list[str]
    undecided: list[str]


_BUCKET = "arn:{partition}:s3:::mlflow-aws-cloudformation-{account}-{region}"
_IAM = "arn:{partition}:iam::{account}"
_RDS = "arn:{partition}:rds:{region}:{account}"
_EC2 = "arn:{partition}:ec2:{region}:{account}"


def _of(service: str, resource: str, words: str) -> Statement:
    """Return the statement of a service's actions."""
    return Statement(resource, tuple(f"{service}:{word}" for word in words.split()))


STATEMENTS = (
    _of("cloudformation", "*", "DescribeStacks ListStacks"),
    _of(
        "cloudformation",
        "arn:{partition}:cloudformation:{region}:{account}:stack/{stack}/example",
        "CreateChangeSet DeleteChangeSet DescribeChangeSet DescribeStackEvents ExecuteChangeSet GetTemplate "
        "UpdateTerminationProtection",
    ),
    _of("s3", _BUCKET, "CreateBucket ListBucket PutBucketPublicAccessBlock"),
    _of("s3", f"{_BUCKET}/example", "GetObject PutObject"),
    _of("rds", "*", "DescribeDBEngineVersions DescribeOrderableDBInstanceOptions"),
    _of("ec2", "*", "DescribeInstanceTypeOfferings"),
    _of(
        "ec2",
        f"{_EC2}:vpc/vpc-00000000",
        "CreateVpc ModifyVpcAttribute CreateSubnet CreateRouteTable CreateSecurityGroup CreateVpcEndpoint "
        "AttachInternetGateway CreateTags",
    ),
    _of("ec2", f"{_EC2}:internet-gateway/igw-00000000", "CreateInternetGateway"),
    _of("ec2", f"{_EC2}:launch-template/lt-00000000", "CreateLaunchTemplate"),
    _of(
        "autoscaling",
        "arn:{partition}:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/{stack}-RelayGroup-example",
        "CreateAutoScalingGroup",
    ),
    _of(
        "rds",
        f"{_RDS}:cluster:{{stack}}-database-example",
        "CreateDBCluster DescribeDBClusters ModifyDBCluster AddTagsToResource",
    ),
    _of("rds", f"{_RDS}:db:{{stack}}-databaseinstance-example", "CreateDBInstance"),
    _of("rds", f"{_RDS}:subgrp:{{stack}}-databasesubnetgroup-example", "CreateDBSubnetGroup"),
    _of(
        "rds",
        f"{_RDS}:cluster-pg:{{stack}}-databaseparameters-example",
        "CreateDBClusterParameterGroup ModifyDBClusterParameterGroup",
    ),
    _of("rds-data", f"{_RDS}:cluster:{{stack}}-database-example", "ExecuteStatement"),
    _of(
        "s3",
        "arn:{partition}:s3:::{stack}-artifactbucket-example",
        "CreateBucket PutBucketPolicy PutBucketPublicAccessBlock PutBucketVersioning PutEncryptionConfiguration "
        "PutLifecycleConfiguration",
    ),
    _of("iam", f"{_IAM}:role/{{stack}}-ServerRole-example", "CreateRole PutRolePolicy PassRole"),
    _of("iam", f"{_IAM}:role/mlflow/{{stack}}/example", "CreateRole AttachRolePolicy"),
    _of("iam", f"{_IAM}:policy/mlflow/{{stack}}/example", "CreatePolicy"),
    _of(
        "iam",
        f"{_IAM}:instance-profile/{{stack}}-ServerInstanceProfile-example",
        "CreateInstanceProfile AddRoleToInstanceProfile",
    ),
    _of("kms", "*", "CreateKey"),
    _of(
        "secretsmanager",
        "arn:{partition}:secretsmanager:{region}:{account}:secret:rds!cluster-example",
        "CreateSecret GetSecretValue",
    ),
    _of("ssm", "*", "DescribeParameters"),
    _of(
        "ssm",
        "arn:{partition}:ssm:{region}:{account}:parameter/mlflow/{stack}/example/key",
        "PutParameter",
    ),
    _of(
        "logs",
        "arn:{partition}:logs:{region}:{account}:log-group:/aws/rds/cluster/{stack}-database-example",
        "CreateLogGroup PutRetentionPolicy",
    ),
    _of("ecr", "*", "GetAuthorizationToken"),
    _of(
        "ecr",
        "arn:{partition}:ecr:{region}:{account}:repository/{repository}",
        "CreateRepository DescribeRepositories DescribeImages BatchCheckLayerAvailability InitiateLayerUpload "
        "UploadLayerPart CompleteLayerUpload PutImage",
    ),
)


def filled(names: t.Mapping[str, str]) -> list[Statement]:
    """Return the statements with the names of a deployment."""
    return [
        Statement(statement.resource.format(**names), statement.actions) for statement in STATEMENTS
    ]


def principal(identity: str) -> tuple[str, str]:
    """Return the ARN that can be simulated, or the name of a role whose ARN has to be read.

    Both are empty for an identity that has no policies to simulate, as the root user.
    """
    session = _ROLE_SESSION.fullmatch(identity)
    if session:
        return "", session[1]
    return (identity if _PRINCIPAL.fullmatch(identity) else ""), ""


def decisions(results: t.Iterable[t.Mapping[str, t.Any]]) -> Decisions:
    """Return what the EvaluationResults of a simulation say, each action once.

    A denial for which values of the request are missing, such as tags, decides nothing.
    """
    denied, undecided, allowed = set(), set(), set()
    for result in results:
        name = str(result["EvalActionName"])
        if result["EvalDecision"] == "allowed":
            allowed.add(name)
        elif result["EvalDecision"] == "implicitDeny" and result.get("MissingContextValues"):
            undecided.add(name)
        else:
            denied.add(name)
    undecided -= denied
    return Decisions(len(allowed - denied - undecided), sorted(denied), sorted(undecided))
