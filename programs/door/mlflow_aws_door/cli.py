# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of mlflow_door.py.

    python -I mlflow_door.py serve SETTINGS.json     serve until stopped
    python -I mlflow_door.py health SETTINGS.json    say whether a running door has these settings

The settings are described in settings.py. Caddy's program is beside the Python that runs this, or on the PATH.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from . import settings as settings_file
from .errors import DoorError, say
from .keeper import STATE, Keeper

# Path of the pid file of the supervisor that the door is not to outlive.
SUPERVISOR_VARIABLE = "MLFLOW_AWS_SUPERVISOR"


def main(arguments: list[str]) -> int:
    """Run one verb; an error becomes one line on standard error."""
    verb, *rest = arguments or ["help"]
    try:
        if verb not in _VERBS or len(rest) != 1:
            raise DoorError(f"Usage: mlflow_door.py {' | '.join(_VERBS)} SETTINGS.json")
        return _VERBS[verb](_settings(Path(rest[0])))
    except DoorError as error:
        say(str(error))
        return 2


def serve(path: Path) -> int:
    """Serve until stopped."""
    os.umask(0o077)
    asyncio.run(_serve(path))
    return 0


async def _serve(path: Path) -> None:
    """Run the keeper."""
    _end_with_supervisor()
    await Keeper(path, _caddy()).run()


def health(path: Path) -> int:
    """Return 0 if what runs has these settings."""
    wanted = settings_file.read(path).configuration
    try:
        state = json.loads(path.with_name(STATE).read_text(encoding="utf-8"))
        wrong = state["error"] or (
            "" if state["configuration"] == wanted else "It has other settings."
        )
        os.kill(int(state["pid"]), 0)
    except (OSError, ValueError, LookupError) as error:
        wrong = f"It does not run ({error})."
    if wrong:
        print(wrong)
    return 1 if wrong else 0


def _settings(path: Path) -> Path:
    """Return the path of the settings, which a file with the one key `settings` may name.

    What starts the door is named after its program, and the settings may be replaced while it runs.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return Path(json.loads(path.read_text(encoding="utf-8")).get("settings", path))
    return path


def _caddy() -> str:
    """Return the path of Caddy's program."""
    beside = Path(sys.executable).with_name("caddy")
    found = str(beside) if beside.is_file() else shutil.which("caddy")
    if not found:
        raise DoorError(
            f"There is no caddy beside {sys.executable} or on the PATH; install the door again."
        )
    return found


def _end_with_supervisor() -> None:
    """Stop this process when the supervisor that started it is gone, if one did."""
    pidfile = os.environ.get(SUPERVISOR_VARIABLE)
    if not pidfile:
        return
    try:
        parent = int(Path(pidfile).read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise DoorError(f"{pidfile} names no supervisor; run the servers playbook.") from None

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), 15)

    threading.Thread(target=watch, name="end-with-supervisor", daemon=True).start()


_VERBS: dict[str, Callable[[Path], int]] = {"serve": serve, "health": health}
