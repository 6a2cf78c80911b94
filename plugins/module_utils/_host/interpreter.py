# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: how every Python that we start on a host is started.

Isolated, so that it loads what is installed in its own environment: PYTHONPATH, PYTHONHOME, packages
of the user's own and the current folder would put another MLflow, or another module of any name,
before it. programs/server/mlflow_aws_server/installation.py says the same for what those programs start.
"""

from __future__ import annotations

import os

_PREFIX = "PYTHON"
# How macOS tells a Python which program was called.
_LAUNCHER = "__PYVENV_LAUNCHER__"


def isolated(python: str, *words: str) -> list[str]:
    """Return the command that runs an interpreter with these arguments, isolated."""
    return [python, "-I", *words]


def environment() -> dict[str, str]:
    """Return this process's environment without what steers a Python, whoever starts it."""
    return {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(_PREFIX) and name != _LAUNCHER
    }
