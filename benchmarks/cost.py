# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Price of idle projects in US dollars a month, from what the templates create and AWS's list prices.

Idle means that the database is paused and no relay or EC2 host runs. Each hour that it is awake
costs half a capacity unit at least. Prices are those of us-east-1 in November 2026.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.evaluation import (
    template_resources,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.parameters import (
    resolve_parameters,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.projects import project_item
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template import (
    parse_template,
)

TEMPLATES = Path(__file__).parents[1] / "cloudformation"
TARGET = 8.0
SECRET, KEY, ALARM = 0.40, 1.00, 0.10
UNIT_HOUR, HOURS = 0.12, 730
# Aurora's smallest volume holds 10 GB, and backups up to the volume's size are free; the image takes 0.2 GB.
STORAGE, IMAGE = 10 * 0.10, 0.2 * 0.10
PRICES = {
    "AWS::SecretsManager::Secret": SECRET,
    "AWS::KMS::Key": KEY,
    "AWS::CloudWatch::Alarm": ALARM,
}
KNOWN_LATER = {
    "BackendStackName": "mlflow",
    "ArtifactBucket": "mlflow",
    "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1",
    "ServerRoleArn": "arn:aws:iam::123456789012:role/mlflow",
    "DatabaseResourceId": "cluster-ABC",
}


def resources(template: str, **given: Any) -> list[dict[str, Any]]:
    """Return the resources that a template creates with these parameters."""
    content = parse_template((TEMPLATES / f"{template}.yml").read_text(encoding="utf-8"))
    found = resolve_parameters(content["Parameters"], given, None)
    values = {name: parameter.value for name, parameter in found.items()}
    return list(template_resources(content, values).values())


def database(made: list[dict[str, Any]], minimum: float) -> dict[str, float]:
    """Return what the cluster costs while it is idle, and its master secret."""
    clusters = [entry for entry in made if entry["Type"] == "AWS::RDS::DBCluster"]
    managed = [entry for entry in clusters if entry["Properties"].get("ManageMasterUserPassword")]
    return {
        "database storage": STORAGE * len(clusters),
        "database capacity": minimum * UNIT_HOUR * HOURS * len(clusters),
        "master secret": SECRET * len(managed),
    }


def prices(projects: int, login: str, alarms: bool = True, minimum: float = 0) -> dict[str, float]:
    """Return the price of each item a month that so many idle projects need."""
    email = {"AlarmEmail": "team@example.com"} if alarms else {}
    backend = resources("backend", MinCapacity=minimum, **email)
    names = [project_item(f"project-{number}") for number in range(projects)]
    of_projects = resources("projects", Projects=names, DatabaseLogin=login, **KNOWN_LATER)
    items = database(backend, minimum) | {"image": IMAGE}
    for entry in backend + of_projects:
        kind = str(entry["Type"])
        if kind in PRICES:
            items[kind] = items.get(kind, 0) + PRICES[kind]
    return items


def main() -> None:
    """Print the price of each item, and the total for each way to log in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--projects", type=int, default=10)
    projects = parser.parse_args().projects
    for login in ("iam", "password"):
        items = prices(projects, login)
        print(f"{projects} idle projects, login {login}:")
        for name, price in items.items():
            print(f"  {name:32} {price:6.2f}")
        print(f"  {'total, dollars a month':32} {sum(items.values()):6.2f}")
    print(f"  {'each hour awake, at least':32} {0.5 * UNIT_HOUR:6.2f}")
    total = sum(prices(projects, "iam").values())
    print(f"ratio {total / TARGET:.2f} of {TARGET:.0f} dollars with iam, target 1.0")


if __name__ == "__main__":
    main()
