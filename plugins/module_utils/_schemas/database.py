# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the port through which SQL reaches a database, and its lock.

Two transports implement it: mysql.py over a connection and data_api.py over HTTPS.
"""

from __future__ import annotations

import contextlib
import re
import time
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sql_text
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._wait import growing, wait

Rows = t.List[t.Tuple[t.Any, ...]]
Answer = t.TypeVar("Answer")

_POLL_SECONDS = 1.0
# Between two attempts to reach a database, in seconds. Aurora resumes in 15 seconds, after a day in
# 30 or longer, and one that has no connection left is not helped by many who ask every second.
_PAUSES = (1.0, 1.5, 10.0)
_NEAR = re.compile(r" near '.*", re.DOTALL)


class SqlError(MlflowError):
    """MySQL rejected a statement; code is its number, reason its words without the statement."""

    def __init__(self, code: int, reason: str) -> None:
        # A syntax error quotes the statement, which may hold a verifier.
        self.reason = " ".join(_NEAR.sub("", reason).split()).rstrip(".")
        self.code = code
        super().__init__(f"MySQL answered {code}: {self.reason}.")


class NotNow(Exception):
    """The database is asleep, restarts or has no connection left; the text is what it said.

    It ran nothing, so the same may be sent again.
    """


def once_awake(
    attempt: t.Callable[[], Answer], timeout: float, late: t.Callable[[str], MlflowError]
) -> tuple[Answer, float]:
    """Return what attempt returns once it no longer raises NotNow, and the seconds that it did.

    timeout bounds it in seconds; late makes the error from what the database said last.
    """
    start = time.monotonic()
    told: list[str] = []

    def tried() -> Answer | None:
        try:
            return attempt()
        except NotNow as error:
            told.append(str(error))
            return None

    answer = wait(tried, start + timeout, lambda: late(told[-1]), growing(*_PAUSES))
    return answer, time.monotonic() - start if told else 0.0


class Transport(t.Protocol):
    """Sends statements to one database as its administrator.

    where: names it in a sentence; waited: seconds that it was asleep or unreachable;
    statements: number of statements sent so far.
    """

    where: str
    waited: float
    statements: int

    def query(self, sql: str) -> Rows:
        """Return the rows of a statement that changes nothing."""

    def execute(self, sql: str) -> None:
        """Carry out a statement; raises SqlError if MySQL rejects it."""

    def hold(self, name: str, timeout: float) -> t.ContextManager[None]:
        """Hold a lock of the database while the block runs; it ends with this process."""


@contextlib.contextmanager
def locked(
    ask: t.Callable[[str], Rows], name: str, timeout: float, where: str
) -> t.Iterator[t.Callable[[], None]]:
    """Hold MySQL's lock of a name through a session that `ask` keeps using.

    timeout bounds the wait in seconds; the error says who holds it. Yields a check that raises
    MlflowError if the lock was lost, as with a session that was idle for too long.
    """
    lock = sql_text.literal(name)

    def held() -> bool | None:
        return True if ask(f"SELECT GET_LOCK({lock}, 0)")[0][0] == 1 else None

    def late() -> MlflowError:
        return MlflowError(
            f"Another run has been changing the schemas on {where} for over {timeout:.0f} seconds "
            f"({_holder(ask, lock)}); wait for it to end, then rerun."
        )

    def check() -> None:
        try:
            if ask(f"SELECT IS_USED_LOCK({lock}) = CONNECTION_ID()")[0][0] == 1:
                return
            reason = _holder(ask, lock)
        except MlflowError as error:
            reason = str(error).rstrip(".")
        raise MlflowError(
            f"This run lost its lock on {where}, so another run may be changing the schemas "
            f"({reason}); rerun."
        )

    wait(held, time.monotonic() + timeout, late, _POLL_SECONDS)
    try:
        yield check
    finally:
        # The end of the session would free it too, so a broken one is no second error.
        with contextlib.suppress(MlflowError):
            ask(f"SELECT RELEASE_LOCK({lock})")


def _holder(ask: t.Callable[[str], Rows], lock: str) -> str:
    """Return which connection holds a lock."""
    if ask(f"SELECT IS_FREE_LOCK({lock})")[0][0] == 1:
        return "no connection holds the lock"
    rows = ask(
        "SELECT ID, USER, HOST, TIME FROM information_schema.PROCESSLIST "
        f"WHERE ID = IS_USED_LOCK({lock})"
    )
    if not rows:
        return "its connection is not shown to this user"
    number, user, host, seconds = rows[0]
    return f"connection {number} of user {user} from {host}, idle for {seconds} seconds, holds the lock"
