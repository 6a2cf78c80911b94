# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a password may be tried: few times in a row, and few at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

# Of one name from one address, of one address, and of one name from anywhere: tries within WINDOW seconds.
BY_BOTH, BY_ADDRESS, BY_NAME = 5, 30, 100
WINDOW = 600
# What is remembered; the oldest goes first.
_MOST = 10_000


class Attempts:
    """Failed sign-ins of the last minutes. Sessions and tokens go on meanwhile."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take a clock, in seconds."""
        self._clock = clock
        self._failed: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def wait(self, name: str, address: str) -> int:
        """Return after how many seconds one may try, 0 for now."""
        limits = (((name, address), BY_BOTH), (("", address), BY_ADDRESS), ((name, ""), BY_NAME))
        return max(self._wait(key, limit) for key, limit in limits)

    def note(self, name: str, address: str) -> None:
        """Note that a sign-in failed."""
        for key in ((name, address), ("", address), (name, "")):
            times = self._recent(key)
            times.append(self._clock())
            self._failed[key] = times[-BY_NAME:]
            self._failed.move_to_end(key)
        while len(self._failed) > _MOST:
            self._failed.popitem(last=False)

    def forget(self, name: str, address: str) -> None:
        """Note that one succeeded."""
        self._failed.pop((name, address), None)

    def _wait(self, key: tuple[str, str], limit: int) -> int:
        """Return after how many seconds there are fewer failures than the limit."""
        times = self._recent(key)
        return 0 if len(times) < limit else int(times[-limit] + WINDOW - self._clock()) + 1

    def _recent(self, key: tuple[str, str]) -> list[float]:
        """Return the times of the failures that count."""
        since = self._clock() - WINDOW
        return [time for time in self._failed.get(key, ()) if time > since]
