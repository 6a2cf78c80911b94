# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server ends with the process that started it, so that none holds a port unowned."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from .errors import EntryError

# Path of the pid file of the supervisor that no server is to outlive.
SUPERVISOR_VARIABLE = "MLFLOW_AWS_SUPERVISOR"


def supervisor() -> int | None:
    """Return the process id of the supervisor that starts this server, if one does.

    Not the parent's: a supervisor that dies before we look has left us to another one.
    """
    pidfile = os.environ.get(SUPERVISOR_VARIABLE)
    if not pidfile:
        return None
    try:
        return int(Path(pidfile).read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise EntryError(f"{pidfile} names no supervisor; run the servers playbook.") from None


def end_with(parent: int | None) -> None:
    """Stop this process when the given parent is gone."""
    if parent is None:
        return
    if os.getppid() != parent:
        raise EntryError("The process that started this server has ended; so does the server.")
    end_with_parent(parent)


# programs/tunnel/mlflow_tunnel.py, one file in an environment of its own, says the two below too.


def end_with_parent(parent: int) -> None:
    """Stop this process when its parent is gone, so that nothing holds the port unowned."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def stop(number: int, _frame: FrameType | None) -> None:
    """End this process by an exception, so that it cleans up."""
    sys.exit(128 + number)
