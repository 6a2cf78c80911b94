# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the files of a host's front door, and what makes its secrets.

What they mean stands in programs/door/mlflow_aws_door/settings.py and store.py, which have the same names;
neither side can import the other.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files

SETTINGS, STATE = "settings.json", "state.json"
TOKENS, PASSWORDS = "tokens.json", "passwords.json"
_SESSION_KEY, _SECRET = "session.key", "secret"
_LOCK = ".lock"
# 256 bits, as hexadecimal digits.
_KEY_BYTES = 32
# OWASP's parameters for scrypt.
_SCRYPT: dict[str, int] = {"n": 2**16, "r": 8, "p": 1, "maxmem": 2**27, "dklen": 32}
_SALT_BYTES = 16


class Folder:
    """The folder of the door below a state folder."""

    def __init__(self, state: Path) -> None:
        """Take the state folder; nothing is made yet."""
        self.path = state / "door"
        self.settings, self.state = self.path / SETTINGS, self.path / STATE
        self.audit = self.path / "audit.log"
        # Where Caddy keeps it.
        self.authority = self.path / "caddy" / "pki" / "authorities" / "local" / "root.crt"

    def locked(self, timeout: float, purpose: str) -> t.ContextManager[None]:
        """Hold the lock on all of these files; timeout is in seconds."""
        files.make_folder(self.path)
        return files.exclusive(self.path / _LOCK, timeout, purpose)

    def read(self, name: str) -> dict[str, t.Any]:
        """Return the object of a JSON file, empty if there is none; raises MlflowError for a broken one."""
        path = self.path / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise MlflowError(
                f"{path} is no JSON ({error}); restore it, or delete it and make anew what it held."
            ) from None
        return content if isinstance(content, dict) else {}

    def write(self, name: str, content: t.Mapping[str, t.Any]) -> bool:
        """Write a JSON file for this user only; returns whether it changed."""
        return files.write_private(
            self.path / name, json.dumps(content, indent=2, sort_keys=True) + "\n"
        )

    def require_member(self, member: str) -> None:
        """Refuse somebody whom the door does not know."""
        if member not in self.read(SETTINGS).get("members", {}):
            raise MlflowError(
                f"There is no member {member} in the door's settings; add it to mlflow_members and run the servers "
                "playbook first."
            )

    def secret(self) -> str:
        """Return what servers know the door by, empty if it is not made yet."""
        return self._text(_SECRET)

    def make_keys(self) -> None:
        """Make the secret and the key of sessions, unless they are there."""
        files.make_folder(self.path)
        for name in (_SECRET, _SESSION_KEY):
            if not self._text(name):
                files.write_private(self.path / name, secrets.token_hex(_KEY_BYTES))

    def _text(self, name: str) -> str:
        """Return the text of a file, empty if it is missing."""
        try:
            return (self.path / name).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""


def password(text: str) -> dict[str, str]:
    """Return what is kept of a password."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return {"salt": salt.hex(), "scrypt": _scrypt(text, salt)}


def is_password(kept: t.Mapping[str, str], text: str) -> bool:
    """Return whether a password is the one that was kept."""
    return hmac.compare_digest(_scrypt(text, bytes.fromhex(kept["salt"])), kept["scrypt"])


def _scrypt(text: str, salt: bytes) -> str:
    """Return the hash of a password, in hexadecimal digits."""
    return hashlib.scrypt(text.encode("utf-8"), salt=salt, **_SCRYPT).hex()
