# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed cookies: who has signed in, and what a sign-in has to remember until it comes back."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from itsdangerous import BadSignature, URLSafeTimedSerializer

from .errors import DoorError

# Browsers take a cookie of this prefix from its own host and by TLS alone.
COOKIE, PENDING = "__Host-mlflow", "__Host-mlflow-sign-in"
PENDING_SECONDS = 600
_KEY = re.compile(r"[0-9a-f]{64}")
_SIGNER = {"key_derivation": "hmac", "digest_method": hashlib.sha256}


class Sessions:
    """Cookies that only this door can have made."""

    def __init__(self, key: Path) -> None:
        """Take the file with the key, which the module mlflow_door makes."""
        self._key = key

    def member(self, cookie: str, seconds: int) -> str:
        """Return the member of a session that is not older, empty if there is none."""
        found = self._load(COOKIE, cookie, seconds)
        return found if isinstance(found, str) else ""

    def begin(self, member: str, seconds: int) -> str:
        """Return the header that gives a browser a session."""
        return _header(COOKIE, self._signer(COOKIE).dumps(member), seconds)

    def pending(self, cookie: str) -> dict[str, Any]:
        """Return what a sign-in that has begun was to remember, empty if there is none."""
        found = self._load(PENDING, cookie, PENDING_SECONDS)
        return found if isinstance(found, dict) else {}

    def remember(self, content: dict[str, Any]) -> str:
        """Return the header that lets a browser remember a sign-in that has begun."""
        return _header(PENDING, self._signer(PENDING).dumps(content), PENDING_SECONDS)

    def _load(self, name: str, cookie: str, seconds: int) -> object:
        """Return the content of a cookie among a request's, None if it is missing, forged or old."""
        found = [value for key, _is, value in map(_pair, cookie.split(";")) if key == name]
        try:
            return self._signer(name).loads(found[0], max_age=seconds) if found else None
        except (BadSignature, DoorError):
            return None

    def _signer(self, purpose: str) -> URLSafeTimedSerializer:
        """Return what signs and checks; raises DoorError without a key.

        It is read each time, so that replacing it ends all sessions.
        """
        try:
            key = self._key.read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            key = ""
        # By an empty key anybody could sign.
        if not _KEY.fullmatch(key):
            raise DoorError(f"{self._key} holds no key for sessions; run the servers playbook.")
        return URLSafeTimedSerializer(key, salt=purpose, signer_kwargs=_SIGNER)


def end() -> str:
    """Return the header that ends a session."""
    return _header(COOKIE, "", 0)


def forget() -> str:
    """Return the header that forgets a sign-in that has begun."""
    return _header(PENDING, "", 0)


def _pair(crumb: str) -> tuple[str, str, str]:
    """Return name, sign and value of a cookie; other cookies of the origin may have any form."""
    return crumb.strip().partition("=")


def _header(name: str, value: str, seconds: int) -> str:
    """Return a Set-Cookie header; a page of another site cannot make a browser send it with a change."""
    return f"{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax"
