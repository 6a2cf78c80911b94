# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module mlflow_deployment_removal and shows what it removes while it waits."""

from __future__ import annotations

from ansible_collections.mlops.mlflow_aws.plugins.action import mlflow_stack


class ActionModule(mlflow_stack.ActionModule):
    """The same for the removal of a deployment."""

    _module = "mlops.mlflow_aws.mlflow_deployment_removal"
