# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets in a backup whose root key the project that it is restored into does not have.

It is so after a move between a folder, where the root key is a file that goes with the backup, and AWS, where it is a
parameter that no backup holds. MLflow decrypts the secrets of all webhooks when it lists them, so one that it
cannot decrypt would break them all.
"""

from __future__ import annotations

from typing import Any

from .manifest import Manifest
from .progress import tell
from .projects import Project
from .tables import Table

_WEBHOOKS, _SECRETS = "webhooks", "secrets"
_DISABLED = "DISABLED"


class Lost:
    """How many webhooks were disabled, and how many secrets of the gateway cannot be decrypted."""

    def __init__(self, is_lost: bool) -> None:
        """Take whether the project has another root key."""
        self._is_lost = is_lost
        self.webhooks = self.secrets = 0

    def forget(self, table: Table, rows: list[list[Any]]) -> None:
        """Disable webhooks with a secret, and let them have none; count secrets of the gateway."""
        if self._is_lost and table.name == _SECRETS:
            self.secrets += len(rows)
        if not self.changes(table) or "secret" not in table.columns:
            return
        secret, status = table.columns.index("secret"), table.columns.index("status")
        for row in rows:
            if row[secret] is not None:
                row[secret], row[status] = None, _DISABLED
                self.webhooks += 1

    def changes(self, table: Table) -> bool:
        """Return whether forget() changes rows of a table."""
        return self._is_lost and table.name == _WEBHOOKS

    def tell(self) -> None:
        """Say in the log what is to be entered again."""
        if self.webhooks or self.secrets:
            tell(
                f"The project has another root key than the backup: {self.webhooks} webhooks were "
                f"disabled, and {self.secrets} secrets of the gateway cannot be decrypted; enter them again."
            )


def has_other_key(project: Project, found: Manifest, stored: bytes | None) -> bool:
    """Return whether the project's root key is another one than that of a backup.

    stored: the root key in the backup, if it has one.
    """
    if stored is not None:
        # A project of a folder without a key gets that of the backup.
        return project.key_file is None or (
            project.key_file.is_file() and project.key_file.read_bytes() != stored
        )
    return (found.project, found.artifacts) != (project.name, project.artifacts.text())
