# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which state a schema is, and whether it can be migrated: pure, of what was read.

A schema is in one of these states:

    empty     it has no table
    current   at the head revision of this MLflow
    behind    at an older revision
    ahead     at a revision that this MLflow does not know; refused
    half      its tables are not those of its revision: a migration broke off; refused, or
              repaired if it holds no data
    foreign   tables, but none of MLflow's first ones; refused
    unknown   it could not be read

plugins/module_utils/_schemas/mysql_migration.py classifies by the same rules; neither can
import the other.
"""

from __future__ import annotations

from typing import NamedTuple

from .errors import EntryError
from .revisions import Head

EMPTY, CURRENT, BEHIND, AHEAD = "empty", "current", "behind", "ahead"
HALF, FOREIGN, UNKNOWN = "half", "foreign", "unknown"
PRIVILEGES = (
    "ALTER",
    "CREATE",
    "DELETE",
    "DROP",
    "INDEX",
    "INSERT",
    "LOCK TABLES",
    "REFERENCES",
    "SELECT",
    "TRIGGER",
    "UPDATE",
)
# What works on a schema holds it; plugins/module_utils/_schemas/database.py takes one of another name, and
# neither waits for the other.
LOCK = "mlflow_aws:{schema}"
COLLATION = "utf8mb4_bin"
VERSIONS = "alembic_version"
_FIRST_TABLES = {"experiments", "runs", "metrics", "params", "tags"}


class Found(NamedTuple):
    """A schema as it is: its tables with their collations, its revisions, its own collation."""

    tables: dict[str, str]
    revisions: list[str]
    collation: str

    @property
    def revision(self) -> str:
        """Return the revision that it says it is at."""
        return self.revisions[0] if len(self.revisions) == 1 else ""


class Grants(NamedTuple):
    """What the migrator may do, and whether the database lets it create triggers."""

    user: str
    role: str
    held: frozenset[str]
    logged: bool
    trusted: bool


def classify(found: Found, head: Head) -> str:
    """Return the schema's state."""
    if not found.tables:
        return EMPTY
    if not found.revision:
        own = set(found.tables) & {VERSIONS, *_FIRST_TABLES}
        return HALF if own and len(found.revisions) < 2 else FOREIGN
    if found.revision not in head.known:
        return AHEAD
    expected = head.known[found.revision]
    if expected is not None and len(found.tables) != expected:
        return HALF
    return CURRENT if found.revision == head.revision else BEHIND


def refusal(state: str, found: Found, head: Head) -> str:
    """Return why a schema in this state is not migrated."""
    if state == AHEAD:
        return (
            f"The schema is at revision {found.revision}, which this MLflow, whose head is "
            f"{head.revision}, does not know, so a newer one wrote it; use the collection "
            "release that carries that MLflow."
        )
    if state == FOREIGN:
        return (
            f"The schema holds {len(found.tables)} tables of something else, such as "
            f"{min(found.tables)}; give the project a schema of its own."
        )
    expected = head.known.get(found.revision)
    return (
        f"The schema is half-migrated: it is marked with revision {found.revision or 'none'} and has "
        f"{len(found.tables)} tables{f', not {expected}' if expected else ''}, as after an error "
        "1419 or a migration that was killed; restore it from a snapshot, or repair it if it holds "
        "no data yet."
    )


def require_fit(schema: str, found: Found, grants: Grants) -> None:
    """Refuse to start a migration that would fail half way."""
    require_rights(schema, grants)
    require_collation(schema, found)


def require_rights(schema: str, grants: Grants) -> None:
    """Refuse an identity that would be stopped half way; one with roles is trusted."""
    if grants.role != "NONE":
        return
    missing = [privilege for privilege in PRIVILEGES if privilege not in grants.held]
    if missing:
        raise EntryError(
            f"The user {grants.user} lacks {', '.join(missing)} on {schema}, without which a migration "
            "breaks off half way; run the projects playbook, which grants them."
        )
    if grants.logged and not grants.trusted and "SUPER" not in grants.held:
        raise EntryError(
            "The database keeps a binary log and log_bin_trust_function_creators is off, so a "
            "migration would break off half way with error 1419; set "
            "log_bin_trust_function_creators to 1 in its parameter group, or turn the log off."
        )


def require_collation(schema: str, found: Found) -> None:
    """Refuse collations that MLflow's tables do not fit."""
    wrong = {table: text for table, text in found.tables.items() if text != found.collation}
    if not found.tables and found.collation != COLLATION:
        raise EntryError(
            f"The schema {schema} has the collation {found.collation}, with which names that "
            f"differ only in case clash; ALTER DATABASE `{schema}` CHARACTER SET utf8mb4 COLLATE "
            f"{COLLATION}, then rerun."
        )
    if wrong or not found.collation.startswith("utf8mb4"):
        table = min(wrong or found.tables)
        raise EntryError(
            f"The table {table} has the collation {found.tables[table]} and the schema {schema} has "
            f"{found.collation}, so new tables could not refer to it; convert the tables and the "
            f"schema to {COLLATION}, then rerun."
        )
