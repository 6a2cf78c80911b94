# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: sizes as people write them."""

from __future__ import annotations

import re

# Python refuses to read numbers with thousands of digits.
_SIZE = re.compile(r"([0-9]{1,18})([bkmg]?)")
_SHIFTS = {"": 0, "b": 0, "k": 10, "m": 20, "g": 30}
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024


def size_in_bytes(text: str) -> int | None:
    """Return a size such as 512m or 2g in bytes (1k is 1024), None for any other text."""
    match = _SIZE.fullmatch(text.strip().lower())
    return int(match[1]) << _SHIFTS[match[2]] if match else None


def readable(number: float) -> str:
    """Return a number of bytes as people read it, such as 2.0 KiB."""
    for unit in _UNITS[:-1]:
        if number < _STEP:
            return f"{number:.0f} {unit}" if unit == _UNITS[0] else f"{number:.1f} {unit}"
        number /= _STEP
    return f"{number:.1f} {_UNITS[-1]}"
