# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""People with the policies of cloudformation/policies.yml, on an AWS that enforces IAM.

The stacks and what needs no Docker engine; the twin does the whole of it (tests/twin/test_rights.py).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.secrets import Secrets
from ansible_collections.mlops.mlflow_aws.tests.parts import rights
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import (
    ACCOUNT,
    REGION,
    Ministack,
    ministack,
)
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, clean_environment, run
from botocore.exceptions import ClientError

pytestmark = pytest.mark.timeout(400)

STACK = "mlflow"
ROLE = "mlops.mlflow_aws.mlflow_stack"


@dataclass
class Account:
    """An account with people, and what IAM was asked about them."""

    aws: Ministack
    folder: Path
    record: Path
    policies: dict[str, str]
    keys: dict[str, tuple[str, str]]
    master: str

    def client(self, who: str, service: str) -> Any:
        """Return a person's client of a service."""
        return self.aws.client(service, *self.keys[who])

    def play(self, who: str, *tasks: dict[str, Any], dry: bool = False, **variables: Any) -> str:
        """Run tasks with a person's keys, and return what Ansible shows, on one line."""
        given = {
            "ansible_python_interpreter": sys.executable,
            "mlflow_backend": "aws",
            "mlflow_stack_name": STACK,
            "mlflow_stack_region": REGION,
            "mlflow_stack_endpoint_url": self.aws.url,
            "mlflow_ecr_region": REGION,
            "mlflow_ecr_endpoint_url": self.aws.url,
            "mlflow_stack_protection": False,
            "mlflow_stack_parameters": {
                "Relay": False,
                "ExistingDatabaseEndpoint": "127.0.0.1",
                "ExistingDatabaseUsername": "admin",
                "ExistingDatabaseSecretArn": self.master,
                "PermissionsBoundary": self.policies["BoundaryPolicyArn"],
            },
            "mlflow_project_records": [{"name": "demo", "state": "present"}],
            **variables,
        }
        play = {"hosts": "all", "gather_facts": False, "vars": given, "tasks": list(tasks)}
        path = self.folder / "play.yml"
        path.write_text(json.dumps([play]))
        program = Path(sys.executable).parent / "ansible-playbook"
        command: list[str | Path] = [program, "-i", "localhost,", "-c", "local", path]
        command += ["--check"] if dry else []
        environment = clean_environment(self.folder) | self.aws.environment(*self.keys[who])
        environment |= {"NO_PROXY": "127.0.0.1", "ANSIBLE_NOCOLOR": "1"}
        done = run(command, cwd=self.folder, env=environment, timeout=200)
        return " ".join(done.output.split())


def role(entry: str, name: str = ROLE) -> dict[str, Any]:
    """Return a task that runs an entry point of a role."""
    return {
        "name": f"Run {entry}",
        "ansible.builtin.import_role": {"name": name, "tasks_from": entry},
    }


def module(name: str, **options: Any) -> dict[str, Any]:
    """Return a task that runs a module of ours."""
    return {"name": f"Run {name}", f"mlops.mlflow_aws.{name}": options}


@pytest.fixture(scope="module")
def account(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Account]:
    """Return an account in which the policies are deployed, and nothing else."""
    folder = tmp_path_factory.mktemp("aws")
    record = folder / "asked.jsonl"
    with ministack(free_ports(1)[0], folder, auth=True, record=record) as aws:
        manager = aws.client("secretsmanager")
        # As RDS makes it.
        cluster = f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:{STACK}-database-ab1"
        master = manager.create_secret(
            Name="rds!cluster-1",
            SecretString='{"password": "x"}',
            Tags=[{"Key": "aws:rds:primaryDBClusterArn", "Value": cluster}],
        )["ARN"]
        policies = rights.deploy_policies(aws)
        keys = {name: rights.person(aws, name, policies) for name in rights.PEOPLE}
        yield Account(aws, folder, record, policies, keys, master)


def test_an_operator_makes_and_changes_the_stacks(account: Account) -> None:
    """From nothing to a rerun that changes nothing, one project more, and one less."""
    steps = [role("preflight"), role("main"), role("projects")]
    repository = role("main", "mlops.mlflow_aws.mlflow_ecr")
    connection = {"region": REGION, "endpoint_url": account.aws.url}
    keys = module(
        "mlflow_project_key",
        projects=[{"name": "demo", "parameter": f"/mlflow/{STACK}/demo/key"}],
        kms_key="{{ mlflow_stack_outputs.KmsKeyArn }}",
        **connection,
    )
    said = account.play("operator", *steps, repository, keys)
    assert "failed=0" in said, said
    said = account.play("operator", *steps, repository, keys, *image(account), passwords(account))
    assert "changed=0" in said, said
    assert "MySQL at 127.0.0.1:1" in said, said
    read_passwords(account)
    two = [{"name": name, "state": "present"} for name in ("demo", "churn")]
    assert "changed=1" in account.play("operator", role("projects"), mlflow_project_records=two)
    two[1]["state"] = "absent"
    assert "changed=1" in account.play("operator", role("projects"), mlflow_project_records=two)
    assert rights.refused(rights.asked(account.record)) == []
    # The emulator's CloudFormation keeps no boundary of a role; that roles have it is tested on the templates.
    boundary = account.policies["BoundaryPolicyArn"]
    (stack,) = account.aws.client("cloudformation").describe_stacks(StackName=f"{STACK}-projects")[
        "Stacks"
    ]
    given = {entry["ParameterKey"]: entry["ParameterValue"] for entry in stack["Parameters"]}
    assert given["PermissionsBoundary"] == boundary


