# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shell in a project's server, in both runtimes, reaches no other project's schema and no metadata service.

What AWS refuses to it is in test_broker.py, whose hosts these are. MySQL is real, with IAM's plugin of
tests/parts/iam_login.py, and the projects' users are those that mlflow_project_schema makes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import (
    private,
)
from ansible_collections.mlops.mlflow_aws.tests import support
from ansible_collections.mlops.mlflow_aws.tests.integration.aws import test_broker
from ansible_collections.mlops.mlflow_aws.tests.integration.aws._entry import database_server
from ansible_collections.mlops.mlflow_aws.tests.integration.aws.test_broker import (
    BUCKET,
    PROJECTS,
    Brokered,
    Cloud,
    Shell,
    brokered_processes,
    needs_landlock,
)
from ansible_collections.mlops.mlflow_aws.tests.parts import iam_login, metadata_service
from ansible_collections.mlops.mlflow_aws.tests.parts.broker import ask
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_host import PYTHON
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import REGION
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Host, Modules
from ansible_collections.mlops.mlflow_aws.tests.parts.mysql_server import Mysql

# The first test may have to build an image.
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.thorough(
        "What AWS refuses to a server of each runtime, and MySQL to a project's user, is tried every time."
    ),
]

# The hosts of that file.
cloud, docker, image = test_broker.cloud, test_broker.docker, test_broker.image
brokered, programs = test_broker.brokered, test_broker.programs

KINDS = ("runtime", "migrator")


# Another project's schema.


@dataclass
class Database:
    """A MySQL with a schema of each project, who may log in by IAM, and the projects' secrets."""

    mysql: Mysql
    logins: iam_login.Logins
    modules: Modules
    cloud: Cloud
    migrators: dict[str, str]

    def uri(self, project: str) -> str:
        """Return the plain URI of a project's schema."""
        return f"mysql+pymysql://{self.mysql.host}:{self.mysql.port}/mlflow_{project}"

    def identity(self, project: str, kind: str = "runtime") -> dict[str, str]:
        """Return the `database` of a server's or a migration's options."""
        secrets = self.migrators if kind == "migrator" else self.cloud.secrets
        prefix = {"runtime": "mlflow_rt_", "migrator": "mlflow_mg_"}[kind]
        return {
            "secret": secrets[project],
            "user": f"{prefix}{project}",
            "ca": self.mysql.ca,
        }

    def options(self, project: str) -> dict[str, Any]:
        """Return the options of a server that differ from those of one with a database of its own."""
        return {
            "backend_store_uri": self.uri(project),
            "database": self.identity(project),
            "artifacts_destination": f"s3://{BUCKET}/projects/{project}",
            "aws": {**self.cloud.aws.options(), "role_arn": self.cloud.roles[project]},
        }

    def log_in_by(self, login: str) -> None:
        """Let the projects' users log in by a password or by IAM, as mlflow_project_schema does."""
        options = {
            "projects": [
                {
                    "name": name,
                    **{
                        kind: {"login": login, "secret": self.identity(name, kind)["secret"]}
                        for kind in KINDS
                    },
                }
                for name in PROJECTS
            ],
            "login_host": self.mysql.host,
            "login_port": self.mysql.port,
            "login_user": self.mysql.user,
            "login_password": self.mysql.password,
            "login_ca": self.mysql.ca,
            **self.cloud.aws.options(),
        }
        how: dict[str, Any] = {"python": sys.executable, **self.cloud.aws.environment()}
        self.modules.call("mlflow_project_schema", options, **how)

    def allow(self, project: str, answer: Mapping[str, str]) -> None:
        """Let the credentials of a project's role connect as its own user, as its policy does."""
        assert "error" not in answer
        signer = iam_login.Signer(
            answer["SecretAccessKey"], (f"mlflow_rt_{project}",), answer["SessionToken"]
        )
        self.logins.signers[answer["AccessKeyId"]] = signer

    def content(self, project: str) -> list[str]:
        """Return the names of a project's experiments, and fail if it has another table than MLflow's."""
        tables = self.mysql.query(
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s",
            f"mlflow_{project}",
        )
        assert tables == [(len(self.tables),)]
        rows = self.mysql.query(f"SELECT name FROM mlflow_{project}.experiments ORDER BY name")
        return [name for (name,) in rows]

    @property
    def tables(self) -> list[str]:
        """Return the names of MLflow's tables."""
        query = (
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'mlflow_alpha'"
        )
        return [name for (name,) in self.mysql.query(query)]


