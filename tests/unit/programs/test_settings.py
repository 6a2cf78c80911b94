# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings file, and requests on standard input: what cannot be read is one sentence."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import settings
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.errors import EntryError


def test_settings_are_read(tmp_path: Path) -> None:
    """Text beyond ASCII included."""
    path = tmp_path / "settings.json"
    path.write_text('{"host": "127.0.0.1", "environment": {"A": "ä"}}', encoding="utf-8")
    assert settings.read(path) == {"host": "127.0.0.1", "environment": {"A": "ä"}}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read ("),
        (b"", "cannot be read ("),
        (b'{"host": ', "cannot be read ("),
        (b"\xff\xfe", "cannot be read ("),
        (b"[]", "holds no JSON object"),
        (b"null", "holds no JSON object"),
        (b'"text"', "holds no JSON object"),
    ],
)
def test_settings_that_cannot_be_read(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """The file and the remedy are named."""
    path = tmp_path / "settings.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EntryError, match=r"; run the servers playbook\.$") as caught:
        settings.read(path)
    assert str(caught.value).startswith(f"{path} {reason}")


def test_the_requested_database() -> None:
    """A JSON object with a "uri"."""
    assert settings.requested_uri(io.StringIO('{"uri": "sqlite:///x.db"}')) == "sqlite:///x.db"


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "7", "null", '"uri"'])
def test_a_request_without_a_database(text: str) -> None:
    """One sentence instead of a traceback."""
    sentence = re.escape('Standard input is not a JSON object with a "uri" (')
    with pytest.raises(EntryError, match=sentence + r".*; run the deploy playbook\.$"):
        settings.requested_uri(io.StringIO(text))
