# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The MySQL option file of a database whose password, if its user has one, is read by reference.

The password is in that file, in the private folder, and nowhere else. PyMySQL reads it for
each new connection, so a rotated password needs no restart.
"""

from __future__ import annotations

import functools
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from . import connections, database_login, mysql
from .aws import Secret, read_secret
from .errors import EntryError, say
from .installation import AUTHORITIES
from .private import write_private

# A paused Aurora cluster takes 15 seconds to answer, after a day's pause 30 or more.
CONNECT_SECONDS = 60
# The database closes sessions that are idle for so long, so that an idle server holds none;
# MLflow's pool asks each connection whether it is alive before it uses it.
IDLE_SECONDS = 20
_DENIED_INTERVAL = 5.0
# What an identity without a secret has, since it logs in with IAM: see database_login.py.
_NO_SECRET = Secret("none", "")


class OptionFile:
    """The option file of one identity, which follows the secret's current version."""

    def __init__(self, database: dict[str, Any], aws: dict[str, Any], folder: Path) -> None:
        """Take the settings' `database` and `aws`, and the private folder."""
        self.path = folder / "my.cnf"
        self._database = database
        self._aws = aws
        self._version = ""
        self._ca = _authority(database.get("ca") or "", folder)
        self._lock = threading.Lock()
        self._asked = 0.0

    def refresh(self) -> bool:
        """Read the secret, if any; rewrite the file if its version changed, and return whether it did."""
        secret = self._secret()
        if secret.version == self._version:
            return False
        # PyMySQL takes one pair of quotes away and keeps everything else as it stands.
        lines = [
            "[client]",
            f'user = "{self._database["user"]}"',
            *([f'password = "{secret.password}"'] if secret.password else []),
            f'ssl-ca = "{self._ca}"',
        ]
        write_private(self.path, "\n".join(lines) + "\n")
        self._version = secret.version
        return True

    def _secret(self) -> Secret:
        """Return the current secret; one that a user with IAM does not need yet, or any more, may be missing."""
        name = self._database["secret"]
        if not name:
            return _NO_SECRET
        try:
            return read_secret(name, self._aws)
        except EntryError as error:
            if self._version or self._database.get("login") != "iam":
                raise
            say(f"{error} The server logs in with IAM.")
            return _NO_SECRET

    def refresh_in_background(self) -> None:
        """Follow the secret, if any, for as long as this process lives; errors are only logged."""
        if not self._database["secret"]:
            return
        pause = mysql.limit(mysql.POLL)

        def follow() -> None:
            while True:
                time.sleep(pause)
                self._try(not_within=0)

        threading.Thread(target=follow, name="follow-secret", daemon=True).start()

    def attend(self, engine: Any = None, patience: float | None = None) -> None:
        """Open the connections of an engine, or if None of all that this process will create.

        They go through the tunnel if there is one. A database that is waking up or has no
        connection left is tried for `patience` seconds, by default the limit RETRY. When it
        refuses the password, the secret is read at once, and the connection retried.
        """
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        open_once, seconds = opener(self._database, self._aws), patience
        if seconds is None:
            seconds = mysql.limit(mysql.RETRY)

        def opened(*arguments: Any, **options: Any) -> Any:
            bound = seconds if connections.is_patient() else 0
            return mysql.retry(lambda: open_once(*arguments, **options), bound)

        def connect(dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
            try:
                return opened(*arguments, **options)
            except dialect.dbapi.OperationalError as error:
                if error.args[0] != mysql.DENIED:
                    raise
                # MLflow answers its clients with this text.
                explained = type(error)(mysql.DENIED, mysql.denied(self._database["user"]))
                if not self._try(_DENIED_INTERVAL):
                    raise explained from None
            try:
                return opened(*arguments, **options)
            except dialect.dbapi.OperationalError as error:
                raise (explained if error.args[0] == mysql.DENIED else error) from None

        event.listen(engine or Engine, "do_connect", connect)

    def uri(self, plain: str, *, bounded: bool = True) -> str:
        """Return the URI that names this file; `bounded` sets the limits that a server needs."""
        options = {
            "charset": "utf8mb4",
            "read_default_file": str(self.path),
            # Here too: without the file PyMySQL would not verify the server.
            "ssl_ca": str(self._ca),
            "connect_timeout": CONNECT_SECONDS,
        }
        if bounded:
            # The driver takes 0 for no limit.
            seconds = max(1, round(mysql.limit(mysql.TIMEOUT)))
            options |= {
                "read_timeout": seconds,
                "write_timeout": seconds,
                "init_command": f"SET SESSION wait_timeout={IDLE_SECONDS}",
            }
        return f"{plain}?{urlencode(options, quote_via=quote)}"

    def connect(self, plain: str, answers: float | None = None, idle: int = 28800) -> Any:
        """Open a plain connection, outside of SQLAlchemy.

        answers: the seconds within which the database has to answer, if there is a limit; idle: those
        after which it ends a session that asks nothing, whatever became of the client.
        """
        place = urlsplit(plain)
        return opener(self._database, self._aws)(
            host=place.hostname,
            port=place.port or 3306,
            database=place.path.strip("/"),
            charset="utf8mb4",
            autocommit=True,
            read_default_file=str(self.path),
            ssl={"ca": str(self._ca)},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=answers,
            init_command=f"SET SESSION wait_timeout={idle}",
        )

    def _try(self, not_within: float) -> bool:
        """Refresh, unless that was just done; returns whether there may be something newer."""
        with self._lock:
            if time.monotonic() - self._asked < not_within:
                return True
            self._asked = time.monotonic()
            try:
                changed = self.refresh()
            except (EntryError, OSError) as error:
                say(f"{error} The server continues with the password that it has.")
                return False
        if changed:
            say(
                f"The secret {self._database['secret']} has a new version, which is used from now on."
            )
        return changed


def opener(database: dict[str, Any], aws: dict[str, Any]) -> Callable[..., Any]:
    """Return what opens a connection as pymysql.connect does, through the settings' tunnel if any.

    A database that asks for it gets a token of the identity in the settings' `aws`.
    Host and port stay those of the URI, so that TLS verifies the name of the database, not
    of the tunnel's local end.
    """
    import pymysql

    tunnel, login = database.get("tunnel") or "", database_login.handlers(aws)
    if not tunnel:
        return functools.partial(pymysql.connect, auth_plugin_map=login)
    host, _colon, port = tunnel.rpartition(":")

    class Tunnelled(pymysql.connections.Connection):
        """A connection whose bytes go through the tunnel."""

        def connect(self, sock: Any = None) -> None:
            try:
                through = sock or socket.create_connection((host, int(port)), self.connect_timeout)
                through.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                through.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            except OSError as error:
                raise pymysql.err.OperationalError(
                    mysql.NOT_REACHED, f"the tunnel at {tunnel} is not open: {error}"
                ) from None
            super().connect(through)

    return functools.partial(Tunnelled, auth_plugin_map=login)


def require_plain(uri: str) -> None:
    """Refuse a URI that is not mysql+pymysql://HOST[:PORT]/SCHEMA."""
    place = urlsplit(uri)
    if place.scheme != "mysql+pymysql" or place.username or place.query or not place.hostname:
        raise EntryError(
            "A database with a secret needs a backend_store_uri of the form "
            "mysql+pymysql://HOST:PORT/SCHEMA; run the servers playbook."
        )


def _authority(text: str, folder: Path) -> Path:
    """Return the file with the CA: the given text, or the RDS bundle beside this program."""
    if text:
        path = folder / "ca.pem"
        write_private(path, text)
        return path
    path = AUTHORITIES
    if not path.is_file():
        raise EntryError(f"There is no CA bundle at {path}; set the database's CA.")
    return path