@pytest.fixture(scope="module")
def database(
    cloud: Cloud,
    modules: Modules,
    runtime: Mapping[str, Any],
    mysql_image: str,
    free_ports: Callable[[int], list[int]],
) -> Iterator[Database]:
    """Return a database with a migrated schema of each project, whose users log in by a password."""
    manager, migrators = cloud.aws.client("secretsmanager"), dict[str, str]()
    for name in PROJECTS:
        text = json.dumps({"project": name, "password": f"of {name}'s server"})
        manager.put_secret_value(SecretId=cloud.secrets[name], SecretString=text)
        text = json.dumps({"project": name, "password": f"of {name}'s migrations"})
        made = manager.create_secret(Name=f"{name}-migrator", SecretString=text)
        migrators[name] = made["ARN"]
    with (
        # A socket's path is short.
        tempfile.TemporaryDirectory(prefix="iam-") as folder,
        iam_login.checker(Path(folder), REGION) as logins,
        database_server(
            mysql_image, free_ports(1)[0], *iam_login.OPTIONS, volumes={iam_login.INSIDE: folder}
        ) as mysql,
    ):
        logins.host, logins.port = mysql.host, mysql.port
        database = Database(mysql, logins, modules, cloud, migrators)
        database.log_in_by("password")
        migration = {
            "schemas": [
                {"name": name, "uri": database.uri(name), "database": database.identity(name, "migrator")}
                for name in PROJECTS
            ],
            "aws": cloud.aws.options(),
            **{key: runtime[key] for key in ("python", "entrypoint")},
        }  # fmt: skip
        modules.call("mlflow_mysql_migration", migration, **cloud.aws.environment())
        mysql.query(
            "INSERT INTO mlflow_beta.experiments (experiment_id, name, lifecycle_stage) "
            "VALUES (7, 'of beta', 'active')"
        )
        yield database


