# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what an import reads on the host, as its options name it."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

_SQLITE = "sqlite:///"


def local_path(text: str) -> str:
    """Return a path of this host in full, and anything else as it is."""
    return os.path.expanduser(text.removeprefix(_SQLITE)) if "s3://" not in text else text


def folders(given: t.Iterable[str]) -> list[str]:
    """Return the folders of this host that an import reads; raises MlflowError for a path that is not there."""
    given = list(given)
    for text in given:
        _require_there(text)
    # Beside an SQLite file are its journal and, usually, its artifacts.
    return sorted(
        {
            text if os.path.isdir(text) else os.path.dirname(text)
            for text in given
            if text.startswith("/")
        }
    )


def _require_there(text: str) -> None:
    """Refuse a path of this host that does not exist, of which Docker would say that it cannot be mounted."""
    if not text.startswith("/"):
        return
    try:
        os.stat(text)
    except (FileNotFoundError, NotADirectoryError):
        raise MlflowError(f"There is no source {text} on this host; correct the path.") from None
    except OSError:
        # Another user's; who reads it may be another one than who asks here.
        return
