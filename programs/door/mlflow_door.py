# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the program of the front door: see mlflow_aws_door/cli.py for what it can do.

Containers and hosts know this file by its name. It runs isolated (python -I), so that nothing but
what is installed for its Python comes before the package beside it.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run one verb; returns the exit code."""
    # An isolated Python does not look beside the program. At the end, so that nothing installed is hidden.
    sys.path.append(os.path.dirname(os.path.realpath(__file__)))
    from mlflow_aws_door import cli

    code: int = cli.main(sys.argv[1:])
    return code


if __name__ == "__main__":
    sys.exit(main())
