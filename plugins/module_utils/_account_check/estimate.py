# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what a verification of an account costs, from list prices, purely."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account.prices import LIST

HOURS_A_MONTH = 730
# Aurora capacity units while the database is awake: its least, and what a start takes at times.
_UNITS = (0.5, 4.0)
_DISK_GB = 30 + 8


def estimate(minutes: float, hosts: int) -> dict[str, t.Any]:
    """Return what a run of so many minutes costs in US dollars: terms, low and high.

    AWS bills a host for a minute at least, and a key and a secret by the hour.
    """
    hours = minutes / 60

    def price(name: str) -> float:
        return LIST.prices[name].dollars

    terms = {
        "database": tuple(units * hours * price("acu_hour") for units in _UNITS),
        "key": _both(price("key") / HOURS_A_MONTH),
        "secrets": _both(5 * price("secret") / HOURS_A_MONTH),
        "host": _both(hosts * hours * (price("t3_medium_hour") + price("address_hour"))),
        "relay": _both(hours * (price("t4g_nano_hour") + price("address_hour"))),
        "disks": _both(_DISK_GB * hours * price("disk_gb") / HOURS_A_MONTH),
        "image": _both(2 * 0.3 * hours * price("image_gb") / HOURS_A_MONTH),
    }
    low, high = (sum(bounds[side] for bounds in terms.values()) for side in (0, 1))
    return {
        "terms": {name: [round(low, 4), round(high, 4)] for name, (low, high) in terms.items()},
        "low": round(low, 2),
        "high": round(high, 2),
        "minutes": minutes,
    }


def _both(dollars: float) -> tuple[float, float]:
    """Return what does not depend on the load."""
    return dollars, dollars
