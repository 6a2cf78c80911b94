# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Migrations have the migrators' role by a broker, while they run, on an AWS that enforces IAM.

The host's own keys may assume that role, and nothing else; its policy is that of the template.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests import support
from ansible_collections.mlops.mlflow_aws.tests.parts import emulator, mysql_server
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Engine
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_host import Docker
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import Ministack, ministack
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Modules, await_, end_group
from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation._deployed import (
    ACCOUNT,
    PSEUDO,
    deploy,
)
from botocore.exceptions import ClientError

# The first test may have to build an image.
pytestmark = pytest.mark.timeout(900)

MIGRATOR = (
    "ALTER, CREATE, DELETE, DROP, INDEX, INSERT, LOCK TABLES, REFERENCES, SELECT, TRIGGER, UPDATE"
)
PROFILE = "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n"
STACK = PSEUDO["AWS::StackName"]
JOB = "label=io.github.mlops-collections.mlflow_aws.job"
ASK = """
import socket
from pathlib import Path
path = Path("/run/mlflow-broker/own/aws.sock")
with socket.socket(socket.AF_UNIX) as s:
    s.connect(str(path))
    s.sendall(path.with_suffix(".key").read_bytes())
    print(s.makefile().read())
"""
# The entry point of an image whose migrations begin late.
LATE = """
import os, sys, time
time.sleep(20)
os.execv(sys.executable, [sys.executable, "-I", "/opt/mlflow/mlflow_entry.py", *sys.argv[1:]])
"""


@pytest.fixture(scope="module")
def mysql(mysql_image: str, free_ports: Callable[[int], list[int]]) -> Iterator[mysql_server.Mysql]:
    """Return a real MySQL that stands for Aurora."""
    name = f"mlflow-test-migration-{secrets.token_hex(4)}"
    with mysql_server.running(
        mysql_image, name, free_ports(1)[0], password=secrets.token_hex(8)
    ) as made:
        yield made


@pytest.fixture(scope="module")
def aws(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ministack]:
    """Return a ministack that enforces IAM."""
    with ministack(free_ports(1)[0], tmp_path_factory.mktemp("aws"), auth=True) as server:
        yield server


@dataclass
class Place:
    """A host with an engine and a login that may assume the migrators' role, and one schema."""

    modules: Modules
    docker: Docker
    aws: Ministack
    mysql: mysql_server.Mysql
    image: str
    folder: Path
    state: Path
    instance: str
    role: str

    @property
    def options(self) -> dict[str, Any]:
        """Return the options of mlflow_mysql_migration."""
        user = f"mlflow_mg_{self.instance}"
        database = {"user": user, "secret": self.secret("migrator"), "ca": self.mysql.ca}
        place = {
            "docker_host": self.docker.host,
            "image": self.image,
            "aws_config_dir": str(self.folder),
        }
        return {
            **place,
            "schemas": [
                {
                    "name": "demo",
                    "uri": f"mysql+pymysql://127.0.0.1:{self.mysql.port}/{self.instance}",
                    "database": database,
                }
            ],
            "aws": self.aws.options(),
            "runtime": "docker",
            "docker_network": "host",
            "timeout": 300,
            "broker_options": {
                **place,
                **self.aws.options(),
                "state_dir": str(self.state),
                "docker_instance": self.instance,
                "projects": {"migrations": self.role},
                "timeout": 120,
            },
        }

    def secret(self, kind: str) -> str:
        """Return the name of a secret."""
        return f"{self.instance}-{kind}"

    def log_in(self, key: str, secret: str) -> None:
        """Write the host's AWS configuration."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder / "credentials"
        path.write_text(PROFILE.format(key, secret))
        (self.folder / "config").write_text(f"[default]\nregion = {emulator.REGION}\n")
        for place in (self.folder, *self.folder.iterdir()):
            if os.geteuid() == 0:
                os.chown(place, 65532, 65532)

    def left(self) -> list[str]:
        """Return the containers and volumes of the broker that are there."""
        name = f"name={self.instance}-migration.broker"
        containers = self.docker("ps", "--all", "--filter", name, "--format", "{{.Names}}")
        volumes = self.docker("volume", "ls", "--filter", name, "--format", "{{.Name}}")
        return containers.split() + volumes.split()

    def jobs(self) -> list[str]:
        """Return the migrations' containers that run with our sockets."""
        found = self.docker("ps", "--filter", JOB, "--format", "{{.Names}}").split()
        wanted = f"{self.instance}-migration.broker.migrations"
        return [name for name in found if wanted in self.docker("inspect", name, check=False)]

    def tables(self) -> int:
        """Return the number of tables in the schema."""
        query = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s"
        ((number,),) = self.mysql.query(query, self.instance)
        return int(number)


