# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of mlflow_entry.py: brings schemas to the head revision; those in MySQL several at once.

The request of `migrate-all` (JSON, mode 0600) holds:

    schemas   list of `name`, `uri` (mysql+pymysql://HOST:PORT/SCHEMA) and `database`, the
              migrator's identity, in the form that a server's settings have
    aws       as in a server's settings; whose identity reads the secrets
    workers   how many schemas at once
    timeout   seconds for all of it; what runs then is ended
    repair    true to empty a half-migrated schema that holds no data, and begin anew

and one line of JSON comes out for each schema as it is done: `name`, `state` (what was
found), `before` and `after` (revisions, empty for an empty schema), `repaired`, and
`error`, one sentence, empty where all is well.

A schema is in one of these states:

    empty     it has no table
    current   at the head revision of this MLflow
    behind    at an older revision
    ahead     at a revision that this MLflow does not know; refused
    half      its tables are not those of its revision: a migration broke off; refused, or
              repaired where it holds no data
    foreign   tables, but none of MLflow's first ones; refused
    unknown   it could not be read

A MySQL lock named after the schema makes two migrations of one schema wait for each other;
whoever waited looks again.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING or __package__:
    from ansible_collections.mlops.mlflow_aws.docker import entry_aws, entry_mysql
    from ansible_collections.mlops.mlflow_aws.docker.entry_private import EntryError
else:
    import entry_aws
    import entry_mysql
    from entry_private import EntryError

EMPTY, CURRENT, BEHIND, AHEAD = "empty", "current", "behind", "ahead"
HALF, FOREIGN, UNKNOWN = "half", "foreign", "unknown"
PRIVILEGES = (
    "ALTER",
    "CREATE",
    "DELETE",
    "DROP",
    "INDEX",
    "INSERT",
    "REFERENCES",
    "SELECT",
    "TRIGGER",
    "UPDATE",
)
COLLATION = "utf8mb4_bin"
_VERSIONS = "alembic_version"
_FIRST_TABLES = {"experiments", "runs", "metrics", "params", "tags"}
# Rows that MLflow's migrations write themselves.
_OWN_ROWS = {_VERSIONS: "TRUE", "workspaces": "`name` = 'default'"}
# Table, column, key or constraint exists already; the like is missing; no such table, column.
_BROKEN_OFF = (1050, 1060, 1061, 1826, 1091, 1051, 1054, 1146, 3822, 3940)
_TRIGGER_REFUSED = 1419
# What importing MLflow costs is paid once, in the process that the others come from.
_GRACE_SECONDS = 5
_CUT_SHORT = (
    "its migration was ended at the time limit, maybe half way; raise the timeout and run again, "
    "which says how it stands."
)
_NOT_BEGUN = "its migration was not begun within the time limit; raise the timeout and run again."
_PRELOAD = ["alembic.command", "mlflow.db", "mlflow.store.db.utils", "pymysql"]


class Head(NamedTuple):
    """What this MLflow knows: its head, and for each revision the tables that it has."""

    revision: str
    known: dict[str, int | None]


class Found(NamedTuple):
    """A schema as it is: its tables with their collations, its revisions, its own collation."""

    tables: dict[str, str]
    revisions: list[str]
    collation: str

    @property
    def revision(self) -> str:
        """Return the revision that it says it is at."""
        return self.revisions[0] if len(self.revisions) == 1 else ""


class Job(NamedTuple):
    """One schema of the request, as a process gets it: everything but the password."""

    name: str
    uri: str
    database: dict[str, Any]
    folder: Path
    deadline: float
    repair: bool


def migrate(uri: str) -> None:
    """Bring one database, empty or older, to the head revision, as `mlflow db upgrade` does."""
    from mlflow.db import upgrade

    upgrade.callback(uri)


def _scripts() -> Any:
    """Return MLflow's migration scripts as Alembic reads them, without importing MLflow."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    spec = importlib.util.find_spec("mlflow")
    if spec is None or not spec.submodule_search_locations:
        raise EntryError("MLflow is not installed for this Python; run the deploy playbook.")
    config = Config()
    folder = Path(spec.submodule_search_locations[0]) / "store" / "db_migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def migrate_all(request: dict[str, Any], request_path: Path, folder: Path) -> None:
    """Migrate all schemas of the request and print a line for each."""
    deadline = time.time() + float(request["timeout"])
    aws = request.get("aws") or {}
    entry_aws.use_identity(aws, {}, request_path, folder)
    jobs = []
    for schema, place, error in _with_secrets(request, folder):
        if error:
            _tell(schema["name"], {"error": error})
        else:
            repair = bool(request.get("repair"))
            database, uri = schema["database"], schema["uri"]
            jobs.append(Job(schema["name"], uri, database, place, deadline, repair))
    _run(jobs, max(1, int(request["workers"])), deadline)


def classify(found: Found, head: Head) -> str:
    """Return the schema's state."""
    if not found.tables:
        return EMPTY
    if not found.revision:
        own = set(found.tables) & {_VERSIONS, *_FIRST_TABLES}
        return HALF if own and len(found.revisions) < 2 else FOREIGN
    if found.revision not in head.known:
        return AHEAD
    expected = head.known[found.revision]
    if expected is not None and len(found.tables) != expected:
        return HALF
    return CURRENT if found.revision == head.revision else BEHIND


def count_tables() -> dict[str, int]:
    """Return how many tables a schema has at each revision, by migrating a database in memory."""
    import sqlalchemy
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base

    config = _get_alembic_config("sqlite://")
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.pool.StaticPool)
    Base.metadata.create_all(engine)
    counts = {}
    for script in reversed(list(_scripts().walk_revisions())):
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, script.revision)
            counts[script.revision] = len(sqlalchemy.inspect(connection).get_table_names())
    return counts


