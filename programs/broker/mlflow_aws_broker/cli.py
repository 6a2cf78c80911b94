# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of mlflow_broker.py.

    python -I mlflow_broker.py serve SETTINGS.json    give credentials until stopped
    python -I mlflow_broker.py state SETTINGS.json    print the running broker's state as JSON
    python -I mlflow_broker.py health SETTINGS.json   say what is wrong with the host's identity, if anything

The settings are described in settings.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import settings as settings_file
from .errors import BrokerError, say
from .identity import Identity
from .keeper import Keeper
from .listener import Listener, key_path
from .settings import Settings

# Path of the pid file of the supervisor that the broker is not to outlive.
SUPERVISOR_VARIABLE = "MLFLOW_AWS_SUPERVISOR"
_ASK_SECONDS = 10


def main(arguments: list[str]) -> int:
    """Run one verb; an error becomes one line on standard error."""
    verb, *rest = arguments or ["help"]
    try:
        if verb not in _VERBS or len(rest) != 1:
            raise BrokerError(f"Usage: mlflow_broker.py {' | '.join(_VERBS)} SETTINGS.json")
        return _VERBS[verb](settings_file.read(Path(rest[0])))
    except BrokerError as error:
        say(str(error))
        return 2


def serve(settings: Settings) -> int:
    """Give each project its credentials until stopped."""
    os.environ.update(settings.environment)
    os.umask(0o077)
    _end_with_supervisor()
    asyncio.run(_serve(settings))
    return 0


async def _serve(settings: Settings) -> None:
    """Listen on all sockets, and renew what is due."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # At once: a call that AWS has yet to answer would be waited for. Sockets are replaced at the next start.
        asyncio.get_running_loop().add_signal_handler(number, os._exit, 0)
    identity = Identity(settings)
    keepers = {
        name: Keeper(name, project.role_arn, identity)
        for name, project in sorted(settings.projects.items())
    }

    async def state() -> dict[str, Any]:
        # Somebody may have logged in since.
        await asyncio.gather(*(keeper.renew() for keeper in keepers.values() if keeper.error))
        return {
            "identity": identity.error,
            "projects": {name: keeper.error for name, keeper in keepers.items()},
            "ready": all(keeper.asked for keeper in keepers.values()),
        }

    for name, keeper in keepers.items():
        await Listener(settings.projects[name].socket, keeper.answer).listen()
    await Listener(settings.state, state).listen()
    say(f"It gives credentials to {', '.join(keepers) or 'no project'}.")
    await asyncio.gather(*(keeper.watch() for keeper in keepers.values()), asyncio.Event().wait())


def state(settings: Settings) -> int:
    """Print the running broker's state."""
    print(json.dumps(_ask(settings.state)))
    return 0


def health(settings: Settings) -> int:
    """Print what is wrong with the host's identity; returns 0 if nothing is."""
    wrong = str(_ask(settings.state)["identity"])
    if wrong:
        print(wrong)
    return 1 if wrong else 0


def _ask(path: Path) -> dict[str, Any]:
    """Return what a socket of the running broker gives."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ASK_SECONDS)
            connection.connect(str(path))
            connection.sendall(key_path(path).read_bytes())
            with connection.makefile("rb") as stream:
                answer: dict[str, Any] = json.loads(stream.read())
                return answer
    except (OSError, ValueError) as error:
        raise BrokerError(f"The broker does not answer on {path} ({error}); see its log.") from None


def _end_with_supervisor() -> None:
    """Stop this process when the supervisor that started it is gone, if one did."""
    pidfile = os.environ.get(SUPERVISOR_VARIABLE)
    if not pidfile:
        return
    try:
        parent = int(Path(pidfile).read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise BrokerError(f"{pidfile} names no supervisor; run the servers playbook.") from None

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end-with-supervisor", daemon=True).start()


_VERBS: dict[str, Callable[[Settings], int]] = {"serve": serve, "state": state, "health": health}
