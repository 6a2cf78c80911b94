# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove from its own environment what a server in an image never reads.

The Dockerfile runs it once; the tests of the image then let a server do everything.
"""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

# The AWS services whose descriptions botocore keeps: artifacts, the project's secret, key and
# role, and what profiles with single sign-on and `aws login` call.
SERVICES = ("s3", "secretsmanager", "signin", "ssm", "sso", "sso-oidc", "sts")
# Packages that are known to run without their tests.
TESTED = ("numpy", "pandas")
INSTALLERS = ("_distutils_hack", "distutils-precedence.pth", "pip", "pkg_resources", "setuptools")


def main() -> None:
    """Remove it all."""
    packages = Path(sysconfig.get_path("purelib"))
    for service in (packages / "botocore" / "data").iterdir():
        if service.is_dir() and service.name not in SERVICES:
            shutil.rmtree(service)
    for name in TESTED:
        for folder in sorted((packages / name).rglob("tests")):
            shutil.rmtree(folder, ignore_errors=True)
    for name in INSTALLERS:
        _remove(packages / name)
        for metadata in packages.glob(f"{name}-*.dist-info"):
            _remove(metadata)
    for program in Path(sysconfig.get_path("scripts")).glob("pip*"):
        program.unlink()


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
