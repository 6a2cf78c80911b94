# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks say of a verb that was carried out, or would be."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data import report

IMPORTED = {
    "name": "churn",
    "source": "/home/anna/work/mlruns",
    "added": {"runs": 3, "logged_models": 1},
    "there": {"runs": 2},
    "different": {},
    "differing": {},
    "artifacts": {"written": 4, "bytes": 2048, "there": 0, "differing": [], "missing": []},
    "unreadable": [],
    "left_out": {"webhooks": 1},
    "seconds": 1.6,
}


@pytest.mark.parametrize(
    ("verb", "said"), [("import", "imported"), ("import_plan", "would be imported")]
)
def test_an_import_is_told_from_its_plan(verb: str, said: str) -> None:
    """Nobody takes what check mode found for something that was done."""
    (line,) = report.lines([IMPORTED], verb)
    assert line == (
        f"churn: {said} from /home/anna/work/mlruns: 3 runs, 1 logged models, 4 artifacts (2.0 KiB) in 2 s; "
        "2 were there already; not imported: 1 rows of webhooks"
    )
