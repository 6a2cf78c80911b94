# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The AWS path whole under the policies of cloudformation/policies.yml, on a twin that enforces IAM.

Each person has a user of the emulator with exactly the policies that the documents give, for the
playbooks and for the credential broker of the servers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.integration.aws.test_policies import needed
from ansible_collections.mlops.mlflow_aws.tests.parts import emulator, rights
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Problem
from ansible_collections.mlops.mlflow_aws.tests.support import Done
from ansible_collections.mlops.mlflow_aws.tests.twin._team import (
    MINUTES,
    Team,
    changes,
    projects,
    table,
)
from ansible_collections.mlops.mlflow_aws.tests.twin.twin import SERVER_UID
from ansible_collections.mlops.mlflow_aws.tests.twin.twin import twin as bring_up

pytestmark = [
    pytest.mark.timeout(60 * MINUTES),
    pytest.mark.thorough("tests/integration/aws/test_rights.py makes the same calls every time."),
]


@dataclass(frozen=True)
class People:
    """A team's people on a twin, each with keys of their own."""

    team: Team
    record: Path
    boundary: str

    def play(self, who: str, playbook: str, *options: str, **variables: Any) -> Done:
        """Run a playbook as somebody."""
        folder = self.folder(who)
        keys = {
            "AWS_CONFIG_FILE": str(folder / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        }
        given = {
            "mlflow_server_aws_config_dir": str(folder),
            "mlflow_stack_parameters": {
                **self.team.twin.variables["mlflow_stack_parameters"],
                "PermissionsBoundary": self.boundary,
            },
            **variables,
        }
        return self.team.play(playbook, *options, variables=given, environment=keys)

    def folder(self, who: str) -> Path:
        """Return somebody's AWS config directory."""
        return self.team.twin.folder / who

    def log_in(self, who: str, key: str, secret: str) -> None:
        """Write somebody's keys, which the servers' user reads too."""
        folder = self.folder(who)
        folder.mkdir()
        (folder / "config").write_text(f"[default]\nregion = {emulator.REGION}\n")
        (folder / "credentials").write_text(
            f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        )
        for path in (folder, folder / "config", folder / "credentials"):
            path.chmod(0o755 if path == folder else 0o644)
            if os.geteuid() == 0:
                os.chown(path, SERVER_UID, SERVER_UID)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """Return people in an account in which an administrator has deployed the policies."""
    folder = tmp_path_factory.mktemp("twin")
    record = folder / "asked.jsonl"
    with ExitStack() as stack:
        try:
            made = stack.enter_context(bring_up(folder, auth=True, record=record))
        except Problem as problem:
            pytest.fail(str(problem), pytrace=False)
        policies = rights.deploy_policies(made.aws, MasterSecretArn=made.secret_arn)
        team = Team(made, tmp_path_factory.mktemp("home"))
        found = People(team, record, policies["BoundaryPolicyArn"])
        for name in rights.PEOPLE:
            found.log_in(name, *rights.person(made.aws, name, policies))
        yield found


def test_an_operator_deploys(people: People) -> None:
    """From nothing, a rerun, more playbooks alone, and one project less."""
    people.play("operator", "backend")
    # It refuses what comes without TLS, as all does here; tests/twin/test_identities.py has TLS.
    s3 = people.team.twin.aws.client("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        s3.delete_bucket_policy(Bucket=bucket["Name"])
    done = people.play("operator", "deploy")
    assert set(table(done)) == {"demo", "churn"}
    assert changes(people.play("operator", "deploy")) == []
    assert changes(people.play("operator", "projects")) == []
    assert set(table(people.play("operator", "verify"))) == {"demo", "churn"}
    fewer = projects("demo", "churn")
    fewer["mlflow_projects"][1]["state"] = "absent"
    done = people.play("operator", "deploy", **fewer)
    assert set(table(done)) == {"demo"}
    assert rights.refused(rights.asked(people.record)) == []


def test_others_use_it(people: People) -> None:
    """A colleague runs servers and verifies them; a CI pushes the image, and another one compares."""
    fewer = projects("demo")
    assert set(table(people.play("colleague", "servers", **fewer))) == {"demo"}
    assert set(table(people.play("colleague", "verify", **fewer))) == {"demo"}
    ecr = people.team.twin.aws.client("ecr")
    images = ecr.list_images(repositoryName="mlflow")["imageIds"]
    ecr.batch_delete_image(repositoryName="mlflow", imageIds=images)
    assert changes(people.play("builder", "image")) != []
    assert changes(people.play("reviewer", "backend", "--check", **fewer)) == []
    assert rights.refused(rights.asked(people.record)) == []


def test_no_call_is_new(people: People) -> None:
    """What the playbooks call here is among what the policies are judged by."""
    judged = needed()
    for who, made in rights.calls(rights.asked(people.record)).items():
        known = {call["action"] for call in judged[who]}
        assert {call["action"] for call in made} <= known, who
