# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the options of mlflow_door."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _options

Spec = dict[str, t.Any]
_TEXT: Spec = {"type": "str", "default": ""}
TLS: Spec = {
    "kind": {"type": "str", "choices": ["internal", "files", "acme"], "default": "internal"},
    "certificate": {"type": "path"},
    # A path.
    "key": {"type": "path", "no_log": False},
    "email": _TEXT,
    "directory": _TEXT,
}
OIDC: Spec = {
    "issuer": {"type": "str", "required": True},
    "client_id": {"type": "str", "required": True},
    "client_secret": {"type": "str", "default": "", "no_log": True},
    "name": {"type": "str", "default": "single sign-on"},
}
PROJECT: Spec = {
    "name": {"type": "str", "required": True},
    "upstream": {"type": "str", "required": True},
    "owner": _TEXT,
    "description": _TEXT,
    "members": {"type": "dict", "default": {}},
}
MEMBER: Spec = {
    "name": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": ["person", "service"], "default": "person"},
    "email": _TEXT,
}
SPEC: dict[str, Spec] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "state_dir": {"type": "path"},
    "host": _TEXT,
    "listen": {"type": "list", "elements": "str", "default": [":443"]},
    "redirect": {"type": "list", "elements": "str", "default": [":80"]},
    "port": {"type": "int", "default": 443},
    "tls": {"type": "dict", "options": TLS, "default": {}},
    "oidc": {"type": "dict", "options": OIDC},
    "projects": {"type": "list", "elements": "dict", "options": PROJECT, "default": []},
    "members": {"type": "list", "elements": "dict", "options": MEMBER, "default": []},
    "session": {"type": "int", "default": 43200},
    "hold": {"type": "int", "default": 60},
    "requirements": _TEXT,
    "programs": {"type": "dict", "default": {}},
    "python": _TEXT,
    "start_at_boot": {"type": "bool", "default": False},
    "install_timeout": {"type": "int", "default": 900},
    "timeout": {"type": "int", "default": 120},
}


def validated(given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return options that came as one dictionary, with defaults; raises MlflowError."""
    return _options.validated(SPEC, given, "mlflow_door")
