# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tunnel is wanted as, and what carries it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _tunnel

ROOT = Path(__file__).resolve().parents[4]
OPTIONS: dict[str, Any] = {
    "kind": "ssh",
    "port": 13306,
    "database_host": "db.example.com",
    "database_port": 3306,
    "ssh": {"bastion": "ada@bastion", "options": ["-J", "jump"]},
    "ssm": None,
}


@pytest.fixture(scope="module")
def keeper() -> ModuleType:
    """Load the program that keeps tunnels."""
    path = ROOT / "programs" / "tunnel" / "mlflow_tunnel.py"
    spec = importlib.util.spec_from_file_location("mlflow_tunnel", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "change",
    [
        {"port": 13307},
        {"database_host": "other.example.com"},
        {"database_port": 3307},
        {"ssh": {"bastion": "bob@bastion", "options": ["-J", "jump"]}},
        {"ssh": {"bastion": "ada@bastion", "options": []}},
    ],
)
def test_any_other_option_is_another_configuration(change: dict[str, Any]) -> None:
    """So is another program that keeps it; the same options are the same."""
    first = _tunnel.wanted_tunnel(OPTIONS, "environment-1")
    assert _tunnel.wanted_tunnel({**OPTIONS, **change}, "environment-1") != first
    assert _tunnel.wanted_tunnel(OPTIONS, "environment-2") != first
    assert _tunnel.wanted_tunnel(dict(OPTIONS), "environment-1") == first


def test_what_carries_it(keeper: ModuleType) -> None:
    """An ssh that asks nobody, ends when it cannot forward, and takes no option for a bastion."""
    settings = _tunnel.wanted_tunnel(OPTIONS, "").settings
    command, environment = keeper.through_bastion(settings)
    assert command[:5] == ["ssh", "-N", "-T", "-L", "127.0.0.1:13306:db.example.com:3306"]
    assert {"BatchMode=yes", "ExitOnForwardFailure=yes"} <= set(command)
    assert command[-4:] == ["-J", "jump", "--", "ada@bastion"]
    assert environment == {}
