# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: options of one module that another one is given."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError


def validated(
    spec: dict[str, dict[str, t.Any]], given: t.Mapping[str, t.Any], name: str
) -> dict[str, t.Any]:
    """Return options that came as one dictionary, with defaults; raises MlflowError, which begins with a name."""
    result = ArgumentSpecValidator(spec).validate(dict(given))
    if result.error_messages:
        raise MlflowError(f"{name}: {result.error_messages[0]}")
    parameters: dict[str, t.Any] = result.validated_parameters
    return parameters
