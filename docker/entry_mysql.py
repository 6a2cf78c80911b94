# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of mlflow_entry.py: a MySQL database whose password is read by reference.

The password stands in a MySQL option file in the private folder and nowhere else. PyMySQL
reads that file for each new connection, so a rotated password needs no restart.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

if TYPE_CHECKING or __package__:
    from ansible_collections.mlops.mlflow_aws.docker.entry_aws import read_secret
    from ansible_collections.mlops.mlflow_aws.docker.entry_private import (
        EntryError,
        say,
        write_private,
    )
else:
    from entry_aws import read_secret
    from entry_private import EntryError, say, write_private

# A sleeping Aurora cluster takes 15 to 30 seconds to answer.
CONNECT_SECONDS = 60
# Variables that change limits, and their defaults in seconds.
POLL, TIMEOUT, WAIT = (
    "MLFLOW_AWS_SECRET_POLL",
    "MLFLOW_AWS_DATABASE_TIMEOUT",
    "MLFLOW_AWS_DATABASE_WAIT",
)
# A frozen database gives an error after a time that is longer than a cluster takes to wake.
LIMITS = {POLL: 300, TIMEOUT: 90, WAIT: 180}
# The database closes sessions that are idle for so long, so that an idle server holds none;
# MLflow's pool asks each connection whether it is alive before it uses it.
IDLE_SECONDS = 20
# Sizes for which no client is answered with an error: starlette serves 40 requests at once.
POOL = {"MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "20", "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "30"}
MOST_SECONDS = 86400
_DENIED, _BLOCKED, _NOT_REACHED = 1045, 1129, 2003
# plugins/module_utils/_schemas/mysql.py says the same; neither can import the other.
BLOCKED = (
    "has blocked this machine's address after too many broken connections ({reason}): find what opens "
    "connections there and drops them, such as a port scan or a load balancer's check; raise "
    "max_connect_errors, and unblock by restarting the database or, from another address, by FLUSH HOSTS "
    "(from MySQL 8.4 on TRUNCATE TABLE performance_schema.host_cache)."
)
# Cannot connect, gone, lost, too many connections, shutting down, its out-of-memory kin.
_PASSING = (1040, 1053, _NOT_REACHED, 2006, 2013)
_DENIED_INTERVAL = 5.0


def limit(name: str) -> float:
    """Return a limit in seconds; raise EntryError where its variable holds no such number."""
    text = os.environ.get(name, str(LIMITS[name]))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MOST_SECONDS:
        raise EntryError(f"{name} is {text!r}: give it a number of seconds up to {MOST_SECONDS}.")
    return seconds


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
        """Read the secret; rewrite the file if its version changed, and say whether it did."""
        secret = read_secret(self._database["secret"], self._aws)
        if secret.version == self._version:
            return False
        # PyMySQL takes one pair of quotes away and keeps everything else as it stands.
        lines = [
            "[client]",
            f'user = "{self._database["user"]}"',
            f'password = "{secret.password}"',
            f'ssl-ca = "{self._ca}"',
        ]
        write_private(self.path, "\n".join(lines) + "\n")
        self._version = secret.version
        return True

    def refresh_in_background(self) -> None:
        """Follow the secret for as long as this process lives; errors are only told."""
        pause = limit(POLL)

        def follow() -> None:
            while True:
                time.sleep(pause)
                self._try(not_within=0)

        threading.Thread(target=follow, name="follow-secret", daemon=True).start()

    def attend(self, engine: Any = None) -> None:
        """Open the connections of an engine, or without one of all that this process will make.

        They go through the tunnel where there is one. When the database refuses the password the
        secret is read at once, and the connection tried again.
        """
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        opened = opener(self._database)

        def connect(dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
            try:
                return opened(*arguments, **options)
            except dialect.dbapi.OperationalError as error:
                if error.args[0] != _DENIED:
                    raise
                # MLflow answers its clients with this text.
                told = type(error)(_DENIED, _denied(self._database["user"]))
                if not self._try(_DENIED_INTERVAL):
                    raise told from None
            try:
                return opened(*arguments, **options)
            except dialect.dbapi.OperationalError as error:
                raise (told if error.args[0] == _DENIED else error) from None

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
            seconds = max(1, round(limit(TIMEOUT)))
            options |= {
                "read_timeout": seconds,
                "write_timeout": seconds,
                "init_command": f"SET SESSION wait_timeout={IDLE_SECONDS}",
            }
        return f"{plain}?{urlencode(options, quote_via=quote)}"

    def connect(self, plain: str) -> Any:
        """Open a plain connection, outside of SQLAlchemy and without a limit on answers."""
        place = urlsplit(plain)
        return opener(self._database)(
            host=place.hostname,
            port=place.port or 3306,
            database=place.path.strip("/"),
            charset="utf8mb4",
            autocommit=True,
            read_default_file=str(self.path),
            ssl={"ca": str(self._ca)},
            connect_timeout=CONNECT_SECONDS,
            init_command="SET SESSION wait_timeout=28800",
        )

    def _try(self, not_within: float) -> bool:
        """Refresh, unless that was just done; say whether there may be something newer."""
        with self._lock:
            if time.monotonic() - self._asked < not_within:
                return True
            self._asked = time.monotonic()
            try:
                changed = self.refresh()
            except (EntryError, OSError) as error:
                say(f"{error} The server goes on with the password that it has.")
                return False
        if changed:
            say(f"The secret {self._database['secret']} has a new version, which is used from now.")
        return changed


def opener(database: dict[str, Any]) -> Callable[..., Any]:
    """Return what opens a connection as pymysql.connect does, through the settings' tunnel if any.

    Host and port stay those of the URI, so that TLS verifies the name of the database and not
    that of the tunnel's end.
    """
    import pymysql

    tunnel = database.get("tunnel") or ""
    if not tunnel:
        return pymysql.connect
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
                    _NOT_REACHED, f"the tunnel at {tunnel} is not open: {error}"
                ) from None
            super().connect(through)

    return Tunnelled


