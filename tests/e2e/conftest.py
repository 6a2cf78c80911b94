# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A newcomer with a fresh clone and an empty HOME, whose servers the end to end tests use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.tests import support
from ansible_collections.mlops.mlflow_aws.tests.e2e._newcomer import Newcomer, Screen


@pytest.fixture(scope="session")
def newcomer(free_ports: Callable[[int], list[int]]) -> Iterator[Newcomer]:
    """Return somebody who has just cloned the project; their servers are stopped in the end."""
    with ExitStack() as stack:
        yield stack.enter_context(_somebody(free_ports))


@pytest.fixture(scope="module")
def settled_user(free_ports: Callable[[int], list[int]]) -> Iterator[Newcomer]:
    """Return another one, whose home is not empty any more: a test puts settings there."""
    with ExitStack() as stack:
        yield stack.enter_context(_somebody(free_ports))


@contextmanager
def _somebody(free_ports: Callable[[int], list[int]]) -> Iterator[Newcomer]:
    """Give a clone and an empty HOME, and end the servers afterwards."""
    with support.short_folder() as folder:
        clone = support.copy_collection(folder / "clone")
        home = folder / "home"
        home.mkdir()
        someone = Newcomer(clone, home, free_ports(4)[0])
        yield someone
        # Without an environment nothing was ever started.
        if (clone / ".venv").exists():
            someone.quickstart("--stop")


@pytest.fixture(scope="session")
def first_screen(newcomer: Newcomer) -> Screen:
    """Return what the first call of scripts/quickstart showed; its servers stay up."""
    return newcomer.quickstart()


@pytest.fixture(scope="session")
def project_url(first_screen: Screen) -> str:
    """Return the URL of the project demo."""
    return first_screen.servers["demo"].url


@pytest.fixture(scope="session")
def examples_python(environment: Callable[..., Path]) -> Path:
    """Return the Python of an environment that has what the examples need."""
    return environment("examples") / "python"
