# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A template with everything worked out but the references between its resources.

For what reads templates and does not see through loops, conditions and parameters: emulators that lack
functions, and linters.
"""

from __future__ import annotations

import base64
import ipaddress
from typing import Any

from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation._deployed import (
    ACCOUNT,
    PSEUDO,
    Stack,
    prepared,
    variables,
)

EMAIL = "team@example.com"
_BACKEND = {
    "BackendStackName": "team",
    "ServerRoleArn": f"arn:aws:iam::{ACCOUNT}:role/server",
}
_PROJECTS = _BACKEND | {
    "Projects": "demo,churnXmodel",
    "ArtifactBucket": "team-artifacts",
    "KmsKeyArn": f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1",
    "DatabaseResourceId": "cluster-ABC",
}
# Each template with parameters under which, together, it makes everything that it can.
VARIANTS: dict[str, tuple[str, dict[str, str]]] = {
    "backend": (
        "backend",
        {"AlarmEmail": EMAIL, "PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/boundary"},
    ),
    "backend-in-a-vpc": (
        "backend",
        {
            "AlarmEmail": EMAIL,
            "ArtifactBucketName": "team-artifacts",
            "ClientCidr": "10.8.0.0/16",
            "DatabaseSubnetIds": "subnet-01234567,subnet-89abcdef",
            "EngineVersion": "8.0.mysql_aurora.3.10.4",
            "IntelligentTiering": "true",
            "MinCapacity": "1",
            "PerformanceInsights": "true",
            "RelaySubnetIds": "subnet-01234567",
            "RouteTableIds": "rtb-01234567",
            "VpcId": "vpc-0123456789abcdef0",
        },
    ),
    "budget": ("budget", {"AlarmEmail": EMAIL}),
    "hosts": (
        "hosts",
        _BACKEND
        | {
            "Architecture": "arm64",
            "HostCount": "2",
            "KeyName": "ssh",
            "PublicAddress": "true",
            "ServerInstanceProfileArn": f"arn:aws:iam::{ACCOUNT}:instance-profile/server",
            "ServerSecurityGroupId": "sg-01234567",
            "SubnetIds": "subnet-01234567",
        },
    ),
    "policies": ("policies", {}),
    "policies-by-name": (
        "policies",
        {
            "ArtifactBucketName": "team-artifacts",
            "TemplateBucketName": "team-templates",
            "MasterSecretArn": f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:master-*",
        },
    ),
    "projects": (
        "projects",
        _PROJECTS
        | {
            "DatabaseLogin": "either",
            "PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
        },
    ),
    "projects-without-secrets": (
        "projects",
        _PROJECTS
        | {
            "DatabaseLogin": "iam",
            "TrustedPrincipals": f"arn:aws:iam::{ACCOUNT}:role/a,arn:aws:iam::{ACCOUNT}:user/b",
        },
    ),
}


def linked(name: str, **parameters: str) -> dict[str, Any]:
    """Return a template for these parameters; Ref, Fn::GetAtt and Fn::Sub of resources are left.

    Raise Wrong with the first rule that the values break.
    """
    stack = _Linked(*prepared(name, parameters))
    stack.check_rules()
    sections = {
        section: {
            key: {part: content for part, content in entry.items() if part != "Condition"}
            for key, entry in stack.section(section).items()
        }
        for section in ("Resources", "Outputs")
    }
    for resource in sections["Resources"].values():
        # What other tools are told about the template as it is written.
        resource.pop("Metadata", None)
    return {"AWSTemplateFormatVersion": "2010-09-09", **sections}


class _Linked(Stack):
    """Works out the functions, and leaves references to resources for who makes them."""

    def __init__(self, *arguments: Any) -> None:
        """Replace what the tests of single values write down more simply."""
        super().__init__(*arguments)
        self._functions["Fn::Cidr"] = self._blocks
        self._functions["Fn::Base64"] = lambda text: base64.b64encode(
            self.value(text).encode()
        ).decode()

    def _blocks(self, parts: Any) -> list[str]:
        """Return the first blocks of a range, as Fn::Cidr cuts it."""
        block, count, bits = ipaddress.ip_network(self.value(parts[0])), parts[1], parts[2]
        subnets = block.subnets(new_prefix=32 - bits)
        return [str(next(subnets)) for _number in range(count)]

    def _reference(self, name: Any) -> Any:
        """Return a value, or the reference where it is one to a resource."""
        found = super()._reference(name)
        name = self.value(name)
        known = name in self._values or name in PSEUDO or name == "AWS::NoValue"
        return found if known else {"Ref": name}

    def _attribute(self, parts: Any) -> Any:
        """Return the reference, whose resource has to be there."""
        super()._attribute(parts)
        return {"Fn::GetAtt": [self.value(parts[0]), parts[1]]}

    def _substituted(self, argument: Any) -> Any:
        """Return the text, or a Fn::Sub of all that is known where a resource stands in it."""
        words, own = argument if isinstance(argument, list) else (argument, {})
        linked = False

        def one(name: str) -> str:
            nonlocal linked
            if name in own:
                value = self.value(own[name])
            else:
                resource, dot, attribute = name.partition(".")
                value = self._attribute([resource, attribute]) if dot else self._reference(resource)
            if not isinstance(value, dict):
                return str(value)
            linked = True
            target = value.get("Ref") or ".".join(value["Fn::GetAtt"])
            return f"${{{target}}}"

        text = variables(words, one)
        return {"Fn::Sub": text} if linked else text.replace("${!", "${")
