# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: SQL over a connection to MySQL, by PyMySQL and TLS."""

from __future__ import annotations

import contextlib
import ssl
import time
import traceback
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import database
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.database import (
    NotNow,
    Rows,
    SqlError,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.mysql_errors import (
    NO_ANSWER,
    parts,
    refusal,
    unreached,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.tls import (
    verifying_context,
)

try:
    import pymysql

    PYMYSQL_ERROR = None
except ImportError:
    PYMYSQL_ERROR = traceback.format_exc()

# A paused Aurora cluster accepts the connection and answers when it is awake.
_CONNECT_SECONDS = 60
# A connection that takes longer was held by a database that had to wake up.
_PROMPT_SECONDS = 3.0


class Login(t.NamedTuple):
    """Where the database is and who asks.

    ca is PEM text or a path, empty for what this machine trusts; tls_name is the name that the
    certificate must hold, empty for host, as when a tunnel ends on another one.
    """

    host: str
    port: int
    user: str
    password: str
    ca: str = ""
    tls_name: str = ""


class MysqlTransport:
    """One connection to MySQL."""

    def __init__(self, login: Login, timeout: float) -> None:
        """Connect, waiting up to timeout seconds for a database that sleeps or restarts."""
        self.where = f"{login.host}:{login.port}"
        self.waited = 0.0
        self.statements = 0
        self._login = login
        self._timeout = timeout
        self._connection = self._connect(timeout)

    def query(self, sql: str) -> Rows:
        """Return the rows of a statement."""
        with self._cursor(sql) as cursor:
            return [tuple(row) for row in cursor.fetchall()]

    def execute(self, sql: str) -> None:
        """Carry out a statement."""
        with self._cursor(sql):
            pass

    @contextlib.contextmanager
    def hold(self, name: str, timeout: float) -> t.Iterator[None]:
        """Hold a lock while the block runs: its session is that of the statements, and ends with them."""
        with database.locked(self.query, name, timeout, self.where):
            yield

    def close(self) -> None:
        """End the connection."""
        with contextlib.suppress(pymysql.err.MySQLError):
            self._connection.close()

    @contextlib.contextmanager
    def _cursor(self, sql: str) -> t.Iterator[t.Any]:
        """Carry out a statement and give its cursor."""
        self.statements += 1
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql)
                yield cursor
        except pymysql.err.MySQLError as error:
            code, reason = parts(error)
            if code in NO_ANSWER or code == 0:
                raise MlflowError(
                    f"Lost the connection to MySQL at {self.where} ({reason}); rerun to continue from there."
                ) from None
            raise SqlError(code, reason) from None

    def _connect(self, timeout: float) -> t.Any:
        """Return a connection; try again while the database does not answer, or has none left."""
        login = self._login
        context = verifying_context(login.ca, login.tls_name or login.host, self.where)
        start = time.monotonic()
        last: list[int] = []

        def attempt() -> t.Any:
            try:
                return self._attempt(context, start + timeout)
            except pymysql.err.MySQLError as error:
                sentence = refusal(error, self.where, login.user, login.host)
                if sentence:
                    raise MlflowError(sentence) from None
                code, reason = parts(error)
                last.append(code)
                raise NotNow(reason) from None

        def late(reason: str) -> MlflowError:
            return MlflowError(unreached(last[-1], reason, self.where, timeout))

        connection, _seconds = database.once_awake(attempt, timeout, late)
        # A paused Aurora cluster may take the connection and hold it.
        seconds = time.monotonic() - start
        self.waited = seconds if seconds > _PROMPT_SECONDS else 0.0
        return connection

    def _attempt(self, context: ssl.SSLContext, deadline: float) -> t.Any:
        """Try once to connect, in the time that is left."""
        return pymysql.connect(
            host=self._login.host,
            port=self._login.port,
            user=self._login.user,
            password=self._login.password,
            ssl=t.cast(t.Any, context),
            connect_timeout=max(1, min(_CONNECT_SECONDS, int(deadline - time.monotonic()))),
            read_timeout=max(_CONNECT_SECONDS, int(self._timeout)),
            autocommit=True,
            charset="utf8mb4",
        )
