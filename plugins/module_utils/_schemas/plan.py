# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: plans what projects' schemas and users need, purely.

A project has one schema and two users, each of which can log in over TLS only:

    migrator  may define tables in that schema
    runtime   may read and write rows in it, nothing else

What belongs to us is marked in the user's ATTRIBUTE, MySQL's own place for it:

    {"mlops.mlflow_aws": {"project", "identity", "version", "since"}}

version is the version of the secret that the password came from, so that a rerun need not
read any; since is the second in which it was set.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sql_text

PRESENT, ABSENT = "present", "absent"
MARK = "mlops.mlflow_aws"
# Nothing in the database that is called otherwise is ever looked at or touched.
PREFIX = "mlflow_"
CHARSET, COLLATION = "utf8mb4", "utf8mb4_bin"
# Tables of which MLflow's schemas have one at least, however early a migration broke off.
LANDMARKS = ("alembic_version", "experiments", "metrics", "params", "runs", "tags")
RETAIN = " RETAIN CURRENT PASSWORD"

_RUNTIME_RIGHTS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_RIGHTS = {
    "migrator": _RUNTIME_RIGHTS | {"CREATE", "ALTER", "DROP", "INDEX", "REFERENCES", "TRIGGER"},
    "runtime": _RUNTIME_RIGHTS,
}
_NOTHING = "USAGE"
_GRANT_OPTION = "GRANT OPTION"
_VERIFIER, _VERSION = "<verifier>", "<version>"


class Identity(t.NamedTuple):
    """One user as wanted; version is the secret's current one, empty where it is not known."""

    kind: str
    user: str
    secret: str
    version: str = ""


class Wanted(t.NamedTuple):
    """One project as wanted; force_drop names the schema whose data may go."""

    name: str
    schema: str
    identities: tuple[Identity, ...]
    state: str = PRESENT
    force_drop: str = ""


class FoundSchema(t.NamedTuple):
    """One schema as it is: collation is its default, collations are those of its tables."""

    collation: str
    tables: int = 0
    collations: frozenset[str] = frozenset()
    landmarks: frozenset[str] = frozenset()
    revision: str = ""


class FoundUser(t.NamedTuple):
    """One user as it is.

    hosts: where it may come from; usable: neither locked nor going to expire; expired: its
    password must be set again; mark: None where it bears none of ours; retained: whether an
    old password is good too.
    """

    hosts: frozenset[str]
    tls: bool
    usable: bool
    expired: bool
    plugin: str
    mark: t.Mapping[str, str] | None
    retained: bool


class Grant(t.NamedTuple):
    """One privilege as MySQL stores it.

    level is global, schema, table, column or role; on is empty, the schema's pattern, the
    table's SQL name, or the role's SQL name; columns are those of a column's privilege.
    """

    level: str
    on: str
    privilege: str
    grantable: bool = False
    column: str = ""


class Server(t.NamedTuple):
    """What of the server matters: literal_names is partial_revokes, now is its clock in seconds."""

    binary_log: bool = False
    trusts_creators: bool = True
    literal_names: bool = False
    now: int = 0


class Found(t.NamedTuple):
    """What is there, by name."""

    server: Server
    schemas: t.Mapping[str, FoundSchema]
    users: t.Mapping[str, FoundUser]
    grants: t.Mapping[str, frozenset[Grant]]


class Credential(t.NamedTuple):
    """What a statement needs of a secret."""

    verifier: str
    version: str


class Step(t.NamedTuple):
    """One statement and what it does; secret names the password that it sets, empty if none."""

    project: str
    action: str
    sql: str
    secret: str = ""

    def statement(self, credential: Credential | None) -> str:
        """Return the SQL, with what takes the place of the password."""
        if credential is None:
            return self.sql
        return self.sql.replace(_VERIFIER, credential.verifier).replace(
            _VERSION, credential.version
        )


class ProjectPlan(t.NamedTuple):
    """All that one project needs; before and after are for Ansible's diff."""

    wanted: Wanted
    steps: tuple[Step, ...]
    before: dict[str, t.Any]
    after: dict[str, t.Any]


