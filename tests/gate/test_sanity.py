# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test over a copy of the checkout, without a single ignore."""

from __future__ import annotations

import re

import pytest
from ansible_collections.mlops.mlflow_aws.tests.gate.ansible_test import AnsibleTest, check_sanity

MINUTES = 60


@pytest.fixture(scope="module")
def ansible_test(tmp_path_factory: pytest.TempPathFactory) -> AnsibleTest:
    """Return ansible-test over a copy; its two commands share what they install."""
    return AnsibleTest(tmp_path_factory.mktemp("ansible-test"))


@pytest.mark.timeout(15 * MINUTES)
def test_sanity(ansible_test: AnsibleTest) -> None:
    """The sanity tests pass over all but our own tests, which take half of the time."""
    check_sanity(ansible_test, "--exclude", "tests/", "--exclude", "benchmarks/")


@pytest.mark.thorough("The linters of the stage lint read our tests every time.")
@pytest.mark.timeout(15 * MINUTES)
def test_sanity_of_all(ansible_test: AnsibleTest) -> None:
    """The sanity tests pass over everything."""
    check_sanity(ansible_test)


@pytest.mark.thorough("The stage unit runs the same tests by pytest.")
@pytest.mark.timeout(15 * MINUTES)
def test_units(ansible_test: AnsibleTest) -> None:
    """The unit tests pass under ansible-test too, with only what tests/unit asks for."""
    done = ansible_test("units")
    assert re.search(r"\b[1-9][0-9]* passed\b", done.output), done.output
