# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the one place where exceptions become fail_json."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

_SECRET_LENGTH = 6


def run(module: AnsibleModule, work: t.Callable[[AnsibleModule], dict[str, t.Any]]) -> None:
    """Do the module's work and exit with its result, or fail with its one sentence."""
    try:
        result = work(module)
    except MlflowError as error:
        module.fail_json(msg=str(error), **error.details)
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or 'A system call'} failed: {error.strerror or error}."
        )
    module.exit_json(**result)


def hide(module: AnsibleModule, values: t.Iterable[str]) -> None:
    """Mask values in everything that the module returns, as no_log does for whole options.

    Very short ones are left alone: masking every "1" or "true" would make results unreadable,
    and nothing secret is that short.
    """
    module.no_log_values.update(value for value in values if len(value) >= _SECRET_LENGTH)
