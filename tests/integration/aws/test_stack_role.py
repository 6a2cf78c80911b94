# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role mlflow_stack asks a region before it makes anything, and a budget that AWS refuses."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import (
    ACCOUNT,
    REGION,
    Ministack,
    ministack,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.moto_server import moto
from ansible_collections.mlops.mlflow_aws.tests.parts.region import Region, Version, serving
from ansible_collections.mlops.mlflow_aws.tests.support import run

pytestmark = pytest.mark.timeout(400)

PLAYBOOK = Path(sys.prefix) / "bin" / "ansible-playbook"
LTS, NEW = "8.0.mysql_aurora.3.10.4", "8.4.mysql_aurora.8.4.8"
EXISTING = {
    "Relay": False,
    "ExistingDatabaseEndpoint": "127.0.0.1",
    "ExistingDatabaseUsername": "root",
    "ExistingDatabaseSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:master-abcdef",
}


@pytest.fixture(scope="module")
def aws(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ministack]:
    """Return a ministack."""
    with ministack(free_ports(1)[0], tmp_path_factory.mktemp("aws")) as server:
        yield server


@pytest.fixture
def region() -> Region:
    """Return a region whose newest line lacks the Data API, and where the relay is in two zones."""
    versions = {LTS: Version(), NEW: Version(data_api=False)}
    return Region(REGION, versions, types={"t4g.nano": "bc"})


@dataclass(frozen=True)
class Role:
    """Runs entry points of the role from an empty home."""

    aws: Ministack
    folder: Path
    environment: Mapping[str, str]

    def run(self, *entries: str, check: bool = True, dry: bool = False, **variables: Any) -> str:
        """Run entry points with these variables, and return what Ansible shows, on one line."""
        given = {
            "mlflow_stack_region": REGION,
            "mlflow_project_records": "{{ [{'name': 'demo'}] | mlops.mlflow_aws.mlflow_project_records(5001) }}",
            "mlflow_stack_protection": False,
            **variables,
        }
        tasks: list[dict[str, Any]] = [
            {
                "name": f"Run {entry}",
                "ansible.builtin.import_role": {
                    "name": "mlops.mlflow_aws.mlflow_stack",
                    "tasks_from": entry,
                },
            }
            for entry in entries
        ]
        shown = {"name": "Show", "ansible.builtin.debug": {"var": "mlflow_stack_region_parameters"}}
        play = {"hosts": "all", "gather_facts": False, "vars": given, "tasks": [*tasks, shown]}
        path = self.folder / "play.yml"
        path.write_text(json.dumps([play]))
        command: list[str | Path] = [PLAYBOOK, "-i", "localhost,", "-c", "local", path]
        command += ["--check"] if dry else []
        done = run(command, cwd=self.folder, env=dict(self.environment), timeout=200, check=check)
        return " ".join(done.output.split())

    def stacks(self) -> dict[str, str]:
        """Return the status of each stack by its name."""
        found = self.aws.client("cloudformation").describe_stacks()["Stacks"]
        return {stack["StackName"]: stack["StackStatus"] for stack in found}


@pytest.fixture
def role(aws: Ministack, clean_home: dict[str, str], tmp_path: Path) -> Iterator[Role]:
    """Give the role, and forget what it made."""
    environment = clean_home | aws.environment() | {"ANSIBLE_NOCOLOR": "1"}
    yield Role(aws, tmp_path, environment)
    aws.reset()


def test_a_new_backend_takes_what_the_region_has(role: Role, region: Region) -> None:
    """Version, Data API and zones of a first dry run, which makes nothing."""
    with serving(region, role.aws.url) as url:
        said = role.run("preflight", "main", dry=True, mlflow_stack_endpoint_url=url)
    chosen = {
        "AvailabilityZones": f"{REGION}b,{REGION}c",
        "DataApi": "false",
        "EngineVersion": NEW,
    }
    assert json.loads(said[said.rindex('{ "mlflow') : said.rindex("PLAY RECAP")]) == {
        "mlflow_stack_region_parameters": chosen
    }
    assert f"Region {REGION} has no RDS Data API for this database" in said
    assert role.stacks() == {}
    # The emulator knows no quotas, and its root user has no policies.
    assert f"Account {ACCOUNT}, region {REGION}, as arn:aws:iam::{ACCOUNT}:root" in said
    assert "Permissions: not simulated (this identity has no policies to simulate)" in said
    assert "Quotas: IAM roles 0 + 5 of 1,000, customer managed policies" in said
    assert "Unknown quotas: VPCs, internet gateways (AWS answered 400" in said
    assert "1.59 idle = backend 1.59 + 1 project with IAM login x 0.00" in said
    assert "0.06 (0.5 ACU) to 0.96 (8 ACU, MaxCapacity) an hour" in said


