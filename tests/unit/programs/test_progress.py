# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verb tells while it works."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.data import progress


def test_a_line_names_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    """As long as it is worked on."""
    with progress.of("demo"):
        progress.tell("12 rows")
    progress.tell("done")
    assert capsys.readouterr().err == "mlflow_entry: demo: 12 rows\nmlflow_entry: done\n"


def test_few_lines_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is the newest when it is time for one."""
    monkeypatch.setattr(progress, "SECONDS", 0.2)
    pace, begun, number = progress.Pace(), time.monotonic(), 0
    while time.monotonic() - begun < 0.5:
        pace.tell(str(number))
        number += 1
    told = capsys.readouterr().err.split()[1::2]
    assert 1 <= len(told) <= 2
    assert int(told[0]) > 0


def test_what_says_nothing_itself_is_told_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it ends, also by an error."""
    monkeypatch.setattr(progress, "SECONDS", 0.1)
    with (
        contextlib.suppress(ValueError),
        progress.of("demo"),
        progress.beating("the migration"),
    ):
        time.sleep(0.35)
        raise ValueError
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "mlflow_entry: demo: the migration begins"
    assert len(lines) > 1
    beat = re.compile(r"mlflow_entry: demo: the migration has taken \d+ s so far")
    assert all(beat.fullmatch(line) for line in lines[1:])
    time.sleep(0.2)
    assert capsys.readouterr().err == ""
