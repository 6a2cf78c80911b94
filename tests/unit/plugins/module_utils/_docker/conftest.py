# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine that tests of the client ask."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts.fake_engine import FakeEngine, fake_engine


@pytest.fixture
def fake() -> Iterator[FakeEngine]:
    """Return an engine that answers no more than a ping yet."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(fake_engine())
