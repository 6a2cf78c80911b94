# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Linux's Landlock, by its three system calls: a process gives up rights, for itself and its children.

What is handled is refused unless a rule allows it. Rules of files hold for all that is below a folder.
Of what a kernel does not know yet nothing is handled: see landlock(7) for the versions of its interface.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION, _BENEATH, _PORT = 1, 1, 2
_NO_NEW_PRIVILEGES = 38
_CAPABILITIES_VERSION = 0x20080522
# What root keeps, to serve as before: CHOWN, DAC_OVERRIDE, FOWNER, FSETID and NET_BIND_SERVICE.
_KEPT_CAPABILITIES = sum(1 << number for number in (0, 1, 3, 4, 10))
_CONNECT = 2
_SCOPES = 3

EXECUTE, WRITE, READ, LIST, REMOVE_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 4
MAKE_CHARACTER, MAKE_BLOCK, REFER = 1 << 6, 1 << 11, 1 << 13
TRUNCATE, IOCTL, CONNECT_SOCKET = 1 << 14, 1 << 15, 1 << 16
# The rights of each version of the interface that added some.
_RIGHTS = {1: (1 << 13) - 1, 2: REFER, 3: TRUNCATE, 5: IOCTL, 9: CONNECT_SOCKET}
# Those that a rule of a file, in place of a folder, may hold.
_OF_FILES = EXECUTE | WRITE | READ | TRUNCATE | IOCTL
NETWORK_VERSION, SCOPE_VERSION = 4, 6
_LAST_PORT = 65535
LIBRARY = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr."""

    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _CapabilitiesOf(ctypes.Structure):
    """struct __user_cap_header_struct."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    """Two of struct __user_cap_data_struct."""

    _fields_ = (("words", ctypes.c_uint32 * 6),)


class _Beneath(ctypes.Structure):
    """struct landlock_path_beneath_attr."""

    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("folder", ctypes.c_int32))


class _Port(ctypes.Structure):
    """struct landlock_net_port_attr."""

    _fields_ = (("rights", ctypes.c_uint64), ("port", ctypes.c_uint64))


def version() -> int:
    """Return the version of the kernel's interface, 0 if it has none or does not let us use it."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(LIBRARY.syscall(*words(_CREATE, None, 0, _VERSION))))


def restrict(rules: Iterable[tuple[Path, int]], closed_ports: Iterable[int]) -> None:
    """Let this thread, and what it starts from now on, have these rights on these paths, and no others.

    A path that does not exist is passed over. TCP connections to the closed ports are refused, if any are
    closed; so are signals to processes outside, and abstract sockets of theirs. Raises OSError.
    """
    known, closed = version(), set(closed_ports)
    handled = sum(rights for since, rights in _RIGHTS.items() if known >= since)
    network = _CONNECT if closed and known >= NETWORK_VERSION else 0
    ruleset = _Ruleset(handled, network, _SCOPES if known >= SCOPE_VERSION else 0)
    # An older kernel knows the beginning of the structure.
    size = 24 if known >= SCOPE_VERSION else 16 if known >= NETWORK_VERSION else 8
    descriptor = _system_call(_CREATE, ctypes.byref(ruleset), size, 0)
    try:
        for path, rights in rules:
            _allow(descriptor, path, rights & handled)
        if network:
            _allow_ports(descriptor, closed)
        forbid_new_privileges()
        drop_capabilities()
        _system_call(_RESTRICT, descriptor, 0)
    finally:
        os.close(descriptor)


def forbid_new_privileges() -> None:
    """Let no program that is started from now on gain rights by its file's owner or capabilities."""
    if LIBRARY.prctl(*words(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)):
        raise failure()


def drop_capabilities() -> None:
    """Give up what root may do beside files of its own: some of it leads around the rules.

    With CAP_PERFMON, for one, a process reads the environment of any other. No program that is started
    brings it back, as new privileges are forbidden.
    """
    which, held = _CapabilitiesOf(_CAPABILITIES_VERSION, 0), _Capabilities()
    if LIBRARY.capget(ctypes.byref(which), ctypes.byref(held)):
        raise failure()
    # Effective, permitted and inheritable ones, the first 32 of each and then the others.
    held.words[:] = [*(word & _KEPT_CAPABILITIES for word in held.words[:3]), 0, 0, 0]
    if LIBRARY.capset(ctypes.byref(which), ctypes.byref(held)):
        raise failure()


def _allow(ruleset: int, path: Path, rights: int) -> None:
    """Add a rule for a file or a folder, if it exists."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _OF_FILES
        if rights:
            rule = _Beneath(rights, descriptor)
            _system_call(_ADD, ruleset, _BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)


def _allow_ports(ruleset: int, closed: set[int]) -> None:
    """Allow all ports but the closed ones: there is no rule for a range."""
    rule = _Port(_CONNECT, 0)
    arguments, call = words(_ADD, ruleset, _PORT, ctypes.byref(rule), 0), LIBRARY.syscall
    for port in range(_LAST_PORT + 1):
        if port not in closed:
            rule.port = port
            if call(*arguments):
                raise failure()


def _system_call(*arguments: object) -> int:
    """Make a system call."""
    result = int(LIBRARY.syscall(*words(*arguments)))
    if result < 0:
        raise failure()
    return result


def words(*arguments: object) -> list[object]:
    """Return arguments as the kernel reads them: numbers in whole words, of which C would fill the half."""
    return [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]


def failure() -> OSError:
    """Return the error of the last call of the library."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
