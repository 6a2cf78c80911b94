# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: an estimate of what a backend on AWS costs in the current month, purely.

List prices times what the templates create, what CloudWatch measured of the database, and the bytes that
were counted. AWS's bill is not asked: a request for it costs money, and it lags by a day.
"""

from __future__ import annotations

import calendar
import typing as t
from collections import Counter

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account import costs, lines
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account.prices import LIST
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.evaluation import (
    template_resources,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template import (
    parse_template,
)

_GB = 1_000_000_000
_DAY_HOURS = 24
_STORED = ("database_gb", "backup_gb", "object_gb", "image_gb")
NOT_INCLUDED = (
    "Not included: requests, data transfer, logs, EC2 hosts, discounts, free tiers and taxes"
)

Record = t.Mapping[str, t.Any]


class Basis(t.NamedTuple):
    """What an estimate rests on.

    parameters: of the backend's stack; logins: how each project logs in; templates: text of the
    templates backend and projects; database: as mlflow_database_info returns it; stored: bytes of
    artifacts and backups, None if they were not counted.
    """

    parameters: t.Mapping[str, str]
    logins: t.Sequence[str]
    templates: t.Mapping[str, str]
    database: Record
    stored: int | None


def estimate(basis: Basis) -> dict[str, t.Any]:
    """Return the estimate: dollars of the whole month, its parts, and sentences about what it rests on."""
    fixed, storage = _amounts(basis)
    prices = {name: price.dollars for name, price in LIST.prices.items()}
    parts = {
        "Keys, secrets and alarms": _dollars(fixed, prices),
        "Storage": _dollars(storage, prices),
    }
    rests = [f"List prices of {LIST.region} as of {LIST.read}, in US dollars"]
    rests.append(_storage_sentence(basis))
    so_far = None
    if basis.database.get("cluster"):
        hours, sentence = _capacity(basis.database)
        rests.append(sentence)
        if hours is not None:
            parts["Database capacity"] = hours * prices["acu_hour"]
            so_far = round(basis.database["acu_hours"] * prices["acu_hour"], 2)
    else:
        rests.append("The existing database is not included")
    rests.append(NOT_INCLUDED)
    return {
        "month": basis.database.get("month", ""),
        "dollars": round(sum(parts.values()), 2),
        "capacity_so_far": so_far,
        "parts": [{"name": name, "dollars": round(value, 2)} for name, value in parts.items()],
        "rests_on": rests,
    }


def _amounts(basis: Basis) -> tuple[costs.Amounts, dict[str, float]]:
    """Return what is billed whatever is stored, and what is stored, by price."""
    backend = template_resources(parse_template(basis.templates["backend"]), basis.parameters)
    content = parse_template(basis.templates["projects"])
    counts = lines.counted(basis.logins)
    total: costs.Amounts = Counter()
    for number, (login, count) in enumerate((counts or {"iam": 0}).items()):
        one, two = (
            template_resources(content, {"Projects": names, "DatabaseLogin": login})
            for names in ("a", "a,b")
        )
        found = costs.costs(backend, one, two)
        if number == 0:
            total.update(found.fixed)
        for name, amount in found.project.items():
            total[name] += amount * count
    storage = {name: float(total.pop(name)) for name in _STORED if name in total}
    if basis.database.get("storage_bytes") is not None and "database_gb" in storage:
        size = basis.database["storage_bytes"] / _GB
        # RDS's own backups in the proportion of the price list.
        ratio = storage.get("backup_gb", 0.0) / storage["database_gb"]
        storage |= {"database_gb": size, "backup_gb": size * ratio}
    if basis.stored is not None:
        storage["object_gb"] = basis.stored / _GB
    return total, storage


def _storage_sentence(basis: Basis) -> str:
    """Return what the storage rests on."""
    measured = []
    if basis.database.get("storage_bytes") is not None:
        measured.append("the database as CloudWatch measured it")
    if basis.stored is not None:
        measured.append("the artifacts and newest backups as they are now")
    if not measured:
        return "Storage: a small amount is assumed, as it could not be read"
    return f"Storage: {', '.join(measured)}, for the whole month"


def _capacity(database: Record) -> tuple[float | None, str]:
    """Return the ACU hours of the whole month, None if nothing was measured, and on what they rest."""
    used, measured = database.get("acu_hours"), database.get("measured_hours") or 0.0
    if used is None or not measured:
        return None, "The database's capacity is not included, as CloudWatch reported none"
    left = _hours_left(database)
    whole = used + used / measured * left
    sentence = (
        f"Capacity: {used:.1f} ACU hours measured in {measured:.0f} hours of {database['month']}, and as "
        f"many an hour for the {left:.0f} hours that are left of it: {whole:.1f}"
    )
    if measured < _DAY_HOURS:
        sentence += "; that is less than a day, so expect another figure tomorrow"
    return whole, sentence


def _hours_left(database: Record) -> float:
    """Return the hours of the month that are still to come."""
    year, month = map(int, database["month"].split("-"))
    return max(
        0.0, calendar.monthrange(year, month)[1] * _DAY_HOURS - float(database["hours_gone"])
    )


def _dollars(amounts: t.Mapping[str, float], prices: t.Mapping[str, float]) -> float:
    """Return what amounts cost."""
    return sum(prices[name] * amount for name, amount in amounts.items())
