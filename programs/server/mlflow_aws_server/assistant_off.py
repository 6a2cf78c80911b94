# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server without `server.assistant` has no MLflow assistant.

The assistant is an agent that runs commands as the user of its server, for whoever reaches it from the same
host: a client chooses the model, and allows it everything, by requests of its own. On a host with several
users that is a login as the server's user for each of them.
"""

from __future__ import annotations

from typing import Any

from .refused import below_api, refuse

STATUS = 403
_CODE = "PERMISSION_DENIED"
_ROOT = "/mlflow/assistant"
# What the page asks before it shows its panel.
_READ = (f"{_ROOT}/config", f"{_ROOT}/providers")
# An address of documentation.
_ELSEWHERE = ("192.0.2.1", 0)
SENTENCE = (
    "MLflow's assistant is off (it runs commands as the server's user); set 'server.assistant: true' for this "
    "project in mlflow_projects and rerun the servers playbook."
)


class AssistantOff:
    """An ASGI application in which no request gets as far as the assistant."""

    def __init__(self, application: Any, prefix: str = "") -> None:
        """Take the application, and the prefix of its paths, if it has one."""
        self._application = application
        self._prefix = prefix

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Refuse the request, or pass it on."""
        path = below_api(scope["path"], self._prefix) if scope["type"] == "http" else ""
        if path != _ROOT and not path.startswith(f"{_ROOT}/"):
            await self._application(scope, receive, send)
        elif scope["method"] == "GET" and path in _READ:
            # As one from another host, to which MLflow says that there is no assistant for it.
            await self._application({**scope, "client": _ELSEWHERE}, receive, send)
        else:
            await refuse(send, STATUS, _CODE, SENTENCE)
