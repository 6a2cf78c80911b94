# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the door keeps beside its settings: tokens, passwords and the key of sessions.

    tokens.json     ID of a token to `member`, `sha256` of its secret, `created` and `expires` (Unix times, 0 for
                    never) and `name`
    passwords.json  name of a member to `salt` and `scrypt`, in hexadecimal digits
    session.key     32 random bytes in hexadecimal digits

The modules mlflow_token and mlflow_member write them; a file that is replaced is read again by the next request.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from pathlib import Path
from typing import Any

TOKENS, PASSWORDS, SESSION_KEY = "tokens.json", "passwords.json", "session.key"
# A token is PREFIX, its ID, an underscore and its secret; plugins/module_utils/_door/tokens.py makes them so.
PREFIX = "mlflow_"
_TOKEN = re.compile(r"mlflow_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
# OWASP's parameters for scrypt: 64 MiB and about a tenth of a second each.
SCRYPT = {"n": 2**16, "r": 8, "p": 1, "maxmem": 2**27, "dklen": 32}


class File:
    """A JSON object in a file that others replace."""

    def __init__(self, path: Path) -> None:
        """Take its path; it may be missing."""
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._content: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """Return its content, empty if it is missing or cannot be read."""
        try:
            found = os.stat(self._path)
        except OSError:
            self._seen, self._content = None, {}
            return {}
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen != self._seen:
            self._content = _load(self._path)
            self._seen = seen
        return self._content


class Store:
    """The files of one door."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of the settings."""
        self._tokens, self._passwords = File(folder / TOKENS), File(folder / PASSWORDS)
        self.session_key = folder / SESSION_KEY

    def member_of(self, token: str, now: float) -> str:
        """Return the member whose valid token this is, empty if it is nobody's."""
        found = _TOKEN.fullmatch(token)
        if not found:
            return ""
        digest = hashlib.sha256(found[2].encode("ascii")).hexdigest()
        try:
            kept = self._tokens.read()[found[1]]
            expires = float(kept["expires"])
            right = hmac.compare_digest(digest, kept["sha256"]) and not 0 < expires <= now
            return str(kept["member"]) if right else ""
        except (LookupError, TypeError, ValueError):
            return ""

    def has_passwords(self) -> bool:
        """Return whether anybody signs in by a password."""
        return bool(self._passwords.read())

    def is_password(self, member: str, password: str) -> bool:
        """Return whether this is a member's password; takes as long for one who has none."""
        try:
            kept = self._passwords.read()[member]
            salt, wanted = bytes.fromhex(kept["salt"]), str(kept["scrypt"])
        except (LookupError, TypeError, ValueError):
            salt, wanted = bytes(16), ""
        made = hashlib.scrypt(password.encode("utf-8"), salt=salt, **SCRYPT)
        return hmac.compare_digest(made.hex().encode("ascii"), wanted.encode("utf-8"))


def _load(path: Path) -> dict[str, Any]:
    """Return the object of a file, empty if it cannot be read: nobody gets in by a file that is broken."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
