# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line of a crontab, written by a program that keeps a file as crontab keeps its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._boot import Boot
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

PROGRAM = """\
#!/bin/sh
case "$1" in
  -l) cat "{file}" 2>/dev/null || {{ echo "no crontab for ada" >&2; exit 1; }} ;;
  -) cat > "{file}" ;;
esac
"""


@pytest.fixture
def crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a crontab on the PATH and return the file that it keeps."""
    file = tmp_path / "kept"
    program = tmp_path / "bin" / "crontab"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(file=file))
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return file


def boot(wanted: bool = True, folder: str = "/state 100%/servers") -> Boot:
    """Return what a folder starts."""
    return Boot(Path(folder), ["/venv 100%/python", "-c", f"{folder}/supervisord.conf"], wanted)


def test_a_line_comes_and_goes(crontab: Path) -> None:
    """Others stay, also that of a folder whose path ends the same."""
    boot(folder="/other").write(True)
    crontab.write_text(f"{crontab.read_text()}# mine\n")
    assert boot().differs(True)
    boot().write(True)
    assert not boot().differs(True)
    lines = crontab.read_text().splitlines()
    assert lines[2] == (
        r"@reboot '/venv 100\%/python' -c '/state 100\%/servers/supervisord.conf'"
        r" # mlflow_aws /state 100\%/servers"
    )
    assert boot(wanted=False).differs(True)
    assert boot().differs(False)
    boot().write(False)
    assert crontab.read_text().splitlines() == lines[:2]


def test_another_command_replaces_it(crontab: Path) -> None:
    """As after another MLflow was installed."""
    boot().write(True)
    later = boot()._replace(command=["/another/python"])
    assert later.differs(True)
    later.write(True)
    assert [line.split()[1] for line in crontab.read_text().splitlines()] == ["/another/python"]


def test_who_has_no_crontab_has_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error only where one is wanted."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert not boot(wanted=False).differs(True)
    with pytest.raises(MlflowError, match="This host has no crontab"):
        boot().differs(True)
