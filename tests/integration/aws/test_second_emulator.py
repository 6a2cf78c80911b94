# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The templates on two emulators, which know and check different parts of them.

Both get a template as our own evaluation writes it out, because neither knows all functions: moto
lacks Fn::ForEach, Fn::Cidr and AWS::NoValue inside a list. What an emulator made is asked of its
services, because both report resources and properties as created that they dropped.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.integration.aws._shown import (
    asking,
    kept,
    parts,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import ministack
from ansible_collections.mlops.mlflow_aws.tests.parts.moto_server import moto
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT
from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation._linked import EMAIL, linked
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.thorough(
        "One emulator makes the stacks every time, and linters read the templates."
    ),
]

# Rewrites the table instead of comparing it.
WRITE = "MLFLOW_AWS_WRITE_TABLE"
PAGE = CHECKOUT / "cloudformation" / "README.md"
TABLE = re.compile(
    r"(?<=<!-- Written by the test of the second emulator. -->\n).*?(?=<!-- End of what it writes. -->)",
    re.DOTALL,
)
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
CREATE_SECONDS = 60
_LINK = re.compile(r"\$\{(\w+)((?:\.\w+)*)\}")

# What stops an emulator's stack, so that it gets the rest: types, and properties of a type.
REFUSED = {
    "moto": {
        # KeyError: its CloudFormation has no default version for the engine aurora-mysql.
        "AWS::RDS::DBInstance": "",
        # KeyError: it reads KMS's own TagKey, where CloudFormation has Key.
        "AWS::KMS::Key": "Tags",
    },
    "ministack": {
        "AWS::Budgets::Budget": "",
        "AWS::SSM::Document": "",
        # It would start a MySQL in a container; test_project_schema.py has a real one.
        "AWS::RDS::DBCluster": "",
        "AWS::RDS::DBInstance": "",
    },
}
# What moto reports as created, and drops, with what refers to it.
DROPPED = {
    "ministack": frozenset[str](),
    "moto": frozenset(
        {
            "AWS::Budgets::Budget",
            "AWS::CloudWatch::Alarm",
            "AWS::RDS::DBCluster",
            "AWS::RDS::DBClusterParameterGroup",
            "AWS::S3::BucketPolicy",
            "AWS::SecretsManager::Secret",
        }
    ),
}


@dataclass
class Emulated:
    """Our stacks on one emulator, and what of their properties it lost."""

    name: str
    client: Callable[[str], Any]
    # By type, in the order of the templates.
    written: dict[str, set[str]] = field(default_factory=dict)
    lost: dict[str, set[str]] = field(default_factory=dict)
    # Physical IDs of each stack, by logical ones; empty where the emulator gives none.
    ids: dict[str, dict[str, str]] = field(default_factory=dict)

    def deploy(self, stack: str, template: dict[str, Any]) -> dict[str, str]:
        """Create a stack, note what its services do not tell of it, and return its outputs."""
        fitting = fitted(template, REFUSED[self.name], DROPPED[self.name])
        outputs: dict[str, str] = {}
        if fitting["Resources"]:
            outputs, self.ids[stack] = create(self.client("cloudformation"), stack, fitting)
        for logical, resource in template["Resources"].items():
            names = {key for key, _value in parts(resource["Properties"])}
            made = fitting["Resources"].get(logical, {"Type": "", "Properties": {}})
            ids = self.ids.get(stack, {})
            lost = names - kept(asking(self.client), made, ids.get(logical, ""), ids)
            self.written.setdefault(resource["Type"], set()).update(names)
            self.lost.setdefault(resource["Type"], set()).update(lost)
        return outputs

    def shown(self, kind: str) -> set[str]:
        """Return the properties that the services tell of every resource of a type."""
        return self.written[kind] - self.lost[kind]


