# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the packages that a user installs beside the locked set.

Their file is a lock: each package at one version, with hashes. It may not change what the locked set
pins, and what is installed is written anew from what was read here, so that pip reads no more than was
checked, and comments, order and line endings change no image.

Needs `packaging`, as Ansible itself does; those who use it on a control node require it by
PACKAGING_ERROR.
"""

from __future__ import annotations

import functools
import itertools
import re
import traceback
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

try:
    from packaging.markers import Marker
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name
    from packaging.version import Version

    PACKAGING_ERROR = None
except ImportError:
    PACKAGING_ERROR = traceback.format_exc()

VARIABLE = "mlflow_image_requirements"
# Under this name they go into the image's build, and beside an installed MLflow.
FILE = "additional-requirements.txt"
_COMMENT = re.compile(r"(^|\s+)#.*$")
_OPTION = re.compile(r"(?:^|\s)-{1,2}[A-Za-z]")
_HASH = re.compile(r"--hash(?:=|\s+)(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")
_INCLUDES = re.compile(r"-(?:r|c|-requirement|-constraint)\b")
_EDITABLE = re.compile(r"-(?:e|-editable)\b")
_RELOCK = "lock it again with the locked set as constraints, as the documentation on packages of your own shows"
# Where servers run: markers that can be true at the same time are so on one of these.
_PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
_MICROS = (0, 99)
_MACHINES = (
    ("linux", "Linux", "x86_64"),
    ("linux", "Linux", "aarch64"),
    ("darwin", "Darwin", "x86_64"),
    ("darwin", "Darwin", "arm64"),
)


class Pin(t.NamedTuple):
    """One line of a lock: a package at a version, for Pythons and platforms that meet the marker.

    name is normalized; line is the number of its first line in the file.
    """

    name: str
    extras: frozenset[str]
    version: str
    marker: str
    hashes: frozenset[str]
    line: int

    @property
    def text(self) -> str:
        """Return it as a lock has it."""
        extras = f"[{','.join(sorted(self.extras))}]" if self.extras else ""
        marker = f" ; {self.marker}" if self.marker else ""
        return " \\\n    ".join(
            [
                f"{self.name}{extras}=={self.version}{marker}",
                *(f"--hash={digest}" for digest in sorted(self.hashes)),
            ]
        )


def read(path: t.Any, locked: t.Iterable[str]) -> str:
    """Return the packages of a file that the locked set lacks, as a lock; empty without a path.

    locked are the contents of the locked set's files. Raises MlflowError with the file's line where
    it is not a lock with hashes, or would change what the locked set pins.
    """
    if not path:
        return ""
    # A variable may be of any type.
    if not isinstance(path, str):
        raise MlflowError(f"{VARIABLE} is not a string; set it to the path of a file.")
    place = _place(path)
    pins = _merged(place, parse(_text(place), str(place)))
    if not pins:
        raise MlflowError(f"{place} lists no package; list some, or remove {VARIABLE}.")
    return "\n".join(pin.text for pin in beside(pins, locked_pins(locked), str(place)))


def parse(text: str, name: str) -> list[Pin]:
    """Return the pins of a requirements file; name is what errors call it."""
    return [_pin(line, number, name) for number, line in _logical_lines(text)]


def locked_pins(texts: t.Iterable[str]) -> list[Pin]:
    """Return what the files of a locked set pin; what else they say is of no account here."""
    lines = itertools.chain.from_iterable(map(_logical_lines, texts))
    pins = (_locked_pin(line, number) for number, line in lines)
    return [pin for pin in pins if pin]


def beside(pins: t.Iterable[Pin], locked: t.Iterable[Pin], name: str) -> list[Pin]:
    """Return those pins that the locked set lacks, by name; refuse one that would change it."""
    own: dict[str, list[Pin]] = {}
    for pin in locked:
        own.setdefault(pin.name, []).append(pin)
    added = []
    for pin in sorted(pins, key=lambda pin: (pin.name, pin.marker, pin.version)):
        if pin.name not in own:
            added.append(pin)
            continue
        # Where the locked set has it, at the same version; elsewhere it is one more package.
        if not _is_locked(pin, own[pin.name], name):
            added.append(pin)
    return added


def _is_locked(pin: Pin, own: t.Sequence[Pin], name: str) -> bool:
    """Return whether the locked set has a pin wherever it applies; refuse another version."""
    everywhere = True
    for python, system, environment in _environments():
        if not _applies(pin, environment):
            continue
        there = next((one for one in own if _applies(one, environment)), None)
        if there is None:
            everywhere = False
        elif Version(there.version) != Version(pin.version):
            raise MlflowError(
                f"{name}, line {pin.line}: {pin.name} {pin.version} would replace {there.version} of the "
                f"locked set (with Python {python} on {system}); {_RELOCK}."
            )
    return everywhere


def _merged(place: Path, pins: t.Iterable[Pin]) -> list[Pin]:
    """Return pins without repetitions; refuse two versions of a package in one environment."""
    found: dict[tuple[str, str, str], Pin] = {}
    for pin in pins:
        key = (pin.name, str(Version(pin.version)), pin.marker)
        before = found.get(key)
        found[key] = (
            pin._replace(
                extras=pin.extras | before.extras,
                hashes=pin.hashes | before.hashes,
                line=before.line,
            )
            if before
            else pin
        )
    merged = list(found.values())
    for one, other in itertools.combinations(merged, 2):
        if one.name == other.name and Version(one.version) != Version(other.version):
            _require_apart(place, one, other)
    return merged


def _require_apart(place: Path, one: Pin, other: Pin) -> None:
    """Refuse two versions of a package whose markers can both be met."""
    for python, system, environment in _environments():
        if _applies(one, environment) and _applies(other, environment):
            raise MlflowError(
                f"{place}, line {other.line}: {one.name} is pinned to {other.version}, and in line "
                f"{one.line} to {one.version} (with Python {python} on {system}); keep one of them."
            )


def _place(path: str) -> Path:
    """Return where a path leads whose beginning may be a user's home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise MlflowError(
            f"{path} is in the home of a user that does not exist; correct {VARIABLE}."
        ) from None


