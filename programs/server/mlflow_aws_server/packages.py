# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the packages that a user installs beside the locked set find what they require.

The locked set leaves out much that MLflow names and a server never imports, so that what pip's own check
reports of the packages in it says nothing.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .errors import EntryError

_REMEDY = "lock mlflow_image_requirements again, as the documentation on packages of your own shows"


def require(path: Path) -> None:
    """Refuse packages of a lock that lack what they require, or break what another one requires."""
    for fault in faults(_extras(path.read_text(encoding="utf-8")), _installed()):
        raise EntryError(f"{fault}; {_REMEDY}.")


def faults(listed: dict[str, frozenset[str]], installed: dict[str, Distribution]) -> Iterator[str]:
    """Return what is missing, or has another version, by one sentence each.

    listed: the extras of the user's packages by name.
    """
    for name, package in sorted(installed.items()):
        for text in package.requires or ():
            requirement = Requirement(text)
            if not _applies(requirement, listed.get(name, frozenset())):
                continue
            wanted = canonicalize_name(requirement.name)
            found = installed.get(wanted)
            start = f"{package.name} {package.version} requires {requirement.name}{requirement.specifier}"
            if found is None and name in listed:
                yield f"{start}, which neither the file nor the locked set has"
            elif (
                found is not None
                and {name, wanted} & listed.keys()
                and not requirement.specifier.contains(found.version, prereleases=True)
            ):
                yield f"{start}, but {found.version} is installed"


def _extras(lock: str) -> dict[str, frozenset[str]]:
    """Return the extras of each package of a lock by its name."""
    lines = [line.partition(" \\")[0] for line in lock.splitlines() if line[:1].strip()]
    return {
        canonicalize_name(requirement.name): frozenset(requirement.extras)
        for requirement in map(Requirement, lines)
    }


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    """Return whether a requirement counts here, for a package that is wanted with these extras."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _installed() -> dict[str, Distribution]:
    """Return the packages of this Python's own environment by name."""
    places = [sysconfig.get_path(kind) for kind in ("purelib", "platlib")]
    return {
        canonicalize_name(package.name): package
        for package in distributions(path=list(dict.fromkeys(places)))
    }
