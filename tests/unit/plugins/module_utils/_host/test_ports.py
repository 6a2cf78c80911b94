# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a port, seen on real sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import ports

LISTEN = """
import socket, sys, time
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    time.sleep(60)
"""


def own_name() -> str:
    """Return this process's name as the system shows it."""
    return Path("/proc/self/comm").read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("listens_on", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("asked", ["127.0.0.1", "0.0.0.0"])
def test_a_listener_is_named(listens_on: str, asked: str) -> None:
    """This process holds the port: its id and name are told, on one address or on all."""
    with socket.create_server((listens_on, 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(asked, port)
        holder = ports.holder(asked, port)
    assert holder == ports.Holder(os.getpid(), own_name(), port)
    assert str(holder) == f"process {os.getpid()} ({own_name()})"


def test_another_process_is_named() -> None:
    """Not the one that asks."""
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None
            holder = ports.holder("127.0.0.1", int(other.stdout.readline()))
        finally:
            other.kill()
    assert holder is not None
    assert holder.pid == other.pid


def test_two_listeners_on_one_port_are_told_apart() -> None:
    """The process named is the one on the address that was asked for."""
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None
            port = int(other.stdout.readline())
            with socket.create_server(("127.0.0.2", port)):
                theirs, mine = (ports.holder(host, port) for host in ("127.0.0.1", "127.0.0.2"))
        finally:
            other.kill()
    assert theirs is not None
    assert mine is not None
    assert (theirs.pid, mine.pid) == (other.pid, os.getpid())


def test_a_port_that_only_names_are_given_for() -> None:
    """Without a process id there is a phrase instead."""
    assert str(ports.Holder(0, "a process of another user", 5001)) == "a process of another user"


def test_a_port_is_free_again() -> None:
    """When nobody listens, also while old connections are still closing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            connection, _address = server.accept()
            # Closed first on the server's side, the connection stays in TIME_WAIT there.
            connection.close()
    assert ports.is_free("127.0.0.1", port)
    assert ports.holder("127.0.0.1", port) is None


def test_a_bound_port_without_a_listener_is_not_free() -> None:
    """Somebody who has bound it without the option to share keeps servers out."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert not ports.is_free("127.0.0.1", bound.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        # An address of the documentation's network, which no machine has.
        ("192.0.2.1", "Cannot assign requested address"),
        ("no-such-host.invalid", ""),
    ],
)
def test_an_address_that_is_not_this_host_s(host: str, reason: str) -> None:
    """It is the address that is wrong, and nobody who holds the port."""
    with pytest.raises(MlflowError) as caught:
        ports.holder(host, 5001)
    assert str(caught.value).startswith(f"No server can listen on {host} port 5001 ({reason}")
    assert str(caught.value).endswith("; correct mlflow_server_host.")
