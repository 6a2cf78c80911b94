# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the exception that every part below main() raises.

Parts below main() know no AnsibleModule, so they start programs by subprocess and say so
to pylint, which would have them call the module's run_command().
"""

from __future__ import annotations

import typing as t


class MlflowError(Exception):
    """One sentence: what was tried, on what, what came back, and what to do.

    details is what was done before the failure; the module returns it with the message.
    """

    def __init__(self, message: str, details: t.Mapping[str, t.Any] | None = None) -> None:
        super().__init__(message)
        self.details = dict(details or {})
