# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: a program of ours with an environment of its own on a host."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files, venv

_ENVIRONMENT = "environment-"
_STAMP = "installed"


class Program(t.NamedTuple):
    """What a program is installed from, in a folder of its own below parent.

    what: its name in errors; requirements and programs: contents of files, programs by their names;
    entrypoint: the one of them to run; imports: modules that must work in the end; python: the
    interpreter to start from, None for the first usable one.
    """

    what: str
    parent: Path
    requirements: t.Sequence[str]
    programs: t.Mapping[str, str]
    entrypoint: str
    imports: t.Sequence[str]
    python: str | None

    @property
    def folder(self) -> Path:
        """Return where it is installed; the same contents give the same folder."""
        return self.parent / f"{_ENVIRONMENT}{venv.files_digest(self.requirements, self.programs)}"

    @property
    def command(self) -> tuple[str, str]:
        """Return its interpreter and what that runs."""
        return str(venv.interpreter(self.folder)), str(self.folder / self.entrypoint)

    def is_installed(self) -> bool:
        """Return whether it was installed completely, and is still whole."""
        return (self.folder / _STAMP).is_file() and venv.is_whole(self.folder)

    def require_base(self) -> None:
        """Refuse a host without an interpreter to install it by, before anything is touched."""
        if not self.is_installed():
            venv.base_python(self.python)

    def install(self, timeout: float) -> None:
        """Install it unless it is; timeout is in seconds for each step."""
        if self.is_installed():
            return
        base, _version = venv.base_python(self.python)
        venv.install(
            self.folder, base, self.requirements, self.programs, timeout, self.what, self.imports
        )
        files.write_private(self.folder / _STAMP, "")

    def drop_others(self) -> None:
        """Delete what was installed of other contents, which nothing uses any more."""
        for folder in self.parent.glob(f"{_ENVIRONMENT}*/"):
            if folder != self.folder:
                shutil.rmtree(folder)

    def drop(self) -> None:
        """Delete all that was installed."""
        for folder in self.parent.glob(f"{_ENVIRONMENT}*/"):
            shutil.rmtree(folder)
