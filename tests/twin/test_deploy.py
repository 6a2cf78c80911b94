# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The AWS path whole on the twin, in the order in which a team walks it.

It is the first file that uses the twin, since its first tests want an account that is empty.
The tests build on each other: check, deploy, deploy again, look for secrets, try to reach what is
another project's, break a server, add a project, drop it.
"""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import closing, suppress
from pathlib import Path

import pymysql
import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import keys
from ansible_collections.mlops.mlflow_aws.tests.parts.host import ask, await_, experiments
from ansible_collections.mlops.mlflow_aws.tests.parts.webhooks import WEBHOOKS
from ansible_collections.mlops.mlflow_aws.tests.twin._team import (
    MINUTES,
    Team,
    changes,
    projects,
    table,
)

pytestmark = pytest.mark.timeout(30 * MINUTES)

DENIED = {1044, 1142}


def test_check_mode_on_an_empty_account(team: Team) -> None:
    """It works, shows what would be made, and makes nothing."""
    done = team.play("deploy", "--check", "--diff")
    assert len(changes(done)) > 5
    # The repository's settings and the image's name.
    assert re.search(r'^\+ .*"scan_on_push": true', done.output, re.MULTILINE)
    assert re.search(r"^\+\S+/mlflow:3\.\S+-[0-9a-f]{12}$", done.output, re.MULTILINE)
    aws = team.twin.aws
    assert aws.client("cloudformation").list_stacks()["StackSummaries"] == []
    assert aws.client("ecr").describe_repositories()["repositories"] == []
    assert aws.client("s3").list_buckets()["Buckets"] == []
    assert team.containers() == {}


def test_deploy_from_nothing_shows_no_secret(team: Team) -> None:
    """Stack, image, schemas, servers and a proved run each; at -vvv no password is in sight."""
    done = team.play("deploy", "-vvv")
    assert len(changes(done)) > 5
    assert set(table(done)) == {"demo", "churn"}
    passwords = team.secrets()
    # The database's own, and two for each project.
    assert len(passwords) == 5
    keys = team.keys()
    assert set(keys) == {"/mlflow/mlflow/demo/key", "/mlflow/mlflow/churn/key"}
    for secret, password in {**passwords, **keys}.items():
        assert len(password) >= 16
        assert password not in done.output, secret


def test_a_second_run_changes_nothing(team: Team) -> None:
    """Not a container either."""
    before = team.containers()
    done = team.play("deploy")
    assert changes(done) == []
    assert team.containers() == before
    assert set(before) == {"demo", "churn"}


def test_artifacts_are_in_the_bucket_below_their_project(team: Team) -> None:
    """The verification runs' client held no AWS credentials; the server put the files there."""
    s3 = team.twin.aws.client("s3")
    buckets = [item["Name"] for item in s3.list_buckets()["Buckets"]]
    (bucket,) = [name for name in buckets if not name.startswith("mlflow-aws-cloudformation-")]
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    for project in ("demo", "churn"):
        assert [
            key
            for key in keys
            if key.startswith(f"projects/{project}/") and key.endswith("/artifacts/proof.txt")
        ]
    assert {key.split("/")[0] for key in keys} == {"projects"}


@pytest.mark.thorough("deploy calls the same roles, and servers runs alone, every time.")
def test_each_playbook_runs_alone(team: Team) -> None:
    """And has nothing to do."""
    for playbook in ("backend", "image", "projects", "servers"):
        assert changes(team.play(playbook)) == [], playbook


def test_no_secret_lies_anywhere(team: Team) -> None:
    """Not in a process, in what the engine tells, in the image, or in a file that was left."""
    passwords = [*team.secrets().values(), *derived_keys(team)]
    docker = team.twin.engine.docker
    inspected = [json.dumps(team.inspect(project)) for project in ("demo", "churn")]
    image = team.inspect("demo")["Image"]
    told = {
        "inspect": "\n".join(inspected),
        "image": docker("image", "inspect", image) + docker("history", "--no-trunc", image),
        "logs": "".join(
            docker("logs", f"{team.twin.instance}-{project}") for project in ("demo", "churn")
        ),
    }
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            with suppress(OSError):
                told[f"{process}/{name}"] = (process / name).read_text(errors="replace")
    for folder in (team.home, team.twin.folder / "state"):
        for path in folder.rglob("*"):
            if path.is_file():
                told[str(path)] = path.read_text(errors="replace")
    assert len(told) > 20
    # The owner of the database's stand-in, this process's own child, was given that one password.
    assert [
        where for where, text in told.items() if any(password in text for password in passwords)
    ] == []


def derived_keys(team: Team) -> list[str]:
    """Return the projects' root keys and what their servers derive from them."""
    found: list[str] = []
    for key in team.keys().values():
        path = team.twin.folder / "key"
        path.write_text(key)
        derived = keys.variables({"key_file": str(path), "environment": {}}, None)
        path.unlink()
        found += [key, derived[keys.WEBHOOKS], derived[keys.PASSPHRASE]]
    assert len(set(found)) == 6
    return found


