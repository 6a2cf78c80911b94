# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error that becomes one line of the log, and the log."""

from __future__ import annotations

import math
import sys

# Our own lines in the log begin with it.
NAME = "mlflow_entry"


class EntryError(Exception):
    """One sentence for the log: what is wrong and what to do.

    retry_seconds: the longest pause before a server that does not serve for this reason looks
    again, see refusal.py.
    """

    retry_seconds = 300.0


class DatabaseError(EntryError):
    """The database was asked, and asking again wakes it: an hour's pause costs little."""

    retry_seconds = 3600.0


class LastingError(EntryError):
    """No time heals this; whoever does something about it runs a playbook, which asks at once."""

    retry_seconds = math.inf


def say(sentence: str) -> None:
    """Write one line to the log."""
    print(f"{NAME}: {sentence}", file=sys.stderr, flush=True)
