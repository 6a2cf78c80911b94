# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong on the AWS path whole: databases far away, restarted and frozen; faults; kills.

The tests need what deploy makes, and make it where test_deploy.py did not.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.parts.host import (
    ask,
    await_,
    experiments,
    processes,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.mysql_server import make_certificates
from ansible_collections.mlops.mlflow_aws.tests.twin._team import (
    MINUTES,
    TASK,
    Team,
    changes,
    table,
)

pytestmark = pytest.mark.timeout(30 * MINUTES)

CLIENTS = Path(__file__).with_name("_clients.py")
CLIENT_SECONDS = 15 * MINUTES
METRIC = "point"
SEARCH = "/api/2.0/mlflow/experiments/search"
AWKWARD = "%/@:?#&\"' and a space"
# Long enough for a busy machine, and far below the 90 seconds of a server that is not told.
DATABASE_SECONDS = 4
LIMITS = ("MLFLOW_AWS_DATABASE_TIMEOUT", "MLFLOW_AWS_DATABASE_RETRY")
# The lists of this module's team: churn gives up on its database early.
VARIABLES = {
    "mlflow_projects": [
        {"name": "demo"},
        {
            "name": "churn",
            "server": {"environment": {name: str(DATABASE_SECONDS) for name in LIMITS}},
        },
    ]
}
# How long a task that is to be killed has been running.
KILL_SECONDS = 0.5


@pytest.fixture(scope="module")
def urls(team: Team) -> dict[str, str]:
    """Deploy, and return each project's address."""
    done = team.play("deploy", variables=VARIABLES)
    changes(done)
    return table(done)


def log(team: Team, url: str, clients: int, batches: int, points: int, pause: float) -> Any:
    """Let many MLflow clients without any credentials log at once; return what they say."""
    image = team.inspect("demo")["Image"]
    command = ["run", "--rm", "--interactive", "--network", "host", "--read-only"]
    command += ["--entrypoint", "/opt/mlflow/venv/bin/python", image, "-", url, METRIC]
    numbers = (clients, batches, points, pause)
    with CLIENTS.open("rb") as program:
        text = team.twin.engine.docker(
            *command, *map(str, numbers), stdin=program, timeout=CLIENT_SECONDS
        )
    return json.loads(text.splitlines()[-1])


def kept(team: Team, project: str) -> dict[str, set[int]]:
    """Return the points that are in a project's database, by run."""
    schema = _names.schema_name(project)
    rows = team.twin.mysql.query(
        f"SELECT run_uuid, step FROM `{schema}`.metrics WHERE `key` = %s", METRIC
    )
    found: dict[str, set[int]] = {}
    for run_id, step in rows:
        found.setdefault(run_id, set()).add(step)
    return found


def check_nothing_lost(team: Team, project: str, said: Any, points: int) -> None:
    """Every client logged all it had, and all of that is in the database."""
    assert [run["error"] for run in said["runs"] if run["error"]] == []
    found = kept(team, project)
    for run in said["runs"]:
        assert run["sent"] == points
        assert found[run["run_id"]] == set(range(points)), run


@pytest.mark.thorough("A client logs through every server of the twin every time.")
def test_sixty_four_clients_over_a_long_link(team: Team, urls: dict[str, str]) -> None:
    """With 30 ms between server and database not one metric point is lost."""
    team.twin.link.round_trip = 0.03
    try:
        began = time.monotonic()
        experiments(urls["demo"])
        assert time.monotonic() - began > 0.03
        said = log(team, urls["demo"], 64, batches=3, points=10, pause=0)
    finally:
        team.twin.link.round_trip = 0.0
    check_nothing_lost(team, "demo", said, 30)


@pytest.mark.thorough("test_heals_when_the_database_restarts runs every time.")
def test_a_database_that_restarts_under_load(team: Team, urls: dict[str, str]) -> None:
    """Clients go on by their own retries, the servers by themselves; nothing is lost."""
    before, runs = team.containers(), len(kept(team, "demo"))
    with ThreadPoolExecutor(1) as pool:
        logging = pool.submit(log, team, urls["demo"], 8, batches=40, points=10, pause=0.2)
        await_(lambda: len(kept(team, "demo")) >= runs + 8, "they do not begin", 120)
        stopped = time.time()
        team.twin.mysql.act("kill")
        team.twin.mysql.act("start")
        team.twin.mysql.await_ready()
        said = logging.result()
    assert said["began"] < stopped < said["ended"]
    check_nothing_lost(team, "demo", said, 400)
    assert team.containers() == before


def test_a_frozen_database_gives_errors_in_time(team: Team, urls: dict[str, str]) -> None:
    """A request ends with an error instead of hanging, and the next one after it works."""
    assert experiments(urls["churn"])
    team.twin.mysql.act("pause")
    try:
        status, text = ask(urls["churn"], SEARCH, {"max_results": 1})
    finally:
        team.twin.mysql.act("unpause")
    # 0 would be an answer that did not come.
    assert status == 429, text
    assert experiments(urls["churn"])


@pytest.mark.thorough("A database that is frozen gives errors in time every time.")
@pytest.mark.usefixtures("urls")
def test_a_database_that_is_stopped_is_said_once(team: Team) -> None:
    """Not once for each project as the client's "too many 429 error responses"."""
    team.twin.mysql.act("stop")
    try:
        done = team.play("verify", variables=VARIABLES, check=False)
    finally:
        team.twin.mysql.act("start")
        team.twin.mysql.await_ready()
    assert done.code != 0
    [reason] = re.findall(r"localhost failed: (.*)", done.output)
    assert re.search(r"Projects '(demo|churn)' and '(demo|churn)': HTTP 429: ", reason), reason
    assert "the database is not reachable: " in reason
    assert reason.count("HTTP 429") == 1
    assert "too many" not in done.output
    assert len(re.findall(r"(?:demo|churn) +http://\S+ +failed ", done.output)) == 2
    team.play("verify", variables=VARIABLES)


def test_a_password_of_any_characters_is_followed(team: Team, urls: dict[str, str]) -> None:
    """The container that runs goes on with it, and the playbook that sets it has one change."""
    before = team.containers()
    text = json.dumps({"project": "churn", "password": f"{AWKWARD} {time.time()}"})
    manager = team.twin.aws.client("secretsmanager")
    secret = team.places()["churn"]["runtime_secret"]
    manager.put_secret_value(SecretId=secret, SecretString=text)
    assert len(changes(team.play("projects", variables=VARIABLES))) == 1
    for user_id in team.twin.mysql.query(
        "SELECT id FROM information_schema.processlist WHERE user = %s",
        _names.runtime_user("churn"),
    ):
        team.twin.mysql.query("KILL %s", *user_id)
    assert experiments(urls["churn"])
    assert team.containers() == before


def with_both(team: Team) -> dict[str, Any]:
    """Return the variables of a third project, on a port that no project of an earlier test had."""
    third = {"name": "both", "port": team.twin.base_port + 3}
    return {"mlflow_projects": [*VARIABLES["mlflow_projects"], third]}


@pytest.mark.thorough("Two operators at one stack and at one key run every time.")
@pytest.mark.usefixtures("urls")
def test_two_operators_at_once(team: Team, tmp_path: Path) -> None:
    """Each ends well, or is told of the other; afterwards all is as the list says."""
    before = team.containers()
    variables = with_both(team)
    operators = [team, Team(team.twin, tmp_path)]
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(one.play, "deploy", variables=variables, check=False) for one in operators
        ]
        done = [run.result() for run in runs]
    assert 0 in [one.code for one in done], done[0].output + done[1].output
    for one in done:
        if one.code:
            assert re.search(r"another (run|operation)|in progress|holds", one.output), one.output
    assert changes(team.play("deploy", variables=variables)) == []
    after = team.containers()
    assert {name: after[name] for name in before} == before
    assert "both" in after


