# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One twin for all tests of this stage, ended afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Problem
from ansible_collections.mlops.mlflow_aws.tests.twin._team import Team
from ansible_collections.mlops.mlflow_aws.tests.twin.twin import Twin
from ansible_collections.mlops.mlflow_aws.tests.twin.twin import twin as bring_up


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """Return a running twin; where this machine cannot have one, fail with the sentence why."""
    with ExitStack() as stack:
        try:
            made = stack.enter_context(bring_up(tmp_path_factory.mktemp("twin")))
        except Problem as problem:
            pytest.fail(str(problem), pytrace=False)
        yield made


@pytest.fixture(scope="session")
def team(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """Return a team with an empty HOME."""
    return Team(twin, tmp_path_factory.mktemp("home"))
