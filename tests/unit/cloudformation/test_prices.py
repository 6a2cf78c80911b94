# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What scripts/prices makes of the templates and the list prices."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections import Counter
from collections.abc import Iterator
from types import ModuleType

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account.costs import amounts
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account.prices import LIST, Price
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation._deployed import (
    FOLDER,
    deploy,
    load,
    walk,
)

SCRIPT = FOLDER.parent / "scripts" / "_prices.py"


@pytest.fixture(scope="module")
def prices() -> Iterator[ModuleType]:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("_prices", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    # Its data classes look themselves up there.
    sys.modules["_prices"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["_prices"]


def types() -> set[str]:
    """Return the types of all resources in all templates, those of loops and conditions too."""
    found = set()
    for path in FOLDER.glob("*.yml"):
        for key, value in walk(load(path.stem)["Resources"]):
            if key == "Type" and isinstance(value, str) and value.startswith("AWS::"):
                found.add(value)
    return found


def test_every_type_is_priced() -> None:
    """A new resource cannot be overlooked, nor stay in the list when it is gone."""
    assert set(LIST.resources) == types()
    named = {name for billed in LIST.resources.values() for name in billed}
    assert named | set(LIST.elsewhere) <= set(LIST.prices)


def test_each_price_says_where_it_is_from() -> None:
    """So that the next reader can check it."""
    for price in LIST.prices.values():
        assert re.fullmatch(
            r"https://aws\.amazon\.com/[a-z0-9/-]+/pricing/(on-demand/)?", price.source
        )
        assert price.dollars > 0
        assert price.unit


def test_an_unknown_type_fails() -> None:
    """It is no zero."""
    gateway = {"Nat": {"Type": "AWS::EC2::NatGateway", "Properties": {}}}
    with pytest.raises(MlflowError, match="Nat has the type AWS::EC2::NatGateway, which"):
        amounts(deploy("backend").resources | gateway)


def test_resources_are_counted() -> None:
    """Each as often as it is there."""
    secret = {"Type": "AWS::SecretsManager::Secret"}
    stack = {"A": secret, "B": secret, "C": {"Type": "AWS::IAM::Role"}}
    assert amounts(stack) == Counter(secret=2)


def test_the_sum_is_the_formula(prices: ModuleType) -> None:
    """What is there once, and what each project adds; only what is asked for costs more."""
    found = prices.costs(login=prices.PASSWORD)
    fixed, project = found.dollars(found.fixed), found.dollars(found.project)
    assert found.idle(0) == pytest.approx(fixed)
    assert found.idle(10) == pytest.approx(fixed + 10 * project)
    assert found.fixed["key"] == 1, "one key for all projects"
    assert found.fixed["secret"] == 1, "the administrator's"
    assert set(prices.alarms()) == {"alarm"}
    assert f"{found.idle(10):.2f}" in prices.table()
    assert f"{found.idle(3):.2f}" in prices.table(count=3)


def test_ten_idle_projects_cost_little(prices: ModuleType) -> None:
    """One that logs in with IAM adds nothing while it is idle; with passwords it adds two secrets."""
    found = prices.costs()
    assert found.idle(10) == found.idle(11) <= 8
    assert prices.costs(login=prices.PASSWORD).project == Counter(secret=2)


def test_the_documents_say_what_the_script_prints(prices: ModuleType) -> None:
    """Run scripts/prices --docs if this fails."""
    text = prices.PAGE.read_text()
    assert prices.page(text) == text
    cheaper = LIST._replace(prices={**LIST.prices, "secret": Price(0.1, "", "")})
    assert prices.page(text, cheaper) != text
