# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings file of the broker (JSON, mode 0600).

    configuration  text; names what the broker was started with
    region         AWS region of the projects' stacks
    endpoint_url   URL to use instead of AWS's endpoints; may be empty
    profile        profile of the host's AWS configuration; if empty, the default one
    environment    variables that the host's identity needs, name to text
    state          path of the socket that gives the broker's state
    projects       name to `role_arn`, and `socket`, the path of the project's socket

It holds no credentials, unless `environment` does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from .errors import BrokerError


class Project(NamedTuple):
    """What a project gets, and where."""

    role_arn: str
    socket: Path


class Settings(NamedTuple):
    """What the broker does; see the table above."""

    region: str
    endpoint_url: str
    profile: str
    environment: dict[str, str]
    state: Path
    projects: dict[str, Project]


def read(path: Path) -> Settings:
    """Read a settings file."""
    try:
        given: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Settings(
            region=str(given["region"]),
            endpoint_url=str(given["endpoint_url"]),
            profile=str(given["profile"]),
            environment={name: str(text) for name, text in given["environment"].items()},
            state=Path(given["state"]),
            projects={
                name: Project(str(project["role_arn"]), Path(project["socket"]))
                for name, project in given["projects"].items()
            },
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BrokerError(f"{path} cannot be read ({error}); run the servers playbook.") from None
