# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An account whose administrator has deployed cloudformation/policies.yml, and people who have them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import Ministack
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT

# Who has which policies, by the outputs of the template.
PEOPLE = {
    "operator": (
        *("OperatorCalls", "OperatorRemoval"),
        *("OperatorNetwork", "OperatorData", "OperatorIdentities"),
    ),
    "colleague": ("Colleague",),
    "builder": ("ImageBuilder",),
    "reviewer": ("Reviewer",),
}
# The calls of each of them, as the thorough test of the twin records them.
RECORDED = CHECKOUT / "tests" / "integration" / "aws" / "recorded_calls.json"
WRITE = "MLFLOW_AWS_WRITE_CALLS"
# What AWS chooses, and the emulator otherwise in each run.
_RANDOM = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"[0-9a-f]{64}\.yml"), "HASH.yml"),
    (re.compile(r"((?:Runtime|Migrator)Secret[a-z0-9X]+-)[A-Za-z0-9-]+"), r"\1AbCdEf"),
    (re.compile(r"(Role[a-z0-9X]+-)[0-9A-F]+"), r"\1AB1"),
    (re.compile(r"(-artifactbucket-)[a-z0-9]+"), r"\1abc123"),
    (re.compile(r"(secret:rds!cluster-)[\w-]+"), r"\1AbCdEf"),
)


def deploy_policies(aws: Ministack, **parameters: str) -> dict[str, str]:
    """Deploy the template as the account's root, and return its outputs."""
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(
        StackName="mlflow-policies",
        TemplateBody=(CHECKOUT / "cloudformation" / "policies.yml").read_text(),
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName="mlflow-policies", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    (stack,) = cloudformation.describe_stacks(StackName="mlflow-policies")["Stacks"]
    return {entry["OutputKey"]: entry["OutputValue"] for entry in stack["Outputs"]}


def person(aws: Ministack, name: str, policies: Mapping[str, str]) -> tuple[str, str]:
    """Make a user who has the policies of a person, and no other; return the keys."""
    iam = aws.client("iam")
    iam.create_user(UserName=name)
    for policy in PEOPLE[name]:
        iam.attach_user_policy(UserName=name, PolicyArn=policies[f"{policy}PolicyArn"])
    keys = iam.create_access_key(UserName=name)["AccessKey"]
    return keys["AccessKeyId"], keys["SecretAccessKey"]


def asked(record: Path) -> list[dict[str, Any]]:
    """Return what the emulator asked of IAM, without what is chosen by chance, once each."""
    found: dict[str, dict[str, Any]] = {}
    for line in record.read_text(encoding="utf-8").splitlines():
        for pattern, text in _RANDOM:
            line = pattern.sub(text, line)
        entry = json.loads(line)
        for key in list(entry["context"]):
            if key.startswith(("s3:", "aws:ResourceTag/aws:cloudformation:")):
                del entry["context"][key]
        found[json.dumps(entry, sort_keys=True)] = entry
    return list(found.values())


def calls(questions: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return what each person called and was allowed, sorted; what assumed roles call is not theirs."""
    found: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in PEOPLE}
    for entry in questions:
        who = entry["who"].removeprefix("user/")
        if who in found and entry["allowed"]:
            call = {key: entry[key] for key in ("action", "resource", "context")}
            found[who][json.dumps(call, sort_keys=True)] = call
    return {who: [made[key] for key in sorted(made)] for who, made in found.items()}


def refused(questions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the calls that were refused to people.

    Not a colleague's listing of all stacks, after which our modules read each by its name.
    """
    found = {
        f"{entry['who']} {entry['action']} {entry['resource']}"
        for entry in questions
        if not entry["allowed"] and entry["who"].removeprefix("user/") in PEOPLE
    }
    return sorted(found - {"user/colleague cloudformation:DescribeStacks *"})
