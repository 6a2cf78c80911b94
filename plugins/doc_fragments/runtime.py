# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that name an installed MLflow."""

from __future__ import annotations


class ModuleDocFragment:
    """An installed MLflow, as mlflow_installation returns it."""

    DOCUMENTATION = r"""
options:
  python:
    description: Path to the interpreter that has MLflow installed, as returned by
      M(mlops.mlflow_aws.mlflow_installation).
    type: path
    required: true
  entrypoint:
    description: Path to C(mlflow_entry.py) beside it, as returned by M(mlops.mlflow_aws.mlflow_installation).
    type: path
    required: true
"""
