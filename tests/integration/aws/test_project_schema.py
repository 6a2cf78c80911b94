# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module for projects' schemas and users, as a process, against a real MySQL over TLS."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import (
    data_api,
    manager,
    model,
    plan,
    queries,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import (
    mysql as mysql_transport,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.results import SchemasResult
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.verifier import verifier
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.parts import emulator, rds
from ansible_collections.mlops.mlflow_aws.tests.parts import mysql_server as twin
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Modules
from pymysql.constants import FIELD_TYPE

pytestmark = pytest.mark.timeout(300)

MODULE = "mlflow_project_schema"
# What breaks URIs, option files, shells and SQL.
ODD = "p%41/@:?#&\"'\\ a:b` --"
MIGRATOR = (
    "ALTER, CREATE, DELETE, DROP, INDEX, INSERT, LOCK TABLES, REFERENCES, SELECT, TRIGGER, UPDATE"
)
# A migrator has the schemas beside its project's, too.
BESIDE = ("", "__next", "__prev")
RUNTIME = "DELETE, INSERT, SELECT, UPDATE"


@pytest.fixture(scope="module")
def mysql(mysql_image: str, free_ports: Callable[[int], list[int]]) -> Iterator[twin.Mysql]:
    """Return a real MySQL that stands for Aurora."""
    name = f"mlflow-test-schema-{secrets.token_hex(4)}"
    port = free_ports(1)[0]
    with twin.running(mysql_image, name, port, password=ODD, options=twin.UNSAFE) as running:
        yield running


@pytest.fixture(scope="module")
def aws(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[emulator.Ministack]:
    """Return an emulator of Secrets Manager and the Data API."""
    folder = tmp_path_factory.mktemp("aws")
    with emulator.ministack(
        free_ports(1)[0],
        folder,
        auth=False,
        # The Data API's MySQL gets a port of its own.
        RDS_BASE_PORT=str(free_ports(10)[0]),
        MINISTACK_IMAGE_PREFIX=rds.IMAGE_PREFIX,
        DOCKER_HOST=os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"),
    ) as running:
        yield running


def login_of(mysql: twin.Mysql) -> mysql_transport.Login:
    """Return the administrator's login."""
    return mysql_transport.Login(mysql.host, mysql.port, mysql.user, mysql.password, mysql.ca)


@dataclass
class Place:
    """A database, secrets, and the module between them."""

    modules: Modules
    mysql: twin.Mysql
    aws: emulator.Ministack

    def secret(self, content: object, name: str = "") -> str:
        """Make a secret and return its ARN."""
        text = content if isinstance(content, str) else json.dumps(content)
        answer = self.aws.client("secretsmanager").create_secret(
            Name=name or f"s-{secrets.token_hex(8)}",
            SecretString=text,
            Tags=[{"Key": "mlflow-project", "Value": "x"}],
        )
        return str(answer["ARN"])

    def put(self, secret: str, content: object) -> None:
        """Give a secret a new version."""
        self.aws.client("secretsmanager").put_secret_value(
            SecretId=secret, SecretString=json.dumps(content)
        )

    def project(self, name: str, password: str = "", **more: Any) -> dict[str, Any]:
        """Return the option of a project with two new secrets."""
        return {
            "name": name,
            **{
                kind: {
                    "secret": self.secret(
                        {"project": name, "password": (password or secrets.token_hex(16)) + kind}
                    )
                }
                for kind in ("migrator", "runtime")
            },
            **more,
        }

    def options(self, *projects: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Return the module's options."""
        return {
            "projects": projects,
            "login_host": self.mysql.host,
            "login_port": self.mysql.port,
            "login_user": self.mysql.user,
            "login_password": self.mysql.password,
            "login_ca": self.mysql.ca,
            "timeout": 20,
            **self.aws.options(),
            **more,
        }

    @property
    def how(self) -> dict[str, Any]:
        """Return how modules are run: by a Python with boto3 and PyMySQL, as somebody at AWS."""
        return {"python": sys.executable, **self.aws.environment()}

    def run(self, *projects: Mapping[str, Any], how: Any = None, **more: Any) -> dict[str, Any]:
        """Run the module, which must succeed."""
        options = self.options(*projects, **more)
        return self.modules.call(MODULE, options, **self.how, **(how or {}))

    def refuse(self, *projects: Mapping[str, Any], how: Any = None, **more: Any) -> str:
        """Run the module, which must fail with one sentence, and return that."""
        options = self.options(*projects, **more)
        return self.modules.refuse(MODULE, options, **self.how, **(how or {}))

    def unchanged(self, *projects: Mapping[str, Any], **more: Any) -> None:
        """Assert that another run changes nothing."""
        again = self.run(*projects, **more)
        assert again["changed"] is False
        assert [record["actions"] for record in again["projects"]] == [[]] * len(projects)
        assert again["diff"] == {"before": {}, "after": {}}

    def password(self, project: Mapping[str, Any], kind: str) -> str:
        """Return the password in a project's secret."""
        client = self.aws.client("secretsmanager")
        text = client.get_secret_value(SecretId=project[kind]["secret"])["SecretString"]
        return str(json.loads(text)["password"])

    def login(self, project: Mapping[str, Any], kind: str, password: str = "", **more: Any) -> Any:
        """Connect as one of a project's users."""
        user = {"migrator": _names.migrator_user, "runtime": _names.runtime_user}[kind]
        return self.mysql.connect(
            user(project["name"]), password or self.password(project, kind), **more
        )

    def may(self, project: Mapping[str, Any], kind: str, *statements: str) -> list[int]:
        """Carry out statements as one of a project's users; return 0 or MySQL's error of each."""
        codes = []
        with self.login(project, kind) as connection, connection.cursor() as cursor:
            for statement in statements:
                codes.append(0)
                try:
                    cursor.execute(statement)
                except pymysql.err.MySQLError as error:
                    codes[-1] = error.args[0]
        return codes

    def transport(self) -> mysql_transport.MysqlTransport:
        """Return a connection of the module's own kind."""
        return mysql_transport.MysqlTransport(login_of(self.mysql), 20)

    def grants(self, user: str) -> list[str]:
        """Return what MySQL says that a user may do."""
        return sorted(row[0] for row in self.mysql.query(f"SHOW GRANTS FOR `{user}`@`%`"))


@pytest.fixture(scope="module")
def shared(modules: Modules, mysql: twin.Mysql, aws: emulator.Ministack) -> Place:
    """Return the place of all tests."""
    return Place(modules, mysql, aws)


@pytest.fixture
def place(shared: Place) -> Place:
    """Return a place in which nothing of ours is there yet."""
    mysql = shared.mysql
    for (name,) in mysql.query("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA"):
        if name.startswith("mlflow_") or name == "others":
            mysql.query(f"DROP DATABASE `{name}`")
    for user, host in mysql.query("SELECT User, Host FROM mysql.user WHERE User LIKE 'mlflow%'"):
        mysql.query(f"DROP USER `{user}`@`{host}`")
    shared.aws.reset()
    return shared


def actions(result: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what a result says was done, by project."""
    return {record["name"]: record["actions"] for record in result["projects"]}


def revoked(result: Mapping[str, Any]) -> list[str]:
    """Return what a result says was revoked."""
    return [text for texts in actions(result).values() for text in texts if "revoke" in text]


def test_first_run(place: Place) -> None:
    """Check mode foretells exactly what is done; then everything is there and a rerun is idle."""
    projects = [place.project("demo"), place.project("a-b")]
    foretold = place.run(*projects, how={"check": True, "diff": True})
    assert place.mysql.query("SHOW DATABASES LIKE 'mlflow%'") == []
    done = place.run(*projects, how={"diff": True})
    for key in ("changed", "projects", "diff"):
        assert done[key] == foretold[key]
    assert actions(done)["a-b"] == [
        "create schema mlflow_a_b",
        "create user mlflow_mg_a_b",
        "create user mlflow_rt_a_b",
        *(
            f"grant {MIGRATOR} on schema mlflow_a_b{suffix} to user mlflow_mg_a_b"
            for suffix in BESIDE
        ),
        f"grant {RUNTIME} on schema mlflow_a_b to user mlflow_rt_a_b",
    ]
    assert done["projects"][1]["users"] == {
        "migrator": "mlflow_mg_a_b",
        "runtime": "mlflow_rt_a_b",
    }
    assert done["diff"]["before"] == {"demo": {}, "a-b": {}}
    assert place.mysql.query(
        "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM "
        "information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'mlflow%%' ORDER BY 1"
    ) == [("mlflow_a_b", "utf8mb4", "utf8mb4_bin"), ("mlflow_demo", "utf8mb4", "utf8mb4_bin")]
    assert place.grants("mlflow_rt_a_b") == [
        r"GRANT SELECT, INSERT, UPDATE, DELETE ON `mlflow\_a\_b`.* TO `mlflow_rt_a_b`@`%`",
        "GRANT USAGE ON *.* TO `mlflow_rt_a_b`@`%`",
    ]
    words = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, LOCK TABLES, TRIGGER"
    patterns = [rf"mlflow\_a\_b{suffix}".replace("__", r"\_\_") for suffix in BESIDE]
    assert place.grants("mlflow_mg_a_b") == sorted(
        [
            *(f"GRANT {words} ON `{pattern}`.* TO `mlflow_mg_a_b`@`%`" for pattern in patterns),
            "GRANT USAGE ON *.* TO `mlflow_mg_a_b`@`%`",
        ]
    )
    place.unchanged(*projects)


def test_users_log_in_over_tls_only(place: Place) -> None:
    """Passwords with every odd character work, as users' and as the administrator's."""
    project = place.project("demo", password=ODD)
    place.run(project)
    for kind in ("migrator", "runtime"):
        assert place.password(project, kind).startswith(ODD)
        with place.login(project, kind) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW STATUS LIKE 'Ssl_version'")
            assert cursor.fetchone()[1].startswith("TLSv1.")
        with pytest.raises(pymysql.err.MySQLError):
            place.login(project, kind, ssl=None, ssl_disabled=True)
    rows = place.mysql.query(
        "SELECT ssl_type, plugin, password_lifetime FROM mysql.user WHERE User LIKE 'mlflow%%'"
    )
    assert rows == [("ANY", "caching_sha2_password", 0)] * 2


def test_no_project_reaches_another(place: Place) -> None:
    """Not even one whose name a grant's wildcard would match; and a server defines no table."""
    names = ("a-b", "axb", "a-bc", "other")
    projects = {name: place.project(name) for name in names}
    place.run(*projects.values())
    for name, project in projects.items():
        schema = _names.schema_name(name)
        table = f"`{schema}`.t"
        made = place.may(
            project,
            "migrator",
            f"CREATE TABLE {table} (a INT PRIMARY KEY)",
            f"CREATE TRIGGER `{schema}`.x BEFORE UPDATE ON {table} FOR EACH ROW SET NEW.a = 1",
            f"ALTER TABLE {table} ADD b INT",
        )
        assert made == [0, 0, 0]
        work = (f"INSERT INTO {table} VALUES (1, 1)", f"SELECT * FROM {table}")
        assert place.may(project, "runtime", *work) == [0, 0]
        ddl = (f"CREATE TABLE `{schema}`.u (a INT)", f"DROP TABLE {table}", f"TRUNCATE {table}")
        assert place.may(project, "runtime", *ddl) == [1142] * 3
    for name, project in projects.items():
        for other in set(names) - {name}:
            schema = _names.schema_name(other)
            tries = (
                f"SELECT * FROM `{schema}`.t",
                f"INSERT INTO `{schema}`.t VALUES (2, 2)",
                f"CREATE TABLE `{schema}`.u (a INT)",
                f"DROP DATABASE `{schema}`",
                f"USE `{schema}`",
                "SELECT authentication_string FROM mysql.user",
                "SHOW TABLES FROM mysql",
            )
            for kind in ("migrator", "runtime"):
                assert set(place.may(project, kind, *tries)) <= {1142, 1044}, (name, other, kind)


def test_names_at_the_limit(place: Place) -> None:
    """Projects of 40 characters that differ at their end have users of their own."""
    projects = [place.project("p" + "-abcdefgh" * 4 + end) for end in ("-x1", "-x2")]
    assert [len(project["name"]) for project in projects] == [40, 40]
    done = place.run(*projects)
    users = {user for record in done["projects"] for user in record["users"].values()}
    assert len(users) == 4
    assert max(map(len, users)) == 32
    for project in projects:
        assert place.may(project, "runtime", "SELECT 1") == [0]
    place.unchanged(*projects)


def test_a_new_version_of_a_secret(place: Place) -> None:
    """Only that user is changed; its old password stays good until the next but one run."""
    projects = [place.project("demo"), place.project("other")]
    place.run(*projects)
    demo = projects[0]
    first = place.password(demo, "runtime")
    place.put(demo["runtime"]["secret"], {"project": "demo", "password": ODD})
    foretold = place.run(*projects, how={"check": True})
    done = place.run(*projects, how={"diff": True})
    wanted = {"demo": ["set the password of user mlflow_rt_demo"], "other": []}
    assert actions(done) == actions(foretold) == wanted
    assert list(done["diff"]["before"]) == ["demo"]
    before, after = (done["diff"][key]["demo"]["runtime"] for key in ("before", "after"))
    assert before["secret_version"] != after["secret_version"]
    assert {**before, "secret_version": "", "old_password": True} == {**after, "secret_version": ""}
    for password in (first, ODD):
        place.login(demo, "runtime", password).close()
    place.unchanged(*projects)
    ended = place.run(*projects, retain_old_password=0)
    assert actions(ended)["demo"] == ["end the old password of user mlflow_rt_demo"]
    with pytest.raises(pymysql.err.OperationalError):
        place.login(demo, "runtime", first)
    place.login(demo, "runtime", ODD).close()
    place.unchanged(*projects)
    place.put(demo["runtime"]["secret"], {"project": "demo", "password": "third"})
    place.run(*projects, retain_old_password=0)
    with pytest.raises(pymysql.err.OperationalError):
        place.login(demo, "runtime", ODD)


def test_a_password_that_cannot_be_kept(place: Place) -> None:
    """A user of ours that somebody gave an empty password gets the secret's all the same."""
    project = place.project("demo")
    place.run(project)
    place.mysql.query("ALTER USER 'mlflow_rt_demo'@'%' IDENTIFIED BY ''")
    place.put(project["runtime"]["secret"], {"password": "new"})
    assert actions(place.run(project)) == {"demo": ["set the password of user mlflow_rt_demo"]}
    place.login(project, "runtime", "new").close()


EXCESS = {
    "GRANT PROCESS, BACKUP_ADMIN ON *.* TO {}": "revoke BACKUP_ADMIN, PROCESS on *.* from",
    "GRANT SELECT ON *.* TO {} WITH GRANT OPTION": "revoke GRANT OPTION, SELECT on *.* from",
    "GRANT SELECT, DROP ON `mlflow_demo`.* TO {}": "revoke DROP, SELECT on `mlflow_demo`.* from",
    r"GRANT CREATE ON `mlflow\_demo`.* TO {}": r"revoke CREATE on `mlflow\_demo`.* from",
    r"GRANT SELECT ON `mlflow\_demo`.* TO {} WITH GRANT OPTION": (
        r"revoke GRANT OPTION on `mlflow\_demo`.* from"
    ),
    "GRANT ALL ON `mlflow\\_other`.* TO {}": "revoke ALTER, ALTER ROUTINE, CREATE, ",
    "GRANT SELECT ON `mlflow%`.* TO {}": "revoke SELECT on `mlflow%`.* from",
    "GRANT SELECT ON others.`odd``name` TO {}": "revoke SELECT on `others`.`odd``name` from",
    "GRANT SELECT (a), UPDATE (a, b) ON others.`odd``name` TO {}": (
        "revoke SELECT (`a`), UPDATE (`a`), UPDATE (`b`) on `others`.`odd``name` from"
    ),
    "GRANT `mlflow role` TO {}": "revoke role `mlflow role`@`%` from",
}


@pytest.mark.parametrize("kind", ["rt", "mg"])
def test_what_a_user_may_too_much_is_revoked(kind: str, place: Place) -> None:
    """Each is told by name, nothing else is touched, and the user goes on working meanwhile."""
    user = f"mlflow_{kind}_demo"
    with contextlib.closing(place.transport()) as transport:
        converge(transport, wanted_projects("demo"))
        clean = place.grants(user)
        place.mysql.query("CREATE DATABASE others")
        place.mysql.query("CREATE TABLE others.`odd``name` (a INT, b INT)")
        place.mysql.query("CREATE ROLE `mlflow role`")
        for grant, told in EXCESS.items():
            if kind == "mg" and "CREATE ON" in grant:
                continue
            place.mysql.query(grant.format(f"'{user}'@'%'"))
            assert place.grants(user) != clean
            (record,) = converge(transport, wanted_projects("demo")).projects
            (text,) = record["actions"]
            assert text.startswith(told)
            assert text.endswith(f" from user {user}")
            assert place.grants(user) == clean
        assert converge(transport, wanted_projects("demo")).changed is False


def test_what_else_was_changed_is_put_right(place: Place) -> None:
    """A missing grant, a user that need not use TLS, is locked or expires, another collation."""
    with contextlib.closing(place.transport()) as transport:
        converge(transport, wanted_projects("demo"))
        for change in (
            r"REVOKE DELETE ON `mlflow\_demo`.* FROM 'mlflow_rt_demo'@'%'",
            "ALTER USER 'mlflow_rt_demo'@'%' REQUIRE NONE",
            "ALTER USER 'mlflow_rt_demo'@'%' ACCOUNT LOCK",
            "ALTER USER 'mlflow_rt_demo'@'%' PASSWORD EXPIRE",
            "ALTER USER 'mlflow_rt_demo'@'%' PASSWORD EXPIRE INTERVAL 90 DAY",
            "ALTER DATABASE mlflow_demo COLLATE utf8mb4_general_ci",
            "DROP USER 'mlflow_rt_demo'@'%'",
            "DROP DATABASE mlflow_demo",
        ):
            place.mysql.query(change)
            assert converge(transport, wanted_projects("demo")).changed is True, change
            assert converge(transport, wanted_projects("demo")).changed is False, change
            table = "mlflow_demo.experiments"
            place.mysql.query(f"CREATE TABLE IF NOT EXISTS {table} (a INT PRIMARY KEY)")
            with place.mysql.connect("mlflow_rt_demo", "1") as connection:
                connection.cursor().execute(f"DELETE FROM {table}")


def test_state_and_revision_of_schemas(place: Place) -> None:
    """The record tells how many tables there are and which revision they have."""
    projects = [place.project("demo"), place.project("fresh")]
    place.run(*projects)
    place.mysql.query("CREATE TABLE mlflow_demo.experiments (a INT PRIMARY KEY)")
    place.mysql.query("CREATE TABLE mlflow_demo.alembic_version (version_num VARCHAR(32))")
    place.mysql.query("INSERT INTO mlflow_demo.alembic_version VALUES ('abc')")
    done = place.run(*projects)
    found = [(record["tables"], record["revision"]) for record in done["projects"]]
    assert found == [(2, "abc"), (0, "")]
    assert done["projects"][0]["obstacles"] == []
    assert done["waited"] == 0


def test_an_absent_project_keeps_its_data(place: Place) -> None:
    """Users go, the schema stays; it goes where it is named exactly, and nothing else does."""
    project = place.project("demo")
    other = place.project("demo-two")
    place.run(project, other)
    place.mysql.query("CREATE TABLE mlflow_demo.experiments (a INT PRIMARY KEY)")
    trigger = "CREATE TRIGGER mlflow_demo.t BEFORE INSERT ON mlflow_demo.experiments FOR EACH ROW"
    assert place.may(project, "migrator", f"{trigger} SET NEW.a = 7") == [0]
    gone = {"name": "demo", "state": "absent"}
    done = place.run(gone, other, how={"diff": True})
    assert actions(done) == {
        "demo": ["drop user mlflow_mg_demo", "drop user mlflow_rt_demo"],
        "demo-two": [],
    }
    schema = {"schema": {"name": "mlflow_demo", "collation": "utf8mb4_bin"}}
    assert done["diff"]["after"] == {"demo": schema}
    assert done["projects"][0]["tables"] == 1
    place.unchanged(gone, other)
    for wrong in ("demo", "mlflow_demo_two", "mlflow_demo ", "MLFLOW_DEMO", "true"):
        sentence = place.refuse({**gone, "force_drop": wrong}, other)
        assert "the schema is mlflow_demo" in sentence
    assert "state: absent" in place.refuse({**project, "force_drop": "mlflow_demo"})
    assert len(place.mysql.query("SHOW TABLES FROM mlflow_demo")) == 1
    back = place.run(project, other)
    assert back["projects"][0]["tables"] == 1
    assert place.may(project, "runtime", "INSERT INTO mlflow_demo.experiments VALUES (1)") == [0]
    assert place.mysql.query("SELECT a FROM mlflow_demo.experiments") == [(7,)]
    dropped = place.run({**gone, "force_drop": "mlflow_demo"}, other)
    assert actions(dropped)["demo"][0] == "drop schema mlflow_demo and its data"
    assert dropped["projects"][0]["tables"] == 0
    assert place.mysql.query("SHOW DATABASES LIKE 'mlflow%'") == [("mlflow_demo_two",)]
    place.unchanged({**gone, "force_drop": "mlflow_demo"}, other)


def test_an_archived_project_keeps_its_migrator(place: Place) -> None:
    """The server user goes, data and migrator stay; a project without data has neither; both come back."""
    project, empty = place.project("demo"), place.project("empty")
    place.run(project)
    place.mysql.query("CREATE TABLE mlflow_demo.experiments (a INT PRIMARY KEY)")
    archived = {**project, "state": "archived"}
    foretold = place.run(archived, how={"check": True})
    done = place.run(archived, {**empty, "state": "archived"})
    assert actions(foretold) == {"demo": ["drop user mlflow_rt_demo"]}
    assert actions(done) == {"demo": ["drop user mlflow_rt_demo"], "empty": []}
    with pytest.raises(pymysql.err.MySQLError, match="Access denied"):
        place.login(project, "runtime")
    statements = ("INSERT INTO mlflow_demo.experiments VALUES (1)", "DROP DATABASE mlflow_demo")
    assert place.may(project, "migrator", statements[0]) == [0]
    assert place.mysql.query("SHOW DATABASES LIKE 'mlflow%'") == [("mlflow_demo",)]
    place.unchanged(archived, {**empty, "state": "archived"})
    assert actions(place.run(project))["demo"][0] == "create user mlflow_rt_demo"
    assert place.may(project, "runtime", *statements) == [1062, 1044]


FOREIGN = {
    "CREATE USER 'mlflow_rt_demo'@'%' IDENTIFIED BY 'x'": "user mlflow_rt_demo is in the database",
    "CREATE USER 'mlflow_rt_demo'@'10.%' IDENTIFIED BY 'x'": "also exists for the hosts 10.%",
    "CREATE USER 'mlflow_mg_demo'@'%' ATTRIBUTE '{\"mlops.mlflow_aws\": {\"project\": \"x\"}}'": (
        "user mlflow_mg_demo is in the database already and belongs to project 'x'"
    ),
    "CREATE DATABASE mlflow_demo; CREATE TABLE mlflow_demo.t (a INT)": (
        "schema mlflow_demo holds 1 tables that are not MLflow's"
    ),
    "CREATE DATABASE mlflow_demo CHARACTER SET latin1; CREATE TABLE mlflow_demo.runs (a TEXT)": (
        "tables of schema mlflow_demo have the collation latin1_swedish_ci"
    ),
}


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("statements", list(FOREIGN))
def test_what_is_not_ours_is_refused(statements: str, state: str, place: Place) -> None:
    """By name, before anything is done for any project."""
    if state == "absent" and "latin1" in statements:
        return
    for statement in statements.split("; "):
        place.mysql.query(statement)
    other, demo = place.project("aaa"), place.project("demo", state=state)
    sentence = place.refuse(other, demo)
    assert sentence.startswith("Project 'demo': ")
    assert FOREIGN[statements] in sentence
    assert place.mysql.query("SHOW DATABASES LIKE 'mlflow_aaa'") == []


def test_an_empty_schema_of_another_collation_is_taken_over(place: Place) -> None:
    """Nothing is in it that could clash."""
    place.mysql.query("CREATE DATABASE mlflow_demo CHARACTER SET latin1")
    done = place.run(place.project("demo"))
    assert actions(done)["demo"][0] == "set the collation of schema mlflow_demo to utf8mb4_bin"


def test_secrets_at_fault(place: Place) -> None:
    """Project, secret and remedy in one sentence, before the database is touched."""
    good = place.project("aaa")
    client = place.aws.client("secretsmanager")
    contents: dict[str, tuple[object, str]] = {
        "of another": ({"project": "other", "password": "x"}, "belongs to project 'other'"),
        "no password": ({"project": "demo"}, "is not a JSON object with a string 'password'"),
        "no JSON": ("hunter2", "is not a JSON object with a string 'password'"),
        "empty": ({"password": ""}, "must have 1 to 255 characters"),
        "not ASCII": ({"password": "p\u00e4ss"}, "all of them ASCII"),
        "too long": ({"password": "x" * 256}, "must have 1 to 255 characters"),
    }
    for content, reason in contents.values():
        demo = place.project("demo")
        demo["runtime"]["secret"] = place.secret(content)
        sentence = place.refuse(good, demo)
        assert demo["runtime"]["secret"] in sentence
        assert "Project 'demo'" in sentence
        assert reason in sentence
    deleted = place.project("demo")
    client.delete_secret(SecretId=deleted["migrator"]["secret"], RecoveryWindowInDays=7)
    sentence = place.refuse(good, deleted)
    assert "is deleted and in its recovery window; restore it with 'aws secretsmanager" in sentence
    assert place.refuse(good, deleted, how={"check": True}) == sentence
    client.delete_secret(SecretId=deleted["runtime"]["secret"], ForceDeleteWithoutRecovery=True)
    client.restore_secret(SecretId=deleted["migrator"]["secret"])
    sentence = place.refuse(good, deleted)
    assert f"the server user's secret {deleted['runtime']['secret']} does not exist" in sentence
    nameless = {"name": "demo"}
    assert "its migrator has no secret" in place.refuse(good, nameless)
    assert place.mysql.query("SHOW DATABASES LIKE 'mlflow%'") == []
    # Whoever goes needs no secret any more.
    place.run(good, {**deleted, "state": "absent"})


def test_before_there_is_a_database(place: Place) -> None:
    """Check mode tells what would be made; a real run says what is missing."""
    nowhere = {"login_host": "", "login_password": None}
    projects = [{"name": "demo"}, {"name": "old", "state": "absent"}]
    foretold = place.run(*projects, how={"check": True, "diff": True}, **nowhere)
    assert foretold["changed"] is True
    assert [len(texts) for texts in actions(foretold).values()] == [7, 0]
    assert "There is no database yet" in place.refuse(*projects, **nowhere)


def test_login_from_the_master_secret(place: Place) -> None:
    """User and password come from there; a wrong one is named."""
    project = place.project("demo")
    login = {"username": place.mysql.user, "password": place.mysql.password}
    name = place.secret(login)
    secret = {"login_user": "", "login_password": None, "login_secret": name}
    place.run(project, **secret)
    place.put(name, {**login, "password": "wrong"})
    sentence = place.refuse(project, **secret)
    assert "rejected user admin" in sentence
    assert "wrong" not in sentence
    place.put(name, {"username": "admin"})
    assert "has no key 'password'" in place.refuse(project, **secret)
    sentence = place.refuse(project, **{**secret, "login_secret": f"{name}x"})
    assert sentence.startswith("Cannot read the database's secret")


def test_connections_at_fault(
    place: Place, free_ports: Callable[[int], list[int]], tmp_path: Path
) -> None:
    """One sentence each: untrusted CA, another name, no TLS, nobody there, no such host."""
    project = place.project("demo")
    other = twin.make_certificates("localhost")
    assert "is not trusted" in place.refuse(project, login_ca=other.ca)
    assert "is not trusted" in place.refuse(project, login_ca="")
    assert "cannot be read" in place.refuse(project, login_ca=str(tmp_path / "missing.pem"))
    assert "cannot be read" in place.refuse(project, login_ca="-----BEGIN nonsense")
    file = tmp_path / "ca.pem"
    file.write_text(place.mysql.ca)
    place.run(project, login_ca=str(file))
    sentence = place.refuse(project, login_tls_name="cluster.example.com")
    assert "is for another name" in sentence
    place.run(project, login_host="localhost")
    start = time.monotonic()
    sentence = place.refuse(project, login_port=free_ports(1)[0], timeout=3)
    assert "did not answer within 3 seconds" in sentence
    assert time.monotonic() - start < 20
    assert "has no address" in place.refuse(project, login_host="db.invalid")


def test_nothing_is_sent_unencrypted(place: Place) -> None:
    """A server that offers no TLS is refused before the password is told."""
    project = place.project("demo")
    with place.mysql.connect() as kept, kept.cursor() as cursor:
        for statement in ("require_secure_transport = OFF", "tls_version = ''"):
            cursor.execute(f"SET GLOBAL {statement}")
        # It fails, and leaves the server without TLS.
        cursor.execute("ALTER INSTANCE RELOAD TLS NO ROLLBACK ON ERROR")
        try:
            sentence = place.refuse(project)
        finally:
            for statement in ("tls_version = DEFAULT", "require_secure_transport = ON"):
                cursor.execute(f"SET GLOBAL {statement}")
            cursor.execute("ALTER INSTANCE RELOAD TLS")
    assert "offers no TLS" in sentence
    place.run(project)


def test_a_blocked_host_is_told(place: Place) -> None:
    """Broken connections lock a machine out, many more than by default; the sentence's remedy helps."""
    project = place.project("demo")
    address = (place.mysql.host, place.mysql.port)
    with place.mysql.connect() as kept, kept.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.max_connect_errors")
        (before,) = cursor.fetchone()
        assert before >= 1_000_000
        cursor.execute("SET GLOBAL max_connect_errors = 2")
        try:
            for _attempt in range(5):
                with socket.create_connection(address, 10) as broken:
                    broken.recv(64)
            sentence = place.refuse(project)
        finally:
            cursor.execute(f"SET GLOBAL max_connect_errors = {before}")
            cursor.execute("TRUNCATE TABLE performance_schema.host_cache")
    assert sentence.startswith(
        f"MySQL at {address[0]}:{address[1]} has blocked this machine's address"
    )
    assert "TRUNCATE TABLE performance_schema.host_cache" in sentence
    place.run(project)


def test_any_sql_mode(place: Place) -> None:
    """Statements mean the same where backslashes and double quotes mean something else."""
    ((mode,),) = place.mysql.query("SELECT @@GLOBAL.sql_mode")
    place.mysql.query("SET GLOBAL sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES'")
    try:
        project = place.project("a-b", password=ODD)
        place.run(project)
        place.unchanged(project)
        assert place.may(project, "runtime", "SELECT 1", "USE mlflow_a_b") == [0, 0]
    finally:
        place.mysql.query("SET GLOBAL sql_mode = %s", mode)


def test_a_sleeping_database_is_waited_for(place: Place) -> None:
    """One that holds the connection, and one that refuses it; the result says how long it took."""
    project = place.project("demo")
    for asleep, awake in (("pause", "unpause"), ("stop", "start")):
        place.mysql.act(asleep)
        waking = threading.Timer(9, place.mysql.act, [awake])
        waking.start()
        try:
            done = place.run(project, timeout=60)
        finally:
            waking.join()
            place.mysql.await_ready()
        assert done["waited"] >= 3


@pytest.mark.thorough("A database that sleeps is waited for every time.")
def test_a_full_database_is_waited_for(place: Place) -> None:
    """Until somebody leaves, or else for as long as the timeout says; each refusal is the server's."""
    place.mysql.query("DROP USER IF EXISTS 'mlflow-plain'@'%'")
    place.mysql.query("CREATE USER 'mlflow-plain'@'%' IDENTIFIED BY 'plain' REQUIRE SSL")
    place.mysql.query("GRANT SELECT ON *.* TO 'mlflow-plain'@'%'")
    plain = {"login_user": "mlflow-plain", "login_password": "plain"}
    # One connection more is kept for administrators.
    with place.mysql.connect() as kept, kept.cursor() as cursor:
        cursor.execute("SET GLOBAL max_connections = 1")
        try:
            sentence = place.refuse(place.project("demo"), **plain, timeout=2)
            assert sentence.startswith(
                f"MySQL at 127.0.0.1:{place.mysql.port} had no connection left for 2 seconds "
            )
            freed = threading.Timer(6, cursor.execute, ["SET GLOBAL max_connections = DEFAULT"])
            freed.start()
            done = place.run(place.project("demo"), how={"check": True}, **plain, timeout=60)
            freed.join()
        finally:
            cursor.execute("SET GLOBAL max_connections = DEFAULT")
    assert done["waited"] >= 3


def test_two_runs_at_once(place: Place) -> None:
    """Both succeed, and each step is done once."""
    projects = [place.project(f"p{number}") for number in range(5)]
    both = [
        place.modules.start(MODULE, place.options(*order, timeout=60), **place.how)
        for order in (projects, projects[::-1])
    ]
    results = [place.modules.finish(process) for process in both]
    assert [result.get("msg") for result in results] == [None, None]
    done = [text for result in results for texts in actions(result).values() for text in texts]
    assert len(done) == len(set(done)) == 35
    place.unchanged(*projects)


def test_another_run_that_does_not_end(place: Place) -> None:
    """The sentence says who holds the lock, after the bound; a run without changes needs no lock."""
    project = place.project("demo")
    place.run(project)
    with place.mysql.connect() as holder, holder.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(%s, 0)", [manager.LOCK])
        sentence = place.refuse(project, place.project("other"), timeout=2)
        assert "for over 2 seconds" in sentence
        cursor.execute("SELECT CONNECTION_ID()")
        assert f"connection {cursor.fetchone()[0]} of user admin from " in sentence
        place.unchanged(project)


class Killed(Exception):
    """Stands for the end of the process."""


class Mortal(mysql_transport.MysqlTransport):
    """A transport whose process dies before or after its Nth change."""

    left = 0
    after = False

    def execute(self, sql: str) -> None:
        """Carry out a statement, or die."""
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed
        super().execute(sql)
        if self.left == 0:
            raise Killed


def wanted_projects(*names: str, version: str = "1") -> list[model.ProjectSpec]:
    """Return projects as wanted, in the way of the module."""
    users = {"migrator": _names.migrator_user, "runtime": _names.runtime_user}
    return [
        model.ProjectSpec(
            name,
            _names.schema_name(name),
            tuple(
                model.Identity(kind, user(name), f"{name}-{kind}", version)
                for kind, user in users.items()
            ),
        )
        for name in names
    ]


def converge(
    transport: mysql_transport.MysqlTransport, wanted: list[model.ProjectSpec]
) -> SchemasResult:
    """Bring projects to their state, each secret's version being its password."""
    versions = {item.secret: item.version for each in wanted for item in each.identities}
    return manager.converge(
        transport,
        wanted,
        fetch=lambda names: {
            name: model.Credential(verifier(versions[name]), versions[name]) for name in names
        },
        retain=3600,
        timeout=20,
        check_mode=False,
    )


def test_what_is_sent_twice_is_done_once(place: Place) -> None:
    """AWS's client repeats a call that got no answer, and the database may have carried it out."""
    credential = model.Credential(verifier("1"), "1")
    with contextlib.closing(place.transport()) as transport:
        (planned,) = plan.plan(wanted_projects("demo"), model.nothing_found(), 3600)
        for step in planned.steps:
            for _time in range(2):
                transport.execute(step.statement(credential))
        assert converge(transport, wanted_projects("demo")).changed is False
    place.mysql.connect("mlflow_rt_demo", "1").close()


def test_answers_are_of_plain_types(place: Place) -> None:
    """The Data API refuses JSON, and what is no number comes as text rather than bytes."""
    place.run(place.project("demo"))
    place.mysql.query("CREATE ROLE IF NOT EXISTS `mlflow role`")
    place.mysql.query("GRANT `mlflow role` TO 'mlflow_rt_demo'@'%'")
    with place.mysql.connect() as connection, connection.cursor() as cursor:
        for sql in (queries.SETTINGS, queries.SCHEMAS, queries.USERS, queries.GRANTS):
            cursor.execute(sql)
            assert cursor.rowcount > 0
            types = [column[1] for column in cursor.description]
            assert FIELD_TYPE.JSON not in types
            assert FIELD_TYPE.ENUM not in types
            assert all(isinstance(value, (str, int, type(None))) for row in cursor for value in row)


def test_a_version_that_could_mean_something_in_sql(place: Place) -> None:
    """Whoever may put a value chooses its version; such a one is refused before anything is done."""
    project = place.project("demo")
    version = "'; DROP USER admin; -- 0123456789abcdef"
    place.aws.client("secretsmanager").put_secret_value(
        SecretId=project["runtime"]["secret"],
        SecretString=json.dumps({"password": "x"}),
        ClientRequestToken=version,
    )
    for check in (True, False):
        sentence = place.refuse(project, how={"check": check})
        assert sentence.startswith(
            f"Project 'demo': the server user's secret {project['runtime']['secret']} cannot be used "
        )
        assert "put its value again, without a client request token" in sentence
    assert place.mysql.query("SHOW DATABASES LIKE 'mlflow%'") == []


@pytest.mark.thorough("test_a_killed_run_frees_the_lock kills four runs every time.")
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_statement_it_converges(after: bool, place: Place) -> None:
    """The next run does what is left; passwords and their recorded versions agree throughout."""
    mysql = place.mysql
    login = login_of(mysql)

    def die_and_run_again(number: int, version: str) -> None:
        wanted = wanted_projects("a", "b", version=version)
        with contextlib.closing(Mortal(login, 20)) as transport:
            transport.left, transport.after = number, after
            with pytest.raises(Killed):
                converge(transport, wanted)
        with contextlib.closing(mysql_transport.MysqlTransport(login, 20)) as transport:
            converge(transport, wanted)
            assert converge(transport, wanted).changed is False
        for name in "ab":
            mysql.connect(f"mlflow_rt_{name}", version).close()
            mysql.connect(f"mlflow_mg_{name}", version).close()

    for number in range(1, 11):
        die_and_run_again(number, "0")
        for name in "ab":
            mysql.query(f"DROP DATABASE mlflow_{name}")
            mysql.query(f"DROP USER mlflow_rt_{name}, mlflow_mg_{name}")
    with contextlib.closing(mysql_transport.MysqlTransport(login, 20)) as transport:
        converge(transport, wanted_projects("a", "b", version="0"))
    for number in range(1, 5):
        die_and_run_again(number, str(number))


@pytest.mark.thorough("Two runs at once share the lock every time.")
def test_a_killed_run_frees_the_lock(place: Place) -> None:
    """The next one need not wait for anything."""
    projects = [place.project(f"p{number}") for number in range(8)]
    for seconds in (0.6, 0.9, 1.2, 1.5):
        process = place.modules.start(MODULE, place.options(*projects), **place.how)
        time.sleep(seconds)
        process.kill()
        process.communicate()
    place.run(*projects)
    place.unchanged(*projects)


def test_a_refused_statement(place: Place) -> None:
    """Project, step and MySQL's reason; what was done before is reported, and no verifier shows."""
    place.mysql.query("DROP USER IF EXISTS 'mlflow-weak'@'%'")
    place.mysql.query("CREATE USER 'mlflow-weak'@'%' IDENTIFIED BY 'weak' REQUIRE SSL")
    place.mysql.query("GRANT CREATE, SELECT ON *.* TO 'mlflow-weak'@'%'")
    options = place.options(place.project("demo"), login_user="mlflow-weak", login_password="weak")
    process = place.modules.start(MODULE, options, **place.how)
    result = place.modules.finish(process)
    assert result["msg"].startswith(
        "Project 'demo': failed to create user mlflow_mg_demo on 127.0.0.1:"
    )
    assert "MySQL answered 1227: Access denied; you need" in result["msg"]
    assert actions(result) == {"demo": ["create schema mlflow_demo"]}
    assert result["changed"] is True
    assert "$A$" not in json.dumps(result)


def test_nothing_secret_is_told(place: Place) -> None:
    """Neither results nor diffs nor the server's own log of statements hold a password."""
    mysql = place.mysql
    mysql.query("SET GLOBAL log_output = 'TABLE'")
    mysql.query("TRUNCATE mysql.general_log")
    mysql.query("SET GLOBAL general_log = ON")
    try:
        project = place.project("demo")
        words = [place.password(project, kind) for kind in ("migrator", "runtime")]
        texts = [json.dumps(place.run(project, how={"diff": True, "verbosity": 4}))]
        place.put(project["runtime"]["secret"], {"password": "another-secret"})
        words += ["another-secret", ODD, json.dumps(ODD)[1:-1]]
        texts.append(json.dumps(place.run(project, how={"diff": True, "verbosity": 4})))
    finally:
        mysql.query("SET GLOBAL general_log = OFF")
    rows = mysql.query("SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log")
    log = "\n".join(text for (text,) in rows)
    assert "CREATE USER IF NOT EXISTS 'mlflow_rt_demo'" in log
    for word in words:
        assert [word in text for text in (*texts, log)] == [False] * 3


def test_names_are_never_pasted(place: Place) -> None:
    """What is no name of ours is refused before anything is asked of the database."""
    for change in (
        {"schema": "mlflow_a`; DROP DATABASE mysql; --"},
        {"runtime": {"user": "mlflow_a'@'%", "secret": "x"}},
        {"state": "absent", "schema": "others", "force_drop": "others"},
    ):
        sentence = place.refuse({**place.project("demo"), **change})
        assert "name" in sentence, sentence
    twice = place.refuse(place.project("a-b"), {**place.project("other"), "schema": "mlflow_a_b"})
    assert "Projects 'a-b' and 'other' share the name mlflow_a_b" in twice


def test_a_server_with_partial_revokes(place: Place) -> None:
    """There a grant takes names literally: users reach their schema, and a rerun is idle."""
    project = place.project("a-b")
    place.run(project)
    place.mysql.query("SET GLOBAL partial_revokes = ON")
    try:
        assert len(revoked(place.run(project))) == 4
        place.unchanged(project)
        table = "CREATE TABLE mlflow_a_b.experiments (a INT PRIMARY KEY)"
        assert place.may(project, "migrator", table) == [0]
    finally:
        place.mysql.query("SET GLOBAL partial_revokes = OFF")
    place.run(project)
    place.unchanged(project)


@pytest.mark.thorough("The twin's first deployment migrates what this module made every time.")
@pytest.mark.timeout(900)
def test_schemas_are_migrated(place: Place, runtime: dict[str, Any]) -> None:
    """By the migrators, as they were found; one that cannot be is named, and the others are done."""
    projects = [place.project(name) for name in ("a", "b", "broken")]
    made = place.run(*projects)["projects"]
    place.mysql.query("CREATE TABLE mlflow_broken.webhooks (a INT PRIMARY KEY)")

    def options(**more: Any) -> dict[str, Any]:
        schemas = [
            {
                "name": project["name"],
                "uri": f"mysql+pymysql://127.0.0.1:{place.mysql.port}/{record['schema']}",
                "database": {
                    "user": record["users"]["migrator"],
                    "secret": project["migrator"]["secret"],
                    "ca": place.mysql.ca,
                },
            }
            for project, record in zip(projects, made, strict=True)
        ]
        return {
            "schemas": schemas,
            "found": made,
            "aws": place.aws.options(),
            "python": runtime["python"],
            "entrypoint": runtime["entrypoint"],
            "timeout": 300,
            **more,
        }

    how = place.how
    foretold = place.modules.call("mlflow_mysql_migration", options(), check=True, **how)
    assert foretold["changed"] is True
    process = place.modules.start("mlflow_mysql_migration", options(), **how)
    result = place.modules.finish(process, seconds=400)
    assert result["msg"].startswith("Project 'broken': ")
    assert result["changed"] is True
    assert [bool(record["error"]) for record in result["schemas"]] == [False, False, True]
    place.mysql.query("DROP DATABASE mlflow_broken")
    made = place.run(*projects)["projects"]
    head = result["schemas"][0]["head"]
    assert [record["revision"] for record in made] == [head, head, ""]
    assert made[0]["tables"] == 65
    done = place.modules.call("mlflow_mysql_migration", options(), **how)
    assert [record["state"] for record in done["schemas"]] == ["current", "current", "empty"]
    made = place.run(*projects)["projects"]
    idle = place.modules.call("mlflow_mysql_migration", options(), **how)
    assert idle["changed"] is False
    place.unchanged(*projects)
    made[0]["revision"] = "ffffffffffff"
    sentence = place.modules.refuse("mlflow_mysql_migration", options(), **how)
    assert "a newer MLflow wrote it" in sentence


@pytest.fixture
def cluster(mysql_image: str, aws: emulator.Ministack) -> Iterator[rds.Cluster]:
    """Return an Aurora cluster with a real MySQL behind it."""
    aws.reset()
    with rds.cluster(aws, mysql_image, ODD) as made:
        yield made


def test_data_api(
    cluster: rds.Cluster, modules: Modules, mysql: twin.Mysql, aws: emulator.Ministack
) -> None:
    """The same over HTTPS: it waits for the database, foretells, makes, and is then idle."""
    options: dict[str, Any] = {
        "transport": "data_api",
        "cluster_arn": cluster.arn,
        "login_secret": cluster.secret,
        "login_host": "",
        "login_password": None,
        "timeout": 120,
    }
    place = Place(modules, mysql, aws)
    projects = [place.project("a-b", password=ODD), place.project("demo")]
    first = place.run(*projects, how={"check": True, "diff": True}, **options)
    done = place.run(*projects, how={"diff": True}, **options)
    print("waited", first["waited"], done["waited"], "statements", done["statements"])
    for key in ("projects", "diff", "changed"):
        assert done[key] == first[key]
    assert sum(map(len, actions(done).values())) == 14
    place.unchanged(*projects, **options)
    direct: dict[str, Any] = {
        "host": cluster.host,
        "port": cluster.port,
        "ssl": {"verify_mode": "none"},
    }
    for kind in ("migrator", "runtime"):
        place.login(projects[0], kind, **direct).close()
    place.put(projects[0]["runtime"]["secret"], {"password": "next:one"})
    assert actions(place.run(*projects, **options))["a-b"] == [
        "set the password of user mlflow_rt_a_b"
    ]
    for password in (f"{ODD}runtime", "next:one"):
        place.login(projects[0], "runtime", password, **direct).close()
    gone = [{"name": "a-b", "state": "absent", "force_drop": "mlflow_a_b"}, projects[1]]
    assert len(actions(place.run(*gone, **options))["a-b"]) == 3
    place.unchanged(*gone, **options)
    # The master user's own rights are those that AWS gives it; the Data API here works as root.
    master = {
        "login_host": cluster.host,
        "login_port": cluster.port,
        "login_user": cluster.user,
        "login_password": ODD,
        "login_ca": cluster.ca,
        "timeout": 60,
    }
    place.run(*projects, **master)
    trigger = (
        "CREATE TRIGGER mlflow_a_b.x BEFORE UPDATE ON mlflow_a_b.runs FOR EACH ROW SET NEW.a=1"
    )
    with place.login(projects[0], "migrator", **direct) as login, login.cursor() as cursor:
        cursor.execute("CREATE TABLE mlflow_a_b.runs (a INT PRIMARY KEY)")
        cursor.execute(trigger)
    place.put(projects[0]["runtime"]["secret"], {"password": "third"})
    assert len(actions(place.run(*projects, **master))["a-b"]) == 1
    assert len(actions(place.run(*projects, retain_old_password=0, **master))["a-b"]) == 1
    place.unchanged(*projects, **master)
    left = {"name": "a-b", "state": "absent"}
    assert len(actions(place.run(left, projects[1], **master))["a-b"]) == 2
    place.run(*gone, **options)
    both = [
        modules.start(MODULE, place.options(*order, **options), **place.how)
        for order in (projects, projects[::-1])
    ]
    results = [modules.finish(process) for process in both]
    assert [result.get("msg") for result in results] == [None, None]
    assert len([text for result in results for text in actions(result)["a-b"]]) == 7
    name = cluster.arn.rpartition(":")[2]
    faults = {
        f"There is no cluster {name}x": {"cluster_arn": options["cluster_arn"] + "x"},
        "cannot use the secret": {"login_secret": options["login_secret"] + "x"},
        "rejected the user of the secret": {
            "login_secret": place.secret({"username": "admin", "password": "wrong"})
        },
    }
    for reason, change in faults.items():
        sentence = place.refuse(*projects, **{**options, **change, "timeout": 5})
        assert reason in sentence
        assert "wrong" not in sentence
    aws.client("rds").modify_db_cluster(DBClusterIdentifier=name, EnableHttpEndpoint=False)
    sentence = place.refuse(*projects, **{**options, "timeout": 5})
    assert "has no Data API" in sentence


def test_the_lock_of_the_data_api(
    cluster: rds.Cluster, aws: emulator.Ministack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It outlasts a pause that its session would not; once it is lost, nothing more is changed."""
    monkeypatch.setattr(data_api, "_SESSION_SECONDS", 2)
    monkeypatch.setattr(data_api, "_ALIVE_SECONDS", 0.5)

    def transport() -> data_api.DataApiTransport:
        return data_api.DataApiTransport(aws.client("rds-data"), cluster.arn, cluster.secret, 120)

    first, second = transport(), transport()
    with first.hold(manager.LOCK, 10):
        time.sleep(5)
        first.execute("CREATE DATABASE mlflow_kept")
        (holder,) = second.query(f"SELECT IS_USED_LOCK('{manager.LOCK}')")[0]
        with pytest.raises(MlflowError) as caught, second.hold(manager.LOCK, 1):
            pass
        assert f"connection {holder} of user " in str(caught.value)
    with first.hold(manager.LOCK, 10):
        (holder,) = second.query(f"SELECT IS_USED_LOCK('{manager.LOCK}')")[0]
        second.execute(f"KILL {holder}")
        with second.hold(manager.LOCK, 10), pytest.raises(MlflowError) as caught:
            first.execute("CREATE DATABASE mlflow_lost")
    name = cluster.arn.rpartition(":")[2]
    assert str(caught.value).startswith(
        f"This run lost its lock on cluster {name}, so another run "
    )
    assert second.query("SHOW DATABASES LIKE 'mlflow%'") == [("mlflow_kept",)]
    # What is left of it does not stand in anyone's way.
    with first.hold(manager.LOCK, 10):
        pass


@pytest.mark.parametrize(
    "count", left_out.params([1], [50], "One project's statements are counted every time.")
)
def test_cost(count: int, place: Place, record_property: Callable[[str, object], None]) -> None:
    """A rerun sends as many statements for fifty projects as for one."""
    projects = [place.project(f"p{number}") for number in range(count)]
    timed = []
    for _number in range(2):
        start = time.monotonic()
        result = place.run(*projects)
        timed.append((result["statements"], round(1000 * (time.monotonic() - start))))
    record_property("statements and milliseconds", timed)
    print(f"{count} projects: first run {timed[0]}, rerun {timed[1]} (statements, ms)")
    assert timed[0][0] <= 7 * count + 11
    assert timed[1][0] <= 5
