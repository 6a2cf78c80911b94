# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: how pip installs into an environment of ours, and nowhere else.

pip.conf and PIP_* variables may say `user`, `target`, `prefix`, `constraint` and more, which put
packages elsewhere or others in their place. They also say how the package index is reached, which
pip's own --isolated would drop with the rest. So what is of use is taken over, by name.

scripts/_venv.py loads this file by its path, so it needs the standard library alone.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import typing as t
from pathlib import Path

# How the package index is reached, and where downloads are kept.
KEPT = (
    "cache-dir",
    "cert",
    "client-cert",
    "default-timeout",
    "extra-index-url",
    "find-links",
    "index-url",
    "keyring-provider",
    "no-cache-dir",
    "no-index",
    "no-proxy-env",
    "proxy",
    "pypi-url",
    "resume-retries",
    "retries",
    "timeout",
    "trusted-host",
)
_PREFIX = "PIP_"
_FILE = "PIP_CONFIG_FILE"
# Later ones come first with pip; its variables come before all of them.
_SECTIONS = ("global", "install")
# pip's own reading, as its files and their order differ by system and release. Its command `config`
# would first obey what they hold, and newer ones do not show which file comes first.
_READ = """
import json
from pip._internal.configuration import Configuration
configuration = Configuration(isolated=False)
configuration.load()
names = set()
for name, value in configuration.items():
    names.update(value if isinstance(value, dict) else [name])
print(json.dumps({name: configuration.get_value(name) for name in names}))
"""
_READ_SECONDS = 60
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[\w.,-]*\])?==[^\s;\\]+[ \t]*(;?)", re.MULTILINE)
# So many files of each package are looked for; a removed or emptied one lacks its first.
_LOOKED_AT = 8


class PipError(Exception):
    """One sentence: why pip's settings cannot be read, and what to do."""


def environment(python: str, variables: t.Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which the pip of this interpreter reaches its index, and no more.

    Settings in files become variables, which are not on show as arguments would be.
    """
    others = {name: text for name, text in variables.items() if not name.startswith(_PREFIX)}
    settings: dict[str, str] = {}
    found = _read(python, others, variables.get(_FILE, ""))
    for section in _SECTIONS:
        for name in KEPT:
            settings[name] = found.get(f"{section}.{name}") or settings.get(name, "")
    for name in KEPT:
        settings[name] = variables.get(_variable(name)) or settings[name]
    kept = {_variable(name): text for name, text in settings.items() if text}
    return {**others, **kept, _FILE: os.devnull}


def pinned(*locks: str) -> list[str]:
    """Return the packages that locks pin for every platform and Python."""
    return [name for lock in locks for name, marker in _PIN.findall(lock) if not marker]


def named(lock: str) -> list[str]:
    """Return all packages that a lock pins, for whichever platform and Python."""
    return [name for name, _marker in _PIN.findall(lock)]


def size(environment_folder: Path, packages: t.Iterable[str]) -> int:
    """Return how many bytes the files of those packages take that are installed in an environment."""
    installed = _installed(environment_folder)
    found = [installed[name] for name in map(_normal, packages) if name in installed]
    return sum(
        path.stat().st_size
        for metadata in found
        for path in map(metadata.parent.joinpath, _recorded(metadata))
        if path.is_file()
    )


def missing(environment_folder: Path, packages: t.Iterable[str]) -> list[str]:
    """Return those of the packages that are not, or no longer, installed in an environment."""
    found = _installed(environment_folder)
    return [
        name
        for name in packages
        if _normal(name) not in found or not _is_whole(found[_normal(name)])
    ]


def _installed(environment_folder: Path) -> dict[str, Path]:
    """Return the folders of the installed packages' metadata by name."""
    # NAME-VERSION.dist-info; a dash of the name is an underscore there.
    return {
        _normal(folder.name.partition("-")[0]): folder
        for folder in environment_folder.glob("lib/python*/site-packages/*.dist-info")
    }


def _recorded(metadata: Path) -> t.Iterator[str]:
    """Return the files that an installed package lists, relative to where packages are."""
    with (metadata / "RECORD").open(encoding="utf-8") as record:
        for line in record:
            yield line.rsplit(",", 2)[0].strip('"')


def _read(python: str, variables: t.Mapping[str, str], file: str) -> dict[str, str]:
    """Return what pip's files say, by section and name; file is the user's own one, if any."""
    try:
        answer = subprocess.run(  # pylint: disable=ansible-bad-function
            [python, "-I", "-c", _READ],
            env={**variables, **({_FILE: file} if file else {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_READ_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PipError(f"pip's settings cannot be read ({error}); rerun.") from error
    if answer.returncode != 0:
        lines = [line.strip() for line in answer.stderr.splitlines() if line.strip()]
        # pip names the file in a line or two; what stands in it may be a password.
        told = [line for line in lines if "pip.conf" in line or "onfiguration" in line]
        reason = (told or lines or ["it printed nothing"])[-1]
        raise PipError(
            f"pip's settings cannot be read ({reason}); correct its pip.conf, or name another file in "
            f"{_FILE}, and rerun."
        )
    found: dict[str, str] = json.loads(answer.stdout)
    return found


def _variable(name: str) -> str:
    """Return the variable of a setting."""
    return _PREFIX + name.upper().replace("-", "_")


def _normal(name: str) -> str:
    """Return a package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_whole(metadata: Path) -> bool:
    """Return whether the first files that an installed package lists are there."""
    packages = metadata.parent
    try:
        paths = _recorded(metadata)
        own = (path for path in paths if path.endswith((".py", ".so")) and path[:2] != "..")
        return all((packages / path).exists() for path in itertools.islice(own, _LOOKED_AT))
    except OSError:
        return False
