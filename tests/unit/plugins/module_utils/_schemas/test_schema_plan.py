# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of projects' schemas and users: what is done for each state found, and in which order."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.checks import (
    obstacles,
    require_sound,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.model import (
    Credential,
    DatabaseState,
    Grant,
    Identity,
    MysqlSettings,
    ProjectPlan,
    ProjectSpec,
    SchemaState,
    UserState,
    nothing_found,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.plan import plan

NOW, RETAIN = 1_000_000, 3600
SERVER = MysqlSettings(now=NOW)
PATTERN = r"mlflow\_a\_b"
# A migrator has the schemas beside its own, too.
PATTERNS = {
    "migrator": (PATTERN, rf"{PATTERN}\_\_next", rf"{PATTERN}\_\_prev"),
    "runtime": (PATTERN,),
}
RIGHTS = {
    "migrator": "ALTER, CREATE, DELETE, DROP, INDEX, INSERT, LOCK TABLES, REFERENCES, SELECT, TRIGGER, UPDATE",
    "runtime": "DELETE, INSERT, SELECT, UPDATE",
}
USERS = {"migrator": "mlflow_mg_a_b", "runtime": "mlflow_rt_a_b"}
LIMITS = "REQUIRE SSL PASSWORD EXPIRE NEVER ACCOUNT UNLOCK"


def wanted(**changes: Any) -> ProjectSpec:
    """Return the project a-b as wanted."""
    identities = tuple(Identity(kind, user, f"secret-{kind}", "v1") for kind, user in USERS.items())
    return ProjectSpec("a-b", "mlflow_a_b", identities)._replace(**changes)


def user(kind: str, **changes: Any) -> UserState:
    """Return a user as it should be, but for the changes."""
    mark = {"project": "a-b", "identity": kind, "version": "v1", "since": str(NOW - 10)}
    good = UserState(
        hosts=frozenset({"%"}),
        tls=True,
        usable=True,
        expired=False,
        plugin="caching_sha2_password",
        mark=mark,
        retained=False,
    )
    return good._replace(**changes)


def grants(kind: str) -> frozenset[Grant]:
    """Return the grants that a user should have."""
    words = RIGHTS[kind].split(", ")
    return frozenset(Grant("schema", on, word) for on in PATTERNS[kind] for word in words)


def found(
    schema: SchemaState | None = None,
    server: MysqlSettings = SERVER,
    users: dict[str, UserState] | None = None,
    more: dict[str, set[Grant]] | None = None,
) -> DatabaseState:
    """Return a database in which all is as it should be, but for what is given by kind."""
    by_kind = {kind: user(kind) for kind in USERS} | (users or {})
    return DatabaseState(
        server,
        {"mlflow_a_b": schema or SchemaState("utf8mb4_bin")},
        {USERS[kind]: item for kind, item in by_kind.items()},
        {USERS[kind]: grants(kind) | (more or {}).get(kind, set()) for kind in USERS},
    )


def only_plan(
    there: DatabaseState, project: ProjectSpec | None = None, retain: int = RETAIN
) -> ProjectPlan:
    """Return the plan of the single project."""
    (planned,) = plan([project or wanted()], there, retain)
    return planned


def statements(planned: ProjectPlan) -> list[str]:
    """Return the SQL of a plan, with what stands for passwords filled in."""
    return [
        step.statement(Credential("HASH", "v-9") if step.secret else None) for step in planned.steps
    ]


def test_nothing_is_there() -> None:
    """All of it is made; the schema first and the grants last."""
    planned = only_plan(nothing_found())
    mark = '{"mlops.mlflow_aws":{"identity":"%s","project":"a-b","since":"0","version":"v-9"}}'
    made = [
        f"CREATE USER IF NOT EXISTS '{name}'@'%' IDENTIFIED WITH caching_sha2_password AS 'HASH' {LIMITS} "
        f"ATTRIBUTE '{mark % kind}'"
        for kind, name in USERS.items()
    ]
    granted = [
        rf"GRANT {RIGHTS[kind]} ON `{on}`.* TO '{name}'@'%'"
        for kind, name in USERS.items()
        for on in PATTERNS[kind]
    ]
    schema = "CREATE DATABASE IF NOT EXISTS `mlflow_a_b` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    assert statements(planned) == [schema, *made, *granted]
    assert planned.before == {}
    assert planned.after["runtime"]["grants"] == [
        rf"{word} on {PATTERN}" for word in RIGHTS["runtime"].split(", ")
    ]


def test_all_is_there() -> None:
    """Nothing is done and nothing shown."""
    assert only_plan(found()) == ProjectPlan(wanted(), (), {}, {})


CHANGES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("no TLS", {"tls": False}, [f"ALTER USER {{}} {LIMITS}"]),
    ("locked", {"usable": False}, [f"ALTER USER {{}} {LIMITS}"]),
    ("old one is young", {"retained": True}, []),
    (
        "old one is old",
        {"retained": True, "mark": {"project": "a-b", "version": "v1", "since": str(NOW - RETAIN)}},
        ["ALTER USER {} DISCARD OLD PASSWORD"],
    ),
    (
        "old one of unknown age",
        {"retained": True, "mark": {"project": "a-b", "version": "v1"}},
        ["ALTER USER {} DISCARD OLD PASSWORD"],
    ),
]


