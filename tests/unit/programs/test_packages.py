# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What packages of a user's require, against what is installed."""

from __future__ import annotations

from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import packages

# Version and requirements by name; MLflow lacks one that the locked set leaves out.
INSTALLED = {
    "mlflow": ("3.17.2", ["pyarrow>=4", "flask<4", "limited<3", "Not_Here; extra == 'all'"]),
    "flask": ("3.1.3", []),
}


def install(folder: Path, **more: tuple[str, list[str]]) -> dict[str, Distribution]:
    """Write the metadata of packages, as pip does, and return what Python finds."""
    for name, (version, requires) in {**INSTALLED, **more}.items():
        place = folder / f"{name}-{version}.dist-info"
        place.mkdir()
        lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {r}" for r in requires)]
        (place / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")
    return {package.name: package for package in distributions(path=[str(folder)])}


@pytest.mark.parametrize(
    ("version", "requires", "fault"),
    [
        ("1.0", [], ""),
        ("1.0", ["Flask>=3"], ""),
        ("1.0", ["flask>=4"], "own 1.0 requires flask>=4, but 3.1.3 is installed"),
        ("1.0", ["none>=2"], "own 1.0 requires none>=2, which neither the file nor the locked set has"),
        ("1.0", ["none ; python_version < '3'"], ""),
        ("1.0", ["none ; extra == 'other'"], ""),
        ("1.0", ["none ; extra == 'more'"], "own 1.0 requires none, which neither the file nor the"),
        # A version before a release is one.
        ("3.0a1", ["own>=3.0a0"], ""),
    ],
)  # fmt: skip
def test_what_a_package_requires(
    version: str, requires: list[str], fault: str, tmp_path: Path
) -> None:
    """It is met by the file or the locked set; markers and the extras that are asked for count."""
    installed = install(tmp_path, own=(version, requires))
    found = list(packages.faults({"own": frozenset({"more"})}, installed))
    assert len(found) == bool(fault)
    assert "".join(found).startswith(fault)


def test_what_others_require_of_a_package(tmp_path: Path) -> None:
    """It may not break what the locked set wants; what that lacks by itself is not told."""
    installed = install(tmp_path, limited=("3.0", []))
    [found] = packages.faults({"limited": frozenset()}, installed)
    assert found == "mlflow 3.17.2 requires limited<3, but 3.0 is installed"
    assert list(packages.faults({}, installed)) == []
