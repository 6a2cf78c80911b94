# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials of the projects' roles, kept while they are good and renewed long before they end."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from .errors import BrokerError, DeniedError, IdentityError, say
from .identity import Credentials, Identity

# AWS may refuse a role for some seconds after it was made.
_NEW_SECONDS = 60.0
_NEW_PAUSE_SECONDS = 2.0
# Credentials that end sooner are renewed before they are given.
_SPARE_SECONDS = 60.0
# How often it is looked for what is due, and for a new login.
WATCH_SECONDS = 5.0


class Keeper:
    """The credentials of one project; all its methods run in one event loop."""

    def __init__(self, project: str, role: str, identity: Identity) -> None:
        """Take the project, its role, and who assumes it."""
        self.error = ""
        # Whether AWS, or what is in its way, has answered once.
        self.asked = False
        self._login = False
        self._project = project
        self._role = role
        self._identity = identity
        self._kept: Credentials | None = None
        self._lock = asyncio.Lock()
        self._new_until = time.monotonic() + _NEW_SECONDS

    async def answer(self) -> dict[str, Any]:
        """Return what a client gets; credentials that are still good are not waited for."""
        if self._kept is None or self._kept.left() < _SPARE_SECONDS:
            await self.renew()
        if self._kept is None or self._kept.left() <= 0:
            return {"error": self.error, "login": self._login}
        return self._kept.document()

    async def renew(self) -> None:
        """Renew what is due; where that fails, what is kept is good until it ends."""
        async with self._lock:
            if self._kept and not self._kept.is_due():
                return
            try:
                self._kept = await self._assume()
                self._note("", login=False)
            except BrokerError as error:
                self._note(str(error), login=isinstance(error, IdentityError))

    async def watch(self) -> None:
        """Renew what is due for as long as the broker runs, whether or not anybody asks."""
        while True:
            await self.renew()
            await asyncio.sleep(WATCH_SECONDS)

    async def _assume(self) -> Credentials:
        """Assume the role; one that was just made gets its time."""
        while True:
            try:
                return await asyncio.to_thread(self._identity.assume, self._project, self._role)
            except DeniedError:
                if self._kept or time.monotonic() >= self._new_until:
                    raise
                await asyncio.sleep(_NEW_PAUSE_SECONDS)

    def _note(self, error: str, *, login: bool) -> None:
        """Keep what is wrong, and log it where it is new."""
        self.asked, self._login = True, login
        if error and error != self.error:
            say(f"Project '{self._project}': {error}")
        elif self.error and not error:
            say(f"Project '{self._project}' has credentials again.")
        self.error = error
