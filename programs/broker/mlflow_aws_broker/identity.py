# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's own identity at AWS, which assumes the projects' roles.

It is what botocore finds: the profile of the AWS configuration, the environment, a web identity, or
the instance's role. Of a session that failed nothing is kept, so that the next attempt sees a new login.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from .errors import BrokerError, IdentityError
from .reasons import explain
from .settings import Settings

# AWS's limit for a role that is assumed by another one.
SESSION_SECONDS = 3600
# What is wrong with the identity is wrong for all projects, and is asked for again after this time, or
# as soon as a file of the AWS configuration has changed.
_PAUSE_SECONDS = 30.0
_PAUSE_NOT_REACHED_SECONDS = 3.0
_SESSION_NAME = re.compile(r"[^\w+=,.@-]")


class Credentials(NamedTuple):
    """Credentials of a role; begin and expiration are in seconds since the epoch."""

    access_key: str
    secret_key: str
    token: str
    begin: float
    expiration: datetime

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.expiration.timestamp() - time.time()

    def is_due(self) -> bool:
        """Return whether they are to be renewed: half of their time is over."""
        return self.left() < (self.expiration.timestamp() - self.begin) / 2

    def document(self) -> dict[str, Any]:
        """Return what a credential_process prints."""
        return {
            "Version": 1,
            "AccessKeyId": self.access_key,
            "SecretAccessKey": self.secret_key,
            "SessionToken": self.token,
            "Expiration": self.expiration.isoformat(),
        }


class Identity:
    """The host's identity; any thread may use it. `error` is why it does not work, empty if it does."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings; asks AWS nothing yet."""
        self.error = ""
        self._settings = settings
        self._lock = threading.Lock()
        self._client: Any = None
        self._retry = 0.0
        self._seen: tuple[object, ...] = ()

    def assume(self, project: str, role: str) -> Credentials:
        """Return new credentials of a project's role; raises BrokerError."""
        if self.error and time.monotonic() < self._retry and self._seen == _files():
            raise IdentityError(self.error)
        begin, seen = time.time(), _files()
        try:
            answer = self._sts().assume_role(
                RoleArn=role,
                RoleSessionName=_SESSION_NAME.sub("-", f"mlflow-{project}")[:64],
                DurationSeconds=SESSION_SECONDS,
            )["Credentials"]
        except self._failures() as error:
            raise self._failed(explain(error, self._settings.profile, role), seen) from None
        self.error = ""
        return Credentials(
            answer["AccessKeyId"],
            answer["SecretAccessKey"],
            answer["SessionToken"],
            begin,
            answer["Expiration"],
        )

    def _failed(self, error: BrokerError, seen: tuple[object, ...]) -> BrokerError:
        """Note what failed, and forget the session whose identity it was; seen: _files() before."""
        if isinstance(error, IdentityError):
            pause = _PAUSE_NOT_REACHED_SECONDS if error.passes else _PAUSE_SECONDS
            with self._lock:
                self.error, self._client = str(error), None
                self._retry, self._seen = time.monotonic() + pause, seen
        else:
            # AWS knew who asked.
            self.error = ""
        return error

    def _sts(self) -> Any:
        """Return the client of a session that has not failed yet."""
        import boto3
        from botocore.config import Config

        with self._lock:
            if self._client is None:
                limits = Config(
                    connect_timeout=10,
                    read_timeout=20,
                    retries={"mode": "standard", "max_attempts": 3},
                )
                session = boto3.session.Session(profile_name=self._settings.profile or None)
                self._client = session.client(
                    "sts",
                    region_name=self._settings.region,
                    endpoint_url=self._settings.endpoint_url or None,
                    config=limits,
                )
            return self._client

    @staticmethod
    def _failures() -> tuple[type[Exception], ...]:
        """Return what a call can end with; a program of the configuration may not be there."""
        from botocore.exceptions import BotoCoreError, ClientError

        return (BotoCoreError, ClientError, OSError, ValueError)


def _files() -> tuple[object, ...]:
    """Return what changes when somebody logs in: the files of the AWS configuration and its caches."""
    folder = Path("~/.aws").expanduser()
    named = (os.environ.get(name) for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"))
    paths = [Path(path).expanduser() for path in named if path]
    for pattern in ("*", "sso/cache/*", "login/cache/*"):
        paths += sorted(folder.glob(pattern))
    found: list[object] = []
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(found)