def require_plain(uri: str) -> None:
    """Refuse a URI that is not mysql+pymysql://HOST[:PORT]/SCHEMA."""
    place = urlsplit(uri)
    if place.scheme != "mysql+pymysql" or place.username or place.query or not place.hostname:
        raise EntryError(
            "A database with a secret needs a backend_store_uri of the form "
            "mysql+pymysql://HOST:PORT/SCHEMA; run the servers playbook."
        )


def wait_awake(attempt: Any, uri: str, seconds: float) -> Any:
    """Return what attempt() returns, once the database is awake; say so while it is not.

    Raises the last error of the database where it does not answer in time, or refuses.
    """
    place = urlsplit(uri)
    where = f"{place.hostname}:{place.port or 3306}"
    notice = threading.Timer(
        5,
        say,
        [f"Waiting for the database at {where}, up to {seconds:.0f} seconds; it may be asleep."],
    )
    notice.daemon = True
    notice.start()
    deadline = time.monotonic() + seconds
    try:
        while True:
            try:
                return attempt()
            except Exception as error:
                if not _passing(error) or time.monotonic() > deadline:
                    raise
            time.sleep(1)
    finally:
        notice.cancel()


def sentence(error: Exception, uri: str, database: dict[str, Any]) -> str:
    """Say in one sentence why the database did not serve, and what to do."""
    place = urlsplit(uri)
    code, message = _reason(error)
    where = f"The database at {place.hostname}:{place.port or 3306}"
    user, secret, schema = database["user"], database["secret"], place.path.strip("/")
    if code == _DENIED:
        return (
            f"{where} refuses the user {user} with the password in {secret}; run the projects "
            "playbook, which sets it, and makes the user again where another inventory with this backend "
            "has removed it (state: absent)."
        )
    if code == _BLOCKED:
        return f"{where} {BLOCKED.format(reason=message)}"
    if "certificate verify failed" in message.lower():
        reason = re.sub(
            r"\s*\(_ssl\.c:\d+\)", "", message.partition("certificate verify failed")[2]
        )
        return (
            f"{where} shows a certificate that is not trusted ({reason.strip(' :)') or message}); "
            "check the CA that is set for it and the host name."
        )
    if code == 2026:
        return f"{where} does not offer TLS ({message}); turn TLS on there."
    if code in (1044, 1049, 1142):
        return (
            f"{where} does not let the user {user} into the schema {schema} ({message}); run the "
            "projects playbook, which makes it."
        )
    if code in _PASSING:
        return f"{where} does not answer ({message}); check that it runs and can be reached."
    return f"{where} fails ({message or type(error).__name__}); see its log."


def _denied(user: str) -> str:
    """Say what is behind a refused user, to clients of MLflow too, which cut long texts off."""
    return (
        f"Access denied for user '{user}': another inventory with this backend has removed it (state: "
        "absent), or its password was changed: run the projects playbook"
    )


def _authority(text: str, folder: Path) -> Path:
    """Return the file with the CA: the text given, or the RDS bundle beside this program."""
    if text:
        path = folder / "ca.pem"
        write_private(path, text)
        return path
    path = Path(__file__).with_name("rds-ca.pem")
    if not path.is_file():
        raise EntryError(f"There is no CA bundle at {path}; set the database's CA.")
    return path


def _passing(error: Exception) -> bool:
    """Say whether it is worth while to try again: the database may be waking or restarting."""
    code, message = _reason(error)
    never = ("certificate verify failed", "Name or service not known")
    return code in _PASSING and not any(text in message for text in never)


def _reason(error: Exception) -> tuple[int, str]:
    """Return MySQL's error number, 0 where there is none, and its text on one line."""
    cause = getattr(error, "orig", None) or error
    number = cause.args[0] if cause.args and isinstance(cause.args[0], int) else 0
    text = str(cause.args[-1]) if cause.args else str(cause)
    return number, " ".join(text.split()).rstrip(".")
