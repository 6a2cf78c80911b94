# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a password may be tried: few times in a row, and few at once."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable

# Of one name from one address, of one address, and of one name from anywhere: tries within WINDOW seconds.
BY_BOTH, BY_ADDRESS, BY_NAME = 5, 30, 100
WINDOW = 600
# What is remembered; the oldest goes first. No member's name is longer.
_MOST, _NAME = 10_000, 100
# Who has one address of IPv6 has all of its network.
_NETWORK = 64


class Attempts:
    """Failed sign-ins of the last minutes. Sessions and tokens go on meanwhile."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take a clock, in seconds."""
        self._clock = clock
        self._failed: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def wait(self, name: str, address: str) -> int:
        """Return after how many seconds one may try, 0 for now."""
        limits = (BY_BOTH, BY_ADDRESS, BY_NAME)
        return max(map(self._wait, _keys(name, address), limits))

    def note(self, name: str, address: str) -> None:
        """Note that a sign-in failed."""
        for key in _keys(name, address):
            times = self._recent(key)
            times.append(self._clock())
            self._failed[key] = times[-BY_NAME:]
            self._failed.move_to_end(key)
        while len(self._failed) > _MOST:
            self._failed.popitem(last=False)

    def forget(self, name: str, address: str) -> None:
        """Note that the last attempt succeeded: many people may come from one address."""
        own, *others = _keys(name, address)
        self._failed.pop(own, None)
        for key in others:
            self._failed[key] = self._recent(key)[:-1]

    def _wait(self, key: tuple[str, str], limit: int) -> int:
        """Return after how many seconds there are fewer failures than the limit."""
        times = self._recent(key)
        return 0 if len(times) < limit else int(times[-limit] + WINDOW - self._clock()) + 1

    def _recent(self, key: tuple[str, str]) -> list[float]:
        """Return the times of the failures that count."""
        since = self._clock() - WINDOW
        return [time for time in self._failed.get(key, ()) if time > since]


def _keys(name: str, address: str) -> tuple[tuple[str, str], tuple[str, str], tuple[str, str]]:
    """Return what an attempt counts for: the name from the address, the address, and the name."""
    name, place = name[:_NAME], _place(address)
    return (name, place), ("", place), (name, "")


def _place(address: str) -> str:
    """Return an address as attempts count."""
    try:
        if ipaddress.ip_address(address).version == 4:
            return address
        return str(ipaddress.ip_network(f"{address}/{_NETWORK}", strict=False))
    except ValueError:
        return ""
