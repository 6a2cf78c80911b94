# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Aurora MySQL a region offers, and which of them is taken."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._region import versions
from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation._deployed import load

OLD, LTS, NEWER, NEW, NEWEST = (
    "8.0.mysql_aurora.3.08.2",
    "8.0.mysql_aurora.3.10.4",
    "8.0.mysql_aurora.3.12.0",
    "8.4.mysql_aurora.8.4.8",
    "8.4.mysql_aurora.8.4.10",
)


def version(name: str, minimum: float | None = 0.0) -> dict[str, Any]:
    """Return an engine version as AWS describes it, with the least capacity that it can have."""
    support = {} if minimum is None else {"ServerlessV2FeaturesSupport": {"MinCapacity": minimum}}
    return {"EngineVersion": name, "DBParameterGroupFamily": f"aurora-mysql{name[:3]}"} | support


def option(name: str, **more: Any) -> dict[str, Any]:
    """Return an instance option as AWS describes it."""
    zones = [{"Name": f"eu-central-1{letter}"} for letter in "ba"]
    return {"EngineVersion": name, "AvailabilityZones": zones, "SupportsHttpEndpoint": True} | more


def offered(*names: str) -> list[versions.Offer]:
    """Return the offers of a region with these versions."""
    return versions.offers(map(version, names), map(option, names))


def test_supported_is_what_the_template_accepts() -> None:
    """One pattern in two languages."""
    pattern = load("backend")["Parameters"]["EngineVersion"]["AllowedPattern"]
    assert pattern == f"^{versions.SUPPORTED.pattern}$"


def test_the_templates_default_is_of_the_best_line() -> None:
    """Used on its own it takes what the role would, as far as a text can."""
    default = load("backend")["Parameters"]["EngineVersion"]["Default"]
    assert default.startswith(versions.LONG_TERM[0])


def test_offers_come_best_first() -> None:
    """MySQL 8.4 LTS, Aurora's LTS, the rest; of each the newest, by number and not by letter."""
    found = offered(OLD, NEWER, NEW, LTS, NEWEST, "8.0.mysql_aurora.3.10.10")
    assert [offer.version for offer in found] == [
        NEWEST,
        NEW,
        "8.0.mysql_aurora.3.10.10",
        LTS,
        NEWER,
        OLD,
    ]


def test_what_an_offer_says() -> None:
    """Capacity and family are the version's, the rest is the instance class's."""
    (offer,) = versions.offers(
        [version(NEW)],
        [option(NEW, SupportsHttpEndpoint=False, SupportsIAMDatabaseAuthentication=True)],
    )
    zones = ("eu-central-1a", "eu-central-1b")
    assert offer == (NEW, "aurora-mysql8.4", True, zones, False, True, True)


def test_what_does_not_run_serverless_is_not_offered() -> None:
    """Nor is what the template does not know, such as a line that is too old or too new."""
    unknown = ["8.0.mysql_aurora.3.04.6", "5.7.mysql_aurora.2.12.6", "9.7.mysql_aurora.9.7.1"]
    names = [*unknown, LTS, NEW]
    found = versions.offers(map(version, names), map(option, [*unknown, LTS]))
    assert [offer.version for offer in found] == [LTS]


@pytest.mark.parametrize(("minimum", "pauses"), [(0.0, True), (0.5, False), (None, True)])
def test_who_pauses(minimum: float | None, pauses: bool) -> None:
    """AWS says it by the least capacity; where it says nothing, its documents hold."""
    (offer,) = versions.offers([version(NEW, minimum)], [option(NEW)])
    assert offer.pauses is pauses


def test_without_a_wish_the_best_that_pauses() -> None:
    """A database that is not to pause takes the best of all."""
    found = versions.offers([version(NEW, 0.5), version(LTS)], map(option, (NEW, LTS)))
    assert versions.choose(found, "", True, "eu-central-1").version == LTS
    assert versions.choose(found, "", False, "eu-central-1").version == NEW


def test_a_wish_is_kept() -> None:
    """Whatever else would be better."""
    assert versions.choose(offered(OLD, NEW), OLD, True, "eu-central-1").version == OLD


GONE = "8.0.mysql_aurora.3.10.6"
NOT_OFFERED = (
    f"Region eu-central-1 does not offer Aurora MySQL {GONE} as Aurora Serverless; set EngineVersion "
    f"to {NEW} or {LTS}, or leave it out."
)
NOTHING_OFFERED = (
    "Region eu-central-1 offers no Aurora MySQL that the template supports as Aurora Serverless; "
    "choose another region, or an existing database with ExistingDatabaseEndpoint."
)


@pytest.mark.parametrize(
    ("names", "wanted", "sentence"),
    [([LTS, NEW], GONE, NOT_OFFERED), ([], "", NOTHING_OFFERED)],
)
def test_what_is_not_there(names: list[str], wanted: str, sentence: str) -> None:
    """One sentence that names what is."""
    with pytest.raises(MlflowError, match=f"^{re.escape(sentence)}$"):
        versions.choose(offered(*names), wanted, True, "eu-central-1")


def test_what_cannot_pause() -> None:
    """The two ways out."""
    found = versions.offers([version(NEW, 0.5), version(LTS)], map(option, (NEW, LTS)))
    sentence = (
        f"Aurora MySQL {NEW} cannot pause, as MinCapacity 0 requires; set EngineVersion to {LTS}, or "
        "MinCapacity to 0.5."
    )
    with pytest.raises(MlflowError, match=f"^{re.escape(sentence)}$"):
        versions.choose(found, NEW, True, "eu-central-1")


def test_only_the_best_are_named() -> None:
    """A region has dozens of versions."""
    names = [f"8.0.mysql_aurora.3.1{number}.0" for number in range(9)]
    with pytest.raises(MlflowError) as caught:
        versions.choose(offered(*names), NEW, True, "eu-central-1")
    # And the one that is not there.
    assert str(caught.value).count("mysql_aurora") == 1 + 6


def test_an_upgrade_is_one_that_aws_allows() -> None:
    """And it is known whether there is a way back."""
    targets = [
        {"EngineVersion": NEWER, "IsMajorVersionUpgrade": False},
        {"EngineVersion": NEW, "IsMajorVersionUpgrade": True},
    ]
    assert versions.require_upgrade(LTS, NEWER, "c", targets) is False
    assert versions.require_upgrade(LTS, NEW, "c", targets) is True
    sentence = (
        f"The cluster 'c' runs Aurora MySQL {LTS}, which cannot become {OLD}; set EngineVersion to "
        f"{NEW} or {NEWER}, or leave it out."
    )
    with pytest.raises(MlflowError, match=f"^{re.escape(sentence)}$"):
        versions.require_upgrade(LTS, OLD, "c", targets)
    with pytest.raises(MlflowError, match="set EngineVersion to that version, or leave it out"):
        versions.require_upgrade(NEWEST, LTS, "c", [])
