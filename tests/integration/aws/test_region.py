# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mlflow_region_info, before a stand-in of RDS and EC2 that answers as AWS documents it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Modules
from ansible_collections.mlops.mlflow_aws.tests.parts.region import Region, Version, serving

REGION = "eu-central-2"
OLD, LTS, NEW = "8.0.mysql_aurora.3.08.0", "8.0.mysql_aurora.3.10.4", "8.4.mysql_aurora.8.4.8"


@pytest.fixture
def region() -> Region:
    """Return a region of Europe without the Data API, where the relay is in two zones."""
    return Region(
        REGION,
        {
            OLD: Version({LTS: False, NEW: True}, available=False),
            LTS: Version({NEW: True}),
            NEW: Version(data_api=False),
            "5.7.mysql_aurora.2.12.6": Version(),
        },
        types={"t4g.nano": "bc", "t3.medium": "abc"},
    )


@pytest.fixture
def url(region: Region) -> Iterator[str]:
    """Serve it."""
    with serving(region) as address:
        yield address


def ask(modules: Modules, url: str, **options: Any) -> dict[str, Any]:
    """Run the module as in a playbook's first dry run."""
    given = {"region": REGION, "endpoint_url": url, **options}
    how = {"python": sys.executable, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    said: dict[str, Any] = modules.call("mlflow_region_info", given, check=True, **how)
    assert said["changed"] is False
    return said


def refused(modules: Modules, url: str, **options: Any) -> str:
    """Run the module and return its one sentence."""
    given = {"region": REGION, "endpoint_url": url, **options}
    return modules.refuse(
        "mlflow_region_info",
        given,
        python=sys.executable,
        AWS_ACCESS_KEY_ID="a",
        AWS_SECRET_ACCESS_KEY="b",
    )


def test_a_new_backend(modules: Modules, url: str) -> None:
    """The newest LTS, zones that have the relay too, and what the region lacks."""
    said = ask(modules, url, choose_zones=True, instance_types=["t4g.nano", "t3.medium"])
    assert said["parameters"] == {
        "EngineVersion": NEW,
        "DataApi": "false",
        "AvailabilityZones": f"{REGION}b,{REGION}c",
    }
    assert [entry["engine_version"] for entry in said["versions"]] == [NEW, LTS]
    assert said["database"] == said["versions"][0]
    (note,) = said["notes"]
    assert note.startswith(f"Region {REGION} has no RDS Data API for this database, so ")


def test_a_wish(modules: Modules, url: str) -> None:
    """Its own features count; nothing is asked about zones of a VPC that is there."""
    said = ask(modules, url, engine_version=LTS)
    assert said["parameters"] == {"EngineVersion": LTS, "DataApi": "true"}
    assert said["notes"] == []


def test_a_wish_that_is_not_there(modules: Modules, url: str) -> None:
    """The version that this collection once named."""
    said = refused(modules, url, engine_version="8.0.mysql_aurora.3.10.6")
    assert "does not offer Aurora MySQL 8.0.mysql_aurora.3.10.6" in said
    assert f"set EngineVersion to {NEW} or {LTS}, or leave it out." in said


def test_a_data_api_that_is_not_there(modules: Modules, url: str) -> None:
    """AWS would fail the cluster a quarter of an hour later."""
    said = refused(modules, url, data_api=True)
    assert said.startswith(f"Region {REGION} has no RDS Data API for Aurora MySQL {NEW}; leave")


def test_a_cluster_stays_what_it_is(modules: Modules, url: str, region: Region) -> None:
    """Whatever is newer, and at a version that new clusters can no longer have."""
    region.clusters["ours"] = OLD
    said = ask(modules, url, cluster="ours", engine_version=OLD)
    assert (said["database"], said["parameters"], said["notes"]) == ({}, {}, [])
    assert "DescribeInstanceTypeOfferings" not in region.calls


def test_a_cluster_moves_where_aws_lets_it(modules: Modules, url: str, region: Region) -> None:
    """A major upgrade is told as one; a way back there is none."""
    region.clusters |= {"ours": OLD, "new": NEW}
    (note,) = ask(modules, url, cluster="ours", engine_version=NEW)["notes"]
    assert note.startswith(f"EngineVersion changes from {OLD} to {NEW}, a major upgrade: ")
    back = refused(modules, url, cluster="new", engine_version=LTS)
    assert back.startswith(f"The cluster 'new' runs Aurora MySQL {NEW}, which cannot become {LTS};")


def test_what_aws_denies_is_told(modules: Modules, url: str, region: Region) -> None:
    """With the permission that is missing."""
    region.denied = "DescribeOrderableDBInstanceOptions"
    said = refused(modules, url)
    assert said.startswith("Cannot list the versions of Aurora MySQL: AWS denied rds:Describe")
    assert re.search(r"rds:DescribeOrderableDBInstanceOptions on \* to arn:\S+:user/ada", said)
