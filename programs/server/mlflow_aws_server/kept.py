# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server keeps that is confined: see confinement.py. Nothing is changed here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from . import aws, installation, landlock

METADATA_PORT = 80
OWN = "own"
_READ = landlock.READ | landlock.LIST | landlock.EXECUTE
_CHANGE = ((1 << 16) - 1) & ~(landlock.MAKE_BLOCK | landlock.MAKE_CHARACTER)
_DEVICE = landlock.READ | landlock.WRITE | landlock.TRUNCATE | landlock.IOCTL
_DEVICES = ("full", "null", "random", "urandom", "zero")
# Of Linux's distributions. Whatever lies below them and is this user's is left out: see _without().
_SYSTEM = (
    "/bin", "/etc", "/gnu/store", "/home/linuxbrew/.linuxbrew", "/lib", "/lib32", "/lib64", "/nix/store", "/proc",
    "/run/NetworkManager", "/run/nscd", "/run/resolvconf", "/run/systemd/resolve", "/sbin", "/sys/devices",
    "/sys/fs/cgroup", "/sys/kernel/mm", "/usr", "/var/lib/ca-certificates",
)  # fmt: skip
# Those whose sockets the C library asks for names.
_NAMES = (Path("/run/nscd"), Path("/run/systemd/resolve"))
# Of a Python's prefix, which may be this user's home.
_PREFIX = (
    "bin",
    "etc",
    "include",
    "lib",
    "lib32",
    "lib64",
    "libexec",
    "pyvenv.cfg",
    "share",
    "ssl",
)
# Variables of folders that hold others' files too, of which the server gets its own.
SHARED = ("HOME", "TMPDIR")


class Plan(NamedTuple):
    """What a server keeps: rights by path, as landlock.py has them, and the TCP ports that are closed."""

    rules: tuple[tuple[Path, int], ...]
    closed_ports: tuple[int, ...]


class Place(NamedTuple):
    """Where a server runs: its settings file, its folders, its user's home, and its environment.

    private: see private.py, None if it has none; temporary: for temporary files.
    """

    settings: Path
    private: Path | None
    temporary: Path
    home: Path
    environment: Mapping[str, str]

    @property
    def own(self) -> Path:
        """Return the folder that is the server's alone."""
        return self.settings.parent / OWN

    @property
    def state(self) -> Path:
        """Return the state folder, which has the folders of all projects."""
        return self.settings.parents[2]


def unconfined(settings: Mapping[str, Any]) -> str:
    """Return why a server needs what is this user's, empty if it does not."""
    identity = settings.get("aws") or {}
    if identity.get("broker"):
        return ""
    if identity:
        return "it acts with this user's own identity at AWS, without a credential broker"
    if local_folder(settings["artifacts_destination"]) is None:
        return "it reaches its artifacts with this user's own identity"
    return ""


def plan(settings: dict[str, Any], place: Place) -> Plan | str:
    """Return what a server keeps, or why it cannot be confined."""
    hidden = (place.home, place.state)
    changed = [*_changed(settings), place.own, place.temporary]
    for folder in changed:
        if any(one.is_relative_to(folder.resolve()) for one in hidden):
            return f"{folder}, which it changes, contains {place.home} or {place.state}"
    # What lies in another one is not opened: the server itself could make it a link to elsewhere.
    changed = [one for one in changed if not any(other in one.parents for other in changed)]
    named = [path for path in _named(settings, place) if path.is_absolute()]
    read = [path for path in named if not any(one.is_relative_to(path.resolve()) for one in hidden)]
    read += [part for path in (*map(Path, _SYSTEM), *_python()) for part in _without(path, hidden)]
    read += [installation.FOLDER, place.settings.parent]
    rules = [(path, _READ) for path in dict.fromkeys(read)]
    rules += [(path, _CHANGE) for path in changed]
    rules += [(Path("/dev") / name, _DEVICE) for name in _DEVICES]
    sockets = [*_NAMES, *(path.parent for path in named if path.is_socket())]
    rules += [(folder, landlock.CONNECT_SOCKET) for folder in sockets]
    broker = (settings.get("aws") or {}).get("broker")
    if broker:
        rules.append((Path(broker).parent, _READ | landlock.CONNECT_SOCKET))
    if place.private:
        # The server ends it, and with it the folder, of which only the contents are its own.
        rules += [(place.private, _CHANGE), (place.private.parent, landlock.REMOVE_DIR)]
    return Plan(tuple(rules), closed_ports(settings, place.environment))


def closed_ports(settings: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[int, ...]:
    """Return the TCP ports to which a server opens no connection."""
    identity = settings.get("aws") or {}
    if not identity.get("broker"):
        return ()
    reached = [text for name, text in environment.items() if name in aws.REACHED_BY]
    texts = [identity.get("endpoint_url") or "", *reached, *settings["environment"].values()]
    return () if any(_names_port(text) for text in texts) else (METADATA_PORT,)


def _names_port(text: str) -> bool:
    """Return whether a text is a URL whose port is that of the metadata services."""
    try:
        place = urlsplit(text)
        standard = METADATA_PORT if place.scheme == "http" else None
        return bool(place.hostname) and (place.port or standard) == METADATA_PORT
    except ValueError:
        return False


def _named(settings: Mapping[str, Any], place: Place) -> Iterator[Path]:
    """Yield the paths that the settings and the environment name for the server to read."""
    texts = [text for name, text in place.environment.items() if name in aws.REACHED_BY]
    texts += [text for name, text in settings["environment"].items() if name not in SHARED]
    texts += [text for _name, text in parse_qsl(urlsplit(settings["backend_store_uri"]).query)]
    yield from (Path(text) for text in texts if text.startswith("/") and os.path.exists(text))


def _changed(settings: Mapping[str, Any]) -> list[Path]:
    """Return the folders with the project's own files."""
    found = [
        local_folder(settings["artifacts_destination"]),
        database_folder(settings["backend_store_uri"]),
    ]
    if settings.get("key_file"):
        found.append(Path(settings["key_file"]).parent)
    return list(dict.fromkeys(folder for folder in found if folder))


def local_folder(destination: str) -> Path | None:
    """Return the folder of artifacts, None if they are elsewhere."""
    place = urlsplit(destination)
    if place.scheme in ("", "file"):
        return Path(place.path if place.scheme else destination)
    return None


def database_folder(uri: str) -> Path | None:
    """Return the folder of an SQLite database, which makes files beside it."""
    prefix, _colon, path = uri.partition(":///")
    return Path(path.partition("?")[0]).parent if prefix.startswith("sqlite") and path else None


def _python() -> Iterator[Path]:
    """Yield where this Python and its packages are, and the authorities that it trusts."""
    import ssl

    yield Path(sys.executable)
    for prefix in dict.fromkeys(
        (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
    ):
        yield from (Path(prefix) / name for name in _PREFIX)
    # Those of packages that are installed in place.
    yield from (Path(entry) for entry in sys.path if os.path.isabs(entry))
    for authority in ssl.get_default_verify_paths():
        if authority and os.path.isabs(authority):
            yield Path(authority)


def _without(path: Path, hidden: tuple[Path, ...]) -> Iterator[Path]:
    """Yield a path, or if it contains a hidden folder what else it contains, as it is now."""
    place = path.resolve()
    if place in hidden:
        return
    if not any(one.is_relative_to(place) for one in hidden):
        yield path
    elif place.is_dir():
        for child in place.iterdir():
            yield from _without(child, hidden)
