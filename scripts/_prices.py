"""Compute what a backend costs in a month, or write that into docs/aws.md.

The templates are evaluated as their tests do it; plugins/module_utils/_account/prices.py says what
an idle resource of each type is billed for. Runs in the environment of requirements/test.txt, which
scripts/prices prepares.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account import costs as account
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account.costs import (
    HOURS,
    SMALLEST,
    Amounts,
    Costs,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account.prices import (
    LIST,
    PriceList,
)
from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation._deployed import deploy
from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation.test_hosts import hosts
from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation.test_templates import projects

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "aws.md"
BEGIN, END = "<!-- Written by scripts/prices --docs. -->\n", "<!-- End of what it writes. -->\n"
USUAL = 10
IAM, PASSWORD = "iam", "password"
_ADDRESS = "team@example.com"
_NAMES = {
    "key": "KMS key",
    "secret": "Secrets",
    "alarm": "Alarms",
    "database_gb": "Database, GB",
    "backup_gb": "Backups, GB",
    "object_gb": "Artifacts, GB",
    "image_gb": "Image in ECR, GB",
}


def costs(prices: PriceList = LIST, login: str = IAM) -> Costs:
    """Return what is billed for the backend with its defaults and for projects that log in so."""
    one, two = (projects(*names, DatabaseLogin=login).resources for names in (("a",), ("a", "b")))
    return account.costs(deploy("backend").resources, one, two, prices)


def alarms(prices: PriceList = LIST) -> Amounts:
    """Return what AlarmEmail adds."""
    more = account.amounts(deploy("backend", AlarmEmail=_ADDRESS).resources, prices)
    more += account.amounts(deploy("budget", AlarmEmail=_ADDRESS).resources, prices)
    return more - account.amounts(deploy("backend").resources, prices)


def table(prices: PriceList = LIST, count: int = USUAL) -> str:
    """Return the terms and their sum for so many idle projects, as a Markdown table."""
    found, by_password, extra = costs(prices), costs(prices, PASSWORD), alarms(prices)
    price, fixed = found.prices, found.dollars(found.fixed)
    rows = [
        *_terms(found, found.fixed),
        ("**Backend**", f"**{fixed:.2f}**"),
        *_projects(found, "IAM", count),
        *_projects(by_password, "passwords", count),
        (f"`AlarmEmail` ({_listed(extra)})", f"{found.dollars(extra):.2f}"),
        (
            "KMS key, after its first and again after its second yearly rotation",
            f"{price['key']:.2f}",
        ),
        ("Database, for each hour awake at 0.5 ACU", f"{price['acu_hour'] * SMALLEST:.2f}"),
        ("Database that never pauses, at 0.5 ACU", f"{HOURS * price['acu_hour'] * SMALLEST:.2f}"),
        ("Relay, for each hour that it runs", f"{_relay(price):.3f}"),
        _host(price),
    ]
    head = ["| Item | US dollars a month |", "| --- | --- |"]
    return "\n".join([*head, *(f"| {item} | {dollars} |" for item, dollars in rows)]) + "\n"


def _projects(found: Costs, how: str, count: int) -> list[tuple[str, str]]:
    """Return the rows of an idle project that logs in to the database so, and of so many."""
    fixed, project = found.dollars(found.fixed), found.dollars(found.project)
    what = f" ({_listed(found.project)})" if +found.project else ""
    total = f"{fixed:.2f} + {count} x {project:.2f}"
    return [
        (f"Each idle project that logs in with {how}{what}", f"{project:.2f}"),
        (f"**Backend with {count} of them** ({total})", f"**{found.idle(count):.2f}**"),
    ]


def _relay(price: Mapping[str, float]) -> float:
    """Return what the relay costs for an hour, with an address and the 8 GB disk of its image."""
    data = deploy("backend").properties("RelayLaunchTemplate")["LaunchTemplateData"]
    return price[_hours(data)] + price["address_hour"] + 8 * price["disk_gb"] / HOURS


def _host(price: Mapping[str, float]) -> tuple[str, str]:
    """Return the row of an EC2 host, as the template makes it, with a public address."""
    data = hosts(PublicAddress="true").properties("HostLaunchTemplate")["LaunchTemplateData"]
    disk = int(data["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"])
    dollars = HOURS * (price[_hours(data)] + price["address_hour"]) + disk * price["disk_gb"]
    return f"Each EC2 host ({data['InstanceType']}, {disk} GB, public address)", f"{dollars:.2f}"


def _hours(data: Mapping[str, Any]) -> str:
    """Return the name of the price of an hour of what a launch template starts."""
    return f"{data['InstanceType'].replace('.', '_')}_hour"


def _terms(found: Costs, what: Amounts) -> list[tuple[str, str]]:
    """Return a row for each price that amounts have."""
    return [
        (f"{_NAMES[name]}: {amount:g}", f"{found.prices[name] * amount:.2f}")
        for name, amount in sorted(what.items(), key=lambda item: -found.prices[item[0]] * item[1])
    ]


def _listed(what: Amounts) -> str:
    """Return amounts as they stand in parentheses."""
    return ", ".join(f"{amount:g} {_NAMES[name].lower()}" for name, amount in sorted(what.items()))


def page(text: str, prices: PriceList = LIST) -> str:
    """Return the page with the table of now."""
    before, begin, rest = text.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE} lacks the lines that mark its table of costs.")
    return f"{before}{BEGIN}\n{table(prices)}\n{END}{after}"


def main(arguments: list[str]) -> None:
    """Print the formula, write the page or check it."""
    if arguments[:1] in (["--docs"], ["--check"]):
        old = PAGE.read_text(encoding="utf-8")
        new = page(old)
        if arguments == ["--docs"]:
            PAGE.write_text(new, encoding="utf-8")
        elif new != old:
            raise SystemExit("The costs in docs/aws.md are out of date; run scripts/prices --docs.")
        return
    count = int(arguments[0]) if arguments else USUAL
    print(f"List prices of {LIST.region}, read in {LIST.read}:\n")
    print(table(count=count), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