# Asks MySQL with all that the server holds: its option file and, where the database asks for a token,
# its identity at AWS. sys.argv: program, settings, and a list of user (empty for its own), schema and
# statement; prints the rows, or the number of MySQL's error, for each.
ASK_MYSQL = """
import contextlib, json, os, sys
from pathlib import Path
from urllib.parse import urlsplit
sys.path.append(os.path.dirname(sys.argv[1]))
from mlflow_aws_server import option_file, private, settings
from pymysql.err import MySQLError
place = Path(sys.argv[2])
given = settings.read(place)
folder = private.private_base() / private.private_name(place)
os.environ["AWS_CONFIG_FILE"] = str(folder / "aws-config")
os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(folder / "aws-credentials")
opened = option_file.opener(given["database"], given["aws"])
uri = urlsplit(given["backend_store_uri"])

def result(user, schema, statement):
    try:
        connection = opened(
            host=uri.hostname, port=uri.port, user=user or None, database=schema or None,
            read_default_file=str(folder / "my.cnf"), ssl={"ca": str(folder / "ca.pem")},
            autocommit=True, connect_timeout=20,
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(statement)
            return [row[0] for row in cursor.fetchall()]
    except MySQLError as error:
        return error.args[0]

print(json.dumps([result(*one) for one in json.loads(sys.argv[3])]))
"""
# How a shell asks: what it wants, and what comes of it.
AskMysql = Callable[[list[tuple[str, str, str]]], list[Any]]
NO_SCHEMA, NO_TABLE, NO_LOGIN = 1044, 1142, 1045
OWN = "SELECT name FROM experiments ORDER BY name"
OTHERS = "SELECT name FROM mlflow_beta.experiments ORDER BY name"
# What a shell in alpha's server tries, and the error with which MySQL refuses it.
TRIES: dict[tuple[str, str, str], int] = {
    ("", "mlflow_beta", "SELECT 1"): NO_SCHEMA,
    ("", "", "USE mlflow_beta"): NO_SCHEMA,
    ("", "", OTHERS): NO_TABLE,
    ("", "", "SHOW CREATE TABLE mlflow_beta.experiments"): NO_TABLE,
    ("", "", "SHOW TABLES FROM mlflow_beta"): NO_SCHEMA,
    ("", "", "INSERT INTO mlflow_beta.experiments (name) VALUES ('of alpha')"): NO_TABLE,
    ("", "", "UPDATE mlflow_beta.experiments SET name = 'of alpha'"): NO_TABLE,
    ("", "", "DELETE FROM mlflow_beta.experiments"): NO_TABLE,
    ("", "", "TRUNCATE TABLE mlflow_beta.experiments"): NO_TABLE,
    ("", "", "DROP TABLE mlflow_beta.experiments"): NO_TABLE,
    ("", "", "CREATE TABLE mlflow_beta.alphas (x INT)"): NO_TABLE,
    ("", "", "ALTER TABLE mlflow_beta.experiments ADD COLUMN x INT"): NO_TABLE,
    ("", "", "INSERT INTO experiments SELECT * FROM mlflow_beta.experiments"): 1046,
    ("", "mlflow_alpha", "INSERT INTO experiments SELECT * FROM mlflow_beta.experiments"): NO_TABLE,
    ("", "", "DROP DATABASE mlflow_beta"): NO_SCHEMA,
    ("", "", "GRANT SELECT ON mlflow_beta.* TO mlflow_rt_alpha"): NO_SCHEMA,
    ("", "", "SELECT user FROM mysql.user"): NO_TABLE,
    ("", "mlflow_alpha", "CREATE TABLE more (x INT)"): NO_TABLE,
    **dict.fromkeys(
        [
            (user, "", "SELECT 1")
            for user in ("mlflow_rt_beta", "mlflow_mg_beta", "mlflow_mg_alpha", "admin", "root")
        ],
        NO_LOGIN,
    ),
}  # fmt: skip


def require_own_schema(database: Database, alpha: AskMysql, beta: AskMysql) -> None:
    """Fail if a shell in alpha's server reaches beta's schema, by a password or by IAM."""
    for login in ("password", "iam"):
        database.log_in_by(login)
        database.logins.tries.clear()
        # They do their work, and the statement that is refused to alpha is right.
        assert alpha([("", "mlflow_alpha", OWN)]) == [["Default"]]
        assert beta([("", "mlflow_beta", OWN), ("", "", OTHERS)]) == [["Default", "of beta"]] * 2
        found = dict(zip(TRIES, alpha(list(TRIES)), strict=True))
        assert found == TRIES, login
        (schemas,) = alpha([("", "", "SHOW DATABASES")])
        assert "mlflow_alpha" in schemas
        assert "mlflow_beta" not in schemas
        assert database.content("beta") == ["Default", "of beta"]
        assert database.content("alpha") == ["Default"]
        refused = {user: reason for user, reason in database.logins.tries if reason}
        # Users that do not log in by IAM are not asked about.
        others = ("mlflow_rt_beta", "mlflow_mg_beta", "mlflow_mg_alpha") if login == "iam" else ()
        assert refused == {user: f"rds-db:connect is not allowed for {user}" for user in others}


def test_a_container_reaches_its_own_schema_alone(brokered: Brokered, database: Database) -> None:
    """MySQL refuses the other one to all that is in it, to read and to write."""
    database.log_in_by("password")
    brokered.converge(*PROJECTS)
    host = brokered.host
    servers = [host.server(name, **database.options(name)) for name in PROJECTS]
    records = host.converge(*servers, broker="docker", docker_network="host")["servers"]
    assert [record["healthy"] for record in records] == [True, True]
    for name in PROJECTS:
        database.allow(name, brokered.credentials(name))

    def asker(project: str) -> AskMysql:
        settings = "/var/lib/mlflow/settings.json"

        def ask_mysql(tries: list[tuple[str, str, str]]) -> list[Any]:
            words = ["/opt/mlflow/mlflow_entry.py", settings, json.dumps(tries)]
            command = ["exec", host.container(project), PYTHON, "-I", "-c", ASK_MYSQL]
            answer: list[Any] = json.loads(host.docker(*command, *words))
            return answer

        return ask_mysql

    require_own_schema(database, asker("alpha"), asker("beta"))


