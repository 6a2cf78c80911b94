# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process takes of its database's connections, and which request got none, or lost its own.

MLflow has a pool of connections for runs, another one for models, and a third one for jobs; here they
share one. What is noted of a request decides how it is answered: see turns.py.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from . import mysql

# For each process. plugins/module_utils/_backend/connections.py computes with it; neither can
# import the other.
CONNECTIONS = 20
# MLflow takes an overflow of 0 for none given.
POOL_SIZE, OVERFLOW = "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW"
POOL = {POOL_SIZE: str(CONNECTIONS - 1), OVERFLOW: "1"}
_READS = ("SELECT", "SHOW", "SET", "EXPLAIN")
_WROTE = "mlflow_aws_wrote"


@dataclass
class Request:
    """What is known of a request while it is served.

    starved: it got no connection; cut: it lost one, with which the database forgets what was not
    committed; committed: it has changed something, or may have.
    """

    probe: bool = False
    starved: bool = False
    cut: bool = False
    committed: bool = False


_request: contextvars.ContextVar[Request | None] = contextvars.ContextVar("request", default=None)


def begin(request: Request) -> None:
    """Take what this task, and the threads that it has work for it, do for the work of a request."""
    _request.set(request)


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """Let nothing wait for a connection meanwhile: whoever asks tries again."""
    token = _request.set(Request(probe=True))
    try:
        yield
    finally:
        _request.reset(token)


def is_patient() -> bool:
    """Return whether whoever asks waits for a connection; a probe asks again itself."""
    request = _request.get()
    return request is None or not request.probe


def share(uri: str) -> None:
    """Make one pool for all of MLflow's stores, before they are made."""
    from mlflow.store.jobs.sqlalchemy_store import SqlAlchemyJobStore
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

    engine = Tracking._get_or_create_engine(uri)
    for store in (Registry, SqlAlchemyJobStore):
        store._engine_map[uri] = engine


def watch(uri: str) -> None:
    """Note for each request of this process whether it had a connection and whether it changed something.

    Called when the stores are made; closes the connections that this took.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import event

    engine = SqlAlchemyStore._get_or_create_engine(uri)
    engine.dispose()
    engine.pool.connect = _noting(engine.pool.connect)
    event.listen(engine, "checkin", _close_after_probe)
    event.listen(engine, "before_cursor_execute", _note_statement)
    # Before the database is asked to, so that one that breaks off then counts as committed.
    event.listen(engine, "commit", _note_commit)
    event.listen(engine, "handle_error", _note_error)
    event.listen(engine, "rollback", lambda connection: connection.info.pop(_WROTE, None))


def _noting(connect: Callable[[], Any]) -> Callable[[], Any]:
    """Return a pool's connect() that notes for the request where there is no connection."""
    from sqlalchemy.exc import TimeoutError as PoolTimeoutError

    def connected() -> Any:
        try:
            return connect()
        except Exception as error:
            request = _request.get()
            if request and (isinstance(error, PoolTimeoutError) or mysql.passing(error)):
                request.starved = True
            raise

    return connected


def _close_after_probe(_connection: Any, record: Any) -> None:
    """Keep no connection for a probe: one of all servers at once would leave one for each."""
    request = _request.get()
    if request and request.probe:
        record.invalidate()


def _note_error(context: Any) -> None:
    """Note that a request has lost its connection; one that a ping finds lost is replaced."""
    request = _request.get()
    if request and context.is_disconnect and not context.is_pre_ping:
        request.cut = True


def _note_statement(connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
    """Note that a connection has changed something that is not committed."""
    if not statement.lstrip().upper().startswith(_READS):
        connection.info[_WROTE] = True


def _note_commit(connection: Any) -> None:
    """Note that a request has changed something."""
    request = _request.get()
    if connection.info.pop(_WROTE, False) and request:
        request.committed = True
