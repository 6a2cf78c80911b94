# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: which Aurora MySQL a region offers, and which of them to take.

Pure: it works on what DescribeDBEngineVersions and DescribeOrderableDBInstanceOptions return.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

# Equal to the pattern of the template's parameter EngineVersion.
SUPPORTED = re.compile(r"8\.(4\.mysql_aurora\.8\.4|0\.mysql_aurora\.3\.(0[89]|[1-9][0-9]))\.[0-9]+")
# Lines with long-term support, best first: MySQL's own LTS, and Aurora's LTS of line 3.
LONG_TERM = ("8.4.mysql_aurora.8.4.", "8.0.mysql_aurora.3.10.")
_SHOWN = 6


class Offer(t.NamedTuple):
    """A version of Aurora MySQL that runs as Aurora Serverless in a region.

    pauses: whether MinCapacity 0 is allowed; zones: availability zones with db.serverless;
    data_api, iam, insights: whether it has the RDS Data API, IAM login, Performance Insights.
    """

    version: str
    family: str
    pauses: bool
    zones: tuple[str, ...]
    data_api: bool
    iam: bool
    insights: bool


def offers(
    versions: t.Iterable[t.Mapping[str, t.Any]], options: t.Iterable[t.Mapping[str, t.Any]]
) -> list[Offer]:
    """Return what the template supports of a region's versions, best first.

    versions and options are the entries that AWS returns of Aurora MySQL's engine versions, and
    of the instance options of the class db.serverless.
    """
    classes = {option["EngineVersion"]: option for option in options}
    found = [
        _offer(version, classes[version["EngineVersion"]])
        for version in versions
        if version["EngineVersion"] in classes and SUPPORTED.fullmatch(version["EngineVersion"])
    ]
    return sorted(found, key=lambda offer: _rank(offer.version), reverse=True)


def choose(found: t.Sequence[Offer], wanted: str, pauses: bool, region: str) -> Offer:
    """Return the offer of the wanted version, or if that is empty the best one.

    pauses: whether the database is to pause. Raises MlflowError if there is none.
    """
    fitting = [offer for offer in found if offer.pauses or not pauses]
    if wanted:
        return _named(found, fitting, wanted, region)
    if not fitting:
        raise MlflowError(
            f"Region {region} offers no Aurora MySQL that the template supports as Aurora Serverless; choose "
            "another region, or an existing database with ExistingDatabaseEndpoint."
        )
    return fitting[0]


def require_upgrade(
    current: str, wanted: str, cluster: str, targets: t.Iterable[t.Mapping[str, t.Any]]
) -> bool:
    """Refuse an upgrade that AWS does not allow; return whether it is one to another major line.

    targets are the entries ValidUpgradeTarget of the current version.
    """
    allowed = {target["EngineVersion"]: target for target in targets}
    if wanted in allowed:
        return bool(allowed[wanted].get("IsMajorVersionUpgrade"))
    usable = sorted(filter(SUPPORTED.fullmatch, allowed), key=_rank, reverse=True)
    raise MlflowError(
        f"The cluster '{cluster}' runs Aurora MySQL {current}, which cannot become {wanted}; set EngineVersion "
        + (
            f"to {_listed(usable)}, or leave it out."
            if usable
            else "to that version, or leave it out."
        )
    )


def _named(found: t.Sequence[Offer], fitting: t.Sequence[Offer], wanted: str, region: str) -> Offer:
    """Return the offer of a version that the user named."""
    for offer in fitting:
        if offer.version == wanted:
            return offer
    names = _listed([offer.version for offer in fitting]) or "a version of another region"
    if wanted in (offer.version for offer in found):
        raise MlflowError(
            f"Aurora MySQL {wanted} cannot pause, as MinCapacity 0 requires; set EngineVersion to {names}, or "
            "MinCapacity to 0.5."
        )
    raise MlflowError(
        f"Region {region} does not offer Aurora MySQL {wanted} as Aurora Serverless; set EngineVersion to "
        f"{names}, or leave it out."
    )


def _offer(version: t.Mapping[str, t.Any], option: t.Mapping[str, t.Any]) -> Offer:
    """Return a version and what the instance class has with it."""
    support = version.get("ServerlessV2FeaturesSupport") or {}
    return Offer(
        version=version["EngineVersion"],
        family=version.get("DBParameterGroupFamily", ""),
        # Every supported version pauses by AWS's documents; the service knows better.
        pauses=not support.get("MinCapacity"),
        zones=tuple(sorted(zone["Name"] for zone in option.get("AvailabilityZones") or [])),
        data_api=bool(option.get("SupportsHttpEndpoint", True)),
        iam=bool(option.get("SupportsIAMDatabaseAuthentication", True)),
        insights=bool(option.get("SupportsPerformanceInsights", True)),
    )


def _rank(version: str) -> tuple[int, list[int]]:
    """Return how good a version is: long-term support first, then the newest."""
    line = next((n for n, start in enumerate(LONG_TERM) if version.startswith(start)), None)
    numbers = [int(number) for number in re.findall(r"[0-9]+", version)]
    return (0 if line is None else len(LONG_TERM) - line, numbers)


def _listed(names: t.Sequence[str]) -> str:
    """Return the first names as they stand in a sentence."""
    *most, last = names[:_SHOWN] or [""]
    return f"{', '.join(most)} or {last}" if most else last