@pytest.mark.parametrize("kind", list(USERS))
@pytest.mark.parametrize(("what", "changes", "sql"), CHANGES)
def test_a_user_that_differs(what: str, changes: dict[str, Any], sql: list[str], kind: str) -> None:
    """Only what differs is done, to that user alone."""
    planned = only_plan(found(users={kind: user(kind, **changes)}))
    assert statements(planned) == [text.format(f"'{USERS[kind]}'@'%'") for text in sql], what


OUTDATED: dict[str, dict[str, Any]] = {
    "another version": {"mark": {"project": "a-b", "version": "v0"}},
    "no version": {"mark": {"project": "a-b"}},
    "another plugin": {"plugin": "mysql_native_password"},
    "expired": {"expired": True},
}


@pytest.mark.parametrize("retain", [0, RETAIN])
@pytest.mark.parametrize("reason", list(OUTDATED))
def test_a_password_is_set(reason: str, retain: int) -> None:
    """The old one stays good beside it, unless that is not wanted."""
    planned = only_plan(
        found(users={"runtime": user("runtime", **OUTDATED[reason])}), retain=retain
    )
    (sql,) = statements(planned)
    keep = " RETAIN CURRENT PASSWORD" if retain else ""
    assert sql.startswith(
        f"ALTER USER 'mlflow_rt_a_b'@'%' IDENTIFIED WITH caching_sha2_password AS 'HASH'{keep} {LIMITS} "
        "ATTRIBUTE '{"
    )
    assert f'"since":"{NOW}"' in sql
    assert planned.steps[0].secret == "secret-runtime"
    assert planned.after["runtime"]["old_password"] is bool(retain)


IAM_MARK = {"project": "a-b", "identity": "runtime", "version": "", "since": str(NOW - 10)}
IAM_USER = {"plugin": "AWSAuthenticationPlugin", "mark": IAM_MARK}
BY_IAM = "IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL ACCOUNT UNLOCK ATTRIBUTE "
BY_PASSWORD = f"IDENTIFIED WITH caching_sha2_password AS 'HASH' {LIMITS} ATTRIBUTE "


def logging_in(login: str) -> ProjectSpec:
    """Return the project a-b whose users log in that way."""
    secret = "" if login == "iam" else "secret"
    return wanted(
        identities=tuple(
            Identity(kind, name, secret, "v1" if secret else "", login)
            for kind, name in USERS.items()
        )
    )


def test_users_that_log_in_with_iam() -> None:
    """New ones are made as AWS documents, without any password; there is no version to follow."""
    planned = only_plan(nothing_found(), logging_in("iam"))
    made = [sql for sql in statements(planned) if "CREATE USER" in sql]
    for sql, (kind, name) in zip(made, USERS.items(), strict=True):
        mark = f'{{"identity":"{kind}","project":"a-b","since":"0","version":""}}'
        assert sql == (
            f"CREATE USER IF NOT EXISTS '{name}'@'%' {BY_IAM}'{{\"mlops.mlflow_aws\":{mark}}}'"
        )
    assert [step.secret for step in planned.steps] == [""] * len(planned.steps)
    assert planned.after["runtime"]["login"] == "iam"
    assert planned.after["runtime"]["secret_version"] == ""
    both = {kind: user(kind, **IAM_USER) for kind in USERS}
    assert only_plan(found(users=both), logging_in("iam")).steps == ()


MOVES: list[tuple[str, dict[str, Any], str]] = [
    ("iam", {}, BY_IAM),
    ("iam", {"retained": True}, BY_IAM),
    ("iam", {"expired": True, "usable": False}, BY_IAM),
    ("password", IAM_USER, BY_PASSWORD),
]


