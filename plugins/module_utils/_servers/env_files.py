# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: files that a person sources to use the server of a project.

STATE/env/INSTANCE-NAME.env    export MLFLOW_TRACKING_URI=http://127.0.0.1:5001
"""

from __future__ import annotations

import shlex
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import probe
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    FoundServer,
    Step,
)


class EnvFiles(t.NamedTuple):
    """The folder of these files, and whose servers they are: inventories may share a folder.

    door: address of the front door that clients use, without a path, if there is one; authority: the certificate
    of its own CA, if it has one.
    """

    folder: Path
    instance: str
    door: str = ""
    authority: str = ""

    def path(self, name: str) -> Path:
        """Return the file of a project."""
        return self.folder / f"{self.instance}-{name}.env"

    def differing(self, steps: t.Iterable[Step]) -> dict[str, str | None]:
        """Return what is to be written, None for a file that is to go, by project.

        A server that runs when the steps are done has one; what is as it should be is left out.
        """
        wanted = {step.name: self._text(step) for step in steps}
        return {name: text for name, text in wanted.items() if self._found(name) != text}

    def write(self, texts: t.Mapping[str, str | None]) -> None:
        """Write and remove what `differing` returned."""
        if texts:
            files.make_folder(self.folder)
        for name, text in texts.items():
            if text is None:
                self.path(name).unlink(missing_ok=True)
            else:
                files.write_private(self.path(name), text)

    def write_for(self, found: t.Mapping[str, FoundServer], names: t.Iterable[str]) -> None:
        """Write the files of servers that run with the settings that were found."""
        addresses = {
            name: found[name].settings for name in names if name in found and found[name].settings
        }
        self.write(
            {
                name: self._export(name, str(settings["host"]), int(settings["port"]))
                for name, settings in addresses.items()
                if settings
            }
        )

    def _found(self, name: str) -> str | None:
        """Return what a project's file holds, None where there is none."""
        try:
            return self.path(name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None

    def _text(self, step: Step) -> str | None:
        """Return what the file of one server holds, None where it does not run."""
        if not step.runs or not step.wanted:
            return None
        return self._export(step.name, step.wanted.host, step.wanted.port)

    def _export(self, name: str, host: str, port: int) -> str:
        """Return what the file of a server at an address holds."""
        if not self.door:
            return f"export MLFLOW_TRACKING_URI={probe.server_url(host, port)}\n"
        lines = [
            "# Set MLFLOW_TRACKING_TOKEN to a token of yours.",
            f"export MLFLOW_TRACKING_URI={self.door.rstrip('/')}/{name}",
        ]
        if self.authority:
            lines.append(f"export MLFLOW_TRACKING_SERVER_CERT_PATH={shlex.quote(self.authority)}")
        return "\n".join(lines) + "\n"
