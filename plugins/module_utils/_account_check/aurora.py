# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: checks of what Aurora and AWS do by themselves: pause, wake, rotate, write logs."""

from __future__ import annotations

import datetime
import json
import time
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check import database
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check.subject import (
    ClaimError,
    NotHereError,
    Subject,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend.logs import Logs
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import StackApi
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import SETTLED, phase
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._wait import wait

_ROTATION_SECONDS, _PAUSE_SECONDS, _LOG_SECONDS, _IAM_SECONDS = 300.0, 900.0, 120.0, 180.0
_POLL_SECONDS, _METRIC_SECONDS = 5.0, 60
_LENGTH = 40
_METRIC = "ServerlessDatabaseCapacity"


def new_password(subject: Subject) -> str:
    """Store a password of AWS's making in the secret of the own project's server."""
    secret = subject.own["runtime"]["secret"]
    if not secret:
        raise NotHereError("the projects log in with IAM and have no secrets")
    client = subject.client("secretsmanager")
    with _aws.explained("store a new password in a project's secret", client):
        made = client.get_random_password(PasswordLength=_LENGTH, ExcludePunctuation=True)
        content = {"project": subject.own["name"], "password": made["RandomPassword"]}
        stored = client.put_secret_value(SecretId=secret, SecretString=json.dumps(content))
    return f"version {stored['VersionId'][:8]} is {', '.join(stored['VersionStages'])}"


def master_rotation(subject: Subject) -> str:
    """Rotate the administrator's password, and use the new one."""
    secret = subject.outputs["DatabaseSecretArn"]
    client = subject.client("secretsmanager")
    doing = "rotate the administrator's password"
    with _aws.explained(doing, client):
        described = client.describe_secret(SecretId=secret)
    if described.get("OwningService") != "rds":
        raise NotHereError(
            "Amazon RDS does not manage the administrator's secret, so it rotates nothing"
        )
    before = _current(described)
    begun = time.monotonic()
    with _aws.explained(doing, client):
        client.rotate_secret(SecretId=secret, RotateImmediately=True)

        def rotated() -> str | None:
            now = _current(client.describe_secret(SecretId=secret))
            return now if now and now != before else None

        wait(rotated, subject.until(_ROTATION_SECONDS), _late("rotate the password"), _POLL_SECONDS)
    seconds = time.monotonic() - begun
    try:
        database.by_data_api(subject).query("SELECT 1")
        how = "the RDS Data API"
    except NotHereError:
        database.tls(subject)
        how = "a connection"
    return f"rotated within {seconds:.0f} s; {how} used the new password"


def log_retention(subject: Subject) -> str:
    """Find a stream that RDS wrote in a log group that had a retention before."""
    cluster = _cluster(subject)
    client = subject.client("logs")
    kept = Logs(client).retention(cluster)
    endless = sorted(name for name, days in kept.items() if days is None)
    if not kept or endless:
        raise ClaimError(
            f"No retention is set for {', '.join(endless) or 'any log group of the cluster'}."
        )

    def written() -> list[str] | None:
        found = [
            name for name in kept if client.describe_log_streams(logGroupName=name)["logStreams"]
        ]
        return found or None

    with _aws.explained("read the database's log groups", client):
        found = wait(written, subject.until(_LOG_SECONDS), _late("write a log"), _POLL_SECONDS)
    logs = ", ".join(name.rpartition("/")[2] for name in found)
    return f"{len(kept)} log groups with a retention; RDS wrote to {logs}"


def iam_login(subject: Subject) -> str:
    """Log in with a token of the own project's role, and try the other project's user."""
    if "DatabaseResourceId" not in subject.outputs:
        raise NotHereError("the stack's database has no resource ID, so nothing logs in with IAM")
    if subject.own["runtime"].get("login") != "iam":
        raise NotHereError("the projects log in with passwords")
    name, port = subject.outputs["DatabaseEndpoint"], int(subject.outputs["DatabasePort"])
    rds = subject.as_project("rds")
    begun, attempts = time.monotonic(), [0]

    def logged_in(user: str) -> str:
        attempts[0] += 1
        token = rds.generate_db_auth_token(name, port, user)
        return database.greet(subject, user, token)

    def accepted() -> str | None:
        try:
            return logged_in(subject.own["runtime"]["user"])
        except NotHereError:
            raise
        except MlflowError as error:
            said.append(str(error))
            return None

    said: list[str] = []
    server = wait(
        accepted,
        subject.until(_IAM_SECONDS),
        lambda: ClaimError(f"The token of a project's role is not accepted ({said[-1]})."),
        _POLL_SECONDS,
    )
    seconds, first = time.monotonic() - begun, attempts[0]
    try:
        logged_in(subject.other["runtime"]["user"])
    except MlflowError as error:
        return (
            f"{server} accepted the token after {seconds:.1f} s, with attempt {first}; another "
            f"project's user: {str(error).partition(';')[0]}"
        )
    raise ClaimError("The database accepted one project's token for another project's user.")


def pause(subject: Subject) -> str:
    """Wait until the database's capacity is zero."""
    cluster = _cluster(subject)
    begun = time.monotonic()
    client = subject.client("cloudwatch")
    seen: list[float] = []

    def paused() -> bool | None:
        now = datetime.datetime.now(datetime.timezone.utc)
        answer = client.get_metric_statistics(
            Namespace="AWS/RDS",
            MetricName=_METRIC,
            Dimensions=[{"Name": "DBClusterIdentifier", "Value": cluster}],
            StartTime=now - datetime.timedelta(minutes=10),
            EndTime=now,
            Period=_METRIC_SECONDS,
            Statistics=["Minimum"],
        )
        points = sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])
        seen[:] = [float(point["Minimum"]) for point in points]
        return True if seen and seen[-1] == 0 else None

    def late() -> MlflowError:
        return ClaimError(f"The database did not pause; its capacity was {seen or 'not reported'}.")

    with _aws.explained("read the database's capacity", client):
        wait(paused, subject.until(_PAUSE_SECONDS), late, 3 * _POLL_SECONDS)
    return f"{_METRIC} was 0 after {time.monotonic() - begun:.0f} s of waiting"


