# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a database holds MLflow's tables alone: what a restore or an upgrade makes has no others."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import EntryError
from ..revisions import recorded_head, tables_at


def require_own(project: str, revision: str, tables: Collection[str]) -> None:
    """Refuse tables that a schema of this revision does not have.

    Of a newer MLflow's revision nothing is known; the release that knows it is the one that restores.
    """
    known = recorded_head().known
    # The numbers first: MLflow, which has the names, takes seconds to load.
    if revision not in known or known[revision] == len(tables):
        return
    others = set(tables) - tables_at(revision)
    if others:
        raise EntryError(
            f"The schema of project '{project}' has tables that are not MLflow's, such as {min(others)}; move them "
            "elsewhere, then rerun. The project is as it was."
        )
