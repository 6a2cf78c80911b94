# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bound on what clients upload, for a project with `server.max_upload_size`.

MLflow has none: a proxied upload of any size is spooled to the disk first. A request says how large its
body is, or sends it in chunks, which are counted.
"""

from __future__ import annotations

from typing import Any

from .refused import refuse

STATUS = 413
_CODE = "INVALID_PARAMETER_VALUE"


class UploadLimit:
    """An ASGI application that gets no request with a larger body than this."""

    def __init__(self, application: Any, most: int) -> None:
        """Take the application, and the limit in bytes."""
        self._application = application
        self._most = most

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Refuse the request, or pass it on and count what comes."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        if _announced(scope) > self._most:
            await _refuse(send, self._most)
            return
        counted = _Counted(receive, send, self._most)
        try:
            await self._application(scope, counted.receive, counted.send)
        except Exception:
            # Frameworks wrap what ends their tasks; the request has its answer.
            if not counted.refused:
                raise


class _TooLargeError(Exception):
    """Ends a request within the application after it has been answered."""


class _Counted:
    """The body of a request up to the limit, and its answer."""

    def __init__(self, receive: Any, send: Any, most: int) -> None:
        """Take what receives the request and what sends its answer, and the limit in bytes."""
        self._receive, self._send, self._most = receive, send, most
        self._size = 0
        self._begun = False
        self.refused = False

    async def receive(self) -> Any:
        """Return the next message, or refuse the request where the body becomes too large."""
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size <= self._most:
            return message
        if not self._begun:
            self.refused = True
            await _refuse(self._send, self._most)
        raise _TooLargeError

    async def send(self, message: Any) -> None:
        """Pass on the application's answer, unless the request has got one."""
        self._begun = True
        if not self.refused:
            await self._send(message)


async def _refuse(send: Any, most: int) -> None:
    """Answer that the body is too large."""
    await refuse(send, STATUS, _CODE, sentence(most))


def sentence(most: int) -> str:
    """Return what a refused upload is answered."""
    return (
        f"The request is larger than {most} bytes, the limit of this project's server; split the upload, "
        "or raise 'server.max_upload_size' in mlflow_projects and rerun the servers playbook."
    )


def _announced(scope: Any) -> int:
    """Return the size that a request announces, 0 for none."""
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return int(lengths[0]) if lengths and lengths[0].isdigit() else 0