# --- Faults: one sentence, and nothing touched ----------------------------------------------------


@contextmanager
def nobody(_team: Team) -> Iterator[dict[str, Any]]:
    """Run without any AWS credentials."""
    yield {"environment": {"AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "AWS_CONFIG_FILE": "/none"}}


@contextmanager
def foreign_stack(team: Team) -> Iterator[dict[str, Any]]:
    """Find a stack of that name which somebody else made."""
    stacks = team.twin.aws.client("cloudformation")
    template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    stacks.create_stack(StackName="theirs", TemplateBody=json.dumps(template))
    stacks.get_waiter("stack_create_complete").wait(StackName="theirs", WaiterConfig={"Delay": 1})
    try:
        yield {"variables": {"mlflow_stack_name": "theirs"}}
    finally:
        stacks.delete_stack(StackName="theirs")


@contextmanager
def wrong_password(team: Team) -> Iterator[dict[str, Any]]:
    """Let the administrator's secret hold what the database does not take."""
    manager, secret = team.twin.aws.client("secretsmanager"), team.twin.secret_arn
    before = manager.get_secret_value(SecretId=secret)["SecretString"]
    wrong = json.dumps(json.loads(before) | {"password": "not this one"})
    manager.put_secret_value(SecretId=secret, SecretString=wrong)
    try:
        yield {}
    finally:
        manager.put_secret_value(SecretId=secret, SecretString=before)


@contextmanager
def deleted_secret(team: Team) -> Iterator[dict[str, Any]]:
    """Let a project's secret be in its recovery window."""
    manager = team.twin.aws.client("secretsmanager")
    secret = team.places()["churn"]["runtime_secret"]
    manager.delete_secret(SecretId=secret, RecoveryWindowInDays=7)
    try:
        yield {}
    finally:
        manager.restore_secret(SecretId=secret)


@contextmanager
def newer_schema(team: Team) -> Iterator[dict[str, Any]]:
    """Let a newer MLflow have migrated a schema."""
    schema = _names.schema_name("demo")
    ((revision,),) = team.twin.mysql.query(f"SELECT version_num FROM `{schema}`.alembic_version")
    set_revision = f"UPDATE `{schema}`.alembic_version SET version_num = %s"
    team.twin.mysql.query(set_revision, "fedcba987654")
    try:
        yield {}
    finally:
        team.twin.mysql.query(set_revision, revision)


def given(**variables: Any) -> Callable[[Team], AbstractContextManager[dict[str, Any]]]:
    """Return a fault that lies in the inventory."""
    return lambda _team: nullcontext({"variables": variables})


def other_ca(_team: Team) -> AbstractContextManager[dict[str, Any]]:
    """Trust a CA that did not sign the database's certificate."""
    return nullcontext({"variables": {"mlflow_backend_ca": make_certificates("127.0.0.1").ca}})


@contextmanager
def other_registry(team: Team) -> Iterator[dict[str, Any]]:
    """Push to a registry that does not answer; the stack's right to pull follows the repository's name."""
    try:
        yield {"variables": {"mlflow_ecr_registry": "127.0.0.1:9", "mlflow_ecr_name": "elsewhere"}}
    finally:
        team.play("backend", variables=VARIABLES)


class Fault(NamedTuple):
    """What goes wrong: the playbook that meets it, how it is brought about, and what is said."""

    playbook: str
    arrange: Callable[[Team], AbstractContextManager[dict[str, Any]]]
    sentence: str


FAULTS = {
    "no credentials": Fault("deploy", nobody, "no AWS credentials were found; set a profile"),
    "wrong region": Fault(
        "servers",
        given(mlflow_stack_region="eu-west-1"),
        "Stack 'mlflow' is not deployed in region eu-west-1",
    ),
    "no region": Fault(
        "deploy", given(mlflow_stack_region="Frankfurt am Main"), "is not an AWS region"
    ),
    "foreign stack": Fault("deploy", foreign_stack, "Stack 'theirs'"),
    "wrong password": Fault("projects", wrong_password, "rejected user"),
    "untrusted CA": Fault("projects", other_ca, "certificate"),
    "no database": Fault(
        "backend",
        given(mlflow_stack_parameters={"ExistingDatabasePort": "none"}),
        "ExistingDatabasePort",
    ),
    "deleted secret": Fault(
        "projects", deleted_secret, "is deleted and in its recovery window; restore it"
    ),
    "newer schema": Fault("deploy", newer_schema, "newer MLflow"),
    "registry refuses": Fault(
        "deploy",
        other_registry,
        "check that the registry answers",
    ),
    "name too long": Fault(
        "deploy", given(mlflow_projects=[{"name": "a" * 41}]), "40 characters at most"
    ),
}


# One for each of the account, the region and a secret; the modules meet the others in tests of their own.
EVERY_TIME = ("no credentials", "wrong region", "deleted secret")


@pytest.mark.parametrize(
    "fault",
    left_out.params(
        EVERY_TIME, sorted({*FAULTS} - {*EVERY_TIME}), "Three of the kind run every time."
    ),
)
def test_a_fault_is_one_sentence(team: Team, urls: dict[str, str], fault: str) -> None:
    """It says what to do, shows no password and no traceback, and servers go on."""
    playbook, arrange, sentence = FAULTS[fault]
    before = team.containers()
    with arrange(team) as how:
        how = {"variables": VARIABLES | how.pop("variables", {}), **how}
        done = team.play(playbook, **how, check=False)
        passwords = team.secrets() if fault != "deleted secret" else {}
    assert done.code != 0, done.output
    told = failure(done.output)
    assert sentence in told, done.output
    assert "Traceback" not in done.output
    assert not [text for text in passwords.values() if text in done.output]
    assert team.containers() == before
    assert experiments(urls["demo"])


def failure(output: str) -> str:
    """Return the one sentence with which a run failed."""
    found = re.findall(r'"msg": (".*")|^\[ERROR\]: Task failed: (.*)$', output, re.MULTILINE)
    return "\n".join(one or other for one, other in found)


@pytest.mark.thorough(
    "It needs the project of two operators; test_deploy.py has a second run every time."
)
@pytest.mark.usefixtures("urls")
def test_after_all_faults_nothing_is_left_to_do(team: Team) -> None:
    """Each was undone, and none left anything."""
    variables = with_both(team)
    assert changes(team.play("deploy", variables=variables)) == []


# --- Kills ----------------------------------------------------------------------------------------


@pytest.mark.thorough("scripts/quickstart is killed once every time.")
@pytest.mark.usefixtures("urls")
def test_killed_at_each_task_that_changes_something(team: Team) -> None:
    """One first run after the other is killed at a later task; then it converges."""
    variables = {
        "mlflow_stack_name": "second",
        "mlflow_ecr_name": "second",
        "mlflow_projects": [{"name": "late"}, {"name": "later"}],
        "mlflow_server_docker_instance": f"second-{team.twin.base_port}",
        "mlflow_base_port": team.twin.base_port + 40,
        "mlflow_state_dir": str(team.twin.folder / "second"),
    }
    killed: list[str] = []
    try:
        while task := killed_at(team, variables, team.changing - set(killed)):
            killed.append(task)
        assert len(killed) >= 7, killed
        done = team.play("deploy", variables=variables)
        assert changes(done) == []
        assert set(table(done)) == {"late", "later"}
    finally:
        gone = {"mlflow_server_state": "absent"}
        team.play("servers", variables=variables | gone, check=False)


def killed_at(team: Team, variables: dict[str, Any], tasks: set[str]) -> str:
    """Run deploy and kill it in the first of these tasks; return that, empty where it ended."""
    log = team.home / "killed.log"
    with team.overlay(variables) as inventory, log.open("w") as output:
        process = subprocess.Popen(
            team.command("deploy", inventory),
            cwd=team.home,
            env=team.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                for task in TASK.findall(log.read_text()):
                    if task in tasks:
                        # Into the middle of it.
                        time.sleep(KILL_SECONDS)
                        return str(task)
                time.sleep(0.05)
        finally:
            # Ansible's workers have sessions of their own, and would stay for ever.
            for pid in processes(process.pid) if process.poll() is None else ():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == 0, log.read_text()
    return ""
