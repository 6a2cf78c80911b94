# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Login at a database with IAM: a token signed by this process's AWS identity in place of a password.

Aurora's plugin for it asks the client for a password in clear text (mysql_clear_password). That
is answered with a token, and never with a password, over TLS that has verified the database's
certificate and name. So the database decides, connection by connection, how its user logs in,
and a server follows when that changes. A token is signed here, without a call, and good for 15
minutes at this database and user alone.
"""

from __future__ import annotations

import functools
import ssl
import threading
import time
from typing import Any, NamedTuple

from .aws import profile_of

# PyMySQL's number of an authentication that its client side could not carry out.
FAILED = 2061
_CLEAR = "mysql_clear_password"
_GOOD_SECONDS = 900
# AWS limits new connections a second, but not those with a token that it has seen. Credentials
# are good for longer than this when botocore gives them.
_KEPT_SECONDS = 300.0
_LOCK = threading.Lock()
_TOKENS: dict[tuple[str, int, str, str], _Token] = {}


class _Token(NamedTuple):
    """A token, and when it was signed."""

    text: str
    signed: float


def handlers(aws: dict[str, Any]) -> dict[str, Any]:
    """Return PyMySQL's auth_plugin_map for a server with these settings `aws`."""
    return {_CLEAR: functools.partial(_ClearText, aws)}


class _ClearText:
    """Answers a database that asks for a password in clear text."""

    def __init__(self, aws: dict[str, Any], connection: Any) -> None:
        """Take the settings and PyMySQL's connection."""
        self._aws = aws
        self._connection = connection

    def authenticate(self, _packet: Any) -> Any:
        """Send a token; returns the database's answer, raises its error."""
        from pymysql.err import OperationalError

        connection = self._connection
        if not _is_verified(connection):
            raise OperationalError(
                FAILED, "the database asks for a token, and TLS has not verified that it is the one"
            )
        text = token(connection.host, connection.port, connection.user.decode(), self._aws)
        connection.write_packet(text.encode("ascii") + b"\0")
        answer = connection._read_packet()
        answer.check_error()
        return answer


def _is_verified(connection: Any) -> bool:
    """Return whether the connection is encrypted, with a certificate that is this host's."""
    context = getattr(connection, "ctx", None)
    return bool(
        connection._secure
        and context is not None
        and context.verify_mode is ssl.CERT_REQUIRED
        and context.check_hostname
    )


def token(host: str, port: int, user: str, aws: dict[str, Any]) -> str:
    """Return a token by which a user may log in at a database, signed by this process's identity."""
    from botocore.exceptions import BotoCoreError
    from pymysql.err import OperationalError

    try:
        session = _session(profile_of(aws))
        credentials = session.get_credentials()
        frozen = credentials.get_frozen_credentials() if credentials else None
        region = aws.get("region") or session.get_config_variable("region")
    except BotoCoreError as error:
        # What replaces the credentials is found by a new session only.
        _session.cache_clear()
        reason = " ".join(str(error).split())
        raise OperationalError(FAILED, f"no IAM token can be signed: {reason}") from None
    if frozen is None or not region:
        _session.cache_clear()
        missing = "there are no AWS credentials" if frozen is None else "no AWS region is set"
        raise OperationalError(FAILED, f"no IAM token can be signed: {missing}")
    key = (host, port, user, frozen.access_key)
    with _LOCK:
        kept = _TOKENS.get(key)
        if kept is None or time.monotonic() - kept.signed > _KEPT_SECONDS:
            # Those of earlier credentials go.
            _TOKENS.clear()
            kept = _TOKENS[key] = _Token(_signed(session, frozen, key, region), time.monotonic())
    return kept.text


def _signed(session: Any, credentials: Any, key: tuple[str, int, str, str], region: str) -> str:
    """Return a new token, as `aws rds generate-db-auth-token` makes it.

    The client of RDS that has the same takes 7 MiB of memory.
    """
    from botocore.awsrequest import prepare_request_dict
    from botocore.credentials import Credentials
    from botocore.model import ServiceId
    from botocore.signers import RequestSigner

    host, port, user, _access_key = key
    request: dict[str, Any] = {
        "url_path": "/",
        "query_string": "",
        "headers": {},
        "body": {"Action": "connect", "DBUser": user},
        "method": "GET",
    }
    prepare_request_dict(request, f"https://{host}:{port}")
    # The very ones that the token is kept for; botocore may have refreshed them since.
    same = Credentials(credentials.access_key, credentials.secret_key, credentials.token)
    events = session.get_component("event_emitter")
    signer = RequestSigner(ServiceId("RDS"), region, "rds-db", "v4", same, events)
    url: str = signer.generate_presigned_url(
        request, "connect", region_name=region, expires_in=_GOOD_SECONDS, signing_name="rds-db"
    )
    return url.removeprefix("https://")


@functools.lru_cache(maxsize=4)
def _session(profile: str) -> Any:
    """Return one session for all tokens, so that its credentials are fetched once."""
    from botocore.session import Session

    return Session(profile=profile or None)