def wake(subject: Subject) -> str:
    """Ask the paused database, and measure how long it takes to answer."""
    begun = time.monotonic()
    try:
        database.by_data_api(subject).query("SELECT 1")
    except NotHereError:
        database.connection_limit(subject)
    return f"it answered after {time.monotonic() - begun:.1f} s"


def budget(subject: Subject) -> str:
    """Look for the budget's stack, which the backend does without where AWS refuses budgets."""
    if "AlarmTopicArn" not in subject.outputs:
        raise NotHereError(
            "the stack has no AlarmEmail; set it in mlflow_account_check_stack_parameters"
        )
    name = f"{subject.params['stack']}-budget"
    stack = StackApi(subject.params).describe(name)
    if phase(stack) != SETTLED:
        raise ClaimError(f"The account refused the budget: there is no complete stack {name}.")
    return f"{name} is complete"


def _cluster(subject: Subject) -> str:
    """Return the identifier of the stack's own cluster."""
    if subject.outputs.get("DatabaseManaged") != "true":
        raise NotHereError("the stack has an existing database, and no Aurora cluster of its own")
    return subject.outputs["DatabaseClusterArn"].rpartition(":")[2]


def _current(described: t.Mapping[str, t.Any]) -> str:
    """Return the current version of a secret."""
    versions = described.get("VersionIdsToStages", {})
    return next((name for name, stages in versions.items() if database.CURRENT in stages), "")


def _late(what: str) -> t.Callable[[], MlflowError]:
    """Return what is raised where AWS does not do something in time."""
    return lambda: ClaimError(f"AWS did not {what} within the time limit.")
