# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom an artifact belongs to, by its path below a project's artifacts, and what a location refers to.

MLflow puts artifacts below the location of their experiment, usually its number:

    EXPERIMENT/RUN/artifacts/...
    EXPERIMENT/models/MODEL/artifacts/...
    EXPERIMENT/traces/TRACE/artifacts/...
    trace-archive/EXPERIMENT/traces/TRACE/artifacts/...    of archived traces

An artifact with any other path has no owner that could be asked for.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from ..archival import FOLDER

RUN, MODEL, TRACE = "run", "model", "trace"
_NUMBER = re.compile(rf"(?:{FOLDER}/)?[0-9]{{1,20}}/")
_KINDS = (
    (RUN, re.compile(r"(?P<id>[0-9a-f]{32})/artifacts/.")),
    (MODEL, re.compile(r"models/(?P<id>m-[0-9a-f]{32})/artifacts/.")),
    (TRACE, re.compile(r"traces/(?P<id>(?:tr-)?[0-9a-f]{32})/artifacts/.")),
)
_PROXIED = re.compile(r".*?/api/2\.0/mlflow-artifacts/artifacts/(?P<path>.+)")


class Owner(NamedTuple):
    """A run, a logged model or a trace."""

    kind: str
    id: str


def owner(path: str, bases: Iterable[str]) -> Owner | None:
    """Return whose an artifact is, None if its path does not tell.

    bases: locations of experiments, as paths below the project's artifacts, that are not a number.
    """
    starts = [f"{base}/" for base in bases if path.startswith(f"{base}/")]
    match = _NUMBER.match(path)
    if match:
        starts.append(match[0])
    for start in starts:
        for kind, pattern in _KINDS:
            found = pattern.match(path, len(start))
            if found:
                return Owner(kind, found["id"])
    return None


def named(location: str) -> Owner | None:
    """Return the run or logged model that a location such as runs:/ID/model names, if it names one."""
    for scheme, kind in (("runs:/", RUN), ("models:/", MODEL)):
        if location.startswith(scheme):
            name = location[len(scheme) :].strip("/").partition("/")[0]
            return Owner(kind, name) if kind == RUN or name.startswith("m-") else None
    return None


def below(location: str, root: str) -> str | None:
    """Return the path below the project's artifacts of a location, None if it is elsewhere.

    root is the place of the artifacts as people write it.
    """
    if location.startswith("mlflow-artifacts:"):
        return urlsplit(location).path.strip("/")
    if location.startswith(("http://", "https://")):
        match = _PROXIED.fullmatch(urlsplit(location).path)
        return match["path"].strip("/") if match else None
    for start in (root, f"file://{root}"):
        if location == start or location.startswith(f"{start}/"):
            return location[len(start) :].strip("/")
    return None


def within(path: str, folders: Container[str]) -> bool:
    """Return whether one of these folders or files holds a path, or is it."""
    return any(part in folders for part in _ancestors(path))


def _ancestors(path: str) -> Iterator[str]:
    """Return a path and the folders above it."""
    yield path
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
