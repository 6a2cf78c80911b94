# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: where a module writes what it waits for, which the control node shows meanwhile."""

from __future__ import annotations

import contextlib
import os
import threading
import typing as t


@contextlib.contextmanager
def progress_file(path: str | None) -> t.Iterator[t.Callable[[str], None]]:
    """Yield a function that appends a line to the file, if there is one, from any thread."""
    lock = threading.Lock()
    with open(path or os.devnull, "a", encoding="utf-8") as stream:

        def show(line: str) -> None:
            with lock:
                stream.write(f"{line}\n")
                stream.flush()

        yield show
