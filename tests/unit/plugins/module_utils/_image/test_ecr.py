# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a registry and a repository are named."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import ecr

REGISTRY = "000000000000.dkr.ecr.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (REGISTRY, REGISTRY),
        (f"https://{REGISTRY}", REGISTRY),
        ("http://127.0.0.1:4566/", "127.0.0.1:4566"),
        ("127.0.0.1:4566", "127.0.0.1:4566"),
        ("user:word@registry.example.com:5000", "registry.example.com:5000"),
        ("", ""),
    ],
)
def test_a_registry_is_a_host(address: str, host: str) -> None:
    """However it was written; a password in it goes nowhere."""
    assert ecr.host_of(address) == host


def test_a_repository_is_found_at_its_own_or_another_registry() -> None:
    """The name stays, with its folders."""
    uri = f"{REGISTRY}/team/mlflow"
    assert ecr.repository_address(uri, "team/mlflow", "") == uri
    assert (
        ecr.repository_address(uri, "team/mlflow", "http://127.0.0.1:4566")
        == "127.0.0.1:4566/team/mlflow"
    )
