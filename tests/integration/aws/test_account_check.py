# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook verify_aws at an emulator that enforces IAM, with a real MySQL; image and hosts are left out.

The tests build on each other: planned, refused, interrupted and continued, with a check and a removal that fail.
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
from ansible_collections.mlops.mlflow_aws.tests.parts import mysql_server
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import (
    ACCOUNT,
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

STACK = "mlflow-check"
PLAYBOOK = CHECKOUT / "playbooks" / "verify_aws.yml"
PROGRAM = Path(sys.prefix) / "bin" / "ansible-playbook"


@dataclass
class Account:
    """An account, and a user who verifies it from an empty home."""

    aws: Ministack
    mysql: mysql_server.Mysql
    folder: Path
    environment: Mapping[str, str]
    secret: str

    def variables(self, **more: Any) -> dict[str, Any]:
        """Return what the inventory says."""
        return {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "mlflow_stack_region": REGION,
            "mlflow_stack_endpoint_url": self.aws.url,
            # Of the team's own stack, which is none of the playbook's business.
            "mlflow_stack_parameters": {"ArtifactBucketName": "a-bucket-of-the-team"},
            "mlflow_projects": [{"name": "demo"}],
            "mlflow_project_transport": "mysql",
            "mlflow_backend_ca": self.mysql.ca,
            "mlflow_account_check_folder": str(self.folder / "reports"),
            "mlflow_account_check_skip": ["image", "hosts"],
            "mlflow_account_check_stack_parameters": {
                "Relay": "false",
                "ExistingDatabaseEndpoint": self.mysql.host,
                "ExistingDatabasePort": str(self.mysql.port),
                "ExistingDatabaseUsername": self.mysql.user,
                "ExistingDatabaseSecretArn": self.secret,
            },
            **more,
        }

    def command(self, *options: str, **more: Any) -> list[str | Path]:
        """Return the command, with an inventory that is written for it."""
        path = self.folder / "hosts.yml"
        hosts = {"localhost": self.variables(**more)}
        path.write_text(yaml.safe_dump({"mlflow_servers": {"hosts": hosts}}))
        return [PROGRAM, "-i", path, PLAYBOOK, *options]

    def play(self, *options: str, check: bool = True, **more: Any) -> Done:
        """Run the playbook."""
        command = self.command(*options, **more)
        return run(command, cwd=self.folder, env=dict(self.environment), timeout=800, check=check)

    def stacks(self) -> dict[str, str]:
        """Return the status of each stack by its name."""
        found = self.aws.client("cloudformation").describe_stacks()["Stacks"]
        return {stack["StackName"]: stack["StackStatus"] for stack in found}

    def buckets(self) -> list[str]:
        """Return the names of all buckets."""
        return [entry["Name"] for entry in self.aws.client("s3").list_buckets()["Buckets"]]

    def schemas(self) -> list[str]:
        """Return the names of the projects' schemas."""
        return [row[0] for row in self.mysql.query("SHOW DATABASES LIKE 'mlflow\\_%'")]

    def report(self) -> dict[str, Any]:
        """Return the last report."""
        last = max((self.folder / "reports").glob("*.json"), key=lambda path: path.stat().st_mtime)
        found: dict[str, Any] = json.loads(last.read_text())
        assert ACCOUNT not in last.read_text()
        assert ACCOUNT not in last.with_suffix(".txt").read_text()
        return found

    def left(self) -> list[Any]:
        """Return everything that a verification may leave in the account."""
        client = self.aws.client
        keys = client("kms").list_keys()["Keys"]
        states = [
            client("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"]
            for key in keys
        ]
        roles = client("iam").list_roles()["Roles"]
        return [
            *self.stacks(),
            *self.buckets(),
            *self.schemas(),
            *(state for state in states if state != "PendingDeletion"),
            *(entry["Name"] for entry in client("ssm").describe_parameters()["Parameters"]),
            *(entry["RoleName"] for entry in roles if entry["Path"].startswith("/mlflow/")),
            *(
                entry["ARN"]
                for entry in client("secretsmanager").list_secrets()["SecretList"]
                if entry["ARN"] != self.secret
            ),
        ]


@pytest.fixture(scope="module")
def account(
    mysql_image: str,
    free_ports: Callable[[int], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Account]:
    """Return an account that is empty but for the secret of a database."""
    folder = tmp_path_factory.mktemp("account")
    name, password = f"mlflow-test-check-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    port, tls = free_ports(2)
    with (
        # With TLS, which the bucket's policy requires of a project.
        ministack(port, folder, tls, auth=True) as aws,
        mysql_server.running(mysql_image, name, free_ports(1)[0], password=password) as mysql,
    ):
        content = json.dumps({"username": mysql.user, "password": password})
        secret = aws.client("secretsmanager").create_secret(Name="master", SecretString=content)
        environment = clean_environment(folder) | aws.environment() | {"ANSIBLE_NOCOLOR": "1"}
        yield Account(aws, mysql, folder, environment, secret["ARN"])


def said(done: Done) -> str:
    """Return what Ansible shows, on one line."""
    return " ".join(done.output.split())


def test_a_plan_makes_nothing(account: Account) -> None:
    """It shows account, costs and how to confirm, and ends well."""
    text = said(account.play())
    assert f"Account {ACCOUNT}, region {REGION}" in text
    assert "US dollars by list prices" in text
    assert f"Nothing was created. To go on, add: -e confirm={STACK}" in text
    assert account.left() == []
    text = said(account.play("-e", "confirm=mlflow", check=False))
    assert f"the stack that this run creates and removes is '{STACK}'" in text
    assert account.left() == []


def test_what_exists_is_refused(account: Account) -> None:
    """Before anything is made: a stack of the name, and one that -e would lead to."""
    aws = account.aws.client("cloudformation")
    body = json.dumps({"Resources": {"T": {"Type": "AWS::SNS::Topic"}}})
    for name in (f"{STACK}-hosts", "mlflow"):
        aws.create_stack(StackName=name, TemplateBody=body)
    done = account.play("-e", f"confirm={STACK}", check=False)
    assert done.code != 0
    assert f"Stack '{STACK}-hosts' exists and does not have the tag" in said(done)
    aws.delete_stack(StackName=f"{STACK}-hosts")
    options = ("-e", f"confirm={STACK}", "-e", "mlflow_stack_name=mlflow")
    done = account.play(*options, check=False, mlflow_account_check_stack=STACK)
    assert done.code != 0
    assert "A variable set with -e overrides the throw-away stack" in said(done)
    assert account.stacks() == {"mlflow": "CREATE_COMPLETE"}
    aws.delete_stack(StackName="mlflow")
    assert account.left() == []


@pytest.mark.thorough(
    "A plan and its refusals run every time, and an interrupted stack in test_stack.py."
)
def test_an_interrupted_run_is_continued(account: Account) -> None:
    """The next one finds the stack, ends what was begun, and leaves nothing; each claim has its result."""
    process = subprocess.Popen(
        account.command("-e", f"confirm={STACK}"),
        cwd=account.folder,
        env=dict(account.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 400
    while STACK not in account.stacks():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    # Ansible's workers have sessions of their own, and would stay for ever.
    for pid in processes(process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    done = account.play("-e", f"confirm={STACK}")
    assert "The stack of an earlier run exists; this run continues with it." in said(done)
    results = {entry["name"]: entry for entry in account.report()["checks"]}
    passed = {name for name, entry in results.items() if entry["result"] == "passed"}
    assert passed == {
        *("stacks", "administrator", "role_delay", "objects_refused", "secret_refused"),
        *("key_refused", "tls", "schema_refused", "new_password", "password_rotation", "removal"),
    }
    assert not [name for name, entry in results.items() if entry["result"] == "failed"]
    absent = {name: entry["evidence"] for name, entry in results.items() if name not in passed}
    assert "which is not an endpoint of Amazon RDS" in absent["amazon_ca"]
    assert "existing database" in absent["pause"]
    assert absent["image"] == "left out by mlflow_account_check_skip"
    assert absent["wake"] == "needs pause, which is not here"
    assert account.left() == []


@pytest.mark.thorough(
    "Results and stacks are unit tests; a whole run is made and removed every time."
)
def test_what_fails_is_told_and_the_rest_goes_on(account: Account) -> None:
    """A check that fails, and something that the removal may not delete; the next run ends it."""
    bucket = f"{STACK}-{ACCOUNT}-{REGION}"
    s3 = account.aws.client("s3")
    where = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    s3.put_object(Bucket=bucket, Key="of-the-team.txt", Body=b"kept")
    # Who may connect without TLS breaks what the check claims.
    account.mysql.query("SET GLOBAL require_secure_transport = OFF")
    account.mysql.query("ALTER USER 'admin'@'%' REQUIRE NONE")
    done = account.play("-e", f"confirm={STACK}", check=False)
    assert done.code != 0
    assert "tls, removal failed" in said(done)
    results = {entry["name"]: entry for entry in account.report()["checks"]}
    assert "accepted a connection without TLS" in results["tls"]["evidence"]
    assert results["amazon_ca"]["result"] == "not reached"
    assert results["schema_refused"]["result"] == "passed"
    assert results["removal"]["result"] == "failed"
    assert "template bucket" in results["removal"]["evidence"]
    assert account.left() == [bucket]
    account.mysql.query("SET GLOBAL require_secure_transport = ON")
    account.mysql.query("ALTER USER 'admin'@'%' REQUIRE SSL")
    s3.delete_object(Bucket=bucket, Key="of-the-team.txt")
    account.play("-e", f"confirm={STACK}", "-e", "mlflow_account_check_minutes=8")
    results = {entry["name"]: entry for entry in account.report()["checks"]}
    assert results["stacks"]["evidence"] == "the time limit was reached"
    assert results["removal"]["result"] == "passed"
    assert account.left() == []
