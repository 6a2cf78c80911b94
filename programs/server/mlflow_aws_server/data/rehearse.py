# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try a backup out: restore it beside its project, compare it, and remove what was made.

The database is made in the place in which a restore would make it, and the artifacts are written
below the backups. When and how that ended is written down there.
"""

from __future__ import annotations

import json
import time
from typing import NamedTuple

from ..errors import EntryError
from . import restore
from .content import core
from .info import REHEARSAL
from .manifest import Manifest
from .places import Place
from .projects import Project
from .replacement import replacement
from .repository import Repository

# Below the place of a project's backups.
_SCRATCH = "rehearsal"


class Rehearsed(NamedTuple):
    """What was tried out: the backup, and how long it took in seconds."""

    manifest: Manifest
    seconds: float


def rehearse(
    project: Project, repository: Repository, scratch: Place, identifier: str
) -> Rehearsed:
    """Restore a backup into a scratch place and remove it again; raises EntryError if it differs."""
    begun, now = time.monotonic(), int(time.time())
    found = repository.choose(identifier)
    # What a killed run left.
    _clear(scratch)
    problem = "It did not end."
    try:
        restore.check(repository, found, scratch)
        with replacement(project) as made:
            made.create(found.revision)
            restore.fill(made, repository, found, scratch)
            tables = core(made.database.tables())
            expected = made.database.digests(tables)
            made.migrate()
            different = made.differences(tables, expected)
            if different:
                raise EntryError(
                    f"After its migration the backup {found.id} differs in {', '.join(different)}; report this."
                )
            objects = restore.write_objects(scratch, repository, found)
            made.discard()
        if objects.written != found.objects:
            raise EntryError(
                f"Of the {found.objects} artifacts of the backup {found.id} {objects.written} could be written."
            )
        problem = ""
    except Exception as error:
        problem = str(error)
        raise
    finally:
        _clear(scratch)
        told = {
            "backup": found.id,
            "at": now,
            "same": not problem,
            "problem": problem,
            "seconds": round(time.monotonic() - begun, 3),
        }
        repository.place.write(REHEARSAL, [json.dumps(told).encode()])
    return Rehearsed(found, time.monotonic() - begun)


def scratch_path(name: str) -> str:
    """Return where artifacts are tried out, below the place of all backups."""
    return f"{name}/{_SCRATCH}"


def _clear(scratch: Place) -> None:
    """Remove what was tried out."""
    scratch.delete([entry.path for entry in scratch.entries()])
