# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Login with IAM, from the module that creates the users to the server that signs tokens.

MySQL is real, and has a plugin under the name of Aurora's, which has each token's signature, age,
host and user checked: see tests/parts/iam_login.py. What only AWS can show is its own plugin.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql
import pytest
from ansible_collections.mlops.mlflow_aws.tests.integration.aws._entry import Place, database_server
from ansible_collections.mlops.mlflow_aws.tests.parts import iam_login, job_features, server_program
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import REGION, ROOT, ministack
from ansible_collections.mlops.mlflow_aws.tests.parts.host import (
    Modules,
    ask,
    await_,
    experiments,
    processes,
    traces,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.judges import expect
from ansible_collections.mlops.mlflow_aws.tests.parts.model import model
from ansible_collections.mlops.mlflow_aws.tests.parts.mysql_server import make_certificates
from ansible_collections.mlops.mlflow_aws.tests.support import command_line

pytestmark = pytest.mark.timeout(600)

SEARCH = "/api/2.0/mlflow/experiments/search"
KINDS = {"runtime": "mlflow_rt_", "migrator": "mlflow_mg_"}


@dataclass
class Twin:
    """The program, a database that knows IAM, and the module that makes its users."""

    place: Place
    logins: iam_login.Logins
    modules: Modules
    # Held by a request: a session that is killed in the middle of one fails it, whatever it logged in with.
    using: threading.Lock = field(default_factory=threading.Lock)

    def project(self, name: str, login: str, secrets: Mapping[str, str] | None = None) -> list[str]:
        """Have the module make a project's users; return its actions, of which a rerun has none."""
        database, aws = self.place.database, self.place.aws
        identities = {
            kind: {"login": login, "secret": (secrets or {}).get(kind, "")} for kind in KINDS
        }
        options = {
            "projects": [{"name": name, **identities}],
            "login_host": database.host,
            "login_port": database.port,
            "login_user": database.user,
            "login_password": database.password,
            "login_ca": database.ca,
            **aws.options(),
        }
        how: dict[str, Any] = {"python": sys.executable, **aws.environment()}
        foretold = self.modules.call("mlflow_project_schema", options, check=True, **how)
        done = self.modules.call("mlflow_project_schema", options, diff=True, **how)
        assert done["projects"][0]["actions"] == foretold["projects"][0]["actions"]
        assert self.modules.call("mlflow_project_schema", options, **how)["changed"] is False
        # Sessions that are open would go on without another login.
        with self.using:
            for prefix in KINDS.values():
                for (number,) in self.place.sessions(f"{prefix}{name}"):
                    with suppress(pymysql.err.OperationalError):
                        database.query(f"KILL {number}")
        actions: list[str] = done["projects"][0]["actions"]
        return actions

    def allow(self, *users: str) -> None:
        """Let the only identity there is connect as these users."""
        self.logins.signers[ROOT[0]] = iam_login.Signer(ROOT[1], users)

    def database(self, user: str, secret: str = "", **more: str) -> dict[str, Any]:
        """Return the settings' `database`."""
        return {"secret": secret, "user": user, "ca": self.place.database.ca, **more}

    def migrate(self, name: str, secret: str = "") -> dict[str, Any]:
        """Migrate a project's schema, and return the record."""
        (record,) = self.place.migrate(
            {
                "name": name,
                "uri": self.place.uri(f"mlflow_{name}"),
                "database": self.database(f"mlflow_mg_{name}", secret),
            }
        )
        return record

    @contextmanager
    def asked(self, url: str) -> Iterator[list[int]]:
        """Ask a server again and again while the block runs, and give the statuses of its answers."""
        ended, statuses = threading.Event(), list[int]()

        def repeat() -> None:
            while not ended.wait(0.05):
                with self.using:
                    statuses.append(ask(url, SEARCH, {"max_results": 1})[0])

        thread = threading.Thread(target=repeat)
        thread.start()
        try:
            yield statuses
            enough = len(statuses) + 10
            while len(statuses) < enough:
                time.sleep(0.05)
        finally:
            ended.set()
            thread.join()

    def reasons(self, user: str) -> set[str]:
        """Return what became of the tries of a user since the last question."""
        told = {reason for name, reason in self.logins.tries if name == user}
        self.logins.tries.clear()
        return told


@pytest.fixture(scope="module")
def twin(
    runtime: Mapping[str, Any],
    modules: Modules,
    mysql_image: str,
    free_ports: Callable[[int], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Twin]:
    """Start the database and the emulated AWS for all tests."""
    with (
        # A socket's path is short.
        tempfile.TemporaryDirectory(prefix="iam-") as folder,
        iam_login.checker(Path(folder), REGION) as logins,
        database_server(
            mysql_image,
            free_ports(1)[0],
            *iam_login.OPTIONS,
            volumes={iam_login.INSIDE: folder},
        ) as database,
        ministack(free_ports(1)[0], tmp_path_factory.mktemp("aws")) as aws,
    ):
        logins.host, logins.port = "127.0.0.1", database.port
        entry = server_program.lay_out(tmp_path_factory.mktemp("program"))
        folder_of_place = tmp_path_factory.mktemp("place")
        place = Place(Path(runtime["python"]), entry, database, aws, folder_of_place, free_ports)
        yield Twin(place, logins, modules)


def test_from_nothing_without_any_password(twin: Twin) -> None:
    """Users, migration and server: AWS's secrets are not asked for, as there are none."""
    done = twin.project("fresh", "iam")
    assert done[1:3] == ["create user mlflow_mg_fresh", "create user mlflow_rt_fresh"]
    rows = twin.place.database.query(
        "SELECT plugin, authentication_string, ssl_type FROM mysql.user WHERE User LIKE 'mlflow%%'"
    )
    assert rows == [("AWSAuthenticationPlugin", "RDS", "ANY")] * 2
    twin.allow("mlflow_rt_fresh", "mlflow_mg_fresh")
    assert twin.migrate("fresh")["error"] == ""
    assert twin.reasons("mlflow_mg_fresh") == {""}
    settings = twin.place.settings("mlflow_fresh", twin.database("mlflow_rt_fresh"))
    with twin.place.serve(settings) as server:
        server.await_ready()
        assert experiments(server.url) == {"Default"}
        assert twin.reasons("mlflow_rt_fresh") == {""}
    assert twin.place.aws.client("secretsmanager").list_secrets()["SecretList"] == []


def test_whom_the_database_refuses(twin: Twin) -> None:
    """The sentence says what to allow, to servers and migrations; one user's right is not another's."""
    twin.project("denied", "iam")
    twin.allow("mlflow_rt_other")
    settings = twin.place.settings("mlflow_denied", twin.database("mlflow_rt_denied"))
    sentence = twin.place.refuse(settings)
    assert "refuses the user mlflow_rt_denied with IAM; allow rds-db:connect as that" in sentence
    assert twin.reasons("mlflow_rt_denied") == {
        "rds-db:connect is not allowed for mlflow_rt_denied"
    }
    assert "refuses the user mlflow_mg_denied with IAM" in twin.migrate("denied")["error"]
    # Nor does a password help, though that is where one would go.
    with pytest.raises(pymysql.err.OperationalError):
        twin.place.database.connect("mlflow_rt_denied", "guess")


def test_an_impostor_gets_no_token(twin: Twin) -> None:
    """A database whose certificate is not verified is not even told who asks."""
    twin.project("shy", "iam")
    twin.allow("mlflow_rt_shy")
    other = make_certificates("127.0.0.1").ca
    database = {**twin.database("mlflow_rt_shy"), "ca": other}
    twin.reasons("mlflow_rt_shy")
    sentence = twin.place.refuse(twin.place.settings("mlflow_shy", database))
    assert "shows a certificate that is not trusted" in sentence
    assert twin.reasons("mlflow_rt_shy") == set()


@pytest.mark.thorough(
    "Logins by password and by IAM run every time; this one moves a server under load."
)
def test_a_move_to_iam_and_back(twin: Twin) -> None:
    """A server follows its user from one connection to the next: no request fails, nothing is lost."""
    user, place = "mlflow_rt_moved", twin.place
    secrets = {
        kind: place.make_secret("", json.dumps({"project": "moved", "password": f"of {kind}"}))
        for kind in KINDS
    }
    twin.allow(user, "mlflow_mg_moved")
    assert len(twin.project("moved", "password", secrets)) == 5
    assert twin.migrate("moved", secrets["migrator"])["error"] == ""
    both = place.settings("mlflow_moved", twin.database(user, secrets["runtime"]))
    with place.serve(both) as server:
        server.await_ready()
        created = ask(server.url, "/api/2.0/mlflow/experiments/create", {"name": "kept"})
        assert created[0] == 200
        with twin.asked(server.url) as statuses:
            moved = twin.project("moved", "iam")
        assert moved == [f"let user {name}moved log in with IAM" for name in sorted(KINDS.values())]
        assert set(statuses) == {200}
        assert twin.reasons(user) == {""}
        with twin.asked(server.url) as statuses:
            back = twin.project("moved", "password", secrets)
        assert back == [f"set the password of user {name}moved" for name in sorted(KINDS.values())]
        assert set(statuses) == {200}
        assert experiments(server.url) == {"Default", "kept"}
    # One that restarts when its secret is gone already serves the same data.
    twin.project("moved", "iam")
    place.aws.client("secretsmanager").delete_secret(
        SecretId=secrets["runtime"], ForceDeleteWithoutRecovery=True
    )
    database = twin.database(user, secrets["runtime"], login="iam")
    with place.serve(place.settings("mlflow_moved", database)) as server:
        server.await_ready()
        assert experiments(server.url) == {"Default", "kept"}
        server.await_text("The server logs in with IAM.")


def test_a_database_without_iam_is_told(twin: Twin) -> None:
    """The plugin is missing where IAM authentication is off."""
    database = twin.place.database
    database.query("UNINSTALL PLUGIN AWSAuthenticationPlugin")
    try:
        options = {
            "projects": [{"name": "late", **{kind: {"login": "iam"} for kind in KINDS}}],
            "login_host": database.host,
            "login_port": database.port,
            "login_user": database.user,
            "login_password": database.password,
            "login_ca": database.ca,
            **twin.place.aws.options(),
        }
        how: dict[str, Any] = {"python": sys.executable, **twin.place.aws.environment()}
        sentence = twin.modules.refuse("mlflow_project_schema", options, **how)
    finally:
        database.query("INSTALL PLUGIN AWSAuthenticationPlugin SONAME 'aws.so'")
    assert "the database knows no login with IAM; turn IAM database authentication on" in sentence


def test_no_token_was_seen(twin: Twin) -> None:
    """Neither in a log nor in what a program printed."""
    texts = [log.read_text(errors="replace") for log in twin.place.logs] + twin.place.seen
    assert len(texts) > 5
    assert twin.logins.tokens
    assert not [text for text in texts if "X-Amz-Signature" in text]


def connected(pid: int, port: int) -> bool:
    """Return whether a process has a connection to a port of this machine."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    to_it = {
        f"socket:[{line.split()[9]}]" for line in lines if line.split()[2].endswith(f":{port:04X}")
    }
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.add(os.readlink(link))
    return bool(found & to_it)


@pytest.mark.thorough("Servers and migrations log in by token every time; jobs run every time.")
def test_jobs_log_in_by_token(twin: Twin) -> None:
    """The server, its runner and the job's process: each is connected as the one user, who has no password."""
    twin.project("judged", "iam")
    twin.allow("mlflow_rt_judged", "mlflow_mg_judged")
    assert twin.migrate("judged")["error"] == ""
    user = twin.database("mlflow_rt_judged")
    with model() as asked:
        made = twin.place.settings("mlflow_judged", user, jobs=True, environment=asked.environment)
        with twin.place.serve(made) as server:
            server.await_ready()
            server.await_text("The job runner takes this project's jobs.")
            twin.reasons("mlflow_rt_judged")
            asked.answers.clear()
            body = {"name": "judged"}
            created = expect(server.url, "POST", "/api/2.0/mlflow/experiments/create", body)
            job = job_features.judge_once(server.url, created["experiment_id"])
            await_(lambda: asked.asked, server.text(), 300)
            # The server is the parent of the runner, and that of the job.
            tree = processes(server.process.pid)
            assert [command_line(Path(f"/proc/{pid}"))[-2] for pid in tree] == [
                "serve",
                "jobs",
                "job",
            ]
            port = twin.place.database.port
            assert [connected(pid, port) for pid in tree] == [True] * 3
            asked.answers.set()
            job_features.await_all(server.url, {"judge": job})
            assert twin.reasons("mlflow_rt_judged") == {""}
            assert not traces("X-Amz-Signature")
