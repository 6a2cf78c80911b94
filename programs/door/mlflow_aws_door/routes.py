# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which role each of MLflow's routes needs.

The table is routes.txt: a role, a method and a route on each line. What it does not name is refused, so that a
new release with an unknown route is not open; tests/integration compares it with MLflow's own routes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

# From the weakest to the strongest; the last one is nobody's.
ROLES = ("read", "edit", "manage", "nobody")
NONE = ""
# MLflow has nearly all that clients ask for a second time, for its pages.
_API, _PAGES = "/api/", "/ajax-api/"
_FILE = Path(__file__).with_name("routes.txt")
# As MLflow's two frameworks write them: <path:name> and {name:path} take slashes, <name> and {name} do not.
_PARAMETER = re.compile(r"<(?P<rest>path:)?\w+>|\{\w+(?P<other>:path)?\}")


class Route(NamedTuple):
    """A line of the table."""

    role: str
    method: str
    template: str


class Table:
    """The role for each request."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Take the lines."""
        self._exact: dict[tuple[str, str], str] = {}
        self._patterns: dict[str, list[tuple[re.Pattern[str], str]]] = {}
        for role, method, template in routes:
            if _PARAMETER.search(template):
                self._patterns.setdefault(method, []).append((_pattern(template), role))
            else:
                self._exact[method, template] = role

    def role(self, method: str, path: str) -> str:
        """Return the role that a request needs, the strongest of those that match; NONE if no route does."""
        method = "GET" if method == "HEAD" else method
        matching = [
            role for pattern, role in self._patterns.get(method, ()) if pattern.fullmatch(path)
        ]
        exact = self._exact.get((method, path))
        if exact is not None:
            matching.append(exact)
        return max(matching, key=ROLES.index, default=NONE)


def read() -> Iterator[Route]:
    """Return the lines of the table, and what those below /api/ stand for."""
    for line in _FILE.read_text(encoding="ascii").splitlines():
        if line and not line.startswith("#"):
            role, method, template = line.split()
            yield Route(role, method, template)
            if template.startswith(_API):
                yield Route(role, method, _PAGES + template.removeprefix(_API))


def allows(role: str, needed: str) -> bool:
    """Return whether someone with a role may do what needs another; either may be NONE."""
    return NONE not in (role, needed) and ROLES.index(role) >= ROLES.index(needed)


def _pattern(template: str) -> re.Pattern[str]:
    """Return the expression of a route with parameters."""
    made, end = "", 0
    for found in _PARAMETER.finditer(template):
        made += re.escape(template[end : found.start()])
        made += ".+" if found["rest"] or found["other"] else "[^/]+"
        end = found.end()
    return re.compile(made + re.escape(template[end:]), re.DOTALL)
