# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The path of a request: which project it is of, and its path within that project.

A path has one spelling here. What could be read in two ways, such as an encoded slash or a dot segment, is
refused, so that what is checked is what MLflow gets.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

# A project's name, as the inventory has it: no other first segment leads to a project.
PROJECT = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_INNER = re.compile(rf"/({PROJECT.pattern})(/.*)?", re.DOTALL)
# What a client may send literally; everything else comes as %XX.
_TARGET = re.compile(r"/[\x21-\x7e]*")
_QUERY = re.compile(r"[\x21-\x7e\x80-\xff]*")
# Three times what S3 takes as a key, for names of which each byte is escaped.
_LONGEST = 4096
_ESCAPES = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Encoded, these would be taken for separators by one reader and not by another.
_SEPARATORS = re.compile(r"%(?:2[fF]|5[cC])|\\")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class Target(NamedTuple):
    """What a request asks for.

    project: its name, empty for the pages of the door; path: decoded, below the project; bare: whether the
    project's name ends the path, to which browsers have to add a slash.
    """

    project: str
    path: str
    bare: bool = False


def split(target: str) -> Target | None:
    """Return what a request's target (path and query, as sent) asks for; None if it has several readings."""
    raw, _mark, query = target.partition("?")
    if len(raw) > _LONGEST or not _TARGET.fullmatch(raw) or not _QUERY.fullmatch(query):
        return None
    if "#" in target or _ESCAPES.search(raw) or _SEPARATORS.search(raw):
        return None
    found = _INNER.fullmatch(raw)
    inner = (found[2] or "/") if found else raw
    try:
        path = unquote_to_bytes(inner).decode("utf-8")
    except UnicodeDecodeError:
        return None
    segments = path.split("/")[1:]
    if _CONTROLS.search(path) or {".", ".."} & set(segments) or "" in segments[:-1]:
        return None
    return Target(found[1], path, found[2] is None) if found else Target("", path)


def following(target: str) -> str:
    """Return where a browser goes after signing in: never to another site, and in characters of a header."""
    found = split(target)
    return target if found and target.isascii() and (found.project or target == "/") else "/"
