# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which properties of the templates an emulator really keeps, found by asking its services."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

# Stands for a value that only the emulator knows, such as an ARN that it made.
ANY = object()
# Of these properties, each part counts on its own.
DEEP = ("LaunchTemplateData",)
# What a service's API calls a property otherwise.
_CALLED = {
    "Family": "DBParameterGroupFamily",
    "GroupDescription": "Description",
    "KeyPolicy": "Policy",
    "PolicyDocument": "Document",
    "SecurityGroupIngress": "IpPermissions",
    "SecurityGroupEgress": "IpPermissionsEgress",
    "SourceSecurityGroupId": "GroupId",
    "Subscription": "Subscriptions",
    "SubnetIds": "Subnets",
    "ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault",
    "TransitionInDays": "Days",
    "EnableKeyRotation": "KeyRotationEnabled",
}

# Asks a service, by operation and arguments; what the emulator refuses is empty.
Ask = Callable[..., dict[str, Any]]
Probe = Callable[[Ask, str, dict[str, Any]], Any]


def _key(ask: Ask, name: str, _wanted: Any) -> Any:
    return [
        ask("kms", "describe_key", KeyId=name),
        ask("kms", "get_key_policy", KeyId=name, PolicyName="default"),
        ask("kms", "get_key_rotation_status", KeyId=name),
        ask("kms", "list_resource_tags", KeyId=name),
    ]


def _alias(ask: Ask, name: str, _wanted: Any) -> Any:
    found = ask("kms", "list_aliases").get("Aliases", [])
    return [alias for alias in found if alias["AliasName"] == name]


def _vpc(ask: Ask, name: str, _wanted: Any) -> Any:
    attributes = ("enableDnsSupport", "enableDnsHostnames")
    return [
        ask("ec2", "describe_vpcs", VpcIds=[name]),
        *(ask("ec2", "describe_vpc_attribute", VpcId=name, Attribute=one) for one in attributes),
    ]


def _association(ask: Ask, _name: str, wanted: dict[str, Any]) -> Any:
    found = ask("ec2", "describe_route_tables", RouteTableIds=[wanted["RouteTableId"]])
    entries = [entry for table in found.get("RouteTables", []) for entry in table["Associations"]]
    return [entry for entry in entries if entry.get("SubnetId") == wanted["SubnetId"]]


def _template(ask: Ask, name: str, _wanted: Any) -> Any:
    operation = "describe_launch_template_versions"
    return ask("ec2", operation, LaunchTemplateId=name, Versions=["$Latest"])


def _bucket(ask: Ask, name: str, _wanted: Any) -> Any:
    parts = {
        "VersioningConfiguration": "get_bucket_versioning",
        "BucketEncryption": "get_bucket_encryption",
        "PublicAccessBlockConfiguration": "get_public_access_block",
        "OwnershipControls": "get_bucket_ownership_controls",
        "LifecycleConfiguration": "get_bucket_lifecycle_configuration",
        "Tags": "get_bucket_tagging",
    }
    return {part: ask("s3", operation, Bucket=name) for part, operation in parts.items()}


def _bucket_policy(ask: Ask, _name: str, wanted: dict[str, Any]) -> Any:
    policy = ask("s3", "get_bucket_policy", Bucket=wanted["Bucket"]).get("Policy")
    return [{"Bucket": wanted["Bucket"], "Document": policy}] if policy else []


def _role(ask: Ask, name: str, wanted: dict[str, Any]) -> Any:
    attached = ask("iam", "list_attached_role_policies", RoleName=name).get("AttachedPolicies", [])
    inline = [
        ask("iam", "get_role_policy", RoleName=name, PolicyName=policy["PolicyName"])
        for policy in wanted.get("Policies", [])
    ]
    arns = [policy["PolicyArn"] for policy in attached]
    found = ask("iam", "get_role", RoleName=name)
    return [found, {"Policies": _documents(inline), "ManagedPolicyArns": arns}] if found else []


