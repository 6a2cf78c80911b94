# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How tests are shared out to the lanes of scripts/test: what stays together, and what begins."""

from __future__ import annotations

from typing import Any

import pytest

# What needs a Docker engine.
ENGINE = ("tests/twin/", "tests/integration/aws/", "tests/gate/test_image.py")
# The files of these folders share one twin, or one newcomer's servers.
SHARED = ("tests/twin", "tests/e2e")
# Of their files those that share nothing.
APART = (
    "tests/e2e/test_settings.py",
    "tests/twin/test_engine.py",
    "tests/twin/test_identities.py",
    "tests/twin/test_inventory.py",
    "tests/twin/test_rights.py",
)
# The groups that take longest, in the order in which they begin. The first ones differ in what they
# wait for, so that lanes do not wait for one another. The others follow in the order of the stages.
FIRST = (
    "tests/twin",
    "tests/gate/test_sanity.py",
    "tests/e2e",
    "tests/integration/test_modules.py",
    "tests/integration/aws/test_data.py",
    "tests/integration/test_data.py",
    "tests/integration/aws/test_destroy.py",
    "tests/integration/aws/test_docker_runtime.py",
    "tests/integration/aws/test_broker.py",
    "tests/integration/test_fleet.py",
    "tests/integration/aws/test_mysql_entry.py",
    "tests/integration/aws/test_stack.py",
    "tests/integration/test_jobs.py",
    "tests/integration/test_keys.py",
    "tests/integration/test_import.py",
    "tests/integration/aws/test_project_schema.py",
    "tests/integration/aws/test_import.py",
    "tests/integration/aws/test_deployment_removal.py",
    "tests/gate/test_docs.py",
    "tests/integration/test_mlflow_entry.py",
    "tests/integration/aws/test_tunnel.py",
    "tests/gate/test_lint.py",
    "tests/integration/aws/test_ecr.py",
    "tests/integration/test_schemas.py",
    "tests/gate/test_image.py",
    "tests/gate/test_package.py",
    "tests/integration/test_names.py",
    "tests/integration/test_isolation.py",
    "tests/integration/test_pip_settings.py",
    "tests/gate/test_molecule.py",
)


def group_of(nodeid: str) -> str:
    """Return what a test shares parts with, so that one lane runs both: its file or folder."""
    path = nodeid.partition("::")[0]
    folder = path.rpartition("/")[0]
    # A file of unit tests takes less time than it takes to hand it out.
    together = folder in SHARED and path not in APART
    return folder if together or path.startswith("tests/unit/") else path


def rank(item: pytest.Item) -> int:
    """Return the place of a test's group in the order of FIRST."""
    group = group_of(item.nodeid)
    return FIRST.index(group) if group in FIRST else len(FIRST)


def scheduler(config: pytest.Config, log: Any) -> Any:
    """Return the scheduler that hands out groups."""
    from xdist.scheduler import LoadScopeScheduling

    made = LoadScopeScheduling(config, log)
    made._split_scope = group_of
    return made