def _with_secrets(
    request: dict[str, Any], folder: Path
) -> Iterator[tuple[dict[str, Any], Path, str]]:
    """Write the option file of each schema; gives its folder and what went wrong, else empty."""
    aws = request.get("aws") or {}

    def write(number: int, schema: dict[str, Any]) -> str:
        place = folder / str(number)
        place.mkdir(0o700)
        try:
            entry_mysql.require_plain(schema["uri"])
            entry_mysql.OptionFile(schema["database"], aws, place).refresh()
        except EntryError as error:
            return str(error)
        return ""

    schemas = request["schemas"]
    with ThreadPoolExecutor(8) as pool:
        errors = list(pool.map(write, range(len(schemas)), schemas))
    for number, (schema, error) in enumerate(zip(schemas, errors, strict=True)):
        yield schema, folder / str(number), error


def _run(jobs: list[Job], workers: int, deadline: float) -> None:
    """Run each job in a process of its own, some at once, until the deadline."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    waiting = list(reversed(jobs))
    running: dict[Any, tuple[Job, Any]] = {}
    while waiting or running:
        while waiting and len(running) < workers and time.time() < deadline:
            job = waiting.pop()
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(job, sender), daemon=True)
            process.start()
            sender.close()
            running[receiver] = (job, process)
        done: list[Any] = wait(
            list(running), timeout=max(0.0, deadline + _GRACE_SECONDS - time.time())
        )
        if not done:
            break
        for receiver in done:
            job, process = running.pop(receiver)
            _tell(job.name, _received(receiver))
            process.join()
    for job, process in running.values():
        process.kill()
        _tell(job.name, {"error": _CUT_SHORT})
    for job in waiting:
        _tell(job.name, {"error": _NOT_BEGUN})


def _received(receiver: Any) -> dict[str, Any]:
    """Return what a process told before it ended."""
    try:
        told: dict[str, Any] = receiver.recv()
    except EOFError:
        return {"error": "the process that migrated it ended without a word; see the log above."}
    return told


def _tell(name: str, told: dict[str, Any]) -> None:
    """Print the line of one schema."""
    nothing = {"state": UNKNOWN, "before": "", "after": "", "repaired": False, "error": ""}
    record = {"name": name, **nothing, **told}
    if record["error"]:
        record["error"] = f"Project '{name}': {record['error']}"
    print(json.dumps(record), flush=True)


def _work(job: Job, sender: Any) -> None:
    """Migrate one schema and send what was found and done; runs in a process of its own."""
    # Whoever stops the whole should not break off a migration that can still end well.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Standard output is for the records.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    from alembic.util import CommandError
    from pymysql.err import MySQLError
    from sqlalchemy.exc import SQLAlchemyError

    told: dict[str, Any] = {}
    try:
        _migrate(job, told)
    except EntryError as error:
        told["error"] = str(error)
    except (CommandError, MySQLError, OSError, SQLAlchemyError) as error:
        told["error"] = _sentence(error, job)
    with contextlib.suppress(BrokenPipeError):
        sender.send(told)


def _migrate(job: Job, told: dict[str, Any]) -> None:
    """Bring one schema to the head, under its lock; fills in what was found and done."""
    option_file = entry_mysql.OptionFile(job.database, {}, job.folder)
    seconds = max(1.0, min(entry_mysql.limit(entry_mysql.WAIT), job.deadline - time.time()))
    connection = entry_mysql.wait_awake(lambda: option_file.connect(job.uri), job.uri, seconds)
    schema = urlsplit(job.uri).path.strip("/")
    head = known_head()
    with contextlib.closing(connection), connection.cursor() as cursor:
        _lock(cursor, schema, job.deadline)
        found = _look(cursor, schema)
        told.update(state=classify(found, head), before=found.revision, after=found.revision)
        if told["state"] == CURRENT:
            return
        if told["state"] == HALF and job.repair:
            _empty(cursor, found)
            told["repaired"], found = True, _look(cursor, schema)
        elif told["state"] not in (EMPTY, BEHIND):
            raise EntryError(_refusal(told["state"], found, head))
        _require_fit(cursor, schema, found)
        option_file.attend()
        migrate(option_file.uri(job.uri, bounded=False))
        found = _look(cursor, schema)
        told["after"] = found.revision
        if classify(found, head) != CURRENT:
            raise EntryError(
                f"MLflow left the schema {schema} at revision {found.revision or 'none'} with "
                f"{len(found.tables)} tables; restore it from a backup, or empty it."
            )


def known_head() -> Head:
    """Return what this MLflow knows; the numbers of tables where they are written down."""
    scripts = _scripts()
    revisions = [script.revision for script in scripts.walk_revisions()]
    counts: dict[str, int] = {}
    with contextlib.suppress(FileNotFoundError):
        written = Path(__file__).with_name("mlflow.json").read_text(encoding="utf-8")
        counts = json.loads(written)["tables"]
    known = {revision: counts.get(revision) for revision in revisions}
    return Head(str(scripts.get_current_head()), known)


def _lock(cursor: Any, schema: str, deadline: float) -> None:
    """Take the schema's lock, which the database drops when the connection ends."""
    name = f"mlflow_aws:{schema}"
    seconds = max(0, math.floor(deadline - time.time()))
    cursor.execute("SELECT GET_LOCK(%s, %s)", (name, seconds))
    if cursor.fetchone()[0] == 1:
        return
    cursor.execute(
        "SELECT id, user, host FROM information_schema.processlist WHERE id = IS_USED_LOCK(%s)",
        (name,),
    )
    holder = cursor.fetchone()
    who = "connection {} of {} from {}".format(*holder) if holder else "another connection"
    raise EntryError(
        f"The schema {schema} is being migrated by somebody else ({who} holds the lock "
        f"{name!r}); wait for it, then run again."
    )


