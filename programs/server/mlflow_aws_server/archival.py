# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trace archival, for a project with `server.trace_archival`: MLflow reads its settings from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .errors import EntryError
from .private import write_private

VARIABLE = "MLFLOW_TRACE_ARCHIVAL_CONFIG"
# Below the project's artifacts, the only place that its identity can write to.
FOLDER = "trace-archive"


def variables(settings: dict[str, Any], private: Path | None) -> dict[str, str]:
    """Write MLflow's file into the private folder, which such a server has; return the variable that names it."""
    given = settings.get("trace_archival")
    if not given:
        return {}
    if private is None:
        raise EntryError(
            "A server that archives traces has no private folder; run it by its settings."
        )
    root = settings["artifacts_destination"].rstrip("/")
    # Of a folder, too, MLflow wants a URI.
    location = f"{root if '://' in root else Path(root).as_uri()}/{FOLDER}"
    path = private / "trace-archival.yaml"
    # JSON is YAML.
    write_private(
        path, json.dumps({"trace_archival": {"enabled": True, "location": location, **given}})
    )
    return {VARIABLE: str(path)}
