# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One socket for each project, and one for the broker's state."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from .errors import BrokerError, say

# Connections of one project at once; more are closed unanswered, so that none is left out.
_AT_ONCE = 64
_SEND_SECONDS = 10
_BACKLOG = 128
_LONGEST = 100

Answer = Callable[[], Awaitable[dict[str, Any]]]


class Listener:
    """A socket that answers each connection with one JSON object, and reads nothing."""

    def __init__(self, path: Path, answer: Answer) -> None:
        """Take the path of the socket, whose folder is there, and what gives the object."""
        self._path = path
        self._answer = answer
        self._open = 0

    async def listen(self) -> asyncio.Server:
        """Listen from now on; a socket that was left behind is replaced."""
        if len(os.fsencode(self._path)) > _LONGEST:
            raise BrokerError(
                f"The path {self._path} is too long for a socket; choose a shorter one."
            )
        try:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(self._path))
            self._path.chmod(0o600)
            folder = self._path.parent.stat()
            if folder.st_uid != os.geteuid():
                # The folder is the server's, whose user is another one than this.
                os.chown(self._path, folder.st_uid, folder.st_gid)
        except OSError as error:
            raise BrokerError(
                f"No socket can be made at {self._path} ({error.strerror}); run the servers playbook."
            ) from None
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        return await asyncio.start_unix_server(self._serve, sock=listener)

    async def _serve(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        self._open += 1
        try:
            if self._open <= _AT_ONCE:
                writer.write(json.dumps(await self._answer()).encode("utf-8") + b"\n")
                await asyncio.wait_for(writer.drain(), _SEND_SECONDS)
        except (OSError, TimeoutError):
            say(f"A client of {self._path} went away before its answer.")
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
