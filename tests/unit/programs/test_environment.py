# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment that a server gets stays out of its children's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SERVER = Path(__file__).resolve().parents[3] / "programs" / "server"
# As a server does it: its settings first, then a library that asks for the processor.
PROGRAM = """
import platform, sys
sys.path.append(sys.argv[1])
from mlflow_aws_server import environment
environment.apply({"environment": {"TOKEN": "s3cr3t"}})
assert environment.os.environ["TOKEN"] == "s3cr3t"
assert platform.processor() == "a-processor"
"""


def test_no_child_inherits_what_the_settings_hold(tmp_path: Path) -> None:
    """Python runs `uname` for the processor's name, and would hand on all variables."""
    program, seen = tmp_path / "uname", tmp_path / "seen"
    program.write_text(f"#!/bin/sh\nenv >>'{seen}'\necho a-processor\n")
    program.chmod(0o755)
    environment = dict(os.environ) | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [sys.executable, "-c", PROGRAM, str(SERVER)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "PATH=" in seen.read_text()
    assert "s3cr3t" not in seen.read_text()
