# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server never migrates: it refuses a schema that is not this MLflow's."""

from __future__ import annotations

from typing import Any

from . import mysql, revisions
from .errors import DatabaseError, LastingError
from .option_file import OptionFile


def require_current_schema(settings: dict[str, Any], option_file: OptionFile | None) -> None:
    """Refuse a database whose schema is not at this MLflow's head revision."""
    found = _found(settings, option_file)
    head = revisions.known_head()
    if found == head.revision:
        return
    told = f"The schema is at revision {found or 'none'} and this MLflow needs {head.revision}; "
    if found in (None, *head.known):
        raise DatabaseError(f"{told}run the deploy playbook, which migrates it.")
    # Revisions only grow, so this server has to go, or somebody restores the database.
    raise LastingError(f"{told}a newer MLflow wrote it, so serve it with that one.")


def _found(settings: dict[str, Any], option_file: OptionFile | None) -> str | None:
    """Return the revision of the settings' database; a MySQL one may need time to wake up."""
    import sqlalchemy

    uri = settings["backend_store_uri"]
    try:
        if not option_file:
            return _revision(uri)
        bounded, seconds = option_file.uri(uri), mysql.limit(mysql.WAIT)
        found: str | None = mysql.wait_awake(lambda: _revision(bounded, option_file), uri, seconds)
    except sqlalchemy.exc.SQLAlchemyError as error:
        if option_file:
            raise DatabaseError(mysql.sentence(error, uri, settings["database"])) from None
        reason = str(error.__cause__ or error).splitlines()[0]
        raise DatabaseError(f"The project's database cannot be read: {reason}.") from None
    return found


def _revision(uri: str, option_file: OptionFile | None = None) -> str | None:
    """Return the revision that the database is at."""
    import sqlalchemy
    from alembic.migration import MigrationContext

    engine = sqlalchemy.create_engine(uri)
    if option_file:
        # The caller waits for the database itself.
        option_file.attend(engine, patience=0)
    try:
        with engine.connect() as connection:
            found: str | None = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    return found