def _look(cursor: Any, schema: str) -> Found:
    """Read the schema's tables, revisions and collation."""
    cursor.execute(
        "SELECT table_name, table_collation FROM information_schema.tables "
        "WHERE table_schema = %s AND table_type = 'BASE TABLE'",
        (schema,),
    )
    tables = dict(cursor.fetchall())
    cursor.execute(
        "SELECT default_collation_name FROM information_schema.schemata WHERE schema_name = %s",
        (schema,),
    )
    (collation,) = cursor.fetchone()
    revisions: list[str] = []
    if _VERSIONS in tables:
        cursor.execute(f"SELECT version_num FROM `{_VERSIONS}`")
        revisions = [row[0] for row in cursor.fetchall()]
    return Found(tables, revisions, collation)


def _empty(cursor: Any, found: Found) -> None:
    """Drop the tables of a schema in which nobody has written anything yet."""
    names = {table: table.replace("`", "``") for table in sorted(found.tables)}
    for table, quoted in names.items():
        own = _OWN_ROWS.get(table, "FALSE")
        cursor.execute(f"SELECT 1 FROM `{quoted}` WHERE NOT ({own}) LIMIT 1")
        if cursor.fetchone():
            raise EntryError(
                f"The schema is half-migrated and holds data (in the table {table}), so it is not "
                "emptied; restore it from a backup or snapshot."
            )
    cursor.execute("SET SESSION foreign_key_checks = 0")
    cursor.execute("DROP TABLE " + ", ".join(f"`{quoted}`" for quoted in names.values()))


