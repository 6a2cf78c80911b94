# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the one loop that waits, so that every wait has a limit and a message."""

from __future__ import annotations

import itertools
import time
import typing as t

Answer = t.TypeVar("Answer")


def wait(
    done: t.Callable[[], Answer | None],
    deadline: float,
    failure: t.Callable[[], Exception],
    pauses: float | t.Iterable[float] = 1.0,
) -> Answer:
    """Call done until it returns something other than None, and return that.

    done is called at least once, and once more when the deadline has come. deadline is a
    time.monotonic() value; failure returns what is raised after it. pauses are the seconds
    between two calls: one number, or an endless series such as growing() gives.
    """
    for pause in itertools.repeat(pauses) if isinstance(pauses, (int, float)) else pauses:
        answer = done()
        if answer is not None:
            return answer
        left = deadline - time.monotonic()
        if left <= 0:
            break
        time.sleep(min(pause, left))
    raise failure()


def growing(first: float, factor: float, last: float) -> t.Iterator[float]:
    """Return ever longer pauses, up to the last."""
    pause = first
    while True:
        yield pause
        pause = min(pause * factor, last)
