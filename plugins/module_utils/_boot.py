# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: lets a host start what it runs as processes when it boots.

By a line of the user's own crontab for each Supervisor, since that needs no root, on Linux and
macOS alike. Other lines are left as they are.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

_SECONDS = 30
# What `crontab -l` says where there is none.
_NONE = "no crontab"


class Boot(t.NamedTuple):
    """What starts the Supervisor of a folder, and whether the host is to do so at boot."""

    folder: Path
    command: t.Sequence[str]
    wanted: bool

    def differs(self, runs: bool) -> bool:
        """Say whether the crontab is not as it should be; runs: whether there is anything to start."""
        line = self._line(runs)
        try:
            return self._ours(_read()) != ([line] if line else [])
        except MlflowError:
            # Who has no crontab has no line in it.
            if line:
                raise
            return False

    def write(self, runs: bool) -> None:
        """Give the crontab the folder's line, or take it away."""
        line, lines = self._line(runs), _read()
        ours = self._ours(lines)
        kept = [one for one in lines if one not in ours]
        _run(["-"], "\n".join([*kept, *([line] if line else []), ""]))

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


def _run(arguments: t.Sequence[str], text: str = "") -> str:
    """Run crontab and return what it printed."""
    program = shutil.which("crontab")
    if not program:
        raise MlflowError(
            "This host has no crontab to start servers at boot: install cron there, or set "
            "mlflow_server_start_at_boot to false."
        )
    answer = subprocess.run(  # pylint: disable=ansible-bad-function
        [program, *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if answer.returncode != 0 and _NONE not in answer.stderr:
        last = (answer.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise MlflowError(
            f"crontab refused to start servers at boot ({last}): allow this user a crontab, or set "
            "mlflow_server_start_at_boot to false."
        )
    return answer.stdout
