# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema revisions that the installed MLflow knows, and how many tables each has."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from .errors import EntryError
from .installation import KNOWN


class Head(NamedTuple):
    """What this MLflow knows: its head revision, and the number of tables at each revision."""

    revision: str
    known: dict[str, int | None]


def known_head() -> Head:
    """Return what this MLflow knows; the numbers of tables where they are recorded."""
    scripts = _scripts()
    revisions = [script.revision for script in scripts.walk_revisions()]
    counts: dict[str, int] = {}
    with contextlib.suppress(FileNotFoundError):
        counts = json.loads(KNOWN.read_text(encoding="utf-8"))["tables"]
    known = {revision: counts.get(revision) for revision in revisions}
    return Head(str(scripts.get_current_head()), known)


def recorded_head() -> Head:
    """Return the same, from mlflow.json where it is that of the installed MLflow.

    Reading it takes no time; the scripts import MLflow, which takes seconds.
    """
    with contextlib.suppress(FileNotFoundError):
        recorded = json.loads(KNOWN.read_text(encoding="utf-8"))
        if recorded["version"] == version("mlflow"):
            counts = recorded["tables"]
            known = {revision: counts.get(revision) for revision in recorded["revisions"]}
            return Head(str(recorded["head"]), known)
    return known_head()


def describe() -> dict[str, Any]:
    """Return version, head revision and all known revisions of the installed MLflow.

    Where mlflow.json was made from that MLflow, `tables` is the number of tables at each revision.
    """
    head = known_head()
    described = {
        "version": version("mlflow"),
        "head": head.revision,
        "revisions": list(head.known),
    }
    return described | ({"tables": head.known} if all(head.known.values()) else {})


def survey() -> dict[str, Any]:
    """Return what mlflow.json has to hold: see describe()."""
    return describe() | {"tables": _count_tables()}


def migrate(uri: str) -> None:
    """Bring one database, empty or older, to the head revision, as `mlflow db upgrade` does."""
    from mlflow.db import upgrade

    upgrade.callback(uri)


def create_at(uri: str, revision: str) -> None:
    """Give an empty database the schema of a revision that this MLflow knows."""
    import sqlalchemy
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base

    engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.pool.NullPool)
    Base.metadata.create_all(engine)
    # Alembic's configuration takes a percent sign for its own.
    config = _get_alembic_config(uri.replace("%", "%%"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


@functools.cache
def tables_at(revision: str) -> frozenset[str]:
    """Return the names of the tables of a revision that this MLflow knows; loads MLflow, which takes seconds."""
    ((_revision, names),) = _migrated([revision])
    return frozenset(names)


def _count_tables() -> dict[str, int]:
    """Return how many tables a schema has at each revision."""
    revisions = [script.revision for script in reversed(list(_scripts().walk_revisions()))]
    return {revision: len(names) for revision, names in _migrated(revisions)}


def _migrated(revisions: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Return the tables at each of these revisions, older ones first, by migrating a database in memory."""
    import sqlalchemy
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base

    config = _get_alembic_config("sqlite://")
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.pool.StaticPool)
    Base.metadata.create_all(engine)
    for revision in revisions:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            yield revision, sqlalchemy.inspect(connection).get_table_names()


def _scripts() -> Any:
    """Return MLflow's migration scripts as Alembic reads them, without importing MLflow."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    spec = importlib.util.find_spec("mlflow")
    if spec is None or not spec.submodule_search_locations:
        raise EntryError("MLflow is not installed for this Python; run the deploy playbook.")
    config = Config()
    folder = Path(spec.submodule_search_locations[0]) / "store" / "db_migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return ScriptDirectory.from_config(config)
