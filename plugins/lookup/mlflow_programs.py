# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: mlflow_programs
short_description: Read the Python files of a folder
version_added: 0.2.0
author: The mlops.mlflow_aws contributors (@mlops-collections)
description:
  - Reads all Python files of a folder on the control node and of the folders in it, and the text files of its packages,
    as M(mlops.mlflow_aws.mlflow_installation) takes them.
options:
  _terms:
    description: Paths to the folders.
    type: list
    elements: path
    required: true
"""

EXAMPLES = r"""
- name: Install MLflow
  mlops.mlflow_aws.mlflow_installation:
    requirements: "{{ requirements }}"
    programs: "{{ lookup('mlops.mlflow_aws.mlflow_programs', collection ~ '/programs/server') }}"
"""

RETURN = r"""
_raw:
  description: For each folder, the contents of its files by their path relative to the folder.
  type: list
  elements: dict
"""

import typing as t
from pathlib import Path

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """Ansible's entry to the lookup."""

    def run(
        self,
        terms: t.Sequence[str],
        variables: t.Mapping[str, t.Any] | None = None,
        **kwargs: t.Any,
    ) -> list[dict[str, str]]:
        """Return the files of each folder."""
        self.set_options(var_options=variables, direct=kwargs)  # type: ignore[no-untyped-call]
        return [_read(Path(term).expanduser()) for term in terms]


def _read(folder: Path) -> dict[str, str]:
    """Return the contents of a folder's Python files, and of its packages' text files, by their path in it."""
    try:
        files = {
            path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
            for path in sorted([*folder.rglob("*.py"), *folder.glob("*/*.txt")])
        }
    except OSError as error:
        raise AnsibleLookupError(
            f"{error.filename} cannot be read ({error.strerror}); make it readable."
        ) from error
    if not files:
        raise AnsibleLookupError(
            f"{folder} holds no Python file; set the path to the collection's programs/server."
        )
    return files
