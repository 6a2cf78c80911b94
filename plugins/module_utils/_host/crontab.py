# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: starts a host's processes at boot.

By a line of the user's own crontab for each Supervisor, since that needs no root, on Linux and
macOS alike. Other lines are not changed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import commands, files

_SECONDS = 30
# In the folder whose Supervisor a line starts, for as long as the crontab has that line.
_MARKER = "started-at-boot"
_OFF = "set mlflow_server_start_at_boot to false"
# What `crontab -l` says where there is none.
_NONE = "no crontab"


class Boot(t.NamedTuple):
    """What starts the Supervisor of a folder, and whether the host is to do so at boot."""

    folder: Path
    command: t.Sequence[str]
    wanted: bool

    def differs(self, runs: bool) -> bool:
        """Return whether the crontab is not as it should be; runs: whether there is anything to start."""
        line = self._line(runs)
        try:
            return self._ours(_read()) != ([line] if line else [])
        except MlflowError as error:
            if line:
                raise
            # Where there is no cron, or no line was written, none is left.
            if not shutil.which("crontab") or not self._marker.exists():
                return False
            raise self._unread(error) from error

    def write(self, runs: bool) -> None:
        """Add the folder's line to the crontab, or remove it."""
        line = self._line(runs)
        # All that this user starts at boot stands in one crontab, whatever folder it is of.
        with files.exclusive(_lock(self.folder), 2 * _SECONDS, "changing this user's crontab"):
            lines = _read()
            ours = self._ours(lines)
            kept = [one for one in lines if one not in ours]
            if line:
                # Before the line: a run that is killed between them must not hide one.
                files.make_folder(self.folder)
                self._marker.touch(mode=files.PRIVATE_FILE)
            _run(["-"], "\n".join([*kept, *([line] if line else []), ""]))
            if not line and self._marker.exists():
                self._marker.unlink()

    @property
    def _marker(self) -> Path:
        """Return the file that says that the crontab has a line of this folder."""
        return self.folder / _MARKER

    def _unread(self, error: MlflowError) -> MlflowError:
        """Return the error for a line that cannot be removed."""
        why = error.why if isinstance(error, commands.ProgramError) else str(error)
        return MlflowError(
            f"The line '@reboot ... {_mark(self.folder)}' of an earlier run cannot be removed from this "
            f"user's crontab ({why.rstrip('.')}), so it would still start servers at boot; allow this user "
            f"to change its crontab, or remove that line as root and delete {self._marker}."
        )

    def _line(self, runs: bool) -> str | None:
        """Return the line that is wanted, None for none; its end tells whose it is."""
        if not self.wanted or not runs:
            return None
        # A crontab takes % for the end of a line.
        return f"@reboot {shlex.join(self.command)} {_mark(self.folder)}".replace("%", "\\%")

    def _ours(self, lines: t.Iterable[str]) -> list[str]:
        """Return the folder's lines."""
        mark = _mark(self.folder).replace("%", "\\%")
        return [line for line in lines if line.endswith(mark)]


def _mark(folder: Path) -> str:
    """Return the comment that ends the line of a folder."""
    return f"# mlflow_aws {folder}"


def _read() -> list[str]:
    """Return the lines of this user's crontab."""
    return _run(["-l"]).splitlines()


def _lock(folder: Path) -> Path:
    """Return the lock of this user's crontab, in a place that all state folders share."""
    home = Path(os.path.expanduser("~"), ".local", "state", "mlflow_aws")
    try:
        files.make_folder(home)
    except MlflowError:
        # A user without a home of its own has one state folder at most.
        files.make_folder(folder)
        home = folder
    return home / ".crontab.lock"


def _run(arguments: t.Sequence[str], text: str = "") -> str:
    """Run crontab and return what it printed."""
    program = shutil.which("crontab")
    if not program:
        raise MlflowError(
            f"This host has no crontab to start servers at boot; install cron there, or {_OFF}."
        )
    failure = "crontab failed to start servers at boot"
    remedy = f"check cron on this host, or {_OFF}"
    answer = commands.run([program, *arguments], _SECONDS, failure, remedy, text=text)
    if answer.code != 0 and _NONE not in answer.errors:
        raise commands.ProgramError(
            f"crontab refused to start servers at boot ({answer.reason}); allow this user a crontab, or "
            f"{_OFF}.",
            f"crontab refused: {answer.reason}",
        )
    return answer.output
