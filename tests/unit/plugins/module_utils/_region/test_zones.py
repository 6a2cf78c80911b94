# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two availability zones that have what a backend consists of."""

from __future__ import annotations

import re

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._region.zones import choose_zones


@pytest.mark.parametrize(
    ("database", "by_type", "chosen"),
    [
        ("abc", {}, "ab"),
        ("cb", {}, "bc"),
        ("abc", {"t4g.nano": "bc"}, "bc"),
        ("abc", {"t4g.nano": "ac", "t3.large": "bc"}, "ac"),
        ("ab", {"t4g.nano": "b"}, "ab"),
        ("ab", {"t4g.nano": "bcd"}, "ab"),
    ],
)
def test_the_zones_that_offer_most(database: str, by_type: dict[str, str], chosen: str) -> None:
    """Of those that the database has; by name where they are equal, so that a rerun agrees."""
    types = {name: set(zones) for name, zones in by_type.items()}
    assert choose_zones(tuple(database), types, "eu") == tuple(chosen)


def test_a_cluster_needs_two() -> None:
    """AWS would refuse its subnet group."""
    sentence = "Region eu offers Aurora Serverless in 1 of the availability zones of this account"
    with pytest.raises(MlflowError, match=f"^{re.escape(sentence)}, and a cluster needs two; "):
        choose_zones(("a",), {}, "eu")


def test_an_instance_needs_one() -> None:
    """A relay or a host starts in either subnet."""
    sentence = "Instance type t4g.nano is not offered in the availability zones a and b"
    with pytest.raises(MlflowError, match=f"^{re.escape(sentence)} of the database; choose"):
        choose_zones(("a", "b"), {"t4g.nano": {"c"}}, "eu")