def nothing_found() -> Found:
    """Return the state of a database that does not exist yet."""
    return Found(Server(), {}, {}, {})


def require_sound(wanted: t.Sequence[Wanted]) -> None:
    """Refuse, before anything is read, what cannot be meant."""
    seen: dict[str, str] = {}
    for project in wanted:
        for what in (project.schema, *(item.user for item in project.identities)):
            if not sql_text.name(what).startswith(PREFIX):
                raise MlflowError(
                    f"Project '{project.name}': the name {what} does not start with {PREFIX}: nothing else "
                    "in the database is touched."
                )
            if seen.setdefault(what, project.name) != project.name:
                raise MlflowError(
                    f"Projects '{seen[what]}' and '{project.name}' share the name {what} in the database: "
                    "rename one of them."
                )
        if len({item.user for item in project.identities}) < len(project.identities):
            raise MlflowError(
                f"Project '{project.name}': runtime and migrator are one user: name two different ones."
            )
        if project.force_drop and project.state != ABSENT:
            raise MlflowError(
                f"Project '{project.name}': force_drop goes with 'state: absent' only: nothing was done."
            )
        if project.force_drop and project.force_drop != project.schema:
            raise MlflowError(
                f"Project '{project.name}': force_drop names {project.force_drop!r}, but the schema is "
                f"{project.schema}: write that name if its data is to be deleted; nothing was done."
            )


def plan(wanted: t.Iterable[Wanted], found: Found, retain: int) -> list[ProjectPlan]:
    """Return what each project needs, in order.

    retain is for how many seconds a replaced password stays good. Raises MlflowError, before
    anything is done, for a schema or user that is somebody else's.
    """
    plans = []
    for project in wanted:
        _require_ours(project, found)
        steps = (
            _absent_steps(project, found)
            if project.state == ABSENT
            else _present_steps(project, found, retain)
        )
        changed = bool(steps)
        plans.append(
            ProjectPlan(
                project,
                tuple(steps),
                _picture(project, found) if changed else {},
                _wanted_picture(project, found, retain) if changed else {},
            )
        )
    return plans


def obstacles(schema: FoundSchema, server: Server) -> list[str]:
    """Return why a migration of this schema would fail half-way."""
    found = []
    if server.binary_log and not server.trusts_creators:
        found.append(
            "the binary log is on and log_bin_trust_function_creators is off, so that MySQL refuses "
            "MLflow's triggers (error 1419): turn one of them round in the parameter group"
        )
    others = sorted(schema.collations - {COLLATION})
    if others:
        found.append(
            f"tables have the collation {', '.join(others)} instead of {COLLATION}, so that new tables "
            "cannot refer to them: convert them"
        )
    return found


def _require_ours(project: Wanted, found: Found) -> None:
    """Refuse a schema or user of our name that is not ours."""
    where = f"Project '{project.name}'"
    schema = found.schemas.get(project.schema)
    if schema and schema.tables and not schema.landmarks:
        raise MlflowError(
            f"{where}: schema {project.schema} holds {schema.tables} tables that are not MLflow's: move "
            "them away or rename the project; nothing was done."
        )
    for identity in project.identities:
        user = found.users.get(identity.user)
        if user is None:
            continue
        if user.hosts != {"%"}:
            raise MlflowError(
                f"{where}: user {identity.user} also exists for the hosts "
                f"{', '.join(sorted(user.hosts - {'%'}))}: drop that user; nothing was done."
            )
        if user.mark is None or user.mark.get("project") != project.name:
            owner = "was not made by this collection"
            if user.mark is not None:
                owner = f"belongs to project '{user.mark.get('project')}'"
            raise MlflowError(
                f"{where}: user {identity.user} is in the database already and {owner}: drop it or rename "
                "the project; nothing was done."
            )


