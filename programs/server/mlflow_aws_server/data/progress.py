# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a verb is, as lines of the log that name the project; who waits sees them meanwhile."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar

from ..errors import say

# Often enough to see that something moves, and few lines in an hour.
SECONDS = 10.0
_project: ContextVar[str] = ContextVar("project", default="")


@contextlib.contextmanager
def of(project: str) -> Iterator[None]:
    """Name a project in what is told while the block runs."""
    token = _project.set(project)
    try:
        yield
    finally:
        _project.reset(token)


def tell(sentence: str) -> None:
    """Tell something of the project that is worked on."""
    project = _project.get()
    say(f"{project}: {sentence}" if project else sentence)


class Pace:
    """Tells how far something is, but not more often than each ten seconds."""

    def __init__(self) -> None:
        """Begin to wait."""
        self._next = time.monotonic() + SECONDS

    def tell(self, sentence: str) -> None:
        """Tell it if it is time to."""
        if time.monotonic() >= self._next:
            tell(sentence)
            self._next = time.monotonic() + SECONDS


@contextlib.contextmanager
def beating(what: str) -> Iterator[None]:
    """Tell what begins, and that it still goes on: what says nothing itself takes minutes."""
    tell(f"{what} begins")
    project, begun, ended = _project.get(), time.monotonic(), threading.Event()

    def beat() -> None:
        with of(project):
            while not ended.wait(SECONDS):
                tell(f"{what} has taken {time.monotonic() - begun:.0f} s so far")

    beats = threading.Thread(target=beat, daemon=True)
    beats.start()
    try:
        yield
    finally:
        ended.set()
        beats.join()