def _refusal(state: str, found: Found, head: Head) -> str:
    """Say why a schema in this state is left as it is."""
    if state == AHEAD:
        return (
            f"The schema is at revision {found.revision}, which this MLflow, whose head is "
            f"{head.revision}, does not know, so a newer one wrote it; use the collection "
            "release that carries that MLflow."
        )
    if state == FOREIGN:
        return (
            f"The schema holds {len(found.tables)} tables of something else, {min(found.tables)} "
            "for one; give the project a schema of its own."
        )
    expected = head.known.get(found.revision)
    return (
        f"The schema is half-migrated: it says revision {found.revision or 'none'} and has "
        f"{len(found.tables)} tables{f', not {expected}' if expected else ''}, as after an error "
        "1419 or a migration that was killed; restore it from a snapshot, or have it repaired, where "
        "it holds no data yet."
    )


def _require_fit(cursor: Any, schema: str, found: Found) -> None:
    """Refuse to begin what would fail half way."""
    _require_privileges(cursor, schema)
    wrong = {table: text for table, text in found.tables.items() if text != found.collation}
    if not found.tables and found.collation != COLLATION:
        raise EntryError(
            f"The schema {schema} has the collation {found.collation}, with which names that "
            f"differ in case clash; ALTER DATABASE `{schema}` CHARACTER SET utf8mb4 COLLATE "
            f"{COLLATION}, then run again."
        )
    if wrong or not found.collation.startswith("utf8mb4"):
        table = min(wrong or found.tables)
        raise EntryError(
            f"The table {table} has the collation {found.tables[table]} and the schema {schema} has "
            f"{found.collation}, so new tables could not refer to it; convert the tables and the "
            f"schema to {COLLATION}, then run again."
        )


def _require_privileges(cursor: Any, schema: str) -> None:
    """Refuse an identity that would be stopped half way; one with roles is trusted."""
    cursor.execute(
        "SELECT CURRENT_USER(), CURRENT_ROLE(), @@GLOBAL.log_bin, "
        "@@GLOBAL.log_bin_trust_function_creators"
    )
    user, role, logged, trusted = cursor.fetchone()
    name, _at, host = user.rpartition("@")
    cursor.execute(
        "SELECT privilege_type FROM information_schema.user_privileges WHERE grantee = %s "
        "UNION SELECT privilege_type FROM information_schema.schema_privileges "
        "WHERE grantee = %s AND %s LIKE table_schema",
        (f"'{name}'@'{host}'", f"'{name}'@'{host}'", schema),
    )
    held = {row[0] for row in cursor.fetchall()}
    missing = [privilege for privilege in PRIVILEGES if privilege not in held]
    if missing and role == "NONE":
        raise EntryError(
            f"The user {user} lacks {', '.join(missing)} on {schema}, without which a migration "
            "breaks off half way; run the projects playbook, which grants them."
        )
    if logged and not trusted and "SUPER" not in held and role == "NONE":
        raise EntryError(
            "The database keeps a binary log and does not trust the makers of triggers, so a "
            "migration would break off half way with error 1419; set "
            "log_bin_trust_function_creators to 1 in its parameter group, or turn the log off."
        )


def _sentence(error: Exception, job: Job) -> str:
    """Say what broke a migration off, and what to do."""
    cause = getattr(error, "orig", None) or error
    number = cause.args[0] if cause.args and isinstance(cause.args[0], int) else 0
    text = " ".join(str(cause.args[-1] if cause.args else cause).split()).rstrip(".")
    if number in _BROKEN_OFF:
        return (
            f"An earlier migration broke off half way (error {number}: {text}); restore the schema "
            "from a snapshot, or have it repaired, where it holds no data yet."
        )
    if number:
        return entry_mysql.sentence(error, job.uri, job.database)
    return f"MLflow's migration failed ({type(error).__name__}: {text}); see the log above."
