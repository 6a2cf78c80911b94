# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the queries that read the state of the database.

Each reads all that is ours at once: their number and length do not grow with the projects.
"""

from __future__ import annotations

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sql_text
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.model import (
    LANDMARKS,
    PREFIX,
)


def _text(expression: str) -> str:
    """Return SQL that gives JSON, an enumeration or binary characters as plain text.

    The Data API refuses a result with a type that it does not know (UnsupportedResultException).
    """
    return f"CONVERT({expression} USING utf8mb4)"


_OURS = f"LEFT({{}}, {len(PREFIX)}) = '{PREFIX}'"
SETTINGS = (
    "SELECT @@GLOBAL.log_bin, @@GLOBAL.log_bin_trust_function_creators, "
    "@@GLOBAL.partial_revokes, UNIX_TIMESTAMP()"
)
SCHEMAS = (
    "SELECT s.SCHEMA_NAME, s.DEFAULT_COLLATION_NAME, COUNT(t.TABLE_NAME), "
    "GROUP_CONCAT(DISTINCT t.TABLE_COLLATION), GROUP_CONCAT(CASE WHEN t.TABLE_NAME IN "
    f"({', '.join(map(sql_text.literal, LANDMARKS))}) THEN t.TABLE_NAME END) "
    "FROM information_schema.SCHEMATA s LEFT JOIN information_schema.TABLES t "
    "ON t.TABLE_SCHEMA = s.SCHEMA_NAME AND t.TABLE_TYPE = 'BASE TABLE' "
    f"WHERE {_OURS.format('s.SCHEMA_NAME')} GROUP BY s.SCHEMA_NAME, s.DEFAULT_COLLATION_NAME"
)
USERS = (
    f"SELECT {_text('User')}, {_text('Host')}, {_text('ssl_type')}, {_text('plugin')}, "
    f"{_text('account_locked')}, {_text('password_expired')}, password_lifetime, "
    + _text("JSON_EXTRACT(User_attributes, '$.metadata')")
    + ", "
    "JSON_CONTAINS_PATH(User_attributes, 'one', '$.additional_password') "
    f"FROM mysql.user WHERE {_OURS.format('User')}"
)


def _privileges_query(level: str, source: str, on: str, column: str = "''") -> str:
    """Return the query for what is granted to our users at one level."""
    ours = f"LEFT(GRANTEE, {len(PREFIX) + 1}) = '''{PREFIX}'"
    return (
        f"SELECT '{level}', GRANTEE, {on} AS held_on, {column} AS held_column, IS_GRANTABLE, "
        f"{_text('JSON_ARRAYAGG(PRIVILEGE_TYPE)')} FROM information_schema.{source} WHERE {ours} "
        "GROUP BY GRANTEE, held_on, held_column, IS_GRANTABLE"
    )


_TABLE = "CONCAT('`', REPLACE(TABLE_SCHEMA, '`', '``'), '`.`', REPLACE(TABLE_NAME, '`', '``'), '`')"
_ROLES = (
    "SELECT 'role', CONCAT('''', TO_USER, '''@''', TO_HOST, ''''), "
    "CONCAT('`', REPLACE(FROM_USER, '`', '``'), '`@`', REPLACE(FROM_HOST, '`', '``'), '`'), "
    f"'', 'NO', '[\"ROLE\"]' FROM mysql.role_edges WHERE {_OURS.format('TO_USER')}"
)
GRANTS = " UNION ALL ".join(
    (
        _privileges_query("global", "USER_PRIVILEGES", "''"),
        _privileges_query("schema", "SCHEMA_PRIVILEGES", "TABLE_SCHEMA"),
        _privileges_query("table", "TABLE_PRIVILEGES", _TABLE),
        _privileges_query("column", "COLUMN_PRIVILEGES", _TABLE, "COLUMN_NAME"),
        _ROLES,
    )
)
