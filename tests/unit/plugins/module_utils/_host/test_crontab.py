# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line of a crontab, written by a program that keeps a file as crontab keeps its own."""

from __future__ import annotations

import concurrent.futures
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import crontab as host_crontab
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.crontab import Boot

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
    # It has the lock.
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return file


def boot(folder: Path, wanted: bool = True) -> Boot:
    """Return what a folder starts."""
    return Boot(folder, ["/venv 100%/python", "-c", f"{folder}/supervisord.conf"], wanted)


def test_a_line_comes_and_goes(crontab: Path, tmp_path: Path) -> None:
    """Others stay, also that of a folder whose path ends the same."""
    folder, other = tmp_path / "state 100%" / "servers", tmp_path / "other"
    boot(other).write(True)
    crontab.write_text(f"{crontab.read_text()}# mine\n")
    assert boot(folder).differs(True)
    boot(folder).write(True)
    assert not boot(folder).differs(True)
    lines = crontab.read_text().splitlines()
    place = f"{tmp_path}/state 100\\%/servers"
    assert lines[2] == (
        rf"@reboot '/venv 100\%/python' -c '{place}/supervisord.conf' # mlflow_aws {place}"
    )
    assert boot(folder, wanted=False).differs(True)
    assert boot(folder).differs(False)
    boot(folder).write(False)
    assert crontab.read_text().splitlines() == lines[:2]


def test_another_command_replaces_it(crontab: Path, tmp_path: Path) -> None:
    """As after another MLflow was installed."""
    boot(tmp_path).write(True)
    later = boot(tmp_path)._replace(command=["/another/python"])
    assert later.differs(True)
    later.write(True)
    assert [line.split()[1] for line in crontab.read_text().splitlines()] == ["/another/python"]


def test_who_has_no_crontab_has_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error only where one is wanted."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert not boot(tmp_path, wanted=False).differs(True)
    with pytest.raises(MlflowError, match="This host has no crontab"):
        boot(tmp_path).differs(True)


REFUSED = (
    'echo "You (ada) are not allowed to use this program (crontab)" >&2\necho "See man" >&2; exit 1'
)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (REFUSED, "crontab refused: See man"),
        ("exec sleep 60", "did not end within 0 seconds"),
        ("exec /no/such/interpreter", "crontab refused: "),
    ],
)
@pytest.mark.usefixtures("crontab")
def test_a_line_that_cannot_be_taken_away_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, why: str
) -> None:
    """It would start servers that nobody wants; where there never was one, nothing is asked for."""
    kept, never = tmp_path / "s" / "servers", tmp_path / "t" / "servers"
    boot(kept).write(True)
    program = tmp_path / "bin" / "crontab"
    program.write_text(f"#!/bin/sh\n{body}\n")
    monkeypatch.setattr(host_crontab, "_SECONDS", 0.4)
    with pytest.raises(MlflowError) as caught:
        boot(kept, wanted=False).differs(True)
    sentence = str(caught.value)
    assert why in sentence
    assert f"# mlflow_aws {kept}" in sentence
    assert "cannot be removed" in sentence
    assert f"delete {kept}/started-at-boot" in sentence
    assert not boot(never, wanted=False).differs(True)
    with pytest.raises(MlflowError, match="mlflow_server_start_at_boot"):
        boot(never).differs(True)
    # An administrator took the line away, as the sentence says.
    (kept / "started-at-boot").unlink()
    assert not boot(kept, wanted=False).differs(True)
    assert (tmp_path / "home/.local/state/mlflow_aws/.crontab.lock").is_file()


def test_once_it_is_gone_nothing_is_left_to_fear(crontab: Path, tmp_path: Path) -> None:
    """The mark comes and goes with the line."""
    folder = tmp_path / "s" / "servers"
    boot(folder).write(True)
    assert (folder / "started-at-boot").is_file()
    boot(folder, wanted=False).write(True)
    assert list(folder.iterdir()) == []
    assert crontab.read_text() == ""


def test_all_folders_of_a_user_change_the_crontab_one_by_one(crontab: Path, tmp_path: Path) -> None:
    """Servers and tunnel, of any state folder: no line is lost between reading and writing."""
    program = tmp_path / "bin" / "crontab"
    # It takes its time where a line could be lost.
    program.write_text(program.read_text().replace("-) cat", "-) sleep 0.2; cat"))
    folders = [tmp_path / f"s{number}" / "servers" for number in range(4)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda folder: boot(folder).write(True), folders))
    marks = {line.rpartition("# mlflow_aws ")[2] for line in crontab.read_text().splitlines()}
    assert marks - {""} == {str(folder) for folder in folders}


@pytest.mark.usefixtures("crontab")
def test_a_user_without_a_home_has_a_lock_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the folder itself."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    folder = tmp_path / "s" / "servers"
    boot(folder).write(True)
    assert {path.name for path in folder.iterdir()} == {".crontab.lock", "started-at-boot"}


def test_lines_of_others_come_back_byte_by_byte(crontab: Path, tmp_path: Path) -> None:
    """Also what is no UTF-8."""
    crontab.write_bytes(b"# caf\xe9\n")
    boot(tmp_path / "s").write(True)
    assert crontab.read_bytes().startswith(b"# caf\xe9\n@reboot ")
