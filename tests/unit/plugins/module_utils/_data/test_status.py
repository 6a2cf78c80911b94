# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of all projects: the document, its table and its page, and the estimate of the costs."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import usage
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data import (
    charts,
    estimate,
    status,
    status_page,
    status_table,
)
from ansible_collections.mlops.mlflow_aws.tests.parts import status_sample as sample

LOCAL = {"kind": "local", "state_dir": "/srv/mlflow"}
EVIL = "<script>alert('x')</script>\" onload=\"y & z"


def local_host(name: str, *projects: str, failure: str = "") -> status.Host:
    """Return a host with projects of its own."""
    records = [sample.record(project) for project in projects]
    found = [] if failure else [sample.told(project) for project in projects]
    return status.Host(name, records, [], found, failure)


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        """Read it."""
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag, which must be closed unless it is empty."""
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that ends itself."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """End the one that was opened last."""
        assert self.open.pop() == tag


def test_every_project_has_a_row() -> None:
    """Those that are stopped, absent, dead and not in the list, too."""
    document = sample.document()
    states = {row["name"]: row["state"] for row in document["projects"]}
    assert states["churn"] == "present"
    assert (states["sandbox"], states["old-experiments"]) == ("stopped", "absent")
    assert states["thesis"] == "unlisted"
    rows = {row["name"]: row for row in document["projects"]}
    assert rows["pricing"]["error"] == sample.DEAD
    assert document["problems"] == [sample.DEAD]
    assert rows["churn"]["users"] == [["server at 10.0.1.17", 2]]
    assert json.loads(json.dumps(document)) == document


def test_one_backend_is_told_once() -> None:
    """On AWS any host has read it for all; local hosts have their own projects."""
    found = [sample.told("churn")]
    hosts = [
        status.Host(name, [sample.record("churn")], [], found, "") for name in ("ada", "grace")
    ]
    aws = status.Account(sample.database(), False, None, [])
    backend = {"kind": "aws", "region": "eu-central-1", "artifact_root": "s3://x"}
    assert [row["host"] for row in status.document(hosts, backend, aws, 0)["projects"]] == [""]
    own = [local_host("ada", "churn"), local_host("grace", "churn", failure="it is gone")]
    document = status.document(own, LOCAL, None, sample.NOW)
    assert [row["host"] for row in document["projects"]] == ["ada", "grace"]
    assert document["problems"] == ["grace: it is gone"]
    lines = status_table.table(document)
    assert lines[0].startswith("HOST")
    assert lines[-1] == "Not read: grace: it is gone"
    assert (document["database"], document["cost"]) == (None, None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"min_capacity": 0.5}, "MinCapacity is 0.5, so it never pauses"),
        ({"min_capacity": None}, "Whether it can pause is not known."),
        ({"cluster": ""}, "The database is an existing one"),
        ({}, "The job runner of recommender queries it"),
        ({}, "Connected now: churn (2 x server at 10.0.1.17)"),
        ({}, "Connected to no project: 1 x admin at 10.0.9.4."),
    ],
)
def test_what_keeps_the_database_awake(changes: dict[str, Any], said: str) -> None:
    """Each reason is a sentence, in the table and on the page."""
    document = sample.document(**changes)
    assert any(reason.startswith(said) for reason in document["database"]["awake_by"])
    assert said in " ".join(status_table.table(document))
    assert said in status_page.page(document)


def test_nothing_keeps_a_paused_database_awake() -> None:
    """It is said to be paused."""
    names = ("churn", "sandbox")
    document = sample.document(names, capacity=0.0, sessions=[])
    assert document["database"]["asleep"] is True
    assert document["database"]["awake_by"] == []
    line = next(line for line in status_table.table(document) if line.startswith("Database"))
    assert line.startswith("Database: paused, of 0 to 4 ACU; it pauses after 300 seconds")


def test_the_estimate_adds_up() -> None:
    """Measured hours go on for the rest of the month, and each part is told."""
    basis = sample.basis(
        database=sample.database(acu_hours=100.0, measured_hours=360.0, hours_gone=360.0)
    )
    found = estimate.estimate(basis)
    parts = {part["name"]: part["dollars"] for part in found["parts"]}
    # 200 hours in a month of 720 at 0.12.
    assert parts["Database capacity"] == pytest.approx(24.0)
    assert found["capacity_so_far"] == pytest.approx(12.0)
    # 5.3 GB of the database, twice that of backups, 100 GB of objects, 0.3 GB of the image.
    assert parts["Storage"] == pytest.approx(0.53 + 10.6 * 0.021 + 2.3 + 0.03, abs=0.01)
    assert found["dollars"] == pytest.approx(sum(parts.values()), abs=0.02)
    assert found["rests_on"][-1] == estimate.NOT_INCLUDED
    assert any(
        "100.0 ACU hours measured in 360 hours of 2026-11" in one for one in found["rests_on"]
    )


def test_the_estimate_says_what_it_does_not_know() -> None:
    """Without metrics, bytes or a cluster it rests on less, and says so."""
    nothing = sample.database(acu_hours=None, measured_hours=0.0, storage_bytes=None)
    found = estimate.estimate(sample.basis(database=nothing, stored=None))
    said = " ".join(found["rests_on"])
    assert "not included, as CloudWatch reported none" in said
    assert "a small amount is assumed" in said
    assert [part["name"] for part in found["parts"]] == ["Keys, secrets and alarms", "Storage"]
    found = estimate.estimate(sample.basis(database={"cluster": ""}))
    assert "The existing database is not included" in found["rests_on"]
    young = sample.database(acu_hours=1.0, measured_hours=2.0, hours_gone=2.0)
    said = " ".join(estimate.estimate(sample.basis(database=young))["rests_on"])
    assert "that is less than a day" in said


def test_hours_count_by_their_averages() -> None:
    """The hour that is not over counts by its part, and days are those of the month."""
    begin = usage.month_start(sample.NOW)
    hour = 3600
    points = {
        usage.CAPACITY: [(begin, 2.0), (begin + hour, 4.0), (begin + 24 * hour, 1.0)],
        usage.STORAGE: [(begin, 10.0), (begin + hour, 20.0)],
    }
    found = usage.so_far(points, begin, begin + 24 * hour + hour // 2)
    assert found == {
        "acu_hours": 6.5,
        "measured_hours": 24.5,
        "days": [[1, 6.0], [2, 0.5]],
        "storage_bytes": 20,
    }
    nothing = usage.so_far({usage.CAPACITY: [], usage.STORAGE: []}, begin, begin + 1)
    assert (nothing["acu_hours"], nothing["storage_bytes"]) == (None, None)


def test_the_page_is_whole_and_asks_for_nothing() -> None:
    """One file: no script, and no address but data."""
    text = status_page.page(sample.document())
    page = Page(text)
    tags = [tag for tag, _attributes in page.tags]
    assert not {"script", "img", "iframe", "object", "form"} & set(tags)
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            assert attributes.get(name) in (None, "data:,"), tag
    assert "url(" not in text
    assert "@import" not in text
    policy = next(one for _tag, one in page.tags if one.get("http-equiv"))
    assert str(policy["content"]).startswith("default-src 'none'")


def test_the_page_can_be_read_by_anybody() -> None:
    """It has a language, a title, one heading of the first level, heads of tables, and charts in words."""
    text = status_page.page(sample.document())
    page = Page(text)
    tags = [tag for tag, _attributes in page.tags]
    assert dict(page.tags)["html"]["lang"] == "en"
    assert tags.count("h1") == 1
    for attributes in (one for tag, one in page.tags if tag == "th"):
        assert attributes["scope"] in ("col", "row")
    identifiers = [one["id"] for _tag, one in page.tags if "id" in one]
    assert len(identifiers) == len(set(identifiers))
    drawn = [one for tag, one in page.tags if tag == "svg"]
    assert len(drawn) == 4
    for attributes in drawn:
        assert attributes["role"] == "img"
        assert set(str(attributes["aria-labelledby"]).split()) <= set(identifiers)
    assert tags.count("caption") == tags.count("table")


def test_texts_of_users_stay_texts() -> None:
    """Descriptions, owners, errors and places are escaped, in attributes too."""
    host = status.Host(
        EVIL,
        [{**sample.record("churn"), "description": EVIL, "owner": EVIL}],
        [{"name": EVIL, "place": EVIL}],
        [{**sample.told("churn"), "error": EVIL, "mlflow": EVIL, "revision": EVIL}],
        "",
    )
    backend = {"kind": "local", "state_dir": EVIL}
    document = status.document([host, local_host("b", "sandbox")], backend, None, sample.NOW)
    text = status_page.page(document)
    assert "<script" not in text
    assert 'onload="' not in text
    assert text.count("&lt;script&gt;") > 5
    Page(text)


def test_many_bars_become_a_line() -> None:
    """The longest are drawn."""
    bars = [charts.Bar(f"p{number}", number, str(number)) for number in range(30)]
    drawn = charts.bars("x", "X", bars, lambda value: f"{value:.0f}")
    assert drawn.count('class="bar"') == charts.MOST_BARS
    assert "And 18 more, each at most 17." in drawn
    assert charts.bars("x", "X", [], str) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s"), (130, "2 min"), (7200, "2 h"), (90_000, "25 h"), (172_800, "2 d")],
)
def test_ages(seconds: int, text: str) -> None:
    """In the largest unit of which there are two."""
    assert status_table.age(seconds) == text


def test_the_table_shows_checksums_that_were_asked_for() -> None:
    """Equal content has an equal checksum, whatever the order of tables."""
    document = sample.document(("churn", "sandbox"))
    assert "CONTENT" not in status_table.table(document)[0]
    sums = {"runs": "1" * 32, "metrics": "2" * 32}
    document["projects"][0]["checksums"] = sums
    document["projects"][1]["checksums"] = dict(reversed(sums.items()))
    head, first, second, *_rest = status_table.table(document)
    assert "CONTENT" in head
    [one] = re.findall(r"\b[0-9a-f]{8}\b", first)
    assert one in second


def test_what_absent_projects_are_read_from() -> None:
    """On AWS they have no database user any more; local ones have a file."""
    backend = {"kind": "aws", "artifact_root": "s3://b", "kept": [sample.KEPT], "projects": {}}
    records = [sample.record(name) for name in ("churn", "old-experiments")]
    found = status.targets(backend, records)
    assert [(one["name"], one["backend_store_uri"]) for one in found] == [
        ("old-experiments", ""),
        ("thesis", ""),
    ]
    assert found[0]["artifacts_destination"] == "s3://b/projects/old-experiments"
    [own] = status.targets(LOCAL, records)
    assert own["backend_store_uri"] == "sqlite:////srv/mlflow/projects/old-experiments/mlflow.db"
