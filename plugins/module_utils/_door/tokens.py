# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the tokens of a door's members, of which only hashes are kept."""

from __future__ import annotations

import hashlib
import secrets
import typing as t
from pathlib import Path

Tokens = dict[str, dict[str, t.Any]]
_ID_BYTES, _SECRET_BYTES = 8, 32
DAY = 86400


class Change(t.NamedTuple):
    """All tokens afterwards, the new token's text if one was made, and whether anything changed."""

    tokens: Tokens
    token: str
    changed: bool


def created(tokens: Tokens, member: str, name: str, days: int, now: int, *, anew: bool) -> Change:
    """Return the change that gives a member a token of this name.

    One that is there and valid stays, since its text is not known any more, unless anew.
    days: how long a new one is valid, 0 for ever.
    """
    there = _of(tokens, member, name)
    if (
        there
        and not anew
        and all(not tokens[one]["expires"] or tokens[one]["expires"] > now for one in there)
    ):
        return Change(tokens, "", False)
    identifier, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    kept = {
        "member": member,
        "name": name,
        "sha256": _digest(secret),
        "created": now,
        "expires": now + days * DAY if days else 0,
    }
    others = {one: token for one, token in tokens.items() if one not in there}
    return Change({**others, identifier: kept}, f"mlflow_{identifier}_{secret}", True)


def is_there(tokens: Tokens, member: str, name: str, path: Path) -> bool:
    """Return whether a file has the token of this name."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return False
    return any(
        text.startswith(f"mlflow_{one}_")
        and _digest(text.rpartition(f"{one}_")[2]) == tokens[one]["sha256"]
        for one in _of(tokens, member, name)
    )


def revoked(tokens: Tokens, member: str, name: str) -> Change:
    """Return the change that takes a token from a member, or with an empty name all of them."""
    gone = _of(tokens, member, name)
    return Change({one: kept for one, kept in tokens.items() if one not in gone}, "", bool(gone))


def listed(tokens: Tokens) -> list[dict[str, t.Any]]:
    """Return what may be shown of tokens."""
    return [
        {"id": one, **{key: kept[key] for key in ("member", "name", "created", "expires")}}
        for one, kept in sorted(
            tokens.items(), key=lambda item: (item[1]["member"], item[1]["name"])
        )
    ]


def _of(tokens: Tokens, member: str, name: str) -> list[str]:
    """Return the IDs of a member's tokens, all of them if the name is empty."""
    return [
        one
        for one, kept in tokens.items()
        if kept["member"] == member and name in ("", kept["name"])
    ]


def _digest(secret: str) -> str:
    """Return what is kept of a token's secret."""
    return hashlib.sha256(secret.encode("ascii")).hexdigest()
