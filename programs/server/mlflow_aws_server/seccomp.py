# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A filter of system calls that closes the ways around Landlock's rules of TCP ports.

Those rules are about connect() of TCP. Multipath TCP, SMC, data that is sent with the opening of a
connection (MSG_FASTOPEN), and io_uring, by which each of them can be had, reach the same servers and are
refused. So are system calls of another architecture than this one's, which have other numbers.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
from typing import NamedTuple

from .landlock import LIBRARY, forbid_new_privileges, words

_SECCOMP, _FILTER = 22, 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _BITS, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
# Where struct seccomp_data has them; the lower half of an argument, on machines that begin with it.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
# A family of sockets, a protocol and a flag.
_SMC, _MPTCP, _FASTOPEN = 43, 262, 0x20000000
# x86_64 has a second set of numbers that begins there.
_SECOND_SET = 0x40000000


class _Calls(NamedTuple):
    """The numbers of an architecture."""

    architecture: int
    socket: int
    sendto: int
    sendmsg: int
    sendmmsg: int
    ring: int


_MACHINES = {
    "x86_64": _Calls(0xC000003E, 41, 44, 46, 307, 425),
    "aarch64": _Calls(0xC00000B7, 198, 206, 211, 269, 425),
}


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def close_ways_around() -> bool:
    """Refuse them to this thread and to what it starts from now on; returns whether that is possible."""
    calls = _MACHINES.get(platform.machine())
    # The calls of 32 bits have other numbers.
    if calls is None or sys.maxsize < 2**32:
        return False
    code = _code(calls)
    program = _Program(len(code) // 8, code)
    forbid_new_privileges()
    return not LIBRARY.prctl(*words(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0))


def _code(calls: _Calls) -> bytes:
    """Return the filter's program, which refuses in its last line and allows in the one before."""
    blocks = [
        # (number, argument, kind of comparison, value): refuse the call where it holds
        (calls.socket, 0, _EQUAL, _SMC),
        (calls.socket, 2, _EQUAL, _MPTCP),
        (calls.sendto, 3, _BITS, _FASTOPEN),
        (calls.sendmsg, 2, _BITS, _FASTOPEN),
        (calls.sendmmsg, 3, _BITS, _FASTOPEN),
    ]
    # Each block: is it this call? then load the argument, compare it, and return to the number.
    lines: list[tuple[int, int | None, int | None, int]] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, None, calls.architecture),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, None, 0, _SECOND_SET),
        (_EQUAL, None, 0, calls.ring),
    ]
    for number, argument, kind, value in blocks:
        lines += [
            (_EQUAL, 0, 3, number),
            (_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
            (kind, None, 0, value),
            (_LOAD, 0, 0, _NUMBER),
        ]
    lines += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE | errno.EACCES)]
    last = len(lines) - 1
    # None stands for a jump to the last line.
    return b"".join(
        struct.pack(
            "HBBI",
            kind,
            last - at - 1 if yes is None else yes,
            last - at - 1 if no is None else no,
            value,
        )
        for at, (kind, yes, no, value) in enumerate(lines)
    )
