# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A team that uses the twin: it runs playbooks, and looks at what they made."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.tests.support import (
    CHECKOUT,
    Done,
    clean_environment,
    run,
)
from ansible_collections.mlops.mlflow_aws.tests.twin.twin import Twin

MINUTES = 60
TASK = re.compile(r"^TASK \[(.+?)\] \**$", re.MULTILINE)
RECAP = re.compile(r"^localhost +: ok=\d+ +changed=(\d+) .*failed=(\d+)", re.MULTILINE)
ROW = re.compile(r'"(\S+) +(http://127\.0\.0\.1:\d+) +ok +(\S+) +([0-9a-f]{32})"')


@dataclass
class Team:
    """A team that runs the playbooks with inventories/aws and the twin's overrides."""

    twin: Twin
    home: Path
    # Names of the tasks that changed something in any run.
    changing: set[str] = field(default_factory=set)

    def play(
        self,
        playbook: str,
        *options: str,
        variables: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> Done:
        """Run a playbook; `variables` override those of the inventories, as a team's own would."""
        with self.overlay(variables or {}) as inventory:
            done = run(
                [*self.command(playbook, inventory), *options],
                cwd=self.home,
                env=self.environment | dict(environment or {}),
                timeout=20 * MINUTES,
                check=check,
            )
        if done.code == 0:
            self.changing.update(changes(done))
        return done

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment in which the team's playbooks run, with a habit of the team's own."""
        habits = {"ANSIBLE_PRIVATE_ROLE_VARS": "true"}
        return clean_environment(self.home) | self.twin.environment | habits

    def command(self, playbook: str, inventory: Path) -> list[str | Path]:
        """Return the command that runs a playbook, with one more inventory on top."""
        program = Path(sys.executable).parent / "ansible-playbook"
        command: list[str | Path] = [program, CHECKOUT / "playbooks" / f"{playbook}.yml"]
        for place in (CHECKOUT / "inventories" / "aws", self.twin.inventory, inventory):
            command += ["--inventory", place]
        return command

    @contextmanager
    def overlay(self, variables: Mapping[str, Any]) -> Iterator[Path]:
        """Write one more inventory for a while."""
        with tempfile.TemporaryDirectory(prefix="overlay-", dir=self.home) as name:
            folder = Path(name)
            # The twin's own merged dictionaries are variables of the host.
            for name in ("group_vars/mlflow_servers.yml", "host_vars/localhost.yml"):
                path = folder / name
                path.parent.mkdir()
                path.write_text(yaml.safe_dump(dict(variables)))
            (folder / "hosts.yml").write_text("mlflow_servers: {}\n")
            yield folder

    def containers(self) -> dict[str, str]:
        """Return the ids of the servers' containers that run, by project."""
        prefix = f"{self.twin.instance}-"
        lines = self.twin.engine.docker(
            "ps", "--no-trunc", "--filter", f"name=^{prefix}", "--format", "{{.Names}} {{.ID}}"
        ).splitlines()
        pairs = (line.split() for line in lines)
        return {name.removeprefix(prefix): identifier for name, identifier in pairs}

    def inspect(self, project: str) -> dict[str, Any]:
        """Return what the engine tells of a server's container."""
        text = self.twin.engine.docker("inspect", f"{self.twin.instance}-{project}")
        found: dict[str, Any] = json.loads(text)[0]
        return found

    def secrets(self) -> dict[str, str]:
        """Return every password that AWS holds, by the description or name of its secret."""
        manager = self.twin.aws.client("secretsmanager")
        found = {}
        for page in manager.get_paginator("list_secrets").paginate():
            for item in page["SecretList"]:
                value = json.loads(manager.get_secret_value(SecretId=item["ARN"])["SecretString"])
                found[item["ARN"]] = value["password"]
        return found

    def keys(self) -> dict[str, str]:
        """Return every root key of a project that AWS holds, by the name of its parameter."""
        ssm = self.twin.aws.client("ssm")
        found = {}
        for page in ssm.get_paginator("describe_parameters").paginate():
            for item in page["Parameters"]:
                assert item["Type"] == "SecureString", item
                answer = ssm.get_parameter(Name=item["Name"], WithDecryption=True)
                found[item["Name"]] = answer["Parameter"]["Value"]
        return found

    def copy_schema(self, project: str, others: Iterable[str]) -> None:
        """Make other projects' schemas as if they had been migrated too, which would take seconds for each."""
        source = _names.schema_name(project)
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
        tables = [row[0] for row in self.twin.mysql.query(query, source)]

        def copy(other: str) -> None:
            schema = _names.schema_name(other)
            # Every table waits for a disk on which hundreds are made at once.
            with (
                closing(self.twin.mysql.connect(read_timeout=600)) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(
                    f"CREATE DATABASE `{schema}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
                )
                for name in tables:
                    cursor.execute(f"CREATE TABLE `{schema}`.`{name}` LIKE `{source}`.`{name}`")
                revision = f"SELECT * FROM `{source}`.alembic_version"
                cursor.execute(f"INSERT INTO `{schema}`.alembic_version {revision}")
                connection.commit()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(copy, others))

    def places(self, stack: str = "mlflow") -> dict[str, dict[str, str]]:
        """Return what the projects' stacks tell of each project, and in which stack it is."""
        pages = self.twin.aws.client("cloudformation").get_paginator("describe_stacks").paginate()
        return {
            value["name"]: {**value, "stack": found["StackName"]}
            for page in pages
            for found in page["Stacks"]
            if found["StackName"].startswith(f"{stack}-projects")
            for value in (json.loads(output["OutputValue"]) for output in found["Outputs"])
        }


def changes(done: Done) -> list[str]:
    """Return the names of the tasks that changed something, in a run without a failure."""
    found = RECAP.search(done.output)
    assert found, done.output
    assert found[2] == "0", done.output
    names, outputs = TASK.findall(done.output), TASK.split(done.output)[2::2]
    pairs = zip(names, outputs, strict=True)
    told = [name for name, output in pairs if "\nchanged: [" in output]
    assert len(told) == int(found[1]), done.output
    return told


def table(done: Done) -> dict[str, str]:
    """Return the URLs of the closing table by project; each has a health and a run."""
    return {name: url for name, url, _version, _run in ROW.findall(done.output)}


def projects(*names: str) -> dict[str, Any]:
    """Return the variables of an inventory with these projects."""
    return {"mlflow_projects": [{"name": name} for name in names]}
