# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Artifact locations in a database: where they are written, and how they follow a move.

Most locations begin with mlflow-artifacts:/, which is relative to the server and needs no change. What
was written with a folder or a bucket names it in full.
"""

from __future__ import annotations

from typing import Any

from .tables import Table

# Columns that name a place; those of tags only for the keys below.
COLUMNS = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "model_versions": ("source", "storage_location"),
    "logged_models": ("artifact_location",),
    "trace_tags": ("value",),
}
_KEYS = ("mlflow.artifactLocation", "mlflow.trace.archiveLocation")


def relocated(table: Table, rows: list[list[Any]], source: str, target: str) -> int:
    """Let what names a place below the source name the same below the target; returns how many did."""
    if source == target or table.name not in COLUMNS:
        return 0
    places = [table.columns.index(name) for name in COLUMNS[table.name] if name in table.columns]
    key = table.columns.index("key") if table.name == "trace_tags" else None
    changed = 0
    for row in rows:
        if key is not None and row[key] not in _KEYS:
            continue
        for place in places:
            moved = _moved(row[place], source, target)
            if moved is not None:
                row[place] = moved
                changed += 1
    return changed


def _moved(text: Any, source: str, target: str) -> str | None:
    """Return a location at its new place; None if it is not below the source."""
    if not isinstance(text, str):
        return None
    for scheme in ("", "file://"):
        start = scheme + source
        if text == start or text.startswith(f"{start}/"):
            return (scheme if not target.startswith("s3:") else "") + target + text[len(start) :]
    return None