@pytest.mark.parametrize(("login", "has", "sql"), MOVES)
def test_a_move_between_logins(login: str, has: dict[str, Any], sql: str) -> None:
    """Is one statement for each user, and nothing of the old login stays."""
    users = {kind: user(kind, **has) for kind in USERS}
    done = statements(only_plan(found(users=users), logging_in(login)))
    assert len(done) == 2
    for text in done:
        assert text.startswith("ALTER USER 'mlflow_")
        assert sql in text
        assert "RETAIN" not in text


def test_a_user_with_iam_that_differs() -> None:
    """Its TLS and lock are put right, without a word of passwords."""
    users = {kind: user(kind, **IAM_USER, tls=False) for kind in USERS}
    done = statements(only_plan(found(users=users), logging_in("iam")))
    assert done == [
        f"ALTER USER '{name}'@'%' REQUIRE SSL ACCOUNT UNLOCK" for name in USERS.values()
    ]


EXCESS: list[tuple[set[Grant], list[str]]] = [
    ({Grant("global", "", "USAGE")}, []),
    ({Grant("global", "", "PROCESS"), Grant("global", "", "FILE")}, ["FILE, PROCESS ON *.*"]),
    ({Grant("global", "", "USAGE", True)}, ["GRANT OPTION ON *.*"]),
    ({Grant("schema", "mlflow_a_b", "SELECT")}, ["SELECT ON `mlflow_a_b`.*"]),
    ({Grant("schema", "%", "SELECT")}, ["SELECT ON `%`.*"]),
    ({Grant("schema", r"mlflow\_a\_c", "SELECT")}, [r"SELECT ON `mlflow\_a\_c`.*"]),
    ({Grant("schema", PATTERN, "DROP")}, [rf"DROP ON `{PATTERN}`.*"]),
    ({Grant("schema", PATTERN, "SELECT", True)}, [rf"GRANT OPTION ON `{PATTERN}`.*"]),
    ({Grant("table", "`mysql`.`user`", "SELECT")}, ["SELECT ON `mysql`.`user`"]),
    (
        {Grant("column", "`a`.`b`", "SELECT", column="c`d"), Grant("table", "`a`.`b`", "DELETE")},
        ["SELECT (`c``d`) ON `a`.`b`", "DELETE ON `a`.`b`"],
    ),
    ({Grant("role", "`r`@`%`", "ROLE")}, ["`r`@`%`"]),
]


@pytest.mark.parametrize(("held", "sql"), EXCESS)
def test_what_is_held_too_much_is_revoked(held: set[Grant], sql: list[str]) -> None:
    """And told, with what it is on."""
    planned = only_plan(found(more={"runtime": held}))
    assert statements(planned) == [f"REVOKE {text} FROM 'mlflow_rt_a_b'@'%'" for text in sql]
    for step in planned.steps:
        assert step.action.startswith("revoke ")
        assert step.action.endswith(" from user mlflow_rt_a_b")


def test_a_server_that_takes_names_literally() -> None:
    """The escaped pattern means another schema there: it goes, and the plain name comes."""
    planned = only_plan(found(server=SERVER._replace(literal_names=True)))
    sql = statements(planned)
    assert rf"REVOKE {RIGHTS['runtime']} ON `{PATTERN}`.* FROM 'mlflow_rt_a_b'@'%'" in sql
    assert f"GRANT {RIGHTS['runtime']} ON `mlflow_a_b`.* TO 'mlflow_rt_a_b'@'%'" in sql
    assert len(sql) == 2 * (len(PATTERNS["migrator"]) + 1)


OURS = frozenset({"experiments"})
SCHEMAS: list[tuple[SchemaState, list[str] | str]] = [
    (SchemaState("utf8mb4_bin", 65, frozenset({"utf8mb4_bin"}), OURS), []),
    (SchemaState("latin1_swedish_ci"), ["ALTER DATABASE"]),
    (SchemaState("utf8mb4_0900_ai_ci", 65, frozenset({"utf8mb4_bin"}), OURS), ["ALTER DATABASE"]),
    (
        SchemaState("utf8mb4_bin", 65, frozenset({"utf8mb4_bin", "utf8mb4_0900_ai_ci"}), OURS),
        "have the collation utf8mb4_0900_ai_ci, with which MLflow loses data",
    ),
    (SchemaState("utf8mb4_bin", 3, frozenset({"utf8mb4_bin"})), "holds 3 tables that are not"),
]


