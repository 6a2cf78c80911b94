# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup that reads the server's program."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleLookupError
from ansible_collections.mlops.mlflow_aws.plugins.lookup.mlflow_programs import _read
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import installation

SERVER = Path(__file__).resolve().parents[4] / "programs" / "server"


def test_the_server_is_read_whole() -> None:
    """The launcher and its package, by paths that the module takes; nothing that Python left behind."""
    files = _read(SERVER)
    assert {"mlflow_entry.py", "mlflow_aws_server/__init__.py", "mlflow_aws_server/cli.py"} <= set(
        files
    )
    assert all(name.endswith(".py") for name in files)
    assert files["mlflow_entry.py"] == (SERVER / "mlflow_entry.py").read_text(encoding="utf-8")
    installation._require_programs(files)


def test_a_folder_without_programs_is_refused(tmp_path: Path) -> None:
    """So is one that is not there, and a file that cannot be read."""
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(AnsibleLookupError, match="holds no Python file; set the path to"):
            _read(folder)
    (tmp_path / "broken.py").symlink_to(tmp_path / "nowhere")
    with pytest.raises(AnsibleLookupError, match=r"broken\.py cannot be read \(No such file"):
        _read(tmp_path)
