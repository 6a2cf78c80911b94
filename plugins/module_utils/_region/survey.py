# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what a new backend takes of a region, or an upgrade of an old one."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._region.versions import (
    Offer,
    choose,
    offers,
    require_upgrade,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._region.zones import choose_zones


class Api(t.Protocol):
    """What a survey asks; see api.RegionApi."""

    region: str

    def engine_versions(self) -> list[dict[str, t.Any]]: ...

    def instance_options(self) -> list[dict[str, t.Any]]: ...

    def upgrade_targets(self, version: str) -> list[dict[str, t.Any]]: ...

    def cluster_version(self, cluster: str) -> str: ...

    def zones_of_types(self, types: t.Sequence[str]) -> dict[str, set[str]]: ...


class Question(t.NamedTuple):
    """What is to be found out.

    wanted: version of the inventory, or empty; cluster: identifier of an existing cluster, or
    empty; pauses: whether the database is to pause; zones: whether to choose availability
    zones; types: instance types that these are to offer; data_api: whether the RDS Data API is
    to be on, None where the region has it.
    """

    wanted: str
    cluster: str
    pauses: bool
    zones: bool
    types: t.Sequence[str]
    data_api: bool | None = None


def survey(api: Api, question: Question) -> dict[str, t.Any]:
    """Return the result of mlflow_region_info; its form is the documentation of that module."""
    found = offers(api.engine_versions(), api.instance_options())
    answer = _upgrade if question.cluster else _new
    offer, parameters, notes = answer(api, question, found)
    return {
        "region": api.region,
        "versions": [_record(entry) for entry in found],
        "database": _record(offer) if offer else {},
        "parameters": parameters,
        "notes": notes,
    }


_Answer = tuple[t.Optional[Offer], dict[str, str], list[str]]


def _new(api: Api, question: Question, found: t.Sequence[Offer]) -> _Answer:
    """Return what a new cluster is to be, and the template's parameters for it."""
    offer = choose(found, question.wanted, question.pauses, api.region)
    if question.data_api and not offer.data_api:
        raise MlflowError(
            f"Region {api.region} has no RDS Data API for Aurora MySQL {offer.version}; leave DataApi out, and "
            "mlflow_project_transport too."
        )
    parameters = {"EngineVersion": offer.version, "DataApi": str(offer.data_api).lower()}
    if question.zones:
        types = api.zones_of_types(question.types)
        parameters["AvailabilityZones"] = ",".join(choose_zones(offer.zones, types, api.region))
    told = offer.data_api or question.data_api is False
    return offer, parameters, [] if told else [_no_data_api(api.region)]


def _upgrade(api: Api, question: Question, found: t.Sequence[Offer]) -> _Answer:
    """Return what a cluster is to become; without a wish it stays, at whatever version it has."""
    current = api.cluster_version(question.cluster)
    if question.wanted in ("", current):
        return None, {}, []
    targets = api.upgrade_targets(current)
    major = require_upgrade(current, question.wanted, question.cluster, targets)
    offer = choose(found, question.wanted, question.pauses, api.region)
    return offer, {}, [_major(current, offer.version)] if major else []


def _record(offer: Offer) -> dict[str, t.Any]:
    """Return an offer as a dictionary for Ansible."""
    return {
        "engine_version": offer.version,
        "family": offer.family,
        "pauses": offer.pauses,
        "availability_zones": list(offer.zones),
        "data_api": offer.data_api,
        "iam_authentication": offer.iam,
        "performance_insights": offer.insights,
    }


def _major(current: str, wanted: str) -> str:
    """Return the note on an upgrade that there is no way back from."""
    return (
        f"EngineVersion changes from {current} to {wanted}, a major upgrade: the database is down meanwhile, and "
        "only a snapshot leads back. Rehearse it on a clone first, as docs/aws.md describes."
    )


def _no_data_api(region: str) -> str:
    """Return the note on a region where schemas need a connection to MySQL."""
    return (
        f"Region {region} has no RDS Data API for this database, so the control node creates schemas and users "
        "through a connection to MySQL (mlflow_project_transport: mysql) and needs a network path to it."
    )