def make_role(aws: Ministack, name: str) -> str:
    """Make the role of the backend's template, and return its ARN."""
    role = deploy("backend").properties("MigrationRole")
    (policy,) = role["Policies"]
    # The template is evaluated for another account.
    own = json.dumps(policy["PolicyDocument"]).replace(ACCOUNT, emulator.ACCOUNT)
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": emulator.ACCOUNT}}
    iam = aws.client("iam")
    made = iam.create_role(
        RoleName=name,
        Path=role["Path"],
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    iam.put_role_policy(RoleName=name, PolicyName="migrations", PolicyDocument=own)
    return str(made["Role"]["Arn"])


@pytest.fixture
def place(
    modules: Modules,
    engine: Engine,
    aws: Ministack,
    mysql: mysql_server.Mysql,
    server_image: str,
    tmp_path: Path,
) -> Iterator[Place]:
    """Return a host whose schema is empty."""
    name = f"m{secrets.token_hex(4)}"
    role = make_role(aws, name)
    keys = aws.user(name, "sts:AssumeRole", resource=role)
    docker = Docker(engine.host)
    with support.short_folder() as state:
        made = Place(modules, docker, aws, mysql, server_image, tmp_path / "aws", state, name, role)
        made.log_in(*keys)
        password = secrets.token_hex(16)
        manager = aws.client("secretsmanager")
        for kind, tag in (("migrator", "mlflow-migrations"), ("runtime", "mlflow-project")):
            manager.create_secret(
                Name=made.secret(kind),
                SecretString=json.dumps({"password": password}),
                Tags=[{"Key": tag, "Value": STACK}],
            )
        user = f"mlflow_mg_{name}"
        mysql.query(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        mysql.query(f"CREATE USER `{user}`@'%%' IDENTIFIED BY %s REQUIRE SSL", password)
        mysql.query(f"GRANT {MIGRATOR} ON `{name}`.* TO `{user}`@'%'")
        yield made
        mysql.query(f"DROP DATABASE `{name}`")
        for kind in ("container", "volume"):
            for thing in made.left():
                docker(kind, "rm", "--force", thing, check=False)


@pytest.mark.thorough("The twin's first deployment migrates with that role every time.")
def test_a_migration_has_the_migrators_role_while_it_runs(place: Place) -> None:
    """By its socket: nothing else of AWS's is in its container, and afterwards there is no socket."""
    process = place.modules.start("mlflow_mysql_migration", place.options)
    try:
        await_(place.jobs, "no migration was started", 240)
        (job,) = place.jobs()
        answer = json.loads(place.docker.python(job, ASK))
        details = place.docker.inspect(job)
    finally:
        result = place.modules.finish(process, seconds=500)
    assert result["changed"], result
    assert place.tables() > 60
    assert place.left() == []
    mounted = {mount["Destination"] for mount in details["Mounts"]}
    assert mounted == {"/var/lib/mlflow", "/run/mlflow-broker"}
    assert not [entry for entry in details["Config"]["Env"] if entry.startswith("AWS_")]
    given = (answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])
    assert not [text for text in given if text in json.dumps(details) + json.dumps(result)]
    who = place.aws.client("sts", *given).get_caller_identity()["Arn"]
    assert f"assumed-role/{place.instance}/mlflow-migrations" in who
    manager = place.aws.client("secretsmanager", *given)
    assert manager.get_secret_value(SecretId=place.secret("migrator"))["SecretString"]
    refused: tuple[Callable[[], object], ...] = (
        lambda: manager.get_secret_value(SecretId=place.secret("runtime")),
        lambda: place.aws.client("s3", *given).list_buckets(),
    )
    for call in refused:
        with pytest.raises(ClientError, match="not authorized to perform"):
            call()


def test_a_migration_without_a_login_leaves_nothing(place: Place) -> None:
    """It says what to do, and the next one goes on."""
    place.log_in("AKIAIOSFODNN7EXAMPLE", "wrong")
    told = place.modules.refuse("mlflow_mysql_migration", place.options)
    assert (
        told
        == "AWS does not accept the credentials of this host (InvalidClientTokenId); correct them there."
    )
    assert (place.left(), place.tables()) == ([], 0)


@pytest.mark.thorough("A login that does not work ends a migration every time.")
def test_a_migration_that_is_killed_is_tidied_up_after(place: Place) -> None:
    """By the next run, which goes on, also where there is nothing left to migrate."""
    process = place.modules.start("mlflow_mysql_migration", place.options)
    try:
        await_(place.jobs, "no migration was started", 240)
        os.killpg(process.pid, signal.SIGKILL)
    finally:
        process.communicate()
        end_group(process)
    assert place.left()
    await_(lambda: not place.jobs(), "the migration does not end", 240)
    done = place.modules.finish(
        place.modules.start("mlflow_mysql_migration", place.options), seconds=500
    )
    assert not done.get("failed"), done
    assert place.left() == []
    assert place.tables() > 60


@pytest.mark.thorough("A login that does not work ends a migration every time.")
def test_a_broker_that_is_gone_is_told(place: Place) -> None:
    """After the time in which one that is restarted is back; the next run goes on, as it says."""
    late = f"{place.instance}:late"
    entry = json.dumps(["/opt/mlflow/venv/bin/python", "-c", LATE])
    place.docker("build", "-q", "-t", late, "-", stdin=f"FROM {place.image}\nENTRYPOINT {entry}\n")
    try:
        options = {**place.options, "image": late}
        process = place.modules.start("mlflow_mysql_migration", options)
        await_(place.jobs, "no migration was started", 240)
        place.docker("rm", "--force", f"{place.instance}-migration.broker")
        result = place.modules.finish(process, seconds=500)
    finally:
        place.docker("rmi", "--force", late)
    assert result.get("failed"), result
    assert re.fullmatch(
        rf"Project 'demo': The secret {place.secret('migrator')} cannot be read: The credential broker of this "
        r"host does not answer on /run/mlflow-broker/own/aws\.sock \(.*\); rerun the playbook\.",
        result["msg"],
    ), result["msg"]
    assert (place.left(), place.tables()) == ([], 0)
    done = place.modules.finish(
        place.modules.start("mlflow_mysql_migration", place.options), seconds=500
    )
    assert not done.get("failed"), done


@pytest.mark.thorough("A migration in a container runs every time.")
def test_a_process_has_the_role_too(place: Place, runtime: Mapping[str, Any]) -> None:
    """Its environment holds no credentials, though that of the module does."""
    folder = support.CHECKOUT / "programs" / "broker"
    programs = {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.py")
    }
    options = place.options | {
        "runtime": "process",
        "python": runtime["python"],
        "entrypoint": runtime["entrypoint"],
    }
    options["broker_options"] |= {
        "runtime": "process",
        "server_runtime": "process",
        "programs": programs,
        "requirements": (folder / "requirements.txt").read_text(),
    }
    foreign: dict[str, Any] = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "of-the-module",
    }
    process = place.modules.start("mlflow_mysql_migration", options, **foreign)
    seen: list[bytes] = []

    def found() -> bool:
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if b"migrate-all" in (path / "cmdline").read_bytes().split(b"\0"):
                    seen.append((path / "environ").read_bytes())
                    return True
            except OSError:
                continue
        return process.poll() is not None

    await_(found, "no migration was started", 600)
    result = place.modules.finish(process, seconds=600)
    assert not result.get("failed"), result
    assert seen
    assert not [text for text in seen if b"AKIA" in text or b"of-the-module" in text]
    assert place.tables() > 60
    assert not (place.state / "migration" / "sockets").exists()
    assert not (place.state / "migration" / "broker").exists()
