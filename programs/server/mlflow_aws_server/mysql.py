# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MySQL database: limits, waiting until it is awake, and why it did not serve, in one sentence."""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from .errors import EntryError, say

# Variables that change limits, and their defaults in seconds.
POLL, TIMEOUT, WAIT, RETRY = (
    "MLFLOW_AWS_SECRET_POLL",
    "MLFLOW_AWS_DATABASE_TIMEOUT",
    "MLFLOW_AWS_DATABASE_WAIT",
    "MLFLOW_AWS_DATABASE_RETRY",
)
# A frozen database gives an error after a time that is longer than a cluster takes to wake: 15
# seconds, after a day's pause 30 or more. While it wakes it may also refuse connections or drop them.
LIMITS = {POLL: 300, TIMEOUT: 90, WAIT: 180, RETRY: 45}
MOST_SECONDS = 86400
DENIED, BLOCKED_ADDRESS, NOT_REACHED = 1045, 1129, 2003
# plugins/module_utils/_schemas/mysql_errors.py says the same; neither can import the other.
BLOCKED = (
    "has blocked this machine's address after too many broken connections ({reason}); find what opens "
    "connections there and drops them, such as a port scan or a load balancer's check; raise "
    "max_connect_errors, and unblock by restarting the database or, from another address, by FLUSH HOSTS "
    "(from MySQL 8.4 on TRUNCATE TABLE performance_schema.host_cache)."
)
TOO_MANY = 1040
# Too many connections, of the user too; shutting down; cannot connect, gone, lost.
_PASSING = (TOO_MANY, 1203, 1053, NOT_REACHED, 2006, 2013)
_REFUSED_TOKEN = (
    "refuses the user {user} with IAM; allow rds-db:connect as that user to the server's AWS identity, or run "
    "the projects playbook, which creates the user again if another inventory with this backend has removed it "
    "(state: absent)."
)
_REFUSED_PASSWORD = (
    "refuses the user {user} with the password in {secret}; run the projects playbook, which sets it, and "
    "creates the user again if another inventory with this backend has removed it (state: absent)."
)
_NO_SCHEMA = (
    "does not let the user {user} into the schema {schema} ({reason}); run the projects playbook, which "
    "creates it."
)
# What follows the database's address, by the code of its error.
_SENTENCES = {
    BLOCKED_ADDRESS: BLOCKED,
    TOO_MANY: "has no connection left ({reason}); raise MaxCapacity of the stack, or end other connections.",
    1044: _NO_SCHEMA,
    1049: _NO_SCHEMA,
    1142: _NO_SCHEMA,
    2026: "does not offer TLS ({reason}); turn TLS on there.",
}
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 4.0


def limit(name: str) -> float:
    """Return a limit in seconds; raises EntryError if its variable holds no such number."""
    text = os.environ.get(name, str(LIMITS[name]))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MOST_SECONDS:
        raise EntryError(f"{name} is {text!r}; set it to a number of seconds up to {MOST_SECONDS}.")
    return seconds


def retry(attempt: Callable[[], Any], seconds: float) -> Any:
    """Return what attempt() returns; tried again, at growing pauses, while a retry may help.

    Raises the last error of the database after so many seconds, or if it refuses. No two
    servers that wait for the same database pause alike.
    """
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        try:
            return attempt()
        except Exception as error:
            if not passing(error) or time.monotonic() + pause > deadline:
                raise
        time.sleep(pause * random.uniform(0.5, 1))
        pause = min(2 * pause, _LONGEST_PAUSE)


def wait_awake(attempt: Callable[[], Any], uri: str, seconds: float) -> Any:
    """Return what attempt() returns, once the database is awake; log that it is not.

    Raises the last error of the database if it does not answer in time, or refuses.
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
    try:
        return retry(attempt, seconds)
    finally:
        notice.cancel()


def sentence(error: Exception, uri: str, database: dict[str, Any]) -> str:
    """Return in one sentence why the database did not serve, and what to do."""
    place = urlsplit(uri)
    code, message = reason(error)
    where = f"The database at {place.hostname}:{place.port or 3306}"
    facts = {**database, "schema": place.path.strip("/"), "reason": message}
    if code == DENIED:
        how = _REFUSED_PASSWORD if database["secret"] else _REFUSED_TOKEN
        return f"{where} {how.format(**facts)}"
    if code in _SENTENCES:
        return f"{where} {_SENTENCES[code].format(**facts)}"
    if "certificate verify failed" in message.lower():
        detail = re.sub(
            r"\s*\(_ssl\.c:\d+\)", "", message.partition("certificate verify failed")[2]
        )
        return (
            f"{where} shows a certificate that is not trusted ({detail.strip(' :)') or message}); "
            "check the CA that is set for it and the host name."
        )
    if code in _PASSING:
        return f"{where} does not answer ({message}); check that it runs and is reachable."
    return f"{where} fails ({message or type(error).__name__}); see its log."


def denied(user: str) -> str:
    """Return what is behind a refused user, for clients of MLflow too, which cut off long texts."""
    return (
        f"Access denied for user '{user}': another inventory with this backend has removed it (state: "
        "absent), or its password was changed; run the projects playbook"
    )


def passing(error: Exception) -> bool:
    """Return whether a retry may help: the database may be waking up or restarting."""
    code, message = reason(error)
    never = ("certificate verify failed", "Name or service not known")
    return code in _PASSING and not any(text in message for text in never)


def reason(error: Exception) -> tuple[int, str]:
    """Return MySQL's error number, 0 if there is none, and its text on one line."""
    cause = getattr(error, "orig", None) or error
    number = cause.args[0] if cause.args and isinstance(cause.args[0], int) else 0
    text = str(cause.args[-1]) if cause.args else str(cause)
    return number, " ".join(text.split()).rstrip(".")
