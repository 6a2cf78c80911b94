# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: errors of MySQL as sentences, however they reach us."""

from __future__ import annotations

import socket
import ssl
import typing as t

# programs/server/mlflow_aws_server/mysql.py says the same; neither can import the other, and a test holds them equal.
BLOCKED = (
    "has blocked this machine's address after too many broken connections ({reason}); find what opens "
    "connections there and drops them, such as a port scan or a load balancer's check; raise "
    "max_connect_errors, and unblock by restarting the database or, from another address, by FLUSH HOSTS "
    "(from MySQL 8.4 on TRUNCATE TABLE performance_schema.host_cache)."
)
# MySQL's and PyMySQL's numbers.
NO_ANSWER = {2002, 2003, 2006, 2013}
TOO_MANY = 1040
# What a database answers that will take connections again, and then ran nothing.
PASSING = NO_ANSWER | {TOO_MANY, 1053}
DENIED = {1044, 1045, 1698}
_TOO_MANY_OF_USER = 1203
_TLS = {2026, 3159}
_BLOCKED = 1129


def parts(error: Exception) -> tuple[int, str]:
    """Return number and words of PyMySQL's error."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    return code, one_line(error.args[1] if len(error.args) > 1 else error)


def refusal(error: Exception, where: str, user: str, host: str) -> str:
    """Return a sentence for an error that waiting does not cure, else an empty text.

    where names the database; user and host are those of the login.
    """
    code, reason = parts(error)
    cause = getattr(error, "original_exception", None)
    if code in DENIED:
        return (
            f"MySQL at {where} rejected user {user} ({reason}); check that the login's secret is this "
            "database's."
        )
    if isinstance(cause, ssl.SSLError):
        return tls_failure(cause, where)
    if code in _TLS:
        return (
            f"MySQL at {where} offers no TLS ({reason}); enable TLS there, since nothing is sent "
            "unencrypted."
        )
    if isinstance(cause, socket.gaierror):
        return (
            f"The database host {host} has no address ({cause.strerror}); check the host and this "
            "machine's DNS."
        )
    if code == _BLOCKED:
        return f"MySQL at {where} {BLOCKED.format(reason=reason)}"
    if code == _TOO_MANY_OF_USER:
        return f"MySQL at {where} has no connection left for user {user} ({reason}); rerun later."
    if code not in PASSING:
        return f"MySQL at {where} rejected the connection ({code}: {reason})."
    return ""


def unreached(error_code: int, reason: str, where: str, seconds: float) -> str:
    """Return the sentence for a database that took no connection in so many seconds."""
    if error_code == TOO_MANY:
        return (
            f"MySQL at {where} had no connection left for {seconds:.0f} seconds ({reason}); stop what "
            "keeps connections there, or raise its maximum capacity or max_connections, then rerun."
        )
    return (
        f"MySQL at {where} did not answer within {seconds:.0f} seconds ({reason}); check that this "
        "machine can reach it, use the transport data_api, or raise the timeout."
    )


def tls_failure(cause: ssl.SSLError, where: str) -> str:
    """Return the sentence for an encrypted connection that could not be made."""
    if not isinstance(cause, ssl.SSLCertVerificationError):
        return f"TLS with MySQL at {where} failed ({one_line(cause)}); check its certificate."
    reason = one_line(cause.verify_message)
    if "mismatch" in reason or "doesn't match" in reason or "not valid for" in reason:
        return (
            f"The certificate of MySQL at {where} is for another name ({reason}); use the endpoint as host, "
            "or set login_tls_name to its name if a tunnel leads there."
        )
    return (
        f"The certificate of MySQL at {where} is not trusted ({reason}); pass the CA that signed it, for "
        "Aurora the RDS bundle of the region."
    )


def one_line(text: t.Any) -> str:
    """Return a text on one line and without its full stop."""
    return " ".join(str(text).split()).rstrip(".")
