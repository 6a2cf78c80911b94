# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where this program and the files beside it lie, and which MLflow its Python loads."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import sysconfig
from pathlib import Path

from .errors import EntryError

FOLDER = Path(__file__).resolve().parents[1]
LAUNCHER = FOLDER / "mlflow_entry.py"
# What `survey` prints, for the MLflow of the lock; and the CA bundle of Amazon RDS.
KNOWN = FOLDER / "mlflow.json"
AUTHORITIES = FOLDER / "rds-ca.pem"


def command(verb: str, path: Path) -> list[str]:
    """Return the command that runs a verb of this program with a file, isolated as this one is."""
    return [sys.executable, "-I", str(LAUNCHER), verb, str(path)]


def require_own_mlflow() -> str:
    """Return version and location of the MLflow that this Python loads; refuse any but its own.

    PYTHONPATH and the like can put another one before it, which would create another schema.
    """
    spec = importlib.util.find_spec("mlflow")
    if spec is None or not spec.origin:
        raise EntryError("MLflow is not installed for this Python; run the deploy playbook.")
    location = Path(spec.origin).resolve().parent
    own = [Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")]
    if location.parent not in own:
        raise EntryError(
            f"MLflow would be loaded from {location} instead of {own[0]}; start this program "
            "isolated (python -I)."
        )
    return f"MLflow {importlib.metadata.version('mlflow')} from {location}"
