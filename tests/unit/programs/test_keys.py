# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys by which MLflow encrypts: derived from one root key, which is created once."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import keys
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.errors import EntryError
from cryptography.fernet import Fernet

ROOT = base64.b64encode(bytes(range(32))).decode()


def settings(path: Path, **environment: str) -> dict[str, Any]:
    """Return settings with a key file."""
    return {"key_file": str(path), "environment": environment}


def test_without_a_root_key_they_are_mlflows_own(tmp_path: Path) -> None:
    """Nothing is set, and nothing is created."""
    keys.make_ready({"environment": {}}, tmp_path)
    assert keys.variables({"environment": {}}, tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_created_once(tmp_path: Path) -> None:
    """For this user only; it stays as it is."""
    path = tmp_path / "key"
    keys.make_ready(settings(path), None)
    text = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    keys.make_ready(settings(path), None)
    assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_each_key_is_derived_by_its_name(tmp_path: Path) -> None:
    """The same root key gives the same keys, which Fernet takes; none shows the root key."""
    path = tmp_path / "key"
    path.write_text(ROOT + "\n")
    derived = keys.variables(settings(path), None)
    assert derived == keys.variables(settings(path), None)
    assert set(derived) == {keys.WEBHOOKS, keys.PASSPHRASE, keys.PASSPHRASE_VERSION}
    assert derived[keys.WEBHOOKS] != derived[keys.PASSPHRASE]
    Fernet(derived[keys.WEBHOOKS])
    assert ROOT not in derived.values()
    # MLflow has written by these: another value would make it unreadable.
    assert derived[keys.WEBHOOKS] == "OK_0ybqT5vOI2wPv1jRi8PMJD4dLSZPcyBExM9-imGA="


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({keys.WEBHOOKS: "own"}, {keys.PASSPHRASE, keys.PASSPHRASE_VERSION}),
        ({keys.PASSPHRASE: "own"}, {keys.WEBHOOKS}),
        ({keys.PASSPHRASE_VERSION: "7"}, {keys.WEBHOOKS, keys.PASSPHRASE}),
    ],
)
def test_the_settings_own_keys_come_first(
    tmp_path: Path, given: dict[str, str], left: set[str]
) -> None:
    """Ours fill in what they lack."""
    path = tmp_path / "key"
    path.write_text(ROOT)
    assert set(keys.variables(settings(path, **given), None)) == left


@pytest.mark.parametrize(
    "text", ["", "AAAA", ROOT[:-4], base64.b64encode(bytes(33)).decode(), "\xe4"]
)
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, text: str) -> None:
    """A server must not go on with another key."""
    path = tmp_path / "key"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(EntryError, match=str(path)) as caught:
        keys.make_ready(settings(path), None)
    assert str(caught.value).endswith(".")
    assert path.read_text(encoding="utf-8") == text
