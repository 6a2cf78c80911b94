# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the content of a door's settings file, purely.

What it means stands in programs/door/mlflow_aws_door/settings.py.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._projects import members as listed

_HIDDEN = "..."


def settings(params: t.Mapping[str, t.Any], secret: str) -> dict[str, t.Any]:
    """Return the settings that the options of mlflow_door ask for; raises MlflowError.

    secret: what servers know the door by; empty in check mode before it is made.
    """
    tls = {key: text for key, text in (params["tls"] or {}).items() if text is not None}
    _require(params, tls)
    members = listed.members(params["members"])
    projects = [
        {
            **project,
            "members": listed.roles(f"projects '{project['name']}': members", project["members"]),
        }
        for project in params["projects"]
    ]
    listed.require_known(projects, members)
    made: dict[str, t.Any] = {
        "host": params["host"],
        "listen": list(params["listen"]),
        "redirect": list(params["redirect"]),
        "port": params["port"],
        "tls": tls,
        "secret": secret,
        "projects": {
            project["name"]: {
                key: project[key] for key in ("upstream", "owner", "description", "members")
            }
            for project in projects
        },
        "members": {
            member["name"]: {"kind": member["kind"], "email": member["email"]} for member in members
        },
        "oidc": params["oidc"],
        "session": params["session"],
        "hold": params["hold"],
    }
    digest = hashlib.sha256(json.dumps(made, sort_keys=True).encode("utf-8"))
    return {**made, "configuration": digest.hexdigest()[:16]}


def redacted(given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return settings without what is secret; the configuration tells them apart."""
    oidc = given.get("oidc")
    shown = {**given, "secret": _HIDDEN}
    return {**shown, "oidc": {**oidc, "client_secret": _HIDDEN}} if oidc else shown


def _require(params: t.Mapping[str, t.Any], tls: t.Mapping[str, str]) -> None:
    """Refuse what does not fit together."""
    if not params["host"]:
        raise MlflowError(
            "The door needs a name under which clients reach it; set mlflow_door_host."
        )
    if tls["kind"] == "files" and not (tls.get("certificate") and tls.get("key")):
        raise MlflowError(
            "mlflow_door_tls has the kind files; name both files by certificate and key."
        )