def _policy(ask: Ask, _name: str, wanted: dict[str, Any]) -> Any:
    role, name = wanted["Roles"][0], wanted["PolicyName"]
    found = ask("iam", "get_role_policy", RoleName=role, PolicyName=name)
    return [_documents([found]), {"Roles": role}] if found else []


def _managed_policy(ask: Ask, name: str, _wanted: Any) -> Any:
    policy = ask("iam", "get_policy", PolicyArn=name)
    version = policy.get("Policy", {}).get("DefaultVersionId", "")
    return [policy, ask("iam", "get_policy_version", PolicyArn=name, VersionId=version)]


def _documents(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return inline policies under the name that managed ones have for their text."""
    return [
        {"PolicyName": answer.get("PolicyName"), "Document": answer.get("PolicyDocument")}
        for answer in answers
    ]


def _parameter_group(ask: Ask, name: str, _wanted: Any) -> Any:
    groups = ask("rds", "describe_db_cluster_parameter_groups", DBClusterParameterGroupName=name)
    found = ask("rds", "describe_db_cluster_parameters", DBClusterParameterGroupName=name)
    values = {
        one["ParameterName"]: one.get("ParameterValue") for one in found.get("Parameters", [])
    }
    return [groups, {"Parameters": values}]


def _profile(ask: Ask, name: str, _wanted: Any) -> Any:
    # On ministack its ID is an ARN.
    return ask("iam", "get_instance_profile", InstanceProfileName=name.rpartition("/")[2])


def _topic(ask: Ask, name: str, _wanted: Any) -> Any:
    found = ask("sns", "get_topic_attributes", TopicArn=name)
    return [found, ask("sns", "list_subscriptions_by_topic", TopicArn=name)] if found else []


def _by(service: str, operation: str, argument: str, *, plural: bool = True) -> Probe:
    """Return a probe of one call, which takes the physical ID, or a list of it."""
    return lambda ask, name, _wanted: ask(
        service, operation, **{argument: [name] if plural else name}
    )


def _route(ask: Ask, _name: str, wanted: dict[str, Any]) -> Any:
    return ask("ec2", "describe_route_tables", RouteTableIds=[wanted["RouteTableId"]])


def _attachment(ask: Ask, _name: str, wanted: dict[str, Any]) -> Any:
    gateways = [wanted["InternetGatewayId"]]
    return ask("ec2", "describe_internet_gateways", InternetGatewayIds=gateways)


PROBES: dict[str, Probe] = {
    "AWS::AutoScaling::AutoScalingGroup": _by(
        "autoscaling", "describe_auto_scaling_groups", "AutoScalingGroupNames"
    ),
    "AWS::CloudWatch::Alarm": _by("cloudwatch", "describe_alarms", "AlarmNames"),
    "AWS::EC2::InternetGateway": _by("ec2", "describe_internet_gateways", "InternetGatewayIds"),
    "AWS::EC2::LaunchTemplate": _template,
    "AWS::EC2::Route": _route,
    "AWS::EC2::RouteTable": _by("ec2", "describe_route_tables", "RouteTableIds"),
    "AWS::EC2::SecurityGroup": _by("ec2", "describe_security_groups", "GroupIds"),
    "AWS::EC2::Subnet": _by("ec2", "describe_subnets", "SubnetIds"),
    "AWS::EC2::SubnetRouteTableAssociation": _association,
    "AWS::EC2::VPC": _vpc,
    "AWS::EC2::VPCEndpoint": _by("ec2", "describe_vpc_endpoints", "VpcEndpointIds"),
    "AWS::EC2::VPCGatewayAttachment": _attachment,
    "AWS::IAM::InstanceProfile": _profile,
    "AWS::IAM::ManagedPolicy": _managed_policy,
    "AWS::IAM::Policy": _policy,
    "AWS::IAM::Role": _role,
    "AWS::KMS::Alias": _alias,
    "AWS::KMS::Key": _key,
    "AWS::RDS::DBClusterParameterGroup": _parameter_group,
    # An emulator may not say its name, and makes only this one.
    "AWS::RDS::DBSubnetGroup": lambda ask, *_more: ask("rds", "describe_db_subnet_groups"),
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::SNS::Topic": _topic,
    "AWS::SSM::Document": _by("ssm", "get_document", "Name", plural=False),
    "AWS::SecretsManager::Secret": _by(
        "secretsmanager", "describe_secret", "SecretId", plural=False
    ),
}


def asking(client: Callable[[str], Any]) -> Ask:
    """Return what asks the services of an emulator by clients that client makes."""

    def ask(service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(client(service), operation)(**arguments)
        except (ClientError, BotoCoreError):
            return {}
        return {key: value for key, value in answer.items() if key != "ResponseMetadata"}

    return ask


def kept(ask: Ask, resource: Mapping[str, Any], name: str, ids: Mapping[str, str]) -> set[str]:
    """Return the properties of a resource that its service tells as the template says them.

    name is its physical ID; ids are those of all resources in the stack.
    """
    if resource["Type"] not in PROBES:
        return set()
    wanted: dict[str, Any] = _resolved(resource["Properties"], ids)
    seen = PROBES[resource["Type"]](ask, name, wanted)
    return {key for key, value in parts(wanted) if _holds(seen, _nested(key, value))}


def parts(properties: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give what counts as a property, with its value."""
    for key, value in properties.items():
        if key in DEEP:
            yield from ((f"{key}.{part}", entry) for part, entry in value.items())
        else:
            yield key, value


def _nested(key: str, value: Any) -> Any:
    """Return a property as the nested mapping that has to be found."""
    for name in reversed(key.split(".")):
        value = {name: value}
    return value


def _resolved(node: Any, ids: Mapping[str, str]) -> Any:
    """Return properties with the IDs for references, and ANY for what only the emulator knows."""
    if isinstance(node, list):
        return [_resolved(entry, ids) for entry in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"Ref"}:
        return ids.get(node["Ref"]) or ANY
    if set(node) & {"Fn::GetAtt", "Fn::Sub"}:
        return ANY
    return {key: _resolved(value, ids) for key, value in node.items()}


def _holds(seen: Any, wanted: Any) -> bool:
    """Say whether an answer has these values, at any depth and in any order."""
    if wanted is ANY:
        return seen not in (None, "", [], {})
    if isinstance(wanted, dict):
        return all(
            any(_holds(found, value) for found in _named(seen, key))
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return all(any(_holds(entry, value) for entry in _entries(seen)) for value in wanted)
    return any(_same(leaf, wanted) for leaf in _leaves(seen))


def _named(seen: Any, key: str) -> Iterator[Any]:
    """Give all values of an answer under this name, or what the service calls it."""
    seen = _parsed(seen)
    if isinstance(seen, list):
        for entry in seen:
            yield from _named(entry, key)
    elif isinstance(seen, dict):
        for name, value in seen.items():
            if name.lower() in (key.lower(), _CALLED.get(key, key).lower()):
                yield value
            yield from _named(value, key)


def _entries(seen: Any) -> list[Any]:
    """Return the entries of a list; some APIs write one with commas, or leave one of one out."""
    seen = _parsed(seen)
    if isinstance(seen, str):
        return seen.split(",")
    return seen if isinstance(seen, list) else [seen]


def _leaves(seen: Any) -> Iterator[Any]:
    """Give every single value."""
    if isinstance(seen, dict):
        seen = list(seen.values())
    if isinstance(seen, list):
        for entry in seen:
            yield from _leaves(entry)
    else:
        yield seen


def _parsed(seen: Any) -> Any:
    """Return the content of an answer that is JSON in a text."""
    if isinstance(seen, str) and seen.startswith("{"):
        # moto writes some policies as Python does, which no AWS SDK reads.
        with suppress(json.JSONDecodeError):
            return json.loads(seen)
    return seen


def _same(seen: Any, wanted: Any) -> bool:
    """Say whether two values are one in CloudFormation, to which numbers and flags are texts."""
    texts = [re.sub(r"\.0$", "", str(value).lower()) for value in (seen, wanted)]
    return texts[0] == texts[1]
