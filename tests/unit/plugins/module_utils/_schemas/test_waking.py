# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that sleeps, restarts or is full is asked again, by both transports, until a limit."""

from __future__ import annotations

import itertools
import time
from typing import Any

import boto3
import pymysql
import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import (
    database,
    mysql_errors,
    options,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.data_api import (
    DataApiTransport,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._wait import growing
from botocore.stub import Stubber

CLUSTER = "arn:aws:rds:eu-central-1:123456789012:cluster:mlflow"
PAUSES = database._PAUSES
RESUMING = ("DatabaseResumingException", "The cluster is resuming after being auto-paused.")
UNAVAILABLE = ("DatabaseUnavailableException", "The database is not available.")
FULL = ("BadRequestException", "Database error code: 1040. Message: Too many connections")
LOST = ("BadRequestException", "Database error code: 2013. Message: Lost connection to server")
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x"
ANSWER = {"records": [[{"longValue": 1}]]}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the pauses short."""
    monkeypatch.setattr(database, "_PAUSES", (0.01, 1.5, 0.05))


@pytest.fixture
def stub() -> Any:
    """Return a client of the Data API that gives the answers that a test tells it to."""
    client = boto3.client(
        "rds-data",
        region_name="eu-central-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    with Stubber(client) as stubber:
        yield stubber


def connect(stub: Any, *answers: tuple[str, str], timeout: float = 20) -> DataApiTransport:
    """Return a transport whose first statement is answered by these errors, and then well."""
    for code, message in answers:
        stub.add_client_error("execute_statement", code, message, http_status_code=400)
    stub.add_response("execute_statement", ANSWER)
    return DataApiTransport(stub.client, CLUSTER, SECRET, timeout)


def test_pauses_grow_and_outlast_a_resume() -> None:
    """Several attempts in the first seconds, and six a minute later on, within the modules' limit."""
    pauses = list(itertools.islice(growing(*PAUSES), 20))
    assert pauses == sorted(pauses)
    assert sum(pauses[:4]) < 10
    assert pauses[-1] <= 10
    assert options.ARGUMENTS["timeout"]["default"] >= 120


def test_the_helper_waits_and_tells_how_long() -> None:
    """It asks until there is an answer; an error of another kind ends it at once."""
    told = iter(["asleep", "full"])

    def attempt() -> str:
        for reason in told:
            raise database.NotNow(reason)
        return "here"

    answer, seconds = database.once_awake(attempt, 20, MlflowError)
    assert answer == "here"
    assert 0 < seconds < 5
    assert database.once_awake(attempt, 20, MlflowError) == ("here", 0.0)
    with pytest.raises(ZeroDivisionError):
        database.once_awake(lambda: 1 // 0, 20, MlflowError)


def test_the_limit_ends_the_wait_with_the_last_reason() -> None:
    """And with the caller's own sentence."""

    def attempt() -> str:
        raise database.NotNow("asleep")

    start = time.monotonic()
    with pytest.raises(MlflowError, match="too late: asleep"):
        database.once_awake(attempt, 0.2, lambda reason: MlflowError(f"too late: {reason}"))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("error", [RESUMING, UNAVAILABLE, FULL, LOST])
def test_the_data_api_is_asked_again(error: tuple[str, str], stub: Any) -> None:
    """Until the cluster is awake and has a connection left; the result says how long it took."""
    transport = connect(stub, error, error)
    assert transport.waited > 0
    stub.assert_no_pending_responses()


@pytest.mark.parametrize("error", [RESUMING, FULL])
def test_a_cluster_that_sleeps_or_fills_up_later(error: tuple[str, str], stub: Any) -> None:
    """Neither has run the statement, so it is sent again."""
    transport = connect(stub)
    assert transport.waited == 0
    stub.add_client_error("execute_statement", *error)
    stub.add_response("execute_statement", ANSWER)
    assert transport.query("SELECT 1") == [(1,)]
    assert transport.waited > 0


def test_a_connection_that_was_lost_in_a_statement(stub: Any) -> None:
    """What was sent may have been done, so it is not sent twice."""
    transport = connect(stub)
    stub.add_client_error("execute_statement", *LOST)
    with pytest.raises(database.SqlError) as caught:
        transport.execute("DO 1")
    assert caught.value.code == 2013


def test_a_cluster_that_does_not_wake(stub: Any) -> None:
    """The sentence says what AWS said, and which limit to raise."""
    for _number in range(20):
        stub.add_client_error("execute_statement", *RESUMING)
    with pytest.raises(MlflowError) as caught:
        DataApiTransport(stub.client, CLUSTER, SECRET, 0.2)
    assert str(caught.value) == (
        "The database of cluster mlflow did not wake up within 0 seconds (The cluster is resuming "
        "after being auto-paused); rerun, or raise the timeout."
    )


@pytest.mark.parametrize("code", [1040, 1053, 2002, 2003, 2006, 2013])
def test_what_passes(code: int) -> None:
    """A connection that was refused for such a reason is tried again."""
    error = pymysql.err.OperationalError(code, "some reason")
    assert mysql_errors.refusal(error, "db:3306", "admin", "db") == ""


@pytest.mark.parametrize("code", [1045, 1129, 1203, 1226])
def test_what_does_not_pass(code: int) -> None:
    """Any other is told at once."""
    error = pymysql.err.OperationalError(code, "some reason")
    assert mysql_errors.refusal(error, "db:3306", "admin", "db").startswith("MySQL at db:3306 ")


class Session:
    """A database's session, whose answers about one lock a test decides."""

    def __init__(self) -> None:
        """Hold the lock."""
        self.holds: int | None = 1

    def ask(self, sql: str) -> database.Rows:
        """Answer as MySQL does."""
        if "IS_USED_LOCK" in sql and "CONNECTION_ID" in sql:
            return [(self.holds,)]
        if "IS_FREE_LOCK" in sql:
            return [(1 if self.holds is None else 0,)]
        if "PROCESSLIST" in sql:
            return [(7, "admin", "10.0.0.9:4711", 3)]
        return [(1,)]


def test_a_lock_that_is_lost_is_told() -> None:
    """With who has it now, if somebody has; while it is held, nothing is said."""
    session = Session()
    with database.locked(session.ask, "lock", 1, "db:3306") as check:
        check()
        session.holds = 0
        with pytest.raises(MlflowError) as caught:
            check()
        assert str(caught.value) == (
            "This run lost its lock on db:3306, so another run may be changing the schemas "
            "(connection 7 of user admin from 10.0.0.9:4711, idle for 3 seconds, holds the lock); rerun."
        )
        session.holds = None
        with pytest.raises(MlflowError, match="no connection holds the lock"):
            check()
