# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: SQL over one verified TLS connection, by PyMySQL."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
import traceback
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import database
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.database import (
    Rows,
    SqlError,
)

try:
    import pymysql

    HAS_PYMYSQL = True
    PYMYSQL_ERROR = None
except ImportError:
    HAS_PYMYSQL = False
    PYMYSQL_ERROR = traceback.format_exc()

# A paused Aurora cluster accepts the connection and answers when it is awake.
_CONNECT_SECONDS = 60
_RETRY_SECONDS = 1.0
# A connection that takes longer was held by a database that had to wake up.
_PROMPT_SECONDS = 3.0
_DENIED = {1044, 1045, 1698}
_NO_ANSWER = {2002, 2003, 2006, 2013}
_TOO_MANY = {1040, 1203}
_TLS = {2026, 3159}
_BLOCKED = 1129
# programs/server/mlflow_aws_server/mysql.py says the same; neither can import the other.
BLOCKED = (
    "has blocked this machine's address after too many broken connections ({reason}): find what opens "
    "connections there and drops them, such as a port scan or a load balancer's check; raise "
    "max_connect_errors, and unblock by restarting the database or, from another address, by FLUSH HOSTS "
    "(from MySQL 8.4 on TRUNCATE TABLE performance_schema.host_cache)."
)
_PEM = "-----BEGIN"


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

    def hold(self, name: str, timeout: float) -> t.ContextManager[None]:
        """Hold a lock while the block runs."""
        return database.locked(self.query, name, timeout, self.where)

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
            code, reason = _parts(error)
            if code in _NO_ANSWER or code == 0:
                raise MlflowError(
                    f"MySQL at {self.where} ended the connection ({reason}): run again, which goes on from "
                    "there."
                ) from None
            raise SqlError(code, reason) from None

    def _connect(self, timeout: float) -> t.Any:
        """Return a connection; try again while nobody answers."""
        context = _context(self._login, self.where)
        start = time.monotonic()
        connection = None
        while connection is None:
            connection = self._try(context, start + timeout)
            if connection is None:
                time.sleep(_RETRY_SECONDS)
        seconds = time.monotonic() - start
        self.waited = seconds if seconds > _PROMPT_SECONDS else 0.0
        return connection

    def _try(self, context: ssl.SSLContext, deadline: float) -> t.Any:
        """Try once to connect; return None where another try may succeed before the deadline."""
        left = deadline - time.monotonic()
        try:
            return pymysql.connect(
                host=self._login.host,
                port=self._login.port,
                user=self._login.user,
                password=self._login.password,
                ssl=t.cast(t.Any, context),
                connect_timeout=max(1, min(_CONNECT_SECONDS, int(left))),
                read_timeout=max(_CONNECT_SECONDS, int(self._timeout)),
                autocommit=True,
                charset="utf8mb4",
            )
        except pymysql.err.MySQLError as error:
            sentence = self._refusal(error)
            if sentence:
                raise MlflowError(sentence) from None
            if time.monotonic() + _RETRY_SECONDS > deadline:
                raise MlflowError(self._unreached(error)) from None
            return None

    def _refusal(self, error: Exception) -> str:
        """Return a sentence for an error that waiting does not cure, else an empty text."""
        code, reason = _parts(error)
        cause = getattr(error, "original_exception", None)
        if code in _DENIED:
            return (
                f"MySQL at {self.where} refuses user {self._login.user} ({reason}): check that the login's "
                "secret is this database's."
            )
        if isinstance(cause, ssl.SSLError):
            return _tls_sentence(cause, self.where)
        if code in _TLS:
            return (
                f"MySQL at {self.where} offers no TLS ({reason}): turn TLS on there; nothing is sent "
                "unencrypted."
            )
        if isinstance(cause, socket.gaierror):
            return (
                f"The database host {self._login.host} has no address ({cause.strerror}): check the host "
                "and this machine's DNS."
            )
        if code == _BLOCKED:
            return f"MySQL at {self.where} {BLOCKED.format(reason=reason)}"
        if code in _TOO_MANY:
            return f"MySQL at {self.where} has no connection left ({reason}): run again later."
        if code not in _NO_ANSWER:
            return f"MySQL at {self.where} refuses the connection ({code}: {reason})."
        return ""

    def _unreached(self, error: Exception) -> str:
        """Return the sentence for a database that never answered."""
        return (
            f"MySQL at {self.where} did not answer within {self._timeout:.0f} seconds "
            f"({_parts(error)[1]}): check that this machine reaches it, or use the transport data_api."
        )


class _NamedContext(ssl.SSLContext):
    """A context that checks the certificate for another name than the address connected to."""

    tls_name = ""

    def wrap_socket(self, *arguments: t.Any, **options: t.Any) -> ssl.SSLSocket:
        """Wrap a socket, checking for tls_name."""
        return super().wrap_socket(*arguments, **{**options, "server_hostname": self.tls_name})


def _context(login: Login, where: str) -> ssl.SSLContext:
    """Return a context that verifies CA and host name."""
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.tls_name = login.tls_name or login.host
    try:
        if not login.ca:
            context.load_default_certs()
        elif _PEM in login.ca:
            context.load_verify_locations(cadata=login.ca)
        else:
            context.load_verify_locations(cafile=login.ca)
    except (OSError, ValueError) as error:
        raise MlflowError(
            f"The CA certificate for MySQL at {where} cannot be read ({_one_line(error)}): give a PEM file "
            "or its text."
        ) from None
    return context


def _tls_sentence(cause: ssl.SSLError, where: str) -> str:
    """Say why the encrypted connection was not made."""
    if not isinstance(cause, ssl.SSLCertVerificationError):
        return f"TLS with MySQL at {where} failed ({_one_line(cause)}): check its certificate."
    reason = _one_line(cause.verify_message)
    if "mismatch" in reason or "doesn't match" in reason or "not valid for" in reason:
        return (
            f"The certificate of MySQL at {where} is for another name ({reason}): use the endpoint as host, "
            "or give its name as login_tls_name where a tunnel leads there."
        )
    return (
        f"The certificate of MySQL at {where} is not trusted ({reason}): give the CA that signed it, for "
        "Aurora the RDS bundle of the region."
    )


def _parts(error: Exception) -> tuple[int, str]:
    """Return number and words of PyMySQL's error."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    return code, _one_line(error.args[1] if len(error.args) > 1 else error)


def _one_line(text: t.Any) -> str:
    """Return a text on one line and without its full stop."""
    return " ".join(str(text).split()).rstrip(".")
