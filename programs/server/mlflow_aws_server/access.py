# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server keeps in a private folder: AWS identity, password, metrics, the settings of trace archival."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import aws
from .environment import PRIVATE_VARIABLE
from .option_file import OptionFile, require_plain
from .private import private_folder

# Settings that need the folder, beside an identity.
_KEPT = ("database", "metrics", "trace_archival")


@contextlib.contextmanager
def access(settings: dict[str, Any], settings_path: Path) -> Iterator[OptionFile | None]:
    """Make a private folder, if the settings need one, while it lasts; AWS is not asked."""
    identity = settings.get("aws") or {}
    if not any(identity.values()) and not any(map(settings.get, _KEPT)):
        yield None
        return
    if PRIVATE_VARIABLE in os.environ:
        yield option_file(settings)
        return
    with private_folder(settings_path) as folder:
        os.environ[PRIVATE_VARIABLE] = str(folder)
        aws.use_identity(identity, settings_path, folder)
        yield option_file(settings)


def option_file(settings: dict[str, Any]) -> OptionFile | None:
    """Return the option file of the settings' database, if they name one by reference."""
    database = settings.get("database")
    if not database:
        return None
    require_plain(settings["backend_store_uri"])
    return OptionFile(database, settings.get("aws") or {}, Path(os.environ[PRIVATE_VARIABLE]))
