# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors that become one line of the log or an answer, and the log."""

from __future__ import annotations

import sys

NAME = "mlflow_broker"


class BrokerError(Exception):
    """One sentence: what is wrong and what to do."""


class IdentityError(BrokerError):
    """What is wrong with the host's own identity, which all projects depend on.

    passes: whether it is likely to pass without anybody's help, as when a network is late.
    """

    def __init__(self, sentence: str, *, passes: bool = False) -> None:
        """Take the sentence."""
        super().__init__(sentence)
        self.passes = passes


class DeniedError(BrokerError):
    """AWS does not let the host's identity assume a role, as of one that was just made."""


def say(sentence: str) -> None:
    """Write one line to the log."""
    print(f"{NAME}: {sentence}", file=sys.stderr, flush=True)
