# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the settings and names of a host's credential broker, purely.

What the settings mean stands in programs/broker/mlflow_aws_broker/settings.py.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.container_spec import LABEL

# Labels of the broker's container and volumes; a server's have others.
BROKER, BROKER_PROJECT = f"{LABEL}broker", f"{LABEL}broker-project"


def container_name(instance: str) -> str:
    """Return the name of the broker's container and volume; no project's name holds a dot."""
    return f"{instance}.broker"


def settings(
    params: t.Mapping[str, t.Any], socket: str, state: str, identity: str
) -> dict[str, t.Any]:
    """Return the content of the broker's settings file.

    socket: the path of a project's socket, with {} for its name; state: that of the socket for the
    broker's state; identity stands for the program that reads them.
    """
    made: dict[str, t.Any] = {
        "region": params["region"],
        "endpoint_url": params["endpoint_url"],
        "profile": params["profile"],
        "environment": {name: str(text) for name, text in sorted(params["environment"].items())},
        "state": state,
        "projects": {
            name: {"role_arn": str(role), "socket": socket.format(name)}
            for name, role in sorted(params["projects"].items())
        },
    }
    digest = hashlib.sha256(json.dumps([identity, made], sort_keys=True).encode("utf-8"))
    made["configuration"] = digest.hexdigest()[:16]
    return made


def redacted(given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return settings without the values of variables; the configuration tells them apart."""
    return {**given, "environment": sorted(given.get("environment", ()))}
