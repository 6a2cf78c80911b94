# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens for a login with IAM: what is in them, how long they are kept, and who gets none."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pymysql
import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import (
    aws,
    database_login,
)
from ansible_collections.mlops.mlflow_aws.tests.parts import iam_login

HOST, PORT, USER = "mlflow.cluster-abc.eu-central-1.rds.amazonaws.com", 3306, "mlflow_rt_demo"
REGION = "eu-central-1"
KEYS = ("AKIAEXAMPLE", "wJalr/XUtnFEMI+K7MDENG", "session/token+with=signs")


@pytest.fixture(autouse=True)
def identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Give this process keys, and nothing of the machine's own."""
    for name in (*aws.IDENTITY, "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    for name, value in zip(names, KEYS, strict=True):
        monkeypatch.setenv(name, value)
    forget()
    yield
    forget()


def forget() -> None:
    """Begin with no session and no token."""
    database_login._session.cache_clear()
    database_login._TOKENS.clear()


@pytest.fixture
def logins(tmp_path: Path) -> iam_login.Logins:
    """Return what checks tokens as AWS documents it."""
    signer = iam_login.Signer(KEYS[1], (USER,), KEYS[2])
    return iam_login.Logins(tmp_path, REGION, HOST, PORT, {KEYS[0]: signer})


def token(user: str = USER, **settings: str) -> str:
    """Return a token."""
    return database_login.token(HOST, PORT, user, {"region": REGION, **settings})


def test_a_token_is_good_at_one_database_for_one_user(logins: iam_login.Logins) -> None:
    """It is for 15 minutes, and holds no secret."""
    made = token()
    assert logins.check("RDS", USER, made), logins.tries
    assert "X-Amz-Expires=900" in made
    assert KEYS[1] not in made
    assert not logins.check("RDS", "mlflow_rt_other", made)
    logins.port += 1
    assert not logins.check("RDS", USER, made)


def test_it_is_the_token_of_the_sdk(logins: iam_login.Logins) -> None:
    """But for the second in which it is signed."""
    session = boto3.session.Session(*KEYS, region_name=REGION)
    theirs = session.client("rds").generate_db_auth_token(HOST, PORT, USER)
    assert logins.check("RDS", USER, theirs), logins.tries
    told, known = (
        [part for part in made.split("&") if not part.startswith(("X-Amz-Date", "X-Amz-Signature"))]
        for made in (token(), theirs)
    )
    assert told == known


def test_the_region_of_the_environment_applies(
    logins: iam_login.Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the settings name none."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    assert logins.check("RDS", USER, token(region=""))


def test_a_token_is_used_again_for_some_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other users and other keys get their own, and an old one is not given any more."""
    first = token()
    assert token() is first
    assert token("mlflow_rt_other") != first
    again = token()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    database_login._session.cache_clear()
    assert "AKIAOTHER" in token()
    assert "AKIAOTHER" not in again
    monkeypatch.setattr(database_login, "_KEPT_SECONDS", -1.0)
    other = token()
    assert token() is not other


def test_without_credentials_or_region_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of the driver's, which a server answers with like with any of the database."""
    with pytest.raises(pymysql.err.OperationalError, match="no AWS region is set"):
        token(region="")
    for name in aws.IDENTITY:
        if name not in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            monkeypatch.delenv(name, raising=False)
    database_login._session.cache_clear()
    with pytest.raises(pymysql.err.OperationalError, match="there are no AWS credentials") as told:
        token()
    assert told.value.args[0] == database_login.FAILED
    monkeypatch.setenv("AWS_PROFILE", "missing")
    database_login._session.cache_clear()
    with pytest.raises(pymysql.err.OperationalError, match="missing"):
        token()


def connection(*, secure: bool, verify: ssl.VerifyMode, names: bool) -> Any:
    """Return what PyMySQL's handler looks at of a connection."""
    context = ssl.create_default_context()
    context.check_hostname = names
    context.verify_mode = verify
    return SimpleNamespace(_secure=secure, ctx=context, host=HOST, port=PORT, user=USER.encode())


@pytest.mark.parametrize(
    "made",
    [
        connection(secure=False, verify=ssl.CERT_REQUIRED, names=True),
        connection(secure=True, verify=ssl.CERT_REQUIRED, names=False),
        connection(secure=True, verify=ssl.CERT_OPTIONAL, names=False),
        connection(secure=True, verify=ssl.CERT_NONE, names=False),
        SimpleNamespace(_secure=True, host=HOST, port=PORT, user=USER.encode()),
    ],
)
def test_only_a_verified_database_gets_a_token(made: Any) -> None:
    """Any other gets nothing at all: there is no channel to write to here."""
    (handler,) = database_login.handlers({"region": REGION}).values()
    with pytest.raises(pymysql.err.OperationalError, match="has not verified"):
        handler(made).authenticate(None)