def create(cloudformation: Any, stack: str, template: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Create a stack, and return its outputs and the IDs of its resources."""
    body = json.dumps(template)
    cloudformation.create_stack(StackName=stack, TemplateBody=body, Capabilities=CAPABILITIES)
    deadline = time.monotonic() + CREATE_SECONDS
    while True:
        found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        if found["StackStatus"] != "CREATE_IN_PROGRESS" or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert found["StackStatus"] == "CREATE_COMPLETE", found
    resources = cloudformation.list_stack_resources(StackName=stack)["StackResourceSummaries"]
    # moto lists what it dropped, without even a name.
    ids = {
        entry["LogicalResourceId"]: entry.get("PhysicalResourceId", "")
        for entry in resources
        if entry["LogicalResourceId"]
    }
    outputs = {entry["OutputKey"]: entry["OutputValue"] for entry in found.get("Outputs", [])}
    return outputs, ids


def fitted(
    template: dict[str, Any], refused: Mapping[str, str], dropped: frozenset[str]
) -> dict[str, Any]:
    """Return a template without what an emulator refuses, and without references to what it lacks.

    What it drops stays in, since dropping it is what it does.
    """
    resources = template["Resources"]
    gone = {key for key, entry in resources.items() if refused.get(entry["Type"]) == ""}
    lacking = gone | {key for key, entry in resources.items() if entry["Type"] in dropped}
    fitting: dict[str, Any] = _unlinked({**template}, lacking)
    fitting["Resources"] = {
        key: {
            **entry,
            "Properties": {
                name: value
                for name, value in entry["Properties"].items()
                if name != refused.get(entry["Type"])
            },
        }
        for key, entry in fitting["Resources"].items()
        if key not in gone
    }
    return fitting


def _unlinked(node: Any, lacking: set[str]) -> Any:
    """Return a part of a template with a text instead of each reference to what is lacking."""
    if isinstance(node, list):
        return [_unlinked(entry, lacking) for entry in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"Ref"} and node["Ref"] in lacking:
        return str(node["Ref"])
    if set(node) == {"Fn::GetAtt"} and node["Fn::GetAtt"][0] in lacking:
        name, attribute = node["Fn::GetAtt"]
        # moto reads policies, and refuses a resource that is not an ARN.
        is_arn = attribute.endswith("Arn") or attribute == "Id"
        return f"arn:aws:lacking:::{name}" if is_arn else f"{name}.{attribute}"
    if set(node) == {"Fn::Sub"}:
        words = _LINK.sub(
            lambda link: link[1] + link[2] if link[1] in lacking else link[0], node["Fn::Sub"]
        )
        return {"Fn::Sub": words}
    return {key: _unlinked(value, lacking) for key, value in node.items()}


def deploy_all(emulated: Emulated) -> None:
    """Deploy every template, each with what the ones before it gave."""
    given = emulated.deploy("team", linked("backend", AlarmEmail=EMAIL))
    names = ("ArtifactBucket", "KmsKeyArn", "ServerRoleArn")
    own = {name: given[name] for name in names} | {"DatabaseResourceId": "cluster-ABC"}
    projects = linked("projects", Projects="demo,churnXmodel", BackendStackName="team", **own)
    emulated.deploy("team-projects", projects)
    names = ("ServerInstanceProfileArn", "ServerRoleArn", "ServerSecurityGroupId")
    own = {name: given[name] for name in names} | {"SubnetIds": given["PublicSubnetIds"]}
    hosts = linked("hosts", HostCount="2", BackendStackName="team", **own)
    emulated.deploy("team-hosts", hosts)
    emulated.deploy("team-budget", linked("budget", AlarmEmail=EMAIL))


@pytest.fixture(scope="module")
def on_moto(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Emulated]:
    """Return our stacks on moto."""
    with moto(free_ports(1)[0], tmp_path_factory.mktemp("moto")) as server:
        emulated = Emulated("moto", server.client)
        deploy_all(emulated)
        yield emulated


@pytest.fixture(scope="module")
def on_ministack(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Emulated]:
    """Return our stacks on ministack."""
    with ministack(free_ports(1)[0], tmp_path_factory.mktemp("ministack")) as server:
        emulated = Emulated("ministack", server.client)
        deploy_all(emulated)
        yield emulated


def test_moto_makes_what_it_knows(on_moto: Emulated) -> None:
    """It really makes every resource, but for those that it drops or refuses; nothing is a phantom."""
    refused = {kind for kind, name in REFUSED["moto"].items() if not name}
    made = {kind for kind in on_moto.written if on_moto.shown(kind)}
    # It makes gateways and associations, of which it tells none of what we say.
    bare = {"AWS::EC2::InternetGateway", "AWS::EC2::SubnetRouteTableAssociation"}
    assert set(on_moto.written) - made == DROPPED["moto"] | refused | bare
    kinds = [entry["Type"] for entry in linked("backend", AlarmEmail=EMAIL)["Resources"].values()]
    assert len(on_moto.ids["team"]) == sum(kind not in DROPPED["moto"] | refused for kind in kinds)


def test_moto_refuses_a_policy(on_moto: Emulated) -> None:
    """It reads policies, which ministack takes as they are: a resource has to be an ARN."""
    template = linked("backend")
    policy = template["Resources"]["RelayUserPolicy"]["Properties"]["PolicyDocument"]
    policy["Statement"][0]["Resource"] = "everything"
    fitting = fitted(template, REFUSED["moto"], DROPPED["moto"])
    with pytest.raises(ClientError, match="must be in ARN format"):
        create(on_moto.client("cloudformation"), "wrong", fitting)


def test_what_stops_moto_still_does(on_moto: Emulated) -> None:
    """What is taken out for it has to be taken out."""
    template = linked("backend")["Resources"]
    for kind, name in REFUSED["moto"].items():
        own = next(entry for entry in template.values() if entry["Type"] == kind)
        own["Properties"] = {
            key: own["Properties"][key]
            for key in ("Engine", "DBInstanceClass", "Tags")
            if key in own["Properties"]
        }
        with pytest.raises((ClientError, ResponseParserError)):
            create(on_moto.client("cloudformation"), f"stopped-{name}", {"Resources": {"One": own}})


def test_the_page_tells_what_is_shown(on_ministack: Emulated, on_moto: Emulated) -> None:
    """The table says for each type how many properties an emulator keeps, and names the others."""
    page = PAGE.read_text(encoding="utf-8")
    written = table(on_ministack, on_moto)
    if os.environ.get(WRITE):
        page = TABLE.sub(lambda _found: written, page)
        PAGE.write_text(page, encoding="utf-8")
    found = TABLE.search(page)
    assert found
    assert found[0] == written, f"run this test with {WRITE}=1"


def table(*all_emulated: Emulated) -> str:
    """Return the table of types, and of the properties that the schemas alone check."""
    names = [emulated.name for emulated in all_emulated]
    lines = [f"| Type | {' | '.join(names)} | By schema only |", "| --- |" + " --- |" * 3]
    for kind in sorted(all_emulated[0].written):
        everything = all_emulated[0].written[kind]
        rest = everything.difference(*(emulated.shown(kind) for emulated in all_emulated))
        counts = [count(len(emulated.shown(kind)), len(everything)) for emulated in all_emulated]
        left = ", ".join(f"`{name}`" for name in sorted(rest)) if rest != everything else "all"
        lines.append(f"| `{kind}` | {' | '.join(counts)} | {left} |")
    return "\n" + "\n".join(lines) + "\n\n"


def count(shown: int, written: int) -> str:
    """Return how many of the properties are shown."""
    return {0: "none", written: "all"}.get(shown, f"{shown} of {written}")
