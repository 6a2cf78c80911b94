# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the one place that says which paths of a host are accepted.

A module of a local connection runs in the playbook's folder, one of another connection in the
home folder: what a relative path names depends on how Ansible is called, and may be a folder of
the installed collection, which the next `ansible-galaxy collection install --force` deletes. So
paths of a host are absolute. `~`, `~USER` and `$VARIABLE` at the beginning are the host's own.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

# What ansible-galaxy deletes and writes again.
_COLLECTION = f"{os.sep}{os.path.join('ansible_collections', 'mlops', 'mlflow_aws')}{os.sep}"
_EXAMPLES = {
    "mlflow_server_aws_config_dir": "/home/ada/.aws",
    "mlflow_server_base_python": "/usr/bin/python3.11",
}
_STATE = "mlflow_state_dir"
_PROGRAMS = ("mlflow_server_base_python",)
_EXAMPLE = "/srv/mlflow"


def host_path(variable: str, given: str) -> str:
    """Return a path of this host, normalized; raises MlflowError naming the variable."""
    text = os.path.expanduser(os.path.expandvars(given))
    if not os.path.isabs(text):
        raise _refusal(variable, given)
    return os.path.abspath(text)


def host_state(variable: str, given: str) -> str:
    """Return a folder of this host that is to last, outside of what ansible-galaxy installs."""
    path = host_path(variable, given)
    _require_outside(variable, path)
    return path


def host_program(variable: str, given: str) -> str:
    """Return a program of this host: a name to look up on the PATH, or a path."""
    return host_path(variable, given) if os.sep in given else given


def runtime_paths(options: t.Mapping[str, t.Any]) -> tuple[str, str]:
    """Return the options python and entrypoint of a module, empty where they are not given."""
    python, entrypoint = (
        host_path(name, options[name]) if options[name] else "" for name in ("python", "entrypoint")
    )
    return python, entrypoint


def require_host_paths(variables: t.Mapping[str, t.Any]) -> None:
    """Refuse what no host would accept, as early as on the control node.

    Each value is as it was written: what begins with ~ or $ is for the host to read.
    """
    for variable, given in variables.items():
        text = str(given or "")
        is_name = variable in _PROGRAMS and os.sep not in text
        if text and not is_name and text[0] not in (os.sep, "~", "$"):
            raise _refusal(variable, text)
        if variable == _STATE and text.startswith(os.sep):
            _require_outside(variable, os.path.abspath(text))


def environment_folder(name: str) -> str | None:
    """Return a folder that an XDG variable names; the specification has relative ones ignored."""
    text = os.environ.get(name, "")
    return text if os.path.isabs(text) else None


def _refusal(variable: str, given: str) -> MlflowError:
    """Return the error for a path that is not absolute."""
    return MlflowError(
        f"{variable} is {given!r}, which is not an absolute path; write the full path on the host, such "
        f"as {_EXAMPLES.get(variable, _EXAMPLE)}."
    )


def _require_outside(variable: str, path: str) -> None:
    """Refuse a path inside of the installed collection."""
    if _COLLECTION in f"{path}{os.sep}":
        raise MlflowError(
            f"{variable} is {path!r}, inside the installed collection, which its next installation deletes; "
            f"choose a path outside, such as {_EXAMPLES.get(variable, _EXAMPLE)}."
        )
