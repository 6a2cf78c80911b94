# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: brings all projects' schemas and users to their wanted state."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import plan as schema_plan
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sql_text
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.database import (
    SqlError,
    Transport,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.plan import (
    Credential,
    Found,
    FoundSchema,
    FoundUser,
    Grant,
    ProjectPlan,
    Server,
    Step,
    Wanted,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.secrets import replaced

LOCK = "mlops.mlflow_aws.schemas"
# MySQL's numbers for a password that cannot be kept beside the new one.
_NOT_RETAINED = {3878, 3894, 3895}
_BAD_DEFINER = 4006
_OURS = f"LEFT({{}}, {len(schema_plan.PREFIX)}) = '{schema_plan.PREFIX}'"

# Each reads all that is ours at once: their number and length do not grow with the projects.
_SERVER = (
    "SELECT @@GLOBAL.log_bin, @@GLOBAL.log_bin_trust_function_creators, "
    "@@GLOBAL.partial_revokes, UNIX_TIMESTAMP()"
)
_SCHEMAS = (
    "SELECT s.SCHEMA_NAME, s.DEFAULT_COLLATION_NAME, COUNT(t.TABLE_NAME), "
    "GROUP_CONCAT(DISTINCT t.TABLE_COLLATION), GROUP_CONCAT(CASE WHEN t.TABLE_NAME IN "
    f"({', '.join(map(sql_text.literal, schema_plan.LANDMARKS))}) THEN t.TABLE_NAME END) "
    "FROM information_schema.SCHEMATA s LEFT JOIN information_schema.TABLES t "
    "ON t.TABLE_SCHEMA = s.SCHEMA_NAME AND t.TABLE_TYPE = 'BASE TABLE' "
    f"WHERE {_OURS.format('s.SCHEMA_NAME')} GROUP BY s.SCHEMA_NAME, s.DEFAULT_COLLATION_NAME"
)
_USERS = (
    "SELECT User, Host, ssl_type, plugin, account_locked, password_expired, password_lifetime, "
    "JSON_EXTRACT(User_attributes, '$.metadata'), "
    "JSON_CONTAINS_PATH(User_attributes, 'one', '$.additional_password') "
    f"FROM mysql.user WHERE {_OURS.format('User')}"
)


def _privileges_query(level: str, source: str, on: str, column: str = "''") -> str:
    """Return the query for what is granted to our users at one level."""
    ours = f"LEFT(GRANTEE, {len(schema_plan.PREFIX) + 1}) = '''{schema_plan.PREFIX}'"
    return (
        f"SELECT '{level}', GRANTEE, {on} AS held_on, {column} AS held_column, IS_GRANTABLE, "
        f"JSON_ARRAYAGG(PRIVILEGE_TYPE) FROM information_schema.{source} WHERE {ours} "
        "GROUP BY GRANTEE, held_on, held_column, IS_GRANTABLE"
    )


_TABLE = "CONCAT('`', REPLACE(TABLE_SCHEMA, '`', '``'), '`.`', REPLACE(TABLE_NAME, '`', '``'), '`')"
_ROLES = (
    "SELECT 'role', CONCAT('''', TO_USER, '''@''', TO_HOST, ''''), "
    "CONCAT('`', REPLACE(FROM_USER, '`', '``'), '`@`', REPLACE(FROM_HOST, '`', '``'), '`'), "
    f"'', 'NO', JSON_ARRAY('ROLE') FROM mysql.role_edges WHERE {_OURS.format('TO_USER')}"
)
_GRANTS = " UNION ALL ".join(
    (
        _privileges_query("global", "USER_PRIVILEGES", "''"),
        _privileges_query("schema", "SCHEMA_PRIVILEGES", "TABLE_SCHEMA"),
        _privileges_query("table", "TABLE_PRIVILEGES", _TABLE),
        _privileges_query("column", "COLUMN_PRIVILEGES", _TABLE, "COLUMN_NAME"),
        _ROLES,
    )
)


class Outcome(t.NamedTuple):
    """What was done: one record for each project, and Ansible's changed and diff."""

    projects: list[dict[str, t.Any]]
    changed: bool
    diff: dict[str, dict[str, t.Any]]


def converge(
    transport: Transport | None,
    wanted: t.Sequence[Wanted],
    *,
    fetch: t.Callable[[t.Mapping[str, str]], dict[str, Credential]],
    retain: int,
    timeout: float,
    check_mode: bool,
) -> Outcome:
    """Bring every project to its wanted state; in check mode only say how.

    transport is None where the database does not exist yet, which only check mode allows.
    fetch gives the credentials of secrets, by the project that owns each.
    """
    if transport is None:
        found = schema_plan.nothing_found()
        return _outcome(schema_plan.plan(wanted, found, retain), found)
    found = read_state(transport)
    plans = schema_plan.plan(wanted, found, retain)
    if check_mode or not _steps(plans):
        return _outcome(plans, found)
    credentials = fetch(_owners(_steps(plans)))
    # The list of secrets may lag behind a rotation; what was fetched is certain.
    versions = {secret: item.version for secret, item in credentials.items()}
    current = [replaced(project, versions) for project in wanted]
    with transport.hold(LOCK, timeout):
        # Another run may have done it meanwhile.
        found = read_state(transport)
        plans = schema_plan.plan(current, found, retain)
        owners = _owners(_steps(plans))
        missing = {name: owner for name, owner in owners.items() if name not in credentials}
        if missing:
            credentials.update(fetch(missing))
        _apply(transport, plans, credentials, found)
    return _outcome(plans, found)


def read_state(transport: Transport) -> Found:
    """Return all that is ours in the database, by a number of queries that does not depend on it."""
    row = transport.query(_SERVER)[0]
    server = Server(bool(int(row[0])), bool(int(row[1])), bool(int(row[2])), int(row[3]))
    schemas = {str(row[0]): _schema(row) for row in transport.query(_SCHEMAS)}
    revisions = _read_revisions(transport, schemas)
    for name, revision in revisions.items():
        schemas[name] = schemas[name]._replace(revision=revision)
    grants: dict[str, set[Grant]] = {}
    for row in transport.query(_GRANTS):
        user, host = _account(str(row[1]))
        if host == "%":
            grants.setdefault(user, set()).update(_grants(row))
    return Found(
        server,
        schemas,
        _users(transport.query(_USERS)),
        {user: frozenset(held) for user, held in grants.items()},
    )


def _read_revisions(transport: Transport, schemas: t.Mapping[str, FoundSchema]) -> dict[str, str]:
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


def _schema(row: t.Sequence[t.Any]) -> FoundSchema:
    """Return one schema from its row."""
    collations, landmarks = (frozenset(filter(None, (text or "").split(","))) for text in row[3:5])
    return FoundSchema(str(row[1]), int(row[2]), collations, landmarks)


def _users(rows: t.Iterable[t.Sequence[t.Any]]) -> dict[str, FoundUser]:
    """Return users by name; the account that may come from anywhere speaks for the others."""
    found: dict[str, FoundUser] = {}
    for user, host, ssl_type, plugin, locked, expired, lifetime, metadata, retained in rows:
        mark = (json.loads(metadata) if metadata else {}).get(schema_plan.MARK)
        item = FoundUser(
            frozenset({str(host)}),
            bool(ssl_type),
            locked == "N" and lifetime is not None and int(lifetime) == 0,
            expired == "Y",
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


def _apply(
    transport: Transport,
    plans: t.Sequence[ProjectPlan],
    credentials: t.Mapping[str, Credential],
    found: Found,
) -> None:
    """Carry out all steps; a failure tells what was done before it."""
    done: list[Step] = []
    for step in _steps(plans):
        try:
            _carry_out(transport, step, credentials.get(step.secret))
        except MlflowError as error:
            outcome = _outcome(plans, found, done)
            raise MlflowError(
                f"Project '{step.project}': cannot {step.action} on {transport.where}: "
                f"{_decapitalized(str(error))}",
                {"projects": outcome.projects, "changed": bool(done)},
            ) from None
        done.append(step)


def _carry_out(transport: Transport, step: Step, credential: Credential | None) -> None:
    """Carry out one step; where the old password cannot be kept, without that."""
    sql = step.statement(credential)
    try:
        transport.execute(sql)
    except SqlError as error:
        if error.code in _NOT_RETAINED and schema_plan.RETAIN in sql:
            transport.execute(sql.replace(schema_plan.RETAIN, ""))
            return
        if error.code == _BAD_DEFINER:
            raise MlflowError(
                "the schema's triggers need that user as long as they exist: grant the login "
                "ALLOW_NONEXISTENT_DEFINER (SET_USER_ID before MySQL 8.2), or drop the schema too."
            ) from None
        raise


def _steps(plans: t.Iterable[ProjectPlan]) -> list[Step]:
    """Return all steps in order."""
    return [step for plan in plans for step in plan.steps]


def _owners(steps: t.Iterable[Step]) -> dict[str, str]:
    """Return the secrets that steps need, each with its project."""
    return {step.secret: step.project for step in steps if step.secret}


def _outcome(
    plans: t.Sequence[ProjectPlan], found: Found, done: t.Sequence[Step] | None = None
) -> Outcome:
    """Return records, changed and diff; done are the steps that were carried out, all by default."""
    carried = _steps(plans) if done is None else list(done)
    changed = [plan for plan in plans if plan.steps]
    return Outcome(
        [_record(plan, found, [step for step in carried if step in plan.steps]) for plan in plans],
        bool(carried),
        {
            "before": {plan.wanted.name: plan.before for plan in changed},
            "after": {plan.wanted.name: plan.after for plan in changed},
        },
    )


def _record(plan: ProjectPlan, found: Found, done: t.Sequence[Step]) -> dict[str, t.Any]:
    """Return the record of one project; its form is the module's documentation."""
    wanted = plan.wanted
    schema = found.schemas.get(wanted.schema)
    dropped = any(step.sql.startswith("DROP DATABASE") for step in done)
    now = None if dropped else schema
    return {
        "name": wanted.name,
        "schema": wanted.schema,
        "state": wanted.state,
        "actions": [step.action for step in done],
        "tables": now.tables if now else 0,
        "revision": now.revision if now else "",
        "obstacles": schema_plan.obstacles(now or FoundSchema(""), found.server),
        "users": {identity.kind: identity.user for identity in wanted.identities},
    }


def _decapitalized(text: str) -> str:
    """Return a sentence as the end of another one."""
    return text[:1].lower() + text[1:] if not text.startswith("MySQL") else text
