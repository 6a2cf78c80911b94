# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: computes what a backend costs in a month, purely.

What is billed is counted from the resources of the templates: those of the backend once, those of
the projects' template for each project.
"""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account.prices import (
    LIST,
    PriceList,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

HOURS = 730
# Aurora's smallest capacity of a database that is awake.
SMALLEST = 0.5

Amounts = t.Counter[str]
Resources = t.Mapping[str, t.Mapping[str, t.Any]]


class Costs(t.NamedTuple):
    """What is billed in a month, by price: once, and for each project."""

    prices: t.Mapping[str, float]
    fixed: Amounts
    project: Amounts

    def dollars(self, what: t.Mapping[str, float]) -> float:
        """Return what amounts cost in a month."""
        return sum(self.prices[name] * amount for name, amount in what.items())

    def idle(self, count: int) -> float:
        """Return what a backend with so many idle projects costs in a month."""
        return self.dollars(self.fixed) + count * self.dollars(self.project)


def amounts(resources: Resources, prices: PriceList = LIST) -> Amounts:
    """Return what a stack's resources, by logical ID, are billed for in a month.

    Raises MlflowError for a type that is not in the list.
    """
    found: Amounts = Counter()
    for name, resource in resources.items():
        kind = resource["Type"]
        if kind not in prices.resources:
            raise MlflowError(
                f"Resource {name} has the type {kind}, which has no price; add it to _account/prices.py."
            )
        found.update(prices.resources[kind])
    return found


def costs(backend: Resources, one: Resources, two: Resources, prices: PriceList = LIST) -> Costs:
    """Return what is billed for a backend; one and two are the stacks of so many projects."""
    first, second = amounts(one, prices), amounts(two, prices)
    project = second - first
    return Costs(
        prices={name: price.dollars for name, price in prices.prices.items()},
        fixed=amounts(backend, prices) + (first - project) + Counter(prices.elsewhere),
        project=project,
    )