def _present_steps(project: Wanted, found: Found, retain: int) -> list[Step]:
    """Return what a wanted project lacks."""
    steps = _schema_steps(project, found)
    for identity in project.identities:
        steps += _user_steps(project, identity, found, retain)
    for identity in project.identities:
        steps += _grant_steps(project, identity, found)
    return steps


def _schema_steps(project: Wanted, found: Found) -> list[Step]:
    """Return what the schema lacks."""
    schema = found.schemas.get(project.schema)
    name = sql_text.identifier(project.schema)
    defaults = f"CHARACTER SET {CHARSET} COLLATE {COLLATION}"
    if schema is None:
        sql = f"CREATE DATABASE IF NOT EXISTS {name} {defaults}"
        return [Step(project.name, f"create schema {project.schema}", sql)]
    others = sorted(schema.collations - {COLLATION})
    if others:
        raise MlflowError(
            f"Project '{project.name}': tables of schema {project.schema} have the collation "
            f"{', '.join(others)}, under which MLflow loses data: convert each with ALTER TABLE ... CONVERT "
            f"TO {defaults}, or rename the project; nothing was done."
        )
    if schema.collation != COLLATION:
        action = f"set the collation of schema {project.schema} to {COLLATION}"
        return [Step(project.name, action, f"ALTER DATABASE {name} {defaults}")]
    return []


def _user_steps(project: Wanted, identity: Identity, found: Found, retain: int) -> list[Step]:
    """Return what one user lacks, its rights apart."""
    user = found.users.get(identity.user)
    account = sql_text.account(identity.user)
    mark = {
        "project": project.name,
        "identity": identity.kind,
        "version": _VERSION,
        "since": str(found.server.now),
    }
    attribute = f"ATTRIBUTE {sql_text.document({MARK: mark})}"
    password = f"IDENTIFIED WITH {sql_text.PLUGIN} AS '{_VERIFIER}'"
    limits = "REQUIRE SSL PASSWORD EXPIRE NEVER ACCOUNT UNLOCK"
    if user is None:
        sql = f"CREATE USER {account} {password} {limits} {attribute}"
        return [Step(project.name, f"create user {identity.user}", sql, identity.secret)]
    steps = []
    if _outdated(identity, user):
        keep = RETAIN if retain else ""
        sql = f"ALTER USER {account} {password}{keep} {limits} {attribute}"
        action = f"set the password of user {identity.user}"
        steps.append(Step(project.name, action, sql, identity.secret))
    elif user.retained and not _keeps_old(identity, user, found.server, retain):
        sql = f"ALTER USER {account} DISCARD OLD PASSWORD"
        steps.append(Step(project.name, f"end the old password of user {identity.user}", sql))
    if not (user.tls and user.usable):
        action = f"require TLS of user {identity.user}, unlocked and without expiry"
        steps.append(Step(project.name, action, f"ALTER USER {account} {limits}"))
    return steps


def _outdated(identity: Identity, user: FoundUser) -> bool:
    """Say whether the user's password must be set."""
    recorded = (user.mark or {}).get("version")
    return user.expired or user.plugin != sql_text.PLUGIN or recorded != identity.version


def _keeps_old(identity: Identity, user: FoundUser, server: Server, retain: int) -> bool:
    """Say whether the password before the secret's stays good for now."""
    if _outdated(identity, user):
        return retain > 0
    return user.retained and server.now < _since(user) + retain


def _since(user: FoundUser) -> int:
    """Return the second in which the password was set."""
    text = str((user.mark or {}).get("since", ""))
    return int(text) if text.isdecimal() else 0


def _grant_steps(project: Wanted, identity: Identity, found: Found) -> list[Step]:
    """Return what one user may do too much, then what it may not yet."""
    account = sql_text.account(identity.user)
    pattern = sql_text.pattern(project.schema, found.server.literal_names)
    rights = _RIGHTS[identity.kind]
    held = found.grants.get(identity.user, frozenset())
    proper = {grant.privilege for grant in held if grant.level == "schema" and grant.on == pattern}
    steps = [
        Step(
            project.name,
            f"revoke {words} from user {identity.user}",
            f"REVOKE {sql} FROM {account}",
        )
        for words, sql in _excess(held, pattern, rights)
    ]
    missing = rights - proper
    if missing:
        words = sql_text.privileges(missing)
        sql = f"GRANT {words} ON {sql_text.quoted(pattern)}.* TO {account}"
        action = f"grant {words} on schema {project.schema} to user {identity.user}"
        steps.append(Step(project.name, action, sql))
    return steps


