# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what projects should have in MySQL, and what is there.

A project has one schema and two users, each of which can log in over TLS only:

    migrator  may define tables in that schema, and make and remove the two beside it, in which a copy is
              migrated and the former data is kept (_names.schemas_beside)
    runtime   the server user: may read and write rows in it, nothing else

What belongs to us is marked in the user's ATTRIBUTE, MySQL's own place for it:

    {"mlops.mlflow_aws": {"project", "identity", "version", "since"}}

version is the version of the secret that the password came from, so that a rerun need not
read any, and empty for a login with IAM; since is the second in which it was set.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sql_text

# An archived project has its migrator, which backs it up and restores it, and no server user.
PRESENT, ARCHIVED, ABSENT = "present", "archived", "absent"
# How a user logs in.
PASSWORD, IAM = "password", "iam"
MARK = "mlops.mlflow_aws"
# Nothing in the database that is called otherwise is ever looked at or touched.
PREFIX = "mlflow_"
CHARSET, COLLATION = "utf8mb4", "utf8mb4_bin"
# Tables of which MLflow's schemas have one at least, however early a migration broke off.
LANDMARKS = ("alembic_version", "experiments", "metrics", "params", "runs", "tags")
RETAIN = " RETAIN CURRENT PASSWORD"
_RUNTIME_RIGHTS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_MIGRATOR_RIGHTS = _RUNTIME_RIGHTS | {
    "CREATE",
    "ALTER",
    "DROP",
    "INDEX",
    "REFERENCES",
    "TRIGGER",
    "LOCK TABLES",
}
# What the two users are called in sentences.
USER_TITLES = {"migrator": "migrator", "runtime": "server user"}
USAGE = "USAGE"
VERIFIER, VERSION = "<verifier>", "<version>"


def rights(kind: str, schema: str) -> dict[str, frozenset[str]]:
    """Return what a user of a project may do, by the schema."""
    if kind == "runtime":
        return {schema: _RUNTIME_RIGHTS}
    return dict.fromkeys((schema, *_names.schemas_beside(schema)), _MIGRATOR_RIGHTS)


class Identity(t.NamedTuple):
    """One user as wanted; version is the secret's current one, empty where it is not known.

    login is one of the words above; a login with IAM needs no secret.
    """

    kind: str
    user: str
    secret: str
    version: str = ""
    login: str = PASSWORD


class ProjectSpec(t.NamedTuple):
    """One project as wanted; force_drop names the schema whose data may go, with those beside it."""

    name: str
    schema: str
    identities: tuple[Identity, ...]
    state: str = PRESENT
    force_drop: str = ""

    @property
    def kept(self) -> tuple[Identity, ...]:
        """Return the users that are to exist."""
        kinds = {PRESENT: ("migrator", "runtime"), ARCHIVED: ("migrator",)}.get(self.state, ())
        return tuple(identity for identity in self.identities if identity.kind in kinds)

    @property
    def dropped(self) -> tuple[Identity, ...]:
        """Return the users that are not to exist."""
        return tuple(identity for identity in self.identities if identity not in self.kept)


class SchemaState(t.NamedTuple):
    """One schema as it is: collation is its default, collations are those of its tables."""

    collation: str
    tables: int = 0
    collations: frozenset[str] = frozenset()
    landmarks: frozenset[str] = frozenset()
    revision: str = ""


class UserState(t.NamedTuple):
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


class MysqlSettings(t.NamedTuple):
    """What of the server matters: literal_names is partial_revokes, now is its clock in seconds."""

    binary_log: bool = False
    trusts_creators: bool = True
    literal_names: bool = False
    now: int = 0


class DatabaseState(t.NamedTuple):
    """What is there, by name."""

    server: MysqlSettings
    schemas: t.Mapping[str, SchemaState]
    users: t.Mapping[str, UserState]
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
        return self.sql.replace(VERIFIER, credential.verifier).replace(
            VERSION, sql_text.version(credential.version)
        )


class ProjectPlan(t.NamedTuple):
    """All that one project needs; before and after are for Ansible's diff."""

    wanted: ProjectSpec
    steps: tuple[Step, ...]
    before: dict[str, t.Any]
    after: dict[str, t.Any]


def nothing_found() -> DatabaseState:
    """Return the state of a database that does not exist yet."""
    return DatabaseState(MysqlSettings(), {}, {}, {})
