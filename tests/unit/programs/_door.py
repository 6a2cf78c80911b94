# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a door with three members and two projects, and what decides by them."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.mlops.mlflow_aws.programs.door.mlflow_aws_door import (
    routes,
    settings,
    store,
)
from ansible_collections.mlops.mlflow_aws.programs.door.mlflow_aws_door.check import Door

ORIGIN = "https://mlflow.example.com:8443"
NOW = 1_800_000_000.0
PASSWORD = "correct horse"
_SALT = bytes(range(16))


def content(**changes: Any) -> dict[str, Any]:
    """Return the content of a settings file."""
    return {
        "configuration": "0123456789abcdef",
        "host": "mlflow.example.com",
        "listen": [":8443"],
        "redirect": [":8080"],
        "port": 8443,
        "tls": {"kind": "internal"},
        "secret": "s" * 43,
        "projects": {
            "churn": {
                "upstream": "127.0.0.1:5000",
                "owner": "ann",
                "description": "",
                "members": {"ann": "manage", "ci": "edit", "*": "read"},
            },
            "fraud": {
                "upstream": "127.0.0.1:5001",
                "owner": "",
                "description": "",
                "members": {"ann": "read"},
            },
        },
        "members": {
            "ann": {"kind": "person", "email": "Ann@Example.com"},
            "bob": {"kind": "person", "email": ""},
            "ci": {"kind": "service", "email": ""},
        },
        "oidc": None,
        "session": 3600,
        "hold": 10,
        **changes,
    }


@dataclass
class Files:
    """The folder of a door."""

    folder: Path

    def write(self, name: str, text: str) -> Path:
        """Replace a file."""
        made = self.folder / f".{name}"
        made.write_text(text)
        return made.replace(self.folder / name)

    def token(self, member: str, *, number: int = 1, expires: float = 0) -> str:
        """Add a token; return it."""
        key, secret = f"{number:016x}", f"{number:043d}"
        path = self.folder / store.TOKENS
        kept = json.loads(path.read_text()) if path.exists() else {}
        kept[key] = {
            "member": member,
            "sha256": hashlib.sha256(secret.encode()).hexdigest(),
            "created": 0,
            "expires": expires,
            "name": "",
        }
        self.write(store.TOKENS, json.dumps(kept))
        return f"{store.PREFIX}{key}_{secret}"

    def password(self, member: str) -> None:
        """Give a member PASSWORD."""
        made = hashlib.scrypt(PASSWORD.encode(), salt=_SALT, **store.SCRYPT)
        kept = {member: {"salt": _SALT.hex(), "scrypt": made.hex()}}
        self.write(store.PASSWORDS, json.dumps(kept))

    def settings(self, **changes: Any) -> settings.Settings:
        """Return settings as they are read."""
        return settings.read(self.write("settings.json", json.dumps(content(**changes))))

    def door(self, **changes: Any) -> Door:
        """Return what decides, at the time NOW for tokens."""
        table = routes.Table(routes.read())
        return Door(self.settings(**changes), store.Store(self.folder), table, lambda: NOW)


def files(folder: Path) -> Files:
    """Make the folder of a door, with a key for sessions."""
    made = Files(folder)
    made.write(store.SESSION_KEY, hashlib.sha256(str(time.time_ns()).encode()).hexdigest())
    return made