@pytest.fixture(scope="module")
def confined(
    new_host: Callable[..., Host], programs: dict[str, Any], cloud: Cloud, database: Database
) -> Iterator[Host]:
    """Return a host with a broker and a confined server of each project, all as processes."""
    database.log_in_by("password")
    host = new_host(*PROJECTS)
    with brokered_processes(host, programs, cloud):
        servers = [host.server(name, **database.options(name)) for name in PROJECTS]
        records = host.converge(*servers, broker="process")["servers"]
        assert [record["healthy"] for record in records] == [True, True]
        assert [record["confined"] for record in records] == [True, True]
        yield host


@needs_landlock
def test_a_process_reaches_its_own_schema_alone(confined: Host, database: Database) -> None:
    """As a container; beta's option file is not read either."""
    for name in PROJECTS:
        database.allow(name, ask(str(confined.state / "sockets" / name / "aws.sock")))

    def asker(project: str) -> AskMysql:
        def ask_mysql(tries: list[tuple[str, str, str]]) -> list[Any]:
            output = Shell(confined, project).run(ASK_MYSQL, json.dumps(tries))
            answer: list[Any] = json.loads(output)
            return answer

        return ask_mysql

    require_own_schema(database, asker("alpha"), asker("beta"))
    found = Shell(confined, "alpha")(
        option_file=f"Path({str(option_file(confined, 'beta'))!r}).read_text()",
        neighbors="os.listdir('/dev/shm')",
    )
    assert found == dict.fromkeys(found, "PermissionError")


def option_file(host: Host, project: str) -> Path:
    """Return the option file of a server, where health checks find it; it is there."""
    path = Shell(host, project).settings
    made = Path("/dev/shm", private.private_name(path), "my.cnf")
    assert f"mlflow_rt_{project}" in made.read_text()
    return made


# The host's identity at the metadata service.


def test_a_container_is_one_hop_too_far(brokered: Brokered, cloud: Cloud, tmp_path: Path) -> None:
    """Its request arrives, and the token does not come back; with one hop more it would be the host's."""
    brokered.converge(*PROJECTS)
    host, aws = brokered.host, cloud.aws.options()
    server = host.server("alpha", aws={**aws, "role_arn": cloud.roles["alpha"]})
    host.converge(server, broker="docker")
    details = host.docker.inspect(host.container("alpha"))
    assert set(details["NetworkSettings"]["Networks"]) == {"bridge"}
    network = json.loads(host.docker("network", "inspect", "bridge"))[0]
    bridge = network["Options"]["com.docker.network.bridge.name"]
    for hops, key in ((1, None), (2, metadata_service.KEY)):
        with metadata_service.metadata_service(tmp_path, hops=hops, bridge=bridge) as metadata:
            found = json.loads(brokered.shell("alpha", metadata_service.FETCH))
        assert found == key
        assert metadata.requests[0] == metadata_service.FIRST_REQUEST
        assert (metadata_service.LAST_REQUEST in metadata.requests) is (hops == 2)
    assert brokered.credentials("alpha")["AccessKeyId"] != metadata_service.KEY


@needs_landlock
def test_a_process_does_not_reach_the_metadata_service(confined: Host, tmp_path: Path) -> None:
    """No request of a server's arrives, on the instance itself, where any other process is answered."""
    with metadata_service.metadata_service(tmp_path) as metadata:
        found = Shell(confined, "alpha").run(metadata_service.FETCH, before=metadata.inside)
        assert (json.loads(found), metadata.requests) == (None, [])
        command = [*metadata.inside, confined.runtime["python"], "-I", "-c", metadata_service.FETCH]
        environment = support.clean_environment(tmp_path)
        done = support.run(command, cwd=tmp_path, env=environment, timeout=60)
        assert json.loads(done.output) == metadata_service.KEY
        assert metadata.requests[-1] == metadata_service.LAST_REQUEST
