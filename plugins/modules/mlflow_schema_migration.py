#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_schema_migration
short_description: Bring projects' schemas to the revision of the MLflow that serves them
version_added: 0.1.0
description:
  - Classifies all schemas first and refuses, before any is touched, what must not be migrated. That is
    a file that is no database, a database of something else, or a schema that a newer MLflow wrote.
  - Creates empty schemas and migrates older ones. A migration works on a copy that takes the original's
    place when it is complete; the original stays beside it as a backup.
  - Servers of older schemas must be stopped before, as their writes during the migration would be lost.
    The role P(mlops.mlflow_aws.mlflow_project#role) does that.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.runtime
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  schemas:
    description: The schemas to bring to the head revision.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The project's name.
        type: str
        required: true
      uri:
        description: SQLAlchemy URI of the database; this release knows SQLite files.
        type: str
        required: true
  timeout:
    description: Seconds that a wait for another run, and each migration, may take.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: Create or migrate a project's schema
  mlops.mlflow_aws.mlflow_schema_migration:
    schemas:
      - name: demo
        uri: sqlite:////srv/mlflow/projects/demo/mlflow.db
    python: /srv/mlflow/runtimes/3.17.2-0123456789ab/venv/bin/python
    entrypoint: /srv/mlflow/runtimes/3.17.2-0123456789ab/mlflow_entry.py
"""

RETURN = r"""
schemas:
  description: One record for each schema, in the order given.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The project's name.
      type: str
    state:
      description: What was found, one of V(empty), V(current), V(behind) or, in check mode before MLflow is
        installed, V(unknown).
      type: str
    revision:
      description: Revision that was found, empty for an empty schema.
      type: str
    head:
      description: Revision that the MLflow which serves it needs.
      type: str
    backup:
      description: Path of the copy that was kept of an older schema, else empty.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module, _sqlite_schema
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError


def main() -> None:
    """Run the module."""
    schema = {"name": {"type": "str", "required": True}, "uri": {"type": "str", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "schemas": {"type": "list", "elements": "dict", "required": True, "options": schema},
            "python": {"type": "path", "required": True},
            "entrypoint": {"type": "path", "required": True},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Classify all schemas, then migrate those that need it."""
    params = module.params
    runtime = (params["python"], params["entrypoint"])
    revisions = _sqlite_schema.read_revisions(params["entrypoint"])
    schemas = [
        _sqlite_schema.classify(item["name"], item["uri"], revisions) for item in params["schemas"]
    ]
    todo = [
        schema
        for schema in schemas
        if schema.state in (_sqlite_schema.EMPTY, _sqlite_schema.BEHIND)
    ]
    backups: dict[str, str] = {}
    if todo and not module.check_mode:
        if revisions is None:
            raise MlflowError(f"No MLflow is installed at {runtime[0]}: run the deploy playbook.")
        backups = _sqlite_schema.migrate(todo, revisions, *runtime, params["timeout"])
    head = revisions.head if revisions else ""
    records = [
        {
            "name": schema.name,
            "state": schema.state,
            "revision": schema.revision,
            "head": head,
            "backup": backups.get(schema.name, ""),
        }
        for schema in schemas
    ]
    before = {schema.name: schema.revision for schema in todo}
    after = {schema.name: head or "the head revision" for schema in todo}
    return {"changed": bool(todo), "schemas": records, "diff": {"before": before, "after": after}}


if __name__ == "__main__":
    main()
