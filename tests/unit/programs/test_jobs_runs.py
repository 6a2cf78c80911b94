# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be ended is ended now, or when the database answers again; with MLflow it is shown in test_jobs.py."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import jobs_runs


class Ending:
    """Ends a run, after so many times that the database does not answer."""

    def __init__(self, faults: int) -> None:
        """Have asked nobody yet."""
        self.faults = faults
        self.asked: list[tuple[str, ...]] = []
        self.over = threading.Event()

    def __call__(self, *words: str) -> None:
        """Fail, or note that it is done."""
        self.asked.append(words)
        if len(self.asked) <= self.faults:
            raise ConnectionError
        self.over.set()


@pytest.mark.parametrize("faults", [0, 1, 3])
def test_an_end_is_tried_again(monkeypatch: pytest.MonkeyPatch, faults: int) -> None:
    """The request is answered meanwhile."""
    monkeypatch.setattr(jobs_runs, "_PAUSE_SECONDS", 0.01)
    ending = Ending(faults)
    jobs_runs._soon(ending, "r1", "FAILED")
    assert ending.over.wait(20)
    assert ending.asked == [("r1", "FAILED")] * (faults + 1)


def test_trying_has_an_end(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """The log names what was left."""
    monkeypatch.setattr(jobs_runs, "_PAUSE_SECONDS", 0.0)
    ending = Ending(1000)
    jobs_runs._later(ending, "r1", "FAILED")
    assert len(ending.asked) == jobs_runs._TIMES
    assert "what a job left could not be ended (r1)." in capfd.readouterr().err
