# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.tests.support import command_line


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="the system keeps no /proc")
def test_a_word_that_is_not_utf8_is_a_word() -> None:
    """A process of anyone, with any words, is read."""
    with subprocess.Popen(["sh", "-c", "echo; read _", b"\xff"], stdin=-1, stdout=-1) as process:
        assert process.stdout
        process.stdout.readline()
        assert command_line(Path(f"/proc/{process.pid}")) == ["sh", "-c", "echo; read _", "\udcff"]
        process.communicate()
