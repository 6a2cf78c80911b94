# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One job runner at a time serves a project, on however many hosts its servers run.

MySQL: a lock with a name, which the database releases when the runner's connection ends. SQLite: a lock
on a file beside the database, which the kernel releases when the runner ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import kept
from .errors import say
from .option_file import OptionFile

# How long others wait for their turn before they ask again, and how often the one that has it asks
# whether the database still knows so.
_WAIT_SECONDS = 30.0
_PROVE_SECONDS = 10.0
# A host that vanishes does not close its connection: the database ends it after so long without a question.
# Before another one takes over, this one has noticed that it gets no answer, and has ended its jobs.
_IDLE_SECONDS = 60
_ANSWER_SECONDS = 30.0
# MySQL takes names of at most 64 characters.
_LOCK = "mlflow jobs {schema}"
_FILE = "jobs.lock"


def turn(
    given: dict[str, Any], options: OptionFile | None, stop: threading.Event
) -> contextlib.AbstractContextManager[bool]:
    """Return a context that waits for the turn and holds it; it yields whether that came before `stop`.

    A runner that loses it ends at once, and its jobs with it, as another one begins them again.
    """
    uri = given["backend_store_uri"]
    return _database_turn(uri, options, stop) if options else _file_turn(uri, stop)


@contextlib.contextmanager
def _file_turn(uri: str, stop: threading.Event) -> Iterator[bool]:
    """Hold the lock on a file beside the database."""
    folder = kept.database_folder(uri) or Path(tempfile.gettempdir())
    with (folder / _FILE).open("a", encoding="utf-8") as held:
        yield _wait(lambda: _locked(held), stop, 1.0)


def _locked(held: Any) -> bool:
    """Take the lock on a file; returns whether it was free."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def lock_name(uri: str) -> str:
    """Return the name of the lock of a database's runner."""
    schema = urlsplit(uri).path.strip("/")
    name = _LOCK.format(schema=schema)
    return (
        name if len(name) <= 64 else f"{name[:47]} {hashlib.sha256(name.encode()).hexdigest()[:16]}"
    )


@contextlib.contextmanager
def _database_turn(uri: str, options: OptionFile, stop: threading.Event) -> Iterator[bool]:
    """Hold the lock in the database by a connection that is used for nothing else."""
    name, found = lock_name(uri), []

    def take() -> bool:
        connection = _try(uri, options, name)
        if connection is not None:
            found.append(connection)
        return connection is not None

    if not _wait(take, stop, _WAIT_SECONDS):
        yield False
        return
    threading.Thread(target=_prove, args=(found[0], name), name="jobs-turn", daemon=True).start()
    yield True


def _try(uri: str, options: OptionFile, name: str) -> Any:
    """Return a connection that holds the lock, None if another has it or the database does not answer."""
    from pymysql.err import MySQLError

    try:
        connection = options.connect(uri, _ANSWER_SECONDS, _IDLE_SECONDS)
        with connection.cursor() as cursor:
            cursor.execute("SELECT GET_LOCK(%s, 0)", (name,))
            if cursor.fetchone()[0] == 1:
                return connection
        connection.close()
    except MySQLError as error:
        say(f"The job runner does not reach the database ({error}); it tries again.")
    return None


def _prove(connection: Any, name: str) -> None:
    """End this process when the database no longer gives the lock to this connection."""
    from pymysql.err import MySQLError

    pause = threading.Event()
    held = True
    while held:
        pause.wait(_PROVE_SECONDS)
        held = False
        with contextlib.suppress(MySQLError, OSError), connection.cursor() as cursor:
            cursor.execute("SELECT IS_USED_LOCK(%s) = CONNECTION_ID()", (name,))
            held = cursor.fetchone()[0] == 1
    say("The job runner has lost its turn at the database; it ends, and its jobs with it.")
    os._exit(1)


def _wait(take: Any, stop: threading.Event, seconds: float) -> bool:
    """Try to take the turn until that succeeds, or until told to stop; returns whether it did."""
    while not stop.is_set():
        if take():
            return True
        stop.wait(seconds)
    return False
