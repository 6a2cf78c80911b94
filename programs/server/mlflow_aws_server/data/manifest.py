# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup holds, as a document, and the files in which its parts lie.

Below the place of a project's backups:

    backups/ID/manifest.json          written last: a backup without it is not one
    backups/ID/objects.jsonl.gz       the artifacts, a JSON array a line, see StoredObject
    backups/ID/key                    the project's root key, where it is a file
    tables/ID/NAME.jsonl.gz           the rows of a table, see tables.py
    objects/AB/ABCDEF...              contents of artifacts

Tables and contents are shared: a backup names those of an earlier one that have not changed since.

An ID is a number that grows, and the time: 000012-20261201T083000Z. The number decides which one
is the newest, whatever the clock said.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import Any, NamedTuple

from ..errors import EntryError

# Readers of a manifest refuse a format that is newer than theirs.
FORMAT = 1
MANIFEST, OBJECTS, KEY = "manifest.json", "objects.jsonl.gz", "key"
_ID = re.compile(r"(\d{6,})-(\d{8}T\d{6}Z)")


class TableFile(NamedTuple):
    """One table of a backup: its columns, its rows, and its file as stored.

    digest: the database's own of these columns, by which the next backup sees that nothing changed; may be empty.
    """

    stored: str
    columns: list[str]
    rows: int
    checksum: str
    size: int
    sha256: str
    digest: str = ""


class StoredObject(NamedTuple):
    """One artifact of a backup: as it was, and where its content is stored."""

    path: str
    size: int
    version: str
    sha256: str
    stored: str
    stored_size: int
    stored_version: str


class Manifest(NamedTuple):
    """One backup.

    created is a time in seconds since 1970; engine is sqlite or mysql; database changes whenever the
    database is written, empty where that is not known; artifacts is the root below which artifacts
    were; sealed and key_id are empty without encryption.
    """

    id: str
    project: str
    created: int
    mlflow: str
    revision: str
    engine: str
    database: str
    artifacts: str
    sealed: str
    key_id: str
    tables: dict[str, TableFile]
    objects: int
    object_bytes: int
    objects_sha256: str
    stored_bytes: int
    root_key_sha256: str

    @property
    def rows(self) -> int:
        """Return the number of rows of all tables."""
        return sum(table.rows for table in self.tables.values())


def new_id(existing: list[str], now: float) -> str:
    """Return the ID of the next backup."""
    number = max((sequence(name) for name in existing), default=0) + 1
    return f"{number:06d}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"


def is_id(text: str) -> bool:
    """Return whether a text is the ID of a backup."""
    return bool(_ID.fullmatch(text))


def sequence(identifier: str) -> int:
    """Return the number in an ID, 0 if it is none."""
    match = _ID.fullmatch(identifier)
    return int(match[1]) if match else 0


def folder(identifier: str) -> str:
    """Return the folder of a backup, below the place of its project's."""
    return f"backups/{identifier}"


def table_file(identifier: str, table: str) -> str:
    """Return the path of a table's rows."""
    return f"tables/{identifier}/{table}.jsonl.gz"


def stored_name(path: str, version: str, size: int, key_id: str) -> str:
    """Return where the content of an artifact is stored; the same artifact has the same name."""
    text = "\0".join((path, version, str(size), key_id))
    name = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return f"objects/{name[:2]}/{name}"


def dump(manifest: Manifest) -> bytes:
    """Return the document, with a checksum of its own."""
    content = manifest._asdict()
    content["tables"] = {name: table._asdict() for name, table in manifest.tables.items()}
    content = {"format": FORMAT, **content}
    return json.dumps({**content, "sha256": _checksum(content)}, indent=1).encode() + b"\n"


def load(data: bytes, what: str) -> Manifest:
    """Return the manifest of a document; raises EntryError for one that was altered."""
    try:
        content = json.loads(data)
        given = content.pop("sha256")
        version = content.pop("format")
    except (AttributeError, KeyError, TypeError, ValueError):
        raise altered(what) from None
    if isinstance(version, int) and version > FORMAT:
        raise EntryError(
            f"{what} has the format {version}, and this release reads {FORMAT} at most; use the release "
            "of the collection that made it, or a newer one."
        )
    if given != _checksum({"format": version, **content}):
        raise altered(what)
    tables = {name: TableFile(**table) for name, table in content.pop("tables").items()}
    return Manifest(tables=tables, **content)


def altered(what: str) -> EntryError:
    """Return the error about a file of a backup that is not as it was written."""
    return EntryError(
        f"{what} was altered or cut short, so the backup is not used; name another one with backup=ID."
    )


def _checksum(content: dict[str, Any]) -> str:
    """Return the SHA-256 of a document, whatever its spaces."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
