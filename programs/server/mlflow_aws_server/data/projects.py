# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The projects of a request, with their databases, artifacts and locks.

Each of the request's `projects` has

    name                    the project
    backend_store_uri       sqlite:////PATH, or mysql+pymysql://HOST:PORT/SCHEMA
    artifacts_destination   an absolute path, or s3://BUCKET/PREFIX
    database                for MySQL, the identity of the migrator, as a server's settings have it
    key_file                the file of its root key, if it is one

and the request's `aws` is the identity that reads secrets and calls S3, as a server's settings have it.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import getpass
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from .. import mysql
from ..aws import s3_client
from ..errors import EntryError
from ..option_file import OptionFile, require_plain
from ..schema_state import LOCK
from . import places, sealing
from .mysql_database import NEXT, MysqlDatabase, beside
from .places import Place
from .repository import Repository
from .sqlite_database import SqliteDatabase

SQLITE = "sqlite:///"
_LOCK_FILE = ".data.lock"
# What MySQL sends as text stays text, as SQLite stores it.
_DATES = (7, 10, 11, 12)


class Project(NamedTuple):
    """One project: name, database, artifacts, the URI by which MLflow reaches it, and its root key.

    exclusive: takes its lock for a verb while a block runs.
    """

    name: str
    database: SqliteDatabase | MysqlDatabase
    artifacts: Place
    uri: Callable[[str], str]
    key_file: Path | None
    exclusive: Callable[[str], contextlib.AbstractContextManager[None]]


def of(request: dict[str, Any], folder: Path) -> list[Project]:
    """Return the projects of a request; folder is private, for their credentials."""
    aws = request.get("aws") or {}
    return [
        one(given, aws, folder / str(number)) for number, given in enumerate(request["projects"])
    ]


def repository(request: dict[str, Any], name: str) -> Repository:
    """Return the backups of a project."""
    key = request.get("backup_key") or ""
    codec = sealing.Sealed(key) if key else sealing.Plain()
    return Repository(below_destination(request, name), codec)


def below_destination(request: dict[str, Any], path: str) -> Place:
    """Return a place below that of all backups."""
    root = str(request["destination"]).rstrip("/")
    return places.at(f"{root}/{path}", functools.partial(s3_client, request.get("aws") or {}))


def one(
    given: dict[str, Any], aws: dict[str, Any], folder: Path, patience: float | None = None
) -> Project:
    """Return one project; folder is its own, and is made for a project that needs one.

    patience: the seconds that its database has to wake up, and to answer each statement; None for as
    long as a server waits, and for statements without a limit.
    """
    artifacts = places.at(given["artifacts_destination"], functools.partial(s3_client, aws))
    key = given.get("key_file") or ""
    key_file = Path(key) if key else None
    uri = str(given["backend_store_uri"])
    name = str(given["name"])
    if uri.startswith(SQLITE + "/"):
        path = Path(uri[len(SQLITE) :])
        lock = functools.partial(_file_lock, path.parent / _LOCK_FILE, name)
        return Project(name, SqliteDatabase(path), artifacts, _sqlite_uri(path), key_file, lock)
    require_plain(uri)
    folder.mkdir(0o700)
    option_file = OptionFile(given["database"], aws, folder)
    option_file.refresh()
    return in_mysql(name, uri, option_file, artifacts, key_file, patience)


def in_mysql(
    name: str,
    uri: str,
    option_file: OptionFile,
    artifacts: Place,
    key_file: Path | None = None,
    patience: float | None = None,
) -> Project:
    """Return a project whose schema is in MySQL; patience is that of one()."""
    schema = urlsplit(uri).path.strip("/")

    def connect(wanted: str) -> Any:
        place = in_schema(uri, wanted)
        seconds = mysql.limit(mysql.WAIT) if patience is None else patience
        connection = mysql.wait_awake(lambda: option_file.connect(place, patience), place, seconds)
        connection.decoders = {
            kind: decoder for kind, decoder in connection.decoders.items() if kind not in _DATES
        }
        return connection

    def for_mlflow(suffix: str) -> str:
        option_file.attend()
        return option_file.uri(in_schema(uri, beside(schema, suffix)), bounded=False)

    lock = functools.partial(_database_lock, connect, schema, name)
    return Project(name, MysqlDatabase(connect, schema), artifacts, for_mlflow, key_file, lock)


def in_schema(uri: str, schema: str) -> str:
    """Return the URI of another schema of the same database, or of none of them."""
    return urlunsplit(urlsplit(uri)._replace(path=f"/{schema}"))


def _sqlite_uri(path: Path) -> Callable[[str], str]:
    """Return what gives the URI of a file and of those beside it."""

    def uri(suffix: str) -> str:
        return SQLITE + str(file_beside(path) if suffix == NEXT else path)

    return uri


def file_beside(path: Path) -> Path:
    """Return the file in which what takes the place of an SQLite file is made."""
    return path.with_name(f".{path.name}.next")


@contextlib.contextmanager
def _file_lock(path: Path, project: str, verb: str) -> Iterator[None]:
    """Hold a project's lock, a file that names its holder."""
    if not path.parent.is_dir():
        raise EntryError(
            f"Project '{project}' has no folder {path.parent}; run the deploy playbook, which creates it."
        )
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EntryError(_held(project, stream.read())) from None
        stream.truncate(0)
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        holder = {"verb": verb, "by": _person(), "pid": os.getpid(), "since": since}
        stream.write(json.dumps(holder))
        stream.flush()
        yield
        stream.truncate(0)


def _held(project: str, text: str) -> str:
    """Return the sentence about a lock that another one holds."""
    try:
        holder = json.loads(text)
        who = "{verb} by {by}, process {pid}, since {since}".format(**holder)
    except (KeyError, TypeError, ValueError):
        who = "another run"
    return f"Project '{project}' is in use ({who}); wait for its end, then rerun."


def _person() -> str:
    """Return who runs this, and where."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


@contextlib.contextmanager
def _database_lock(
    connect: Callable[[str], Any], schema: str, project: str, verb: str
) -> Iterator[None]:
    """Hold a project's lock, the one that migrations of its schema take, in the database."""
    name = LOCK.format(schema=schema)
    with contextlib.closing(connect("")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(%s, 0)", (name,))
        if cursor.fetchone()[0] != 1:
            cursor.execute(
                "SELECT id, user, host, time FROM information_schema.processlist "
                "WHERE id = IS_USED_LOCK(%s)",
                (name,),
            )
            row = cursor.fetchone()
            who = (
                "connection {} of {} from {}, for {} seconds".format(*row) if row else "another run"
            )
            raise EntryError(
                f"Project '{project}' is in use ({who} holds the lock {name!r}), so this {verb} was not "
                "started; wait for its end, then rerun."
            )
        yield
