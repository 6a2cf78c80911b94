# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trace archival, for a project with `server.trace_archival`: MLflow reads its settings from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .private import write_private

VARIABLE = "MLFLOW_TRACE_ARCHIVAL_CONFIG"
# Below the project's artifacts, the only place that its identity can write to.
FOLDER = "trace-archive"


def variables(settings: dict[str, Any], private: Path | None) -> dict[str, str]:
    """Write MLflow's file into the private folder; return the variable that names it."""
    given = settings.get("trace_archival")
    if not given or private is None:
        return {}
    root = settings["artifacts_destination"].rstrip("/")
    # MLflow takes no path here.
    root = Path(root).as_uri() if root.startswith("/") else root
    path = private / "trace-archival.yaml"
    # JSON is YAML.
    write_private(
        path,
        json.dumps({"trace_archival": {"enabled": True, "location": f"{root}/{FOLDER}", **given}}),
    )
    return {VARIABLE: str(path)}
