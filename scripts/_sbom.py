"""Write the software bill of materials of the image's Python packages, or check it.

It lists the packages that the lock file has for the image's Python on Linux, and their dependencies.
The base image's own packages are in the base image's bill. Runs in the environment of
requirements/test.txt; scripts/sbom prepares it.
"""

import argparse
import hashlib
import json
import re
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.markers import Marker

DOCKER = Path(__file__).resolve().parent.parent / "docker"
LOCK = DOCKER / "requirements.txt"
BILL = DOCKER / "sbom.cdx.json"
LIST = "requirements.in"
# The Dockerfile's base; what differs between its processors needs no package.
IMAGE = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.0",
    "python_version": "3.11",
    "sys_platform": "linux",
}
_PINNED = re.compile(r"^(?P<name>[a-z0-9.-]+)==(?P<version>\S+)(?: ; (?P<marker>[^\\]+?))? *\\?$")
_VIA = re.compile(r"^    #(?: via|  ) +(?P<name>\S.*)$")


@dataclass
class Package:
    """One pinned package, and the packages that require it."""

    name: str
    version: str
    required_by: set[str] = field(default_factory=set)

    @property
    def reference(self) -> str:
        """Return its package URL."""
        return f"pkg:pypi/{self.name}@{self.version}"


def read(lock: str) -> list[Package]:
    """Return the packages that the lock installs into the image."""
    packages: list[Package] = []
    current = None
    for line in lock.splitlines():
        if pinned := _PINNED.match(line):
            marker = pinned["marker"]
            current = None
            if marker is None or Marker(marker).evaluate(IMAGE):
                current = Package(pinned["name"], pinned["version"])
                packages.append(current)
        elif current and (via := _VIA.match(line)):
            current.required_by.add(via["name"])
    return packages


def bill(lock: str) -> dict[str, Any]:
    """Return the bill of a lock; the same lock gives the same bill."""
    packages = read(lock)
    mlflow = next(package for package in packages if package.name == "mlflow")
    digest = hashlib.sha256(lock.encode()).hexdigest()
    root = {"bom-ref": "image", "type": "container", "name": "mlflow", "version": mlflow.version}
    components = [
        {
            "bom-ref": package.reference,
            "type": "library",
            "name": package.name,
            "version": package.version,
            "purl": package.reference,
        }
        for package in packages
    ]
    dependencies = [_depends_on("image", packages, lambda name: LIST in name)]
    dependencies += [
        _depends_on(package.reference, packages, package.name.__eq__) for package in packages
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        "metadata": {
            "component": root,
            "properties": [{"name": "mlflow_aws:requirements.txt:sha256", "value": digest}],
        },
        "components": components,
        "dependencies": dependencies,
    }


def _depends_on(reference: str, packages: list[Package], is_it: Any) -> dict[str, Any]:
    """Return what one package depends on."""
    required = [package.reference for package in packages if any(map(is_it, package.required_by))]
    return {"ref": reference, "dependsOn": required}


def main() -> int:
    """Write the bill, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail if out of date")
    check = parser.parse_args().check
    text = json.dumps(bill(LOCK.read_text()), indent=1) + "\n"
    if BILL.is_file() and BILL.read_text() == text:
        return 0
    if check:
        print(f"{BILL.name} is out of date; run scripts/sbom.", file=sys.stderr)
        return 1
    BILL.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
