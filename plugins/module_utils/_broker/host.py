# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what a host must offer to run a broker; a container and a process are two."""

from __future__ import annotations

import typing as t


class FoundBroker(t.NamedTuple):
    """A broker as it is: whether it runs, whether anything of it is there, and what it was started with."""

    running: bool = False
    known: bool = False
    configuration: str = ""
    settings: t.Mapping[str, t.Any] | None = None


class Host(t.Protocol):
    """A way of running the broker. Every method raises MlflowError with one sentence."""

    @property
    def wanted(self) -> dict[str, t.Any]:
        """Return the settings that it should have."""

    def find(self) -> FoundBroker:
        """Return the broker as it is."""

    def require(self) -> None:
        """Refuse a host that cannot run it, before anything is changed; not called for what is kept."""

    def prepare(self) -> None:
        """Install what it takes to start it, which may take longer than that."""

    def boots(self) -> bool:
        """Return whether what starts it at boot has to change."""

    def start(self, deadline: float) -> None:
        """Start it, or start it again with the wanted settings; deadline is a time.monotonic() value."""

    def remove(self, deadline: float) -> None:
        """End it, and remove what belongs to it."""

    def ask(self) -> dict[str, t.Any] | None:
        """Return the state of the running broker, None if it does not answer."""

    def log_path(self) -> str:
        """Return where its log is."""

    def log_tail(self) -> list[str]:
        """Return the last lines of its log."""