def _excess(held: t.Iterable[Grant], pattern: str, rights: frozenset[str]) -> list[tuple[str, str]]:
    """Return what is held beyond the rights on a schema, in words and as REVOKE takes it."""
    unwanted: dict[tuple[str, str], set[str]] = {}
    for grant in held:
        own = grant.level == "schema" and grant.on == pattern
        words = unwanted.setdefault((grant.level, grant.on), set())
        if grant.level == "column":
            words.add(f"{sql_text.privileges([grant.privilege])} ({sql_text.quoted(grant.column)})")
        elif grant.privilege != _NOTHING and not (own and grant.privilege in rights):
            words.add(sql_text.privileges([grant.privilege]))
        if grant.grantable and grant.level != "role":
            words.add(_GRANT_OPTION)
    found = []
    for (level, on), words in sorted(unwanted.items()):
        if level == "role":
            found.append((f"role {on}", on))
        elif words:
            listed = ", ".join(sorted(words))
            target = {"global": "*.*", "schema": f"{sql_text.quoted(on or '-')}.*"}.get(level, on)
            found.append((f"{listed} on {target}", f"{listed} ON {target}"))
    return found


def _absent_steps(project: Wanted, found: Found) -> list[Step]:
    """Return what is left of a project that is not wanted."""
    steps = []
    # The schema first: a trigger names the migrator as its definer.
    if project.force_drop and project.schema in found.schemas:
        sql = f"DROP DATABASE IF EXISTS {sql_text.identifier(project.schema)}"
        steps.append(Step(project.name, f"drop schema {project.schema} and its data", sql))
    for identity in project.identities:
        if identity.user in found.users:
            sql = f"DROP USER IF EXISTS {sql_text.account(identity.user)}"
            steps.append(Step(project.name, f"drop user {identity.user}", sql))
    return steps


def _picture(project: Wanted, found: Found) -> dict[str, t.Any]:
    """Return a project as it is, for a diff."""
    picture: dict[str, t.Any] = {}
    schema = found.schemas.get(project.schema)
    if schema:
        picture["schema"] = {"name": project.schema, "collation": schema.collation}
    for identity in project.identities:
        user = found.users.get(identity.user)
        if user:
            held = found.grants.get(identity.user, frozenset())
            picture[identity.kind] = {
                "user": identity.user,
                "tls": user.tls,
                "usable": user.usable and not user.expired,
                "old_password": user.retained,
                "secret_version": (user.mark or {}).get("version", ""),
                "grants": sorted(
                    f"{grant.privilege} on {grant.on or '*'}{' with grant option' * grant.grantable}"
                    for grant in held
                    if grant.privilege != _NOTHING
                ),
            }
    return picture


def _wanted_picture(project: Wanted, found: Found, retain: int) -> dict[str, t.Any]:
    """Return a project as it will be, for a diff."""
    picture = _picture(project, found)
    if project.state == ABSENT:
        kept = picture if not project.force_drop else {}
        return {key: value for key, value in kept.items() if key == "schema"}
    picture["schema"] = {"name": project.schema, "collation": COLLATION}
    pattern = sql_text.pattern(project.schema, found.server.literal_names)
    for identity in project.identities:
        user = found.users.get(identity.user)
        picture[identity.kind] = {
            "user": identity.user,
            "tls": True,
            "usable": True,
            "old_password": user is not None and _keeps_old(identity, user, found.server, retain),
            "secret_version": identity.version,
            "grants": sorted(f"{word} on {pattern}" for word in _RIGHTS[identity.kind]),
        }
    return picture