@pytest.mark.parametrize(("schema", "expected"), SCHEMAS)
def test_schemas(schema: SchemaState, expected: list[str] | str) -> None:
    """An empty one is altered; what is not MLflow's, or would lose data, is refused."""
    if isinstance(expected, str):
        with pytest.raises(MlflowError, match=expected) as caught:
            only_plan(found(schema))
        assert str(caught.value).startswith("Project 'a-b': ")
        assert "Nothing was changed" in str(caught.value)
        return
    sql = statements(only_plan(found(schema)))
    assert [text.partition(" `")[0] for text in sql] == expected


STRANGERS: list[tuple[dict[str, Any], str]] = [
    ({"mark": None}, "was not created by this collection"),
    ({"mark": {"project": "other"}}, "belongs to project 'other'"),
    ({"hosts": frozenset({"%", "10.%"})}, "also exists for the hosts 10.%"),
    ({"hosts": frozenset({"localhost"})}, "also exists for the hosts localhost"),
]


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize(("changes", "reason"), STRANGERS)
def test_somebody_elses_user_is_refused(changes: dict[str, Any], reason: str, state: str) -> None:
    """It is neither changed nor dropped."""
    with pytest.raises(MlflowError, match="mlflow_rt_a_b") as caught:
        only_plan(found(users={"runtime": user("runtime", **changes)}), wanted(state=state))
    assert reason in str(caught.value)


def test_absent() -> None:
    """Users go, data only where it is named, and before the users that its triggers name."""
    gone = wanted(state="absent")
    dropped = [f"DROP USER IF EXISTS '{name}'@'%'" for name in USERS.values()]
    planned = only_plan(found(), gone)
    assert statements(planned) == dropped
    assert planned.after == {"schema": planned.before["schema"]}
    planned = only_plan(found(), gone._replace(force_drop="mlflow_a_b"))
    assert statements(planned) == ["DROP DATABASE IF EXISTS `mlflow_a_b`", *dropped]
    assert planned.after == {}
    assert only_plan(nothing_found(), gone).steps == ()


UNSOUND: list[tuple[list[ProjectSpec], str]] = [
    ([wanted(force_drop="mlflow_a_b")], "is for 'state: absent' only"),
    ([wanted(state="absent", force_drop="mlflow_a-b")], "the schema is mlflow_a_b; set that"),
    ([wanted(state="absent", force_drop="MLFLOW_A_B")], "the schema is mlflow_a_b; set that"),
    ([wanted(schema="mysql")], "does not start with mlflow_"),
    ([wanted(schema="mlflow_a`b")], "is not a valid name"),
    ([wanted(identities=(Identity("runtime", "root", "x"),))], "does not start with mlflow_"),
    ([wanted(identities=(wanted().identities[0],) * 2)], "are the same"),
    ([wanted(), wanted(name="c")], "Projects 'a-b' and 'c' share the name mlflow_a_b"),
]


@pytest.mark.parametrize(("projects", "reason"), UNSOUND)
def test_what_cannot_be_meant(projects: list[ProjectSpec], reason: str) -> None:
    """Refused before anything is read."""
    with pytest.raises(MlflowError, match=reason):
        require_sound(projects)
    require_sound([wanted(), wanted(name="c", schema="mlflow_c", identities=())])


OBSTACLES: list[tuple[MysqlSettings, SchemaState, list[str]]] = [
    (MysqlSettings(), SchemaState("utf8mb4_bin"), []),
    (MysqlSettings(binary_log=True), SchemaState("utf8mb4_bin"), []),
    (MysqlSettings(binary_log=True, trusts_creators=False), SchemaState("utf8mb4_bin"), ["1419"]),
    (MysqlSettings(trusts_creators=False), SchemaState("utf8mb4_bin"), []),
    (MysqlSettings(), SchemaState("utf8mb4_bin", 1, frozenset({"latin1_bin"})), ["latin1_bin"]),
]


@pytest.mark.parametrize(("server", "schema", "words"), OBSTACLES)
def test_obstacles(server: MysqlSettings, schema: SchemaState, words: list[str]) -> None:
    """What would break a migration off is known before."""
    told = obstacles(schema, server)
    assert len(told) == len(words)
    for text, word in zip(told, words, strict=True):
        assert word in text
