# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what the operating system knows of a process."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import commands

_PS_SECONDS = 10


def arguments(pid: int) -> str:
    """Return the command line of a process, empty where there is none."""
    if not pid:
        return ""
    if Path("/proc/self/cmdline").exists():
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
            return words.replace("\0", " ")
        return ""
    # macOS has ps alone, a slim Linux none.
    command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    return commands.run(
        command, _PS_SECONDS, f"The command line of process {pid} cannot be read", "rerun"
    ).output


def exists(pid: int) -> bool:
    """Return whether the process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