def _text(place: Path) -> str:
    """Return the text of a file, without a byte order mark."""
    if place.is_dir():
        raise MlflowError(f"{VARIABLE} is the folder {place}; set it to the path of a file.")
    try:
        return place.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MlflowError(
            f"{place} cannot be read ({error.strerror}); correct {VARIABLE}, or make the file readable."
        ) from error
    except ValueError as error:
        raise MlflowError(f"{place} is not UTF-8 text; save it as UTF-8.") from error


def _logical_lines(text: str) -> t.Iterator[tuple[int, str]]:
    """Return lines without comments, joined as pip joins them, with the number of the first."""
    parts: list[str] = []
    first = 0
    for number, line in enumerate(text.splitlines(), start=1):
        first = first if parts else number
        is_comment = line.lstrip().startswith("#")
        goes_on = line.endswith("\\") and not is_comment
        # A comment ends the line before it, too.
        parts.append(line[:-1] if goes_on else line)
        if not goes_on:
            yield from _whole(first, parts)
            parts = []
    yield from _whole(first, parts)


def _whole(number: int, parts: t.Sequence[str]) -> t.Iterator[tuple[int, str]]:
    """Return the line of these parts, if it says anything."""
    line = _COMMENT.sub("", " ".join(part.strip() for part in parts)).strip()
    if line:
        yield number, line


def _split(line: str) -> tuple[str, str]:
    """Return a line's requirement and its options."""
    option = _OPTION.search(line)
    start = option.start() if option else len(line)
    return line[:start].strip(), line[start:].strip()


def _pin(line: str, number: int, name: str) -> Pin:
    """Return the pin of a line."""
    where = f"{name}, line {number}"
    text, options = _split(line)
    if not text:
        raise MlflowError(f"{where}: {options.split()[0]!r} is an option; {_advice(options)}.")
    rest = _HASH.sub("", options).split()
    if rest:
        raise MlflowError(
            f"{where}: {rest[0]!r} is not a hash such as --hash=sha256:...; remove it, or correct the hash."
        )
    hashes = frozenset(_HASH.findall(options))
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        raise MlflowError(_odd(where, text)) from None
    if requirement.url:
        raise MlflowError(_odd(where, text))
    try:
        pin = _as_pin(requirement, hashes, number)
    except ValueError:
        raise MlflowError(
            f"{where}: {text!r} is not pinned to one version; write {requirement.name}==VERSION."
        ) from None
    if not hashes:
        raise MlflowError(
            f"{where}: {text!r} has no hash; lock the file with hashes (uv pip compile --generate-hashes)."
        )
    return pin


def _locked_pin(line: str, number: int) -> Pin | None:
    """Return the pin of a line, None where it is something else."""
    try:
        return _as_pin(Requirement(_split(line)[0]), frozenset(), number)
    except ValueError:
        return None


def _as_pin(requirement: Requirement, hashes: frozenset[str], line: int) -> Pin:
    """Return a requirement as a pin; raises ValueError unless it has exactly one version."""
    specifiers = list(requirement.specifier)
    if len(specifiers) != 1 or specifiers[0].operator != "==":
        raise ValueError
    return Pin(
        canonicalize_name(requirement.name),
        frozenset(map(canonicalize_name, requirement.extras)),
        # Another spelling of a version is the same; InvalidVersion is a ValueError.
        str(Version(specifiers[0].version)),
        str(requirement.marker or ""),
        hashes,
        line,
    )


def _advice(options: str) -> str:
    """Return what to do about a line that is an option."""
    if _INCLUDES.match(options):
        return "put all packages into one file"
    if _EDITABLE.match(options):
        return "build a wheel, put it into your package index, and pin it with its hash"
    return "remove it: what is installed comes from the package index that pip's settings name"


def _odd(where: str, text: str) -> str:
    """Return the sentence about a URL, a path or what else is not a requirement."""
    return f"{where}: {text!r} is not a package of the package index; write NAME==VERSION with its hashes."


def _applies(pin: Pin, environment: t.Mapping[str, str]) -> bool:
    """Return whether a pin's marker is met."""
    return not pin.marker or _marker(pin.marker).evaluate(dict(environment))


@functools.lru_cache(maxsize=None)
def _marker(text: str) -> Marker:
    """Return a marker, which takes longer to parse than to evaluate."""
    return Marker(text)


def _environments() -> t.Iterator[tuple[str, str, dict[str, str]]]:
    """Return the environments that servers run in: Python's version, the system's name, and markers."""
    for python, micro, (platform, system, machine) in itertools.product(
        _PYTHONS, _MICROS, _MACHINES
    ):
        yield (
            python,
            f"{system} {machine}",
            {
                "extra": "",
                "implementation_name": "cpython",
                "implementation_version": f"{python}.{micro}",
                "os_name": "posix",
                "platform_machine": machine,
                "platform_python_implementation": "CPython",
                "platform_release": "6.12.0",
                "platform_system": system,
                "platform_version": "1",
                "python_full_version": f"{python}.{micro}",
                "python_version": python,
                "sys_platform": platform,
            },
        )