def test_an_account_without_room_is_refused_first(
    role: Role, region: Region, free_ports: Callable[[int], list[int]], tmp_path: Path
) -> None:
    """All VPCs that another emulator's quota allows; nothing is made, in a dry run or not."""
    ec2 = role.aws.client("ec2")
    with moto(free_ports(1)[0], tmp_path) as known:
        quotas = known.client("service-quotas")
        answer = quotas.get_service_quota(ServiceCode="vpc", QuotaCode="L-F678F1CE")
        limit = int(answer["Quota"]["Value"])
        while len(ec2.describe_vpcs()["Vpcs"]) < limit:
            ec2.create_vpc(CidrBlock="10.0.0.0/24")
        with serving(region, role.aws.url, known.url) as url:
            said = role.run("preflight", "main", check=False, mlflow_stack_endpoint_url=url)
            assert f"has {limit} of {limit} VPCs and needs 1 more; request a higher quota" in said
            assert "set VpcId in mlflow_stack_parameters to a VPC of your own." in said
            assert re.search(r"changed=0 .*failed=1", said), said
            assert role.stacks() == {}
            own = EXISTING | {"VpcId": ec2.describe_vpcs()["Vpcs"][0]["VpcId"]}
            said = role.run("preflight", mlflow_stack_endpoint_url=url, mlflow_stack_parameters=own)
            assert "VPCs" not in said


@pytest.mark.thorough("The sentences are unit tests; a good answer takes the same way every time.")
def test_what_is_wrong_is_told_first(role: Role, region: Region) -> None:
    """A version that the region lacks, and more principals than a trust policy holds."""
    with serving(region, role.aws.url) as url:
        old = {"EngineVersion": "8.0.mysql_aurora.3.10.6"}
        said = role.run(
            "preflight", check=False, mlflow_stack_endpoint_url=url, mlflow_stack_parameters=old
        )
        assert f"{old['EngineVersion']} as Aurora Serverless; set EngineVersion to {NEW} or" in said
        many = [f"arn:aws:iam::{ACCOUNT}:role/colleague-{number:060}" for number in range(20)]
        said = role.run(
            "preflight",
            check=False,
            mlflow_stack_endpoint_url=url,
            mlflow_stack_trusted_principals=many,
        )
    assert "mlflow_stack_trusted_principals lists 20 principals" in said
    assert role.stacks() == {}


@pytest.mark.thorough(
    "A stack that AWS refuses is told every time; this one only has a rescue around it."
)
def test_a_refused_budget_fails_nothing(role: Role, region: Region) -> None:
    """The emulator refuses each budget, as AWS does where the payer has not enabled them."""
    given: dict[str, Any] = {
        "mlflow_stack_parameters": EXISTING | {"AlarmEmail": "team@example.com"},
        "mlflow_stack_endpoint_url": role.aws.url,
    }
    said = role.run("preflight", "main", "projects", **given)
    assert re.search(r"failed=0 .*rescued=1", said), said
    assert "The backend is complete without a budget, which could not be created: Cannot" in said
    assert "stack 'mlflow-budget'" in said
    assert "To leave it out, set mlflow_stack_budget to 0." in said
    assert role.stacks()["mlflow"] == "CREATE_COMPLETE"
    assert region.calls == [], "nothing is asked about a database of one's own"
    # The name of 0.2 works.
    given["mlflow_stack_parameters"]["MonthlyBudget"] = 0
    said = role.run("preflight", "main", "projects", **given)
    assert re.search(r"changed=0 .*failed=0 .*rescued=0", said), said
    assert "MonthlyBudget was renamed; set mlflow_stack_budget instead" in said
    # What exists needs nothing more, so that nothing is asked.
    assert f"Account {ACCOUNT}, region {REGION}, as" in said
    assert "Quotas:" not in said
    assert "Permissions:" not in said