def test_a_webhook_with_a_secret_outlives_its_container(team: Team) -> None:
    """Another process decrypts what one encrypted."""
    url = table(team.play("servers"))["demo"]
    # MLflow takes public addresses only; nothing happens here that it would be told of.
    webhook = {"name": "told", "url": "https://1.1.1.1/", "secret": "shared"}
    events = [{"entity": "REGISTERED_MODEL", "action": "CREATED"}]
    status, text = ask(url, WEBHOOKS, {**webhook, "events": events})
    assert status == 200, text
    team.twin.engine.docker("restart", f"{team.twin.instance}-demo")
    await_(lambda: ask(url, "/health")[0] == 200, "demo does not answer", 180)
    status, text = ask(url, WEBHOOKS)
    assert status == 200, text
    (made,) = json.loads(text)["webhooks"]
    assert made["name"] == "told"


def test_a_project_reaches_nothing_of_another(team: Team) -> None:
    """In real MySQL: its identities read and write their own schema, and no DDL for servers."""
    passwords, places = team.secrets(), team.places()
    own, other = _names.schema_name("demo"), _names.schema_name("churn")
    runtime = (_names.runtime_user("demo"), passwords[places["demo"]["runtime_secret"]])
    migrator = (_names.migrator_user("demo"), passwords[places["demo"]["migrator_secret"]])
    for user, password in (runtime, migrator):
        with (
            closing(team.twin.mysql.connect(user, password)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"SELECT COUNT(*) FROM `{own}`.experiments")
            for statement in (
                f"SELECT COUNT(*) FROM `{other}`.experiments",
                f"DELETE FROM `{other}`.runs",
                f"DROP TABLE `{other}`.runs",
                "SELECT user FROM mysql.user",
                "CREATE DATABASE mlflow_more",
            ):
                with pytest.raises(pymysql.MySQLError) as caught:
                    cursor.execute(statement)
                assert caught.value.args[0] in DENIED, statement
    with closing(team.twin.mysql.connect(*runtime)) as connection, connection.cursor() as cursor:
        for statement in (f"DROP TABLE `{own}`.runs", f"CREATE TABLE `{own}`.x (i INT)"):
            with pytest.raises(pymysql.MySQLError) as caught:
                cursor.execute(statement)
            assert caught.value.args[0] in DENIED, statement


def test_containers_are_confined(team: Team) -> None:
    """Read-only, no capability, no new privilege, not root, one loopback port."""
    found = team.inspect("demo")
    host = found["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"])
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert found["Config"]["User"].split(":")[0] not in ("", "0", "root")
    port = int(table(team.play("servers"))["demo"].rpartition(":")[2])
    addresses = {
        line.split()[1].rpartition(":")[0]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    }
    assert addresses == {"0100007F"}


@pytest.mark.thorough("test_docker_runtime.py kills a server every time.")
def test_a_server_that_is_killed_comes_back(team: Team) -> None:
    """Its process by itself; its container, which a person killed, at the next run."""
    before = team.inspect("demo")
    url = table(team.play("servers"))["demo"]
    os.kill(before["State"]["Pid"], signal.SIGKILL)
    await_(lambda: team.inspect("demo")["State"]["Pid"] not in (0, before["State"]["Pid"]), "gone")
    await_(lambda: ask(url, "/health")[0] == 200, "demo does not answer", 180)
    assert experiments(url) >= {"Default"}
    team.twin.engine.docker("kill", f"{team.twin.instance}-demo")
    assert len(changes(team.play("servers"))) >= 1
    assert experiments(url) >= {"Default"}


def test_a_new_project_is_added_and_the_others_go_on(team: Team) -> None:
    """One more schema and server; a name at its limit is no trouble."""
    before, long = team.containers(), "a" + "-b" * 19 + "c"
    assert len(long) == 40
    done = team.play("deploy", variables=projects("demo", "churn", long))
    assert len(changes(done)) >= 3
    assert set(table(done)) == {"demo", "churn", long}
    after = team.containers()
    assert {name: after[name] for name in before} == before
    assert changes(team.play("deploy", variables=projects("demo", "churn", long))) == []


def test_a_project_that_left_the_list_keeps_its_data(team: Team) -> None:
    """Its server stops, and the table says so; its schema, secrets and artifacts stay."""
    long = "a" + "-b" * 19 + "c"
    done = team.play("deploy", variables=projects("demo", "churn"))
    assert f"{long}  -" in done.output
    assert "not listed for this host" in done.output
    assert set(team.containers()) == {"demo", "churn"}
    assert long in team.places()
    with (
        closing(team.twin.mysql.connect()) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"SELECT COUNT(*) FROM `{_names.schema_name(long)}`.experiments")
        ((count,),) = cursor.fetchall()
        assert count >= 1
