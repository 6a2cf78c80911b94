# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook destroy on AWS: an emulator that enforces IAM, with a real MySQL as the team's own database.

The stacks, schemas and keys of a team, without servers; the twin has those (tests/twin/test_destroy.py). The tests
build on each other.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_aws.tests.parts import mysql_server, rights
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Engine
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import (
    REGION,
    Ministack,
    ministack,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.host import processes
from ansible_collections.mlops.mlflow_aws.tests.support import (
    CHECKOUT,
    Done,
    clean_environment,
    run,
)

pytestmark = pytest.mark.timeout(900)

STACK = "mlflow"
PROGRAM = Path(sys.prefix) / "bin" / "ansible-playbook"
# What deploy does before it needs an image.
DEPLOY = [
    ("mlflow_project", "main"),
    ("mlflow_backend", "preflight"),
    ("mlflow_backend", "main"),
    ("mlflow_ecr", "main"),
    ("mlflow_project", "identities"),
]


@dataclass
class Account:
    """An account, a team with a database of its own, and keys of somebody who may remove everything."""

    aws: Ministack
    mysql: mysql_server.Mysql
    engine: Engine
    folder: Path
    secret: str
    policies: Mapping[str, str]
    keys: Mapping[str, tuple[str, str]]
    record: Path

    def variables(self) -> dict[str, Any]:
        """Return what the inventory says."""
        return {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "mlflow_backend": "aws",
            "mlflow_state_dir": str(self.folder / "state"),
            "mlflow_server_docker_host": self.engine.host,
            "mlflow_server_docker_instance": "destroy-test",
            "mlflow_stack_region": REGION,
            "mlflow_stack_endpoint_url": self.aws.url,
            "mlflow_projects": [{"name": "demo"}, {"name": "churn-eu"}],
            "mlflow_project_transport": "mysql",
            "mlflow_backend_ca": self.mysql.ca,
            "mlflow_stack_parameters": {
                "Relay": "false",
                "PermissionsBoundary": self.policies["BoundaryPolicyArn"],
                "ExistingDatabaseEndpoint": self.mysql.host,
                "ExistingDatabasePort": str(self.mysql.port),
                "ExistingDatabaseUsername": self.mysql.user,
                "ExistingDatabaseSecretArn": self.secret,
            },
        }

    def command(self, playbook: Path, *options: str, **more: Any) -> list[str | Path]:
        """Return the command, with an inventory that is written for it."""
        path = self.folder / "hosts.yml"
        hosts = {"localhost": self.variables() | more}
        path.write_text(yaml.safe_dump({"mlflow_servers": {"hosts": hosts}}))
        return [PROGRAM, "-i", path, playbook, *options]

    def environment(self, who: str) -> dict[str, str]:
        """Return the environment of a person."""
        return (
            clean_environment(self.folder)
            | self.aws.environment(*self.keys[who])
            | {
                "ANSIBLE_NOCOLOR": "1",
                "NO_PROXY": "127.0.0.1",
            }
        )

    def deploy(self) -> None:
        """Deploy what deploy does before it needs an image."""
        tasks = [
            {
                "name": f"Run {entry} of {name}",
                "ansible.builtin.import_role": {
                    "name": f"mlops.mlflow_aws.{name}",
                    "tasks_from": entry,
                    "public": True,
                },
            }
            for name, entry in DEPLOY
        ]
        path = self.folder / "deploy.yml"
        play = {"hosts": "mlflow_servers", "gather_facts": False, "tasks": tasks}
        path.write_text(json.dumps([play]))
        command = self.command(path)
        run(command, cwd=self.folder, env=self.environment("operator"), timeout=400)
        # It refuses everything without TLS, which the emulator does not speak while it records what IAM is asked.
        self.aws.client("s3").delete_bucket_policy(Bucket=self.bucket())

    def destroy(self, *options: str, check: bool = True, **more: Any) -> str:
        """Run the playbook, and return what Ansible shows, on one line."""
        done: Done = run(
            self.command(CHECKOUT / "playbooks" / "destroy.yml", *options, **more),
            cwd=self.folder,
            env=self.environment("operator"),
            timeout=400,
            check=check,
        )
        assert check or done.code != 0
        return " ".join(done.output.split())

    def stacks(self) -> dict[str, bool]:
        """Return each stack by its name, and whether it is protected."""
        found = self.aws.client("cloudformation").describe_stacks()["Stacks"]
        return {
            stack["StackName"]: stack["EnableTerminationProtection"]
            for stack in found
            if stack["StackName"] != "mlflow-policies"
        }

    def bucket(self) -> str:
        """Return the name of the artifact bucket."""
        [name] = [
            entry["Name"]
            for entry in self.aws.client("s3").list_buckets()["Buckets"]
            if "artifactbucket" in entry["Name"]
        ]
        return str(name)

    def there(self) -> list[str]:
        """Return everything that the collection made."""
        client = self.aws.client
        users = self.mysql.query("SELECT user FROM mysql.user WHERE user LIKE 'mlflow\\_%'")
        roles = client("iam").list_roles()["Roles"]
        keys = client("kms").list_keys()["Keys"]
        states = [
            client("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"]
            for key in keys
        ]
        return [
            *self.stacks(),
            *(entry["Name"] for entry in client("s3").list_buckets()["Buckets"]),
            *(row[0] for row in self.mysql.query("SHOW DATABASES LIKE 'mlflow\\_%'")),
            *(row[0] for row in users),
            *(state for state in states if state != "PendingDeletion"),
            *(entry["Name"] for entry in client("ssm").describe_parameters()["Parameters"]),
            *(e["repositoryName"] for e in client("ecr").describe_repositories()["repositories"]),
            *(entry["RoleName"] for entry in roles if entry["Path"].startswith("/mlflow/")),
        ]


@pytest.fixture(scope="module")
def account(
    engine: Engine,
    mysql_image: str,
    free_ports: Callable[[int], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Account]:
    """Return an account in which the policies are deployed, and a secret of the team's database."""
    folder = tmp_path_factory.mktemp("account")
    name, password = f"mlflow-test-destroy-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    record = folder / "asked.jsonl"
    with (
        ministack(free_ports(1)[0], folder, auth=True, record=record) as aws,
        mysql_server.running(mysql_image, name, free_ports(1)[0], password=password) as mysql,
    ):
        content = json.dumps({"username": mysql.user, "password": password})
        manager = aws.client("secretsmanager")
        secret = manager.create_secret(Name="master", SecretString=content)["ARN"]
        policies = rights.deploy_policies(aws, MasterSecretArn=secret)
        keys = {name: rights.person(aws, name, policies) for name in ("operator",)}
        yield Account(aws, mysql, engine, folder, secret, policies, keys, record)


def test_a_list_changes_nothing(account: Account) -> None:
    """Without the word, with a wrong one, and in check mode; each shows the list before."""
    account.deploy()
    before, stacks = account.there(), account.stacks()
    assert len(before) > 10
    assert stacks == {STACK: True, f"{STACK}-projects": True}
    shown = [
        f"AWS: stack {STACK}-projects is deleted: roles and secrets of demo, churn-eu",
        f"the database {account.mysql.host} is your own and stays, without the projects' schemas",
        f"AWS: parameter /mlflow/{STACK}/demo/key is deleted: root key of a project",
        f"AWS: bucket {account.bucket()} is deleted: artifacts of all projects, 0 versions",
        "AWS: ECR repository mlflow is deleted",
        "is deleted: AWS deletes it after 30 days",
    ]
    for option, why in (
        ("confirm=", "confirm is not set, so nothing was removed"),
        ("confirm=yes", "confirm is 'yes', so nothing was removed"),
    ):
        text = account.destroy("-e", option, check=False)
        assert all(line in text for line in shown), text
        assert why in text
        assert f"to remove all that is listed, add -e confirm={STACK}." in text
    text = account.destroy("--check")
    assert all(line in text for line in shown), text
    assert "changed=2" in text
    assert (account.there(), account.stacks()) == (before, stacks)


@pytest.mark.thorough("That nothing is removed without the word is tested every time.")
def test_a_host_is_not_left_out(account: Account) -> None:
    """With --limit, as somebody would run it who means only the own laptop."""
    path = account.folder / "more.yml"
    path.write_text(yaml.safe_dump({"mlflow_servers": {"hosts": {"other": None}}}))
    before = account.there()
    options = ("-i", str(path), "--limit", "localhost", "-e", f"confirm={STACK}")
    text = account.destroy(*options, check=False)
    assert "This run leaves out other, whose servers need the backend that it removes" in text
    assert account.there() == before


@pytest.mark.parametrize(
    "moment",
    [
        "Removing parameter",
        pytest.param(
            "Removing bucket",
            marks=pytest.mark.thorough("One kill of the playbook runs every time."),
        ),
    ],
)
def test_an_interrupted_run_is_continued_and_deployed_again(account: Account, moment: str) -> None:
    """The next run ends it and tells what is left; deploy afterwards starts from nothing."""
    if not account.stacks():
        account.deploy()
    account.aws.client("s3").put_object(Bucket=account.bucket(), Key="projects/demo/x", Body=b"x")
    account.mysql.query("CREATE DATABASE IF NOT EXISTS mlflow_of_another_team")
    output = account.folder / "output"
    with output.open("w") as stream:
        process = subprocess.Popen(
            account.command(CHECKOUT / "playbooks" / "destroy.yml", "-e", f"confirm={STACK}"),
            cwd=account.folder,
            env=account.environment("operator"),
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + 300
        while moment not in output.read_text():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # Ansible's workers have sessions of their own, and would stay for ever.
        for pid in processes(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
    text = account.destroy("-e", f"confirm={STACK}")
    assert account.there() == ["mlflow_of_another_team"]
    account.mysql.query("DROP DATABASE mlflow_of_another_team")
    assert "AWS: stack mlflow-policies is left: policies that an administrator deployed" in text
    assert "is left: AWS deletes it on 20" in text
    again = account.destroy("-e", f"confirm={STACK}")
    assert "changed=0" in again
    account.deploy()
    assert len(account.there()) > 10
    account.destroy("-e", f"confirm={STACK}")
    assert account.there() == []


def test_an_operator_was_refused_nothing(account: Account) -> None:
    """With the policies of cloudformation/policies.yml, of which one is for the removal alone."""
    assert rights.refused(rights.asked(account.record)) == []


@pytest.mark.thorough("One host is there every time.")
def test_hosts_that_are_gone_are_no_obstacle(account: Account) -> None:
    """An empty group, as a dynamic inventory has it after the hosts on EC2 were terminated."""
    path = account.folder / "empty.yml"
    variables = account.variables() | {"mlflow_state_dir": "/nonexistent"}
    path.write_text(yaml.safe_dump({"all": {"vars": variables}, "mlflow_servers": {"hosts": {}}}))
    playbook = CHECKOUT / "playbooks" / "destroy.yml"
    command: list[str | Path] = [PROGRAM, "-i", path, playbook, "-e", f"confirm={STACK}"]
    done = run(command, cwd=account.folder, env=account.environment("operator"), timeout=300)
    assert "AWS: stack mlflow-policies is left" in done.output
    assert "changed=0" in done.output
