# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the quotas of an account that a deployment can use up, purely."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

VPC, GATEWAY = "AWS::EC2::VPC", "AWS::EC2::InternetGateway"
CLUSTER, INSTANCE = "AWS::RDS::DBCluster", "AWS::RDS::DBInstance"
STACK = "AWS::CloudFormation::Stack"
ROLE, POLICY = "AWS::IAM::Role", "AWS::IAM::ManagedPolicy"

USED_UP, CLOSE, OK, UNKNOWN = "used up", "close", "ok", "unknown"
# Less than this share of a quota left over is close.
_LEFT = 0.1


class Quota(t.NamedTuple):
    """A quota: what it counts, its service and code in Service Quotas, and a way without it."""

    name: str
    service: str
    code: str
    instead: str = ""


class Reading(t.NamedTuple):
    """How many of a resource there are, and may be; None is not known, for a reason."""

    used: int | None
    limit: int | None
    reason: str = ""


# No template takes an Elastic IP address: public addresses of hosts and the relay are not elastic.
QUOTAS = {
    VPC: Quota(
        "VPCs",
        "vpc",
        "L-F678F1CE",
        "set VpcId in mlflow_stack_parameters to a VPC of your own",
    ),
    GATEWAY: Quota(
        "internet gateways",
        "vpc",
        "L-A4707A72",
        "set VpcId in mlflow_stack_parameters to a VPC of your own",
    ),
    CLUSTER: Quota("DB clusters", "rds", "L-952B80B8"),
    INSTANCE: Quota("DB instances", "rds", "L-7B6409FD"),
    STACK: Quota("CloudFormation stacks", "cloudformation", "L-0485CB21"),
    ROLE: Quota("IAM roles", "iam", "L-FE177D64"),
    POLICY: Quota("customer managed policies", "iam", "L-E95E4862"),
}

Records = t.List[t.Dict[str, t.Any]]


def limited(adds: t.Mapping[str, int]) -> dict[str, int]:
    """Return those of the added resources, by type, that a quota counts."""
    return {kind: adds[kind] for kind in QUOTAS if adds.get(kind, 0) > 0}


def judged(needed: t.Mapping[str, int], readings: t.Mapping[str, Reading]) -> Records:
    """Return the record of each quota of which a deployment needs something.

    needed: how many more resources, by type. The form of a record is the documentation of
    mlflow_account_info.
    """
    return [_record(kind, count, readings[kind]) for kind, count in needed.items()]


def require_room(records: Records, account: str, region: str) -> None:
    """Refuse a deployment for which a quota has no room."""
    full = [record for record in records if record["status"] == USED_UP]
    if not full:
        return
    counts = ", ".join(
        f"{record['used']:,} of {record['limit']:,} {record['name']} and needs {record['needed']} more"
        for record in full
    )
    wanted = [QUOTAS[record["resource_type"]] for record in full]
    codes = " and ".join(f"{quota.service}/{quota.code}" for quota in wanted)
    ways = [quota.instead for quota in wanted if quota.instead]
    remedy = f"request a higher quota ({codes} in Service Quotas), or delete what is not in use"
    raise MlflowError(
        f"Account {account} in region {region} has {counts}; {remedy}"
        + (f", or {ways[0]}." if ways else "."),
        {"quotas": records},
    )


def _record(kind: str, needed: int, reading: Reading) -> dict[str, t.Any]:
    """Return the record of one quota."""
    status = _status(needed, reading)
    return {
        "name": QUOTAS[kind].name,
        "resource_type": kind,
        "used": reading.used,
        "limit": reading.limit,
        "needed": needed,
        "status": status,
        "reason": reading.reason if status == UNKNOWN else "",
    }


def _status(needed: int, reading: Reading) -> str:
    """Return whether a quota has room for what is needed."""
    if reading.used is None or reading.limit is None:
        return UNKNOWN
    left = reading.limit - reading.used - needed
    if left < 0:
        return USED_UP
    return CLOSE if left < _LEFT * reading.limit else OK
