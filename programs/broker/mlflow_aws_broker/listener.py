# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One socket for each project, and one for the broker's state.

Beside each is a file with a key, made when the broker starts, which a client sends before it gets an answer.
Whoever may read the file may have what the socket gives. Of a user's own processes that are confined, the
kernel keeps each from the files of the others, but not from their sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from .errors import BrokerError, say

# Connections of one project at once; more are closed unanswered, so that none is left out. Those that have
# not sent the key take no place of those that have.
_AT_ONCE = 64
_UNKNOWN_AT_ONCE = 256
_KEY_SECONDS = 5
_KEY_BYTES = 32
_SEND_SECONDS = 10
_BACKLOG = 128
_LONGEST = 100

Answer = Callable[[], Awaitable[dict[str, Any]]]


class Listener:
    """A socket that answers each connection with one JSON object, and reads nothing but the key."""

    def __init__(self, path: Path, answer: Answer) -> None:
        """Take the path of the socket, whose folder is there, and what gives the object."""
        self._path = path
        self._answer = answer
        self._key = secrets.token_hex(_KEY_BYTES).encode("ascii")
        self._open = self._unknown = 0
        self._told = False

    async def listen(self) -> asyncio.Server:
        """Listen from now on; a socket that was left behind is replaced."""
        if len(os.fsencode(self._path)) > _LONGEST:
            raise BrokerError(
                f"The path {self._path} is too long for a socket; choose a shorter one."
            )
        try:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
            self._write_key()
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(self._path))
            self._path.chmod(0o600)
            self._give(self._path)
        except OSError as error:
            raise BrokerError(
                f"No socket can be made at {self._path} ({error.strerror}); run the servers playbook."
            ) from None
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        return await asyncio.start_unix_server(self._serve, sock=listener)

    def _write_key(self) -> None:
        """Write the key, in one step, into a file that only the clients' user can read."""
        path = key_path(self._path)
        new = path.with_name(f".{path.name}")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as stream:
            stream.write(self._key)
        self._give(new)
        new.replace(path)

    def _give(self, path: Path) -> None:
        """Give a file to the folder's owner: a server's user may be another one than this."""
        folder = self._path.parent.stat()
        if folder.st_uid != os.geteuid():
            os.chown(path, folder.st_uid, folder.st_gid)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        try:
            if await self._is_known(reader):
                await self._reply(writer)
        except (OSError, TimeoutError):
            say(f"A client of {self._path} went away before its answer.")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _is_known(self, reader: asyncio.StreamReader) -> bool:
        """Return whether a client has sent the key; one that has not is told nothing."""
        if self._unknown >= _UNKNOWN_AT_ONCE:
            return False
        self._unknown += 1
        try:
            given = await asyncio.wait_for(reader.readexactly(len(self._key)), _KEY_SECONDS)
        except (OSError, EOFError, TimeoutError):
            given = b""
        finally:
            self._unknown -= 1
        known = hmac.compare_digest(given, self._key)
        if not known and not self._told:
            self._told = True
            say(f"A client of {self._path} did not send its key, and got no answer.")
        return known

    async def _reply(self, writer: asyncio.StreamWriter) -> None:
        """Send the answer, unless too many are waiting for theirs."""
        self._open += 1
        try:
            if self._open <= _AT_ONCE:
                writer.write(json.dumps(await self._answer()).encode("utf-8") + b"\n")
                await asyncio.wait_for(writer.drain(), _SEND_SECONDS)
        finally:
            self._open -= 1


def key_path(path: Path) -> Path:
    """Return the file with the key of a socket."""
    return path.with_suffix(".key")
