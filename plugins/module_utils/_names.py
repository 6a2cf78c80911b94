# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: names of a project's schema and users in MySQL.

A project's name is lower-case letters, digits and single dashes, at most 40 characters, so
that the names made of two projects differ: see _projects.
"""

from __future__ import annotations

import hashlib

_SCHEMA_PREFIX = "mlflow_"
_SERVER_PREFIX = "mlflow_rt_"
_MIGRATOR_PREFIX = "mlflow_mg_"
_USER_LENGTH = 32
# MySQL's limit for a name, which a pattern in GRANT keeps to with each `_` escaped.
_PATTERN_LENGTH = 64
_CUT_SCHEMA = 30
# What follows the name of a schema in those beside it.
BESIDE = ("__next", "__prev")
_CUT_SCHEMA_BESIDE = 20
_DIGITS = 8


def schema_name(project: str) -> str:
    """Return the name of the project's schema; one with very many dashes is cut as users are."""
    schema = _SCHEMA_PREFIX + project.replace("-", "_")
    if len(schema) + schema.count("_") <= _PATTERN_LENGTH:
        return schema
    return f"{schema[:_CUT_SCHEMA]}__{_digest(project)}"


def schemas_beside(schema: str) -> list[str]:
    """Return the schemas beside a project's own: the one that is to take its place, and its former one.

    programs/server/mlflow_aws_server/data/mysql_database.py has the same names; neither can import the
    other. A digit ends the hash of a schema that is cut, so none of these is another project's.
    """
    stem = schema
    if max(len(stem) + stem.count("_") + len(suffix) + 2 for suffix in BESIDE) > _PATTERN_LENGTH:
        stem = f"{schema[:_CUT_SCHEMA_BESIDE]}__{_digest(schema)}"
    return [stem + suffix for suffix in BESIDE]


def runtime_user(project: str) -> str:
    """Return the server user, with which the project's servers read and write rows."""
    return _user(_SERVER_PREFIX, project)


def migrator_user(project: str) -> str:
    """Return the migrator, with which the project's schema is migrated."""
    return _user(_MIGRATOR_PREFIX, project)


def _user(prefix: str, project: str) -> str:
    """Return a user of at most 32 characters, MySQL's limit."""
    user = prefix + project.replace("-", "_")
    if len(user) <= _USER_LENGTH:
        return user
    # Two underscores cannot come from a project's name, so no short one meets a cut one.
    return f"{user[: _USER_LENGTH - _DIGITS - 2]}__{_digest(project)}"


def _digest(project: str) -> str:
    """Return a hash that distinguishes two names that are cut alike."""
    return hashlib.sha256(project.encode("ascii")).hexdigest()[:_DIGITS]
