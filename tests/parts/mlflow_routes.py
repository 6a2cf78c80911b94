# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All routes of MLflow's server as a JSON list of methods and templates, from its own two frameworks.

Run by a Python that has MLflow installed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mlflow.server import app as flask_app
from mlflow.server.fastapi_app import app as fastapi_app

# What each framework answers by itself where it has a route.
_BY_ITSELF = {"HEAD", "OPTIONS"}


def routes() -> Iterator[tuple[str, str]]:
    """Return method and template of each route."""
    for rule in flask_app.url_map.iter_rules():
        for method in rule.methods - _BY_ITSELF:
            yield method, rule.rule
    for route in fastapi_app.routes:
        # A router that was included comes as a whole; the last one is the mount of Flask.
        whole = getattr(route, "effective_route_contexts", None)
        for one in whole() if whole else [route]:
            yield from _of(one)


def _of(route: Any) -> Iterator[tuple[str, str]]:
    """Return what a route of FastAPI is; a mount of anything but Flask is one for all methods."""
    methods = getattr(route, "methods", None)
    if methods is None and route.path == "":
        return
    for method in set(methods or {"ANY"}) - _BY_ITSELF:
        yield method, route.path


if __name__ == "__main__":
    print(json.dumps(sorted(set(routes()))))
