# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: who listens on a port of this host."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import shutil
import socket
import struct
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import commands

_LISTEN = "0A"
_LSOF_SECONDS = 10


class Holder(t.NamedTuple):
    """The process that listens on a port; pid is 0 where this user may not know."""

    pid: int
    name: str
    port: int

    def __str__(self) -> str:
        if not self.pid:
            return self.name
        return f"process {self.pid} ({self.name})"


def holder(host: str, port: int) -> Holder | None:
    """Return who holds the port, or None where a server can listen on it."""
    if is_free(host, port):
        return None
    found = _from_proc(host, port) or _from_lsof(port)
    return found or Holder(0, "a process of another user", port)


def taken(project: str, port: int, who: str, end: str) -> MlflowError:
    """Return the error for a project's port that is in use; end is what ends that."""
    return MlflowError(
        f"Project '{project}': port {port} is in use by {who}; {end}, or give the project another 'port'."
    )


def is_free(host: str, port: int) -> bool:
    """Return whether a server of this user could listen on the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose old connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise MlflowError(
                f"No server can listen on {host} port {port} ({error.strerror}); correct mlflow_server_host."
            ) from error
    return True


def _from_proc(host: str, port: int) -> Holder | None:
    """Look the listener up in Linux's /proc."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in (line.split() for line in lines):
            address, _colon, number = fields[1].rpartition(":")
            if fields[3] == _LISTEN and int(number, 16) == port and _meet(host, address):
                inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        if _links(process / "fd") & inodes:
            return Holder(int(process.name), _name(process), port)
    return None


def _meet(host: str, listener: str) -> bool:
    """Return whether a listener on an address, as /proc writes it, keeps servers off host."""
    words = [int(listener[start : start + 8], 16) for start in range(0, len(listener), 8)]
    theirs = ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))
    if isinstance(theirs, ipaddress.IPv6Address) and theirs.ipv4_mapped:
        theirs = theirs.ipv4_mapped
    ours = ipaddress.ip_address(socket.getaddrinfo(host, None)[0][4][0])
    return theirs.is_unspecified or ours.is_unspecified or theirs == ours


def _links(folder: Path) -> set[str]:
    """Return what a process's open files are; nothing where it is gone or another user's."""
    links = set()
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            # Files are closed while we look.
            with contextlib.suppress(FileNotFoundError):
                links.add(os.readlink(entry.path))
    return links


def _name(process: Path) -> str:
    """Return a process's name."""
    with contextlib.suppress(OSError):
        # The kernel cuts it off at 15 bytes, also within a letter.
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    return "unknown"


def _from_lsof(port: int) -> Holder | None:
    """Ask lsof, which macOS carries."""
    lsof = shutil.which("lsof", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if lsof is None:
        return None
    command = [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
    try:
        answer = commands.run(command, _LSOF_SECONDS, "lsof failed", "find out what uses the port")
    except MlflowError:
        # That it is held is known without it.
        return None
    fields = {line[0]: line[1:] for line in answer.output.splitlines() if line}
    number = fields.get("p", "")
    return Holder(int(number), fields.get("c", "unknown"), port) if number.isdecimal() else None
