# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: reads what is ours in the database."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sql_text
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.database import (
    Transport,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.model import (
    MARK,
    DatabaseState,
    Grant,
    MysqlSettings,
    SchemaState,
    UserState,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.queries import (
    GRANTS,
    SCHEMAS,
    SETTINGS,
    USERS,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.sql_text import IAM_PLUGIN


def read_state(transport: Transport) -> DatabaseState:
    """Return all that is ours in the database, by a number of queries that does not depend on it."""
    row = transport.query(SETTINGS)[0]
    server = MysqlSettings(bool(int(row[0])), bool(int(row[1])), bool(int(row[2])), int(row[3]))
    schemas = {str(row[0]): _schema(row) for row in transport.query(SCHEMAS)}
    revisions = _read_revisions(transport, schemas)
    for name, revision in revisions.items():
        schemas[name] = schemas[name]._replace(revision=revision)
    grants: dict[str, set[Grant]] = {}
    for row in transport.query(GRANTS):
        user, host = _account(str(row[1]))
        if host == "%":
            grants.setdefault(user, set()).update(_grants(row))
    return DatabaseState(
        server,
        schemas,
        _users(transport.query(USERS)),
        {user: frozenset(held) for user, held in grants.items()},
    )


def _read_revisions(transport: Transport, schemas: t.Mapping[str, SchemaState]) -> dict[str, str]:
    """Return the Alembic revision of each schema that has one."""
    names = [name for name, schema in schemas.items() if "alembic_version" in schema.landmarks]
    if not names:
        return {}
    parts = [
        f"SELECT {sql_text.literal(name)}, version_num FROM {sql_text.quoted(name)}.alembic_version"
        for name in names
    ]
    found: dict[str, list[str]] = {}
    for name, revision in transport.query(" UNION ALL ".join(parts)):
        found.setdefault(str(name), []).append(str(revision))
    return {name: ",".join(sorted(revisions)) for name, revisions in found.items()}


def _schema(row: t.Sequence[t.Any]) -> SchemaState:
    """Return one schema from its row."""
    collations, landmarks = (frozenset(filter(None, (text or "").split(","))) for text in row[3:5])
    return SchemaState(str(row[1]), int(row[2]), collations, landmarks)


def _users(rows: t.Iterable[t.Sequence[t.Any]]) -> dict[str, UserState]:
    """Return users by name; the account that may come from anywhere speaks for the others."""
    found: dict[str, UserState] = {}
    for user, host, ssl_type, plugin, locked, expired, lifetime, metadata, retained in rows:
        mark = (json.loads(metadata) if metadata else {}).get(MARK)
        item = UserState(
            frozenset({str(host)}),
            bool(ssl_type),
            locked == "N"
            and (plugin == IAM_PLUGIN or (lifetime is not None and int(lifetime) == 0)),
            expired == "Y" and plugin != IAM_PLUGIN,
            str(plugin),
            mark if isinstance(mark, dict) else None,
            bool(retained) and int(retained) == 1,
        )
        other = found.get(str(user))
        if other:
            chosen = item if host == "%" else other
            item = chosen._replace(hosts=item.hosts | other.hosts)
        found[str(user)] = item
    return found


def _grants(row: t.Sequence[t.Any]) -> set[Grant]:
    """Return the grants of one row."""
    level, _grantee, on, column, grantable, words = map(str, row)
    return {Grant(level, on, word, grantable == "YES", column) for word in json.loads(words)}


def _account(text: str) -> tuple[str, str]:
    """Return user and host of what information_schema calls a grantee."""
    user, _at, host = text.rpartition("@")
    return user.strip("'"), host.strip("'")
