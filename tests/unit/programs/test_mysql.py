# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL: limits, sentences, and waiting for a database that sleeps."""

from __future__ import annotations

import time

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import mysql
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.errors import EntryError

URI = "mysql+pymysql://db.example:3307/demo"
DATABASE = {"user": "mlflow_demo", "secret": "demo-secret"}


@pytest.mark.parametrize("name", sorted(mysql.LIMITS))
def test_limits_have_defaults(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And variables that change them."""
    monkeypatch.delenv(name, raising=False)
    assert mysql.limit(name) == mysql.LIMITS[name]
    monkeypatch.setenv(name, "0.5")
    assert mysql.limit(name) == 0.5


@pytest.mark.parametrize("text", ["", "soon", "0", "-1", "nan", "86401", "inf"])
def test_a_limit_that_is_no_number_of_seconds(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable, its value and what fits are named."""
    monkeypatch.setenv(mysql.POLL, text)
    with pytest.raises(EntryError) as caught:
        mysql.limit(mysql.POLL)
    assert str(caught.value) == (
        f"MLFLOW_AWS_SECRET_POLL is {text!r}; set it to a number of seconds up to 86400."
    )


class Wrapped(Exception):
    """An error as SQLAlchemy wraps it."""

    def __init__(self, orig: Exception) -> None:
        """Take the driver's error."""
        super().__init__(f"(pymysql.err) {orig}")
        self.orig = orig


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Exception(1045, "Access denied."), (1045, "Access denied")),
        (Wrapped(Exception(2003, "Can't\nconnect")), (2003, "Can't connect")),
        (Exception("text only."), (0, "text only")),
        (Exception(), (0, "")),
    ],
)
def test_number_and_text_of_an_error(error: Exception, reason: tuple[int, str]) -> None:
    """Of the driver's error, on one line and without a full stop."""
    assert mysql.reason(error) == reason


def test_a_user_with_iam_has_no_password() -> None:
    """So the sentence names the permission instead of a secret."""
    sentence = mysql.sentence(Exception(1045, "Access denied"), URI, {**DATABASE, "secret": ""})
    assert sentence.startswith(
        "The database at db.example:3307 refuses the user mlflow_demo with IAM; allow rds-db:connect "
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ((1045, "Access denied"), "refuses the user mlflow_demo with the password in demo-secret;"),
        ((2003, "SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed (_ssl.c:1006)"),
         "shows a certificate that is not trusted (self-signed); check the CA"),
        ((2026, "SSL is required"), "does not offer TLS (SSL is required); turn TLS on there."),
        ((1044, "no access"), "does not let the user mlflow_demo into the schema demo (no access);"),
        ((1049, "Unknown database"), "playbook, which creates it."),
        ((2003, "timed out"), "does not answer (timed out); check that it runs and is reachable."),
        ((1040, "Too many connections"), "has no connection left (Too many connections); raise MaxCapacity"),
        ((9999, "odd"), "fails (odd); see its log."),
        ((), "fails (Exception); see its log."),
    ],
)  # fmt: skip
def test_why_a_database_did_not_serve(error: tuple[object, ...], words: str) -> None:
    """One sentence that begins with the address of the database."""
    sentence = mysql.sentence(Exception(*error), URI, DATABASE)
    assert sentence.startswith("The database at db.example:3307 ")
    assert words in sentence
    assert sentence.endswith(".")
    assert "_ssl.c" not in sentence


def test_the_port_may_be_left_out() -> None:
    """It is MySQL's own then."""
    sentence = mysql.sentence(Exception(), "mysql+pymysql://db.example/demo", DATABASE)
    assert sentence.startswith("The database at db.example:3306 ")


@pytest.mark.parametrize(
    ("number", "text", "tries"),
    [
        (2003, "timed out", 2),
        (1053, "shutting down", 2),
        (1045, "Access denied", 1),
        (2003, "certificate verify failed", 1),
        (2003, "Name or service not known", 1),
        (1049, "Unknown database", 1),
    ],
)
def test_what_is_worth_a_retry(
    number: int, text: str, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that may be waking up; not one that refuses."""
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    calls: list[int] = []

    def attempt() -> str:
        calls.append(1)
        if len(calls) < 2:
            raise OSError(number, text)
        return "awake"

    if tries == 1:
        with pytest.raises(OSError, match=text):
            mysql.wait_awake(attempt, URI, 60)
    else:
        assert mysql.wait_awake(attempt, URI, 60) == "awake"
    assert len(calls) == tries


def test_waiting_has_an_end() -> None:
    """The last error of the database is raised."""

    def attempt() -> None:
        raise OSError(2003, "timed out")

    with pytest.raises(OSError, match="timed out"):
        mysql.wait_awake(attempt, URI, -1)
