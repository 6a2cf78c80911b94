# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the one place where exceptions become fail_json."""

from __future__ import annotations

import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

_SECRET_LENGTH = 6
_VERBOSE = 3
_ISSUES = "https://github.com/mlops-collections/mlflow_aws/issues"


def require(module: AnsibleModule, **errors: str | None) -> None:
    """Fail if a library is missing; errors has by its name why it could not be imported, or None."""
    for library, error in errors.items():
        if error is not None:
            module.fail_json(msg=missing_required_lib(library), exception=error)


def run(module: AnsibleModule, work: t.Callable[[AnsibleModule], dict[str, t.Any]]) -> None:
    """Do the module's work and exit with its result, or fail with its one sentence."""
    with _LastResort(module):
        try:
            result = work(module)
        except MlflowError as error:
            module.fail_json(msg=str(error), **error.details)
        except OSError as error:
            module.fail_json(msg=_refused(error), **_trace(module))
    module.exit_json(**result)


def hide(module: AnsibleModule, values: t.Iterable[str]) -> None:
    """Mask values in everything that the module returns, as no_log does for whole options.

    Very short ones are not masked: masking every "1" or "true" would make results unreadable,
    and nothing secret is that short.
    """
    module.no_log_values.update(value for value in values if len(value) >= _SECRET_LENGTH)


def _refused(error: OSError) -> str:
    """Return the sentence for a request that the operating system refused."""
    said = error.strerror or str(error) or type(error).__name__
    if error.filename:
        return (
            f"{_text(error.filename)} cannot be used ({said}); check its owner, its mode and the space on "
            "its disk, then rerun."
        )
    return f"The operating system of this host refused a request ({said}); fix that, then rerun."


class _LastResort:
    """Turns an unexpected exception into one sentence, of which -vvv shows the traceback."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module

    def __enter__(self) -> None:
        """Do nothing; the work is at the end."""

    def __exit__(self, kind: t.Any, error: BaseException | None, _frames: t.Any) -> None:
        """Fail with a sentence; the module's own exit passes."""
        if not isinstance(error, Exception):
            return
        said = " ".join(str(error).split())[:200]
        # As Ansible called it.
        name = self._module._name
        self._module.fail_json(
            msg=f"The module {name} failed unexpectedly ({kind.__name__}: {said}), which is a bug in "
            f"this collection; rerun with -vvv and report the output at {_ISSUES}.",
            **_trace(self._module),
        )


def _trace(module: AnsibleModule) -> dict[str, t.Any]:
    """Return the traceback, and show it with -vvv, which ansible-core 2.19 does not do by itself."""
    text = traceback.format_exc()
    shown = {"traceback": text.splitlines()} if module._verbosity >= _VERBOSE else {}
    return {"exception": text, **shown}


def _text(filename: t.Any) -> str:
    """Return a file's name as text."""
    return filename.decode("utf-8", "replace") if isinstance(filename, bytes) else str(filename)
