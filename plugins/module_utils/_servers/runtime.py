# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the interface between what servers need and how a host runs them."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import ports
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import claims
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    FoundServer,
    Step,
)


class Runtime(t.Protocol):
    """What a way of running servers must offer; `process` and `docker` are two.

    Every method raises MlflowError with one sentence.
    """

    @property
    def command(self) -> list[str]:
        """Return what starts all servers when a host boots; empty where an engine does so."""

    def observe(self) -> dict[str, FoundServer]:
        """Return all servers that this runtime has on the host, by name."""

    def require(self, steps: t.Sequence[Step]) -> None:
        """Refuse steps that cannot be taken on this host; called in check mode, too."""

    def owns(self, holder: ports.Holder) -> bool:
        """Return whether a server of this runtime holds the port, even one that nobody supervises."""

    def claim(self, holder: ports.Holder, host: str) -> claims.Claim:
        """Return whose a port of host is that no server of this runtime holds."""

    def apply(self, steps: t.Sequence[Step], deadline: float) -> None:
        """Take all steps at once, without waiting for servers to answer.

        deadline is a time.monotonic() value.
        """

    def resume(self, names: t.Collection[str], deadline: float) -> list[str]:
        """Start stopped servers as they ran last; returns which."""

    def dead(self) -> dict[str, str]:
        """Return the servers that ended and come up no more, by name, and how they ended."""

    def log_path(self, name: str) -> str:
        """Return where the server's log is: its file, or the command that shows it."""

    def log_tail(self, name: str) -> list[str]:
        """Return the last lines of the server's log, of which there may be none."""
