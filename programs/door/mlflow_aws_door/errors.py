# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors that become one line of the log, and the log."""

from __future__ import annotations

import sys

NAME = "mlflow_door"


class DoorError(Exception):
    """One sentence: what is wrong and what to do."""


def say(sentence: str) -> None:
    """Write one line to the log, which what others sent cannot break."""
    line = "".join(letter if letter.isprintable() else "?" for letter in sentence)
    print(f"{NAME}: {line}", file=sys.stderr, flush=True)
