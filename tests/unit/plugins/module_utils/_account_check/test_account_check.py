# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is checked on a real account, which check is due, what it costs, and the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check import (
    catalog,
    estimate,
    report,
    results,
    runner,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check.subject import (
    NotHereError,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

ROOT = Path(__file__).resolve().parents[5]
STEPS = {"stacks", "administrator", "relay", "password_rotation", "iam_login", "image", "hosts"}
LATER = 2e9


def passed(*names: str) -> list[dict[str, Any]]:
    """Return results of checks that passed."""
    return [results.result(name, catalog.PASSED, "seen", 1.0, 100.0) for name in names]


def test_the_page_has_the_table() -> None:
    """docs/aws.md says of each claim how it is shown; catalog.table() writes it."""
    page = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
    assert catalog.table() in page


def test_every_check_is_made_somewhere() -> None:
    """By a probe, by a step of the playbook, by the removal, or by hand."""
    names = {check.name for check in catalog.CHECKS if not check.by_hand}
    folder = ROOT / "playbooks" / "tasks" / "verify_aws"
    assert {path.stem for path in folder.glob("*.yml")} - {"step", "close"} == STEPS
    assert names == set(runner.PROBES) | STEPS | {"removal"}
    text = (ROOT / "playbooks" / "verify_aws.yml").read_text(encoding="utf-8")
    text += "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.yml"))
    for name in runner.PROBES:
        assert name in text, name


def test_needs_come_before() -> None:
    """A check needs what is in the table above it, and nothing that is made by hand."""
    seen: set[str] = set()
    for check in catalog.CHECKS:
        assert set(check.needs) <= seen, check.name
        if not check.by_hand:
            seen.add(check.name)


@pytest.mark.parametrize(
    ("name", "skip", "now", "outcome", "evidence"),
    [
        ("role_delay", [], 0, "", ""),
        ("role_delay", ["role_delay"], 0, "not here", "left out by mlflow_account_check_skip"),
        ("role_delay", [], LATER, "not reached", "the time limit was reached"),
        ("objects_refused", [], 0, "not reached", "needs role_delay, which is not reached"),
        ("costs", [], 0, "not here", "a bill appears after a day"),
    ],
)
def test_which_check_is_due(
    name: str, skip: list[str], now: float, outcome: str, evidence: str
) -> None:
    """One that is not says why."""
    found = results.reason_against(name, passed("stacks"), skip, now, LATER)
    assert found[0] == outcome
    assert evidence in found[1]


def test_a_failed_check_stops_only_what_needs_it() -> None:
    """Each check has one result at the end, in the order of the table."""
    failed = results.result("stacks", catalog.FAILED, "no quota", 3.0, 100.0)
    done = results.complete([failed, *passed("image")], ["hosts"], 0, LATER)
    assert [entry["name"] for entry in done] == [check.name for check in catalog.CHECKS]
    outcomes = {entry["name"]: (entry["result"], entry["evidence"]) for entry in done}
    assert outcomes["role_delay"] == ("not reached", "needs stacks, which is failed")
    assert outcomes["objects_refused"][1] == "needs role_delay, which is not reached"
    assert outcomes["image"][0] == "passed"
    assert outcomes["platforms"] == ("not reached", "the run ended before")
    assert results.failures(done) == ["stacks"]


def test_an_unknown_check_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(MlflowError, match="There is no check relais for mlflow_account_check_skip"):
        results.require_known(["relais", "hosts"])


def test_probes_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails in whatever way is evidence, and the next one runs."""

    def absent(_subject: object) -> str:
        raise NotHereError("no path")

    def broken(_subject: object) -> str:
        raise KeyError("Datapoints")

    monkeypatch.setitem(runner.PROBES, "tls", absent)
    monkeypatch.setitem(runner.PROBES, "data_api", broken)
    monkeypatch.setitem(runner.PROBES, "connections", lambda _subject: "1000")
    before = passed("stacks", "administrator")
    subject: Any = None
    done = runner.run(subject, ["tls", "amazon_ca", "data_api", "connections"], before, [], LATER)
    found = [(entry["name"], entry["result"], entry["evidence"]) for entry in done[2:]]
    assert found == [
        ("tls", "not here", "no path"),
        ("amazon_ca", "not reached", "needs tls, which is not here"),
        ("data_api", "failed", "'Datapoints'"),
        ("connections", "passed", "1000"),
    ]


def test_the_estimate_takes_the_list_prices() -> None:
    """Numbers, of which the database's load decides most."""
    found = estimate.estimate(30, 1)
    assert 0.03 < found["low"] < found["high"] < 0.6
    assert found["terms"]["database"] == [0.03, 0.24]
    assert estimate.estimate(60, 1)["high"] > found["high"]
    assert estimate.estimate(30, 0)["high"] < found["high"] + 1e-9


SECRETS = (
    "123456789012",
    "operator-jane",
    "ASIAIOSFODNN7EXAMPLE",
    "abcdefghijkl",
    "churn",
)
EVIDENCE = (
    "arn:aws:sts::123456789012:assumed-role/operator-jane/session was denied on "
    "arn:aws:secretsmanager:eu-central-1:123456789012:secret:churn-AbCdEf (key ASIAIOSFODNN7EXAMPLE); "
    "mlflow-check.cluster-abcdefghijkl.eu-central-1.rds.amazonaws.com in bucket "
    "mlflow-check-123456789012-eu-central-1"
)


def test_the_report_is_masked() -> None:
    """As text and as JSON, unless it is asked for."""
    found = [*passed("stacks"), results.result("tls", catalog.FAILED, EVIDENCE, 2.5, 100.0)]
    about = {"account": "123456789012", "region": "eu-central-1"}
    masked = report.report(found, about, masked=True)
    for text in (masked["text"], masked["json"]):
        assert [secret for secret in SECRETS if secret in text] == []
        assert "eu-central-1" in text
    assert masked["failed"] == ["tls"]
    assert masked["counts"] == {"passed": 1, "failed": 1, "not here": 0, "not reached": 0}
    content = json.loads(masked["json"])
    assert set(content["checks"][0]) == {"name", "claim", "result", "evidence", "seconds"}
    assert "[failed] tls (2.5 s): " in masked["text"]
    plain = report.report(found, about, masked=False)
    assert EVIDENCE in plain["text"]
    assert json.loads(plain["json"])["account"] == "123456789012"
