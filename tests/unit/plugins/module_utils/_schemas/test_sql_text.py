# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What reaches SQL: names, texts and passwords, whatever is in them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sql_text
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.database import SqlError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.verifier import verifier

BAD_NAMES = ["", "A", "1a", "_a", "a-b", "a b", "a`", "a'", "a.b", "a%", "\u00e4", "a\n", "a" * 65]
OF_NAMES: list[Callable[[str], str]] = [
    sql_text.name,
    sql_text.identifier,
    sql_text.account,
    lambda text: sql_text.pattern(text, False),
    lambda text: sql_text.pattern(text, True),
]
# Made by `openssl passwd -5 -salt SALT PASSWORD`: digest, salt, password.
DIGESTS = [
    ("sCOGUciM.GdmYMCUvmUcgu03oRH87O0clF96.9mwWGB", "abc", "x"),
    ("kFSLJGYjXsF5/.z.UFZU3CIvXdWuVc0kFJSYcpkVqtA", "saltSALTsalt1234", "hello world %/@"),
]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("function", OF_NAMES)
def test_what_is_no_name_is_refused(function: Callable[[str], str], name: str) -> None:
    """By every function that writes a name, and in one sentence."""
    with pytest.raises(MlflowError, match="is not a valid name for a project's schema or user"):
        function(name)


def test_names() -> None:
    """A grant's pattern takes underscores literally, and only there they are escaped."""
    assert sql_text.identifier("mlflow_a_b") == "`mlflow_a_b`"
    assert sql_text.account("mlflow_rt_a") == "'mlflow_rt_a'@'%'"
    assert sql_text.pattern("mlflow_a_b", literal_names=False) == r"mlflow\_a\_b"
    assert sql_text.pattern("mlflow_a_b", literal_names=True) == "mlflow_a_b"


@pytest.mark.parametrize("text", ["", "a b", "a_b", 'a"b', "a'b", "a\\b", "a,b", "a\n", "\u00e4"])
def test_versions_of_secrets_are_letters_digits_and_dashes(text: str) -> None:
    """Whoever puts a value may choose its version, and it becomes a part of a statement."""
    assert sql_text.version("5f0d8fC7-86a5-4e56") == "5f0d8fC7-86a5-4e56"
    with pytest.raises(MlflowError, match="characters other than letters, digits and dashes"):
        sql_text.version(text)


def test_what_mysql_told_is_quoted() -> None:
    """Other people's names may hold anything but control characters."""
    assert sql_text.quoted(r"mlflow\_a%") == r"`mlflow\_a%`"
    assert sql_text.quoted("a`; DROP") == "`a``; DROP`"
    for name in ("", "a\nb", "a\0"):
        with pytest.raises(MlflowError, match="revoke it by hand"):
            sql_text.quoted(name)


@pytest.mark.parametrize("text", ["'", "\\", "a\nb", "\u00e4", "\0", "\x7f"])
def test_literals_need_no_escape(text: str) -> None:
    """What would mean something else under another sql_mode is refused."""
    with pytest.raises(MlflowError):
        sql_text.literal(f"a{text}b")


def test_documents_hold_no_parameter_of_the_data_api() -> None:
    """No colon in them is followed by a letter or digit."""
    text = sql_text.document({"m": {"b": "1", "a": "x-y"}})
    assert text == """'{"m":{"a":"x-y","b":"1"}}'"""


def test_privileges() -> None:
    """In a fixed order, and nothing that is none."""
    assert sql_text.privileges({"UPDATE", "ALTER ROUTINE"}) == "ALTER ROUTINE, UPDATE"
    for word in ("select", "ALL; DROP", "", "SELECT (a)"):
        with pytest.raises(MlflowError, match="revoke it by hand"):
            sql_text.privileges([word])


@pytest.mark.parametrize(("digest", "salt", "password"), DIGESTS)
def test_verifiers_are_sha_crypt(digest: str, salt: str, password: str) -> None:
    """The digest is that of crypt(3), so that MySQL takes the password."""
    assert verifier(password, salt) == f"$A$005${salt}{digest}"


def test_verifiers_are_salted() -> None:
    """Two of one password differ, and neither shows it."""
    first, second = (verifier("hunter2") for _number in range(2))
    assert first != second
    for text in (first, second):
        assert len(text) == len("$A$005$") + 20 + 43
        assert "hunter2" not in text
        assert sql_text.literal(text) == f"'{text}'"


@pytest.mark.parametrize("password", ["", "x" * 256, "\u00e4"])
def test_passwords_that_mysql_clients_cannot_use(password: str) -> None:
    """Refused, without showing them."""
    with pytest.raises(MlflowError, match="a password must have 1 to 255 characters") as caught:
        verifier(password)
    assert not password or password not in str(caught.value)


def test_errors_do_not_quote_the_statement() -> None:
    """A syntax error's words end where the statement begins."""
    error = SqlError(
        1064, "You have an error\nin your SQL syntax near 'AS '$A$005$secret'' at line 1"
    )
    assert str(error) == "MySQL answered 1064: You have an error in your SQL syntax."
