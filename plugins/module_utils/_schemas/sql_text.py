# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: every name and text that goes into SQL passes here.

Statements such as CREATE USER take no parameters. What these functions return means the same
under every sql_mode, since nothing that they let through is ever escaped by a backslash.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

PLUGIN = "caching_sha2_password"
# Aurora's and RDS's own, which has AWS check the token that a client signs.
IAM_PLUGIN = "AWSAuthenticationPlugin"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_VERSION = re.compile(r"[A-Za-z0-9-]+\Z")
_PRIVILEGE = re.compile(r"[A-Z][A-Z_]*(?: [A-Z]+)*\Z")


def name(text: str) -> str:
    """Return a name of ours, unquoted; refuse any other."""
    if not _NAME.match(text):
        raise MlflowError(
            f"{text!r} is not a valid name for a project's schema or user; use lower-case letters, digits "
            "and underscores, starting with a letter, 64 characters at most."
        )
    return text


def identifier(text: str) -> str:
    """Return a schema of ours as SQL, where no pattern is expected."""
    return f"`{name(text)}`"


def pattern(text: str, literal_names: bool) -> str:
    """Return the text that means exactly this schema, and no other, in a grant.

    GRANT reads an underscore as any character, so that a grant on mlflow_a_b would reach
    mlflow_axb too; with the server's partial_revokes on it takes names literally instead.
    """
    return name(text) if literal_names else name(text).replace("_", r"\_")


def quoted(text: str) -> str:
    """Return any identifier that MySQL itself told us as SQL, a grant's pattern as it is stored."""
    if not text or any(letter < " " for letter in text):
        raise MlflowError(f"MySQL has a grant on the name {text!r}; revoke it by hand.")
    return "`" + text.replace("`", "``") + "`"


def account(user: str) -> str:
    """Return a user of ours, from any host, as SQL."""
    return f"'{name(user)}'@'%'"


def literal(text: str) -> str:
    """Return a text as SQL: printable ASCII without quotes and backslashes."""
    if not all(" " <= letter <= "~" and letter not in "'\\" for letter in text):
        raise MlflowError(f"{text!r} contains a character that is not allowed in a statement.")
    return f"'{text}'"


def document(content: t.Mapping[str, t.Any]) -> str:
    """Return a dictionary of texts as a JSON literal.

    Without blanks and numbers, so that the Data API takes nothing in it for a parameter.
    """
    return literal(json.dumps(content, sort_keys=True, separators=(",", ":")))


def version(text: str) -> str:
    """Return the version of a secret; refuse one that could mean something in a statement.

    Secrets Manager makes up UUIDs, and takes any text from somebody who puts a value with a token.
    """
    if not _VERSION.match(text):
        raise MlflowError(
            f"the version {text!r} has characters other than letters, digits and dashes"
        )
    return text


def privileges(words: t.Iterable[str]) -> str:
    """Return privileges as SQL, in a fixed order."""
    listed = sorted(words)
    for word in listed:
        if not _PRIVILEGE.match(word):
            raise MlflowError(f"MySQL lists a privilege {word!r}; revoke it by hand.")
    return ", ".join(listed)