def project_secrets(account: Account) -> dict[str, str]:
    """Return the ARNs of a project's secrets, by their kind."""
    found = account.aws.client("cloudformation").describe_stacks(StackName=f"{STACK}-projects")
    told: dict[str, str] = json.loads(found["Stacks"][0]["Outputs"][0]["OutputValue"])
    return {kind: told[f"{kind}_secret"] for kind in ("runtime", "migrator")}


def passwords(account: Account) -> dict[str, Any]:
    """Return a task that reads secrets, and then does not find the database."""
    found = project_secrets(account)
    schemas = module(
        "mlflow_project_schema",
        projects=[{"name": "demo", **{kind: {"secret": arn} for kind, arn in found.items()}}],
        transport="mysql",
        login_host="127.0.0.1",
        login_port=1,
        login_secret=account.master,
        login_user="admin",
        timeout=1,
        region=REGION,
        endpoint_url=account.aws.url,
    )
    return {**schemas, "ignore_errors": True}


def read_passwords(account: Account) -> None:
    """Read the passwords as the same module does where they have to be set."""
    client = account.client("operator", "secretsmanager")
    owners = dict.fromkeys(project_secrets(account).values(), "demo")
    assert set(Secrets(client, "", []).credentials(owners)) == set(owners)


def test_others_have_what_they_need(account: Account) -> None:
    """On the stacks that the operator has made."""
    pulls = "{{ mlflow_stack_outputs.PullRoleArn }}"
    assert "failed=0" in account.play("colleague", role("read"), *image(account, role_arn=pulls))
    repository = role("main", "mlops.mlflow_aws.mlflow_ecr")
    assert "changed=0" in account.play("builder", repository, *image(account))
    compared = [role("preflight"), role("main"), repository, image(account)[0]]
    said = account.play("reviewer", *compared, dry=True)
    assert "changed=0" in said, said
    assert rights.refused(rights.asked(account.record)) == []


@pytest.mark.parametrize("who", ["operator", "colleague"])
def test_servers_become_the_projects(account: Account, who: str) -> None:
    """By the keys of who runs them, as the credential broker does; and the registry's token as a role."""
    become(account, who, f"/mlflow/{STACK}/")


def test_operators_migrate(account: Account) -> None:
    """As a role of its own, which colleagues may not become."""
    become(account, "operator", f"/mlflow-migrations/{STACK}/")


def become(account: Account, who: str, path: str) -> None:
    """Assume each role that is there."""
    roles = account.aws.client("iam").list_roles(PathPrefix=path)["Roles"]
    assert roles
    for entry in roles:
        account.client(who, "sts").assume_role(RoleArn=entry["Arn"], RoleSessionName=who)


def image(account: Account, **identity: str) -> list[dict[str, Any]]:
    """Return tasks that look the image up, and log in to the registry, as a role if one is given."""
    place = {"region": REGION, "endpoint_url": account.aws.url}
    folder = str(CHECKOUT / "docker")
    return [
        module("mlflow_image_info", path=folder, repository="mlflow", **place),
        module("mlflow_ecr_token", **place, **identity),
    ]


def test_the_recording_is_what_was_called(account: Account) -> None:
    """Remedy where it is not: MLFLOW_AWS_WRITE_CALLS=1 scripts/test aws -- -k test_rights."""
    made = rights.calls(rights.asked(account.record))
    assert all(made.values()), "It takes the tests before this one."
    if os.environ.get(rights.WRITE):
        rights.RECORDED.write_text(json.dumps(made, indent=1) + "\n")
    assert json.loads(rights.RECORDED.read_text()) == made


# Whoever holds an operator's keys has not more than the stacks.
ESCAPES: dict[str, Callable[[Account], object]] = {
    "a-role-without-boundary": lambda a: a.client("operator", "iam").create_role(
        RoleName="mlflow-ServerRole-x", AssumeRolePolicyDocument="{}"
    ),
    "a-role-with-boundary-directly": lambda a: a.client("operator", "iam").create_role(
        RoleName="mlflow-ServerRole-x",
        AssumeRolePolicyDocument="{}",
        PermissionsBoundary=a.policies["BoundaryPolicyArn"],
    ),
    "the-boundary-itself": lambda a: a.client("operator", "iam").create_policy_version(
        PolicyArn=a.policies["BoundaryPolicyArn"], PolicyDocument="{}", SetAsDefault=True
    ),
    "own-policy": lambda a: a.client("operator", "iam").put_user_policy(
        UserName="operator", PolicyName="more", PolicyDocument="{}"
    ),
    "the-stack-of-policies": lambda a: a.client("operator", "cloudformation").delete_stack(
        StackName="mlflow-policies"
    ),
    "another-stack": lambda a: a.client("operator", "cloudformation").create_change_set(
        StackName="other", ChangeSetName="x", TemplateBody="{}", ChangeSetType="CREATE"
    ),
    "another-secret": lambda a: a.client("colleague", "secretsmanager").get_secret_value(
        SecretId=a.master
    ),
    "the-colleague-changes-a-stack": lambda a: a.client("colleague", "cloudformation").delete_stack(
        StackName=STACK
    ),
    "the-colleague-migrates": lambda a: become(a, "colleague", f"/mlflow-migrations/{STACK}/"),
    "the-colleague-pushes": lambda a: a.client("colleague", "ecr").get_authorization_token(),
    "the-builder-makes-a-repository": lambda a: a.client("builder", "ecr").create_repository(
        repositoryName="other"
    ),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_nobody_has_more(account: Account, name: str) -> None:
    """AWS refuses what is not in the policies, for want of a right."""
    with pytest.raises(ClientError, match="not authorized to perform"):
        ESCAPES[name](account)
