# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bridge, subnets and firewall rules of its own for each Docker engine that tests start.

By default every engine of a machine uses the bridge docker0 and 172.17.0.0/16, and empties the
firewall's chains named DOCKER when it starts. An engine of tests touches none of these: it uses
a bridge made here, publishes ports by its proxy, and its way out are three rules made here.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import IO

# Where the programs of root lie; a user's PATH may lack it.
ROOT_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")
SECONDS = 60
# The kernel allows 15 characters, of which eight are a folder's own.
PREFIX = "mlft-"
# Blocks of addresses, in the order in which they are tried: parts of private ranges that few use,
# and at last what is reserved for benchmarks, which no office or VPN routes.
RANGES = ("10.208.0.0/12", "172.24.0.0/13", "192.168.128.0/17", "198.18.0.0/15")
BLOCK_BITS, BRIDGE_BITS, NETWORK_BITS = 20, 24, 26
# Shorter prefixes are ways to everywhere, like the default route's.
_SHORTEST = 8
_CHAINS = (("filter", "FORWARD"), ("nat", "POSTROUTING"))
_SETTINGS = Path("/etc/docker/daemon.json")
# What a machine's settings say of how an engine reaches the world and keeps its layers; the rest,
# such as its sockets and folders, is the machine's own engine's.
_KEPT = (
    *("dns", "dns-opts", "dns-search", "insecure-registries", "proxies", "registry-mirrors"),
    *("mtu", "storage-driver"),
)


class Problem(Exception):
    """One sentence that says what failed and what to do."""


@dataclass(frozen=True)
class Network:
    """The bridge of an engine, and the block of addresses that it shares out."""

    name: str
    block: IPv4Network

    @property
    def bridge(self) -> IPv4Network:
        """Return the subnet of the bridge."""
        return next(self.block.subnets(new_prefix=BRIDGE_BITS))

    @property
    def options(self) -> tuple[str, ...]:
        """Return the engine's options for it; further networks come from the block's other half."""
        pool = list(self.block.subnets())[1]
        return (
            *("--bridge", self.name),
            *("--default-address-pool", f"base={pool},size={NETWORK_BITS}"),
            *("--iptables=false", "--ip6tables=false"),
        )


def root_environment() -> dict[str, str]:
    """Return the environment with the folders of root's programs on the PATH."""
    path = os.environ.get("PATH", os.defpath)
    return {**os.environ, "PATH": os.pathsep.join([path, *ROOT_PATH])}


def name_of(run: str) -> str:
    """Return the name of an engine's bridge: what its folder of sockets has for itself."""
    return f"{PREFIX}{Path(run).name.rpartition('-')[2]}"


def hold(path: Path) -> IO[str] | None:
    """Lock a file for as long as what is returned stays open; None where another process has it.

    None too where its folder is gone, as that process has just ended.
    """
    try:
        file = path.open("a+")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process of this machine after the other make networks, or remove what is left."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(name: str) -> Network:
    """Make a bridge on addresses that are free, and its rules; the caller is alone."""
    network = Network(name, choose(_taken()))
    try:
        _run("ip", "link", "add", name, "type", "bridge")
        gateway = next(network.bridge.hosts())
        _run("ip", "address", "add", f"{gateway}/{BRIDGE_BITS}", "dev", name)
        _run("ip", "link", "set", name, "up")
        _allow(network)
    except Problem:
        remove(name)
        raise
    return network


def remove(name: str) -> None:
    """Remove the bridge of this name and all rules that carry it, as far as they are there.

    The bridges of further networks, which an engine leaves when it ends, go with it.
    """
    for table, chain in _CHAINS:
        for line in _try("iptables", "--wait", "-t", table, "-S", chain).splitlines():
            words = shlex.split(line)
            if name in words:
                _try("iptables", "--wait", "-t", table, "-D", *words[1:])
    found = _addresses()
    blocks = [place.supernet(new_prefix=BLOCK_BITS) for place in found.get(name, [])]
    for bridge, places in found.items():
        if any(place.subnet_of(block) for place in places for block in blocks):
            _try("ip", "link", "delete", bridge)
    # One without an address yet.
    if Path("/sys/class/net", name).exists():
        _try("ip", "link", "delete", name)


def choose(taken: list[IPv4Network]) -> IPv4Network:
    """Return the first block that overlaps nothing that is taken."""
    for text in RANGES:
        for block in ipaddress.IPv4Network(text).subnets(new_prefix=BLOCK_BITS):
            if not any(block.overlaps(other) for other in taken):
                return block
    raise Problem(
        f"No /{BLOCK_BITS} of {', '.join(RANGES)} is free for a Docker engine's containers: this"
        " machine routes them all (see `ip route`); start an engine of your own."
    )


def settings() -> str:
    """Return the settings of an engine of tests: of the machine's, those that are of use to it."""
    with suppress(OSError, ValueError):
        found = json.loads(_SETTINGS.read_text())
        return json.dumps({key: found[key] for key in _KEPT if key in found})
    return "{}"


def _taken() -> list[IPv4Network]:
    """Return the subnets that this machine has a route to, and its name servers."""
    routes = json.loads(_run("ip", "-4", "-json", "route", "show", "table", "all") or "[]")
    texts = [route["dst"] for route in routes if route["dst"] != "default"]
    with suppress(OSError):
        found = Path("/etc/resolv.conf").read_text(errors="replace")
        texts += re.findall(r"^nameserver\s+([\d.]+)\s*$", found, re.MULTILINE)
    networks = [ipaddress.IPv4Network(text, strict=False) for text in texts]
    return [network for network in networks if network.prefixlen >= _SHORTEST]


def _addresses() -> dict[str, list[IPv4Network]]:
    """Return the subnets of each bridge of this machine."""
    shown = json.loads(_try("ip", "-4", "-json", "address", "show", "type", "bridge") or "[]")
    return {
        # Older programs list those that are of other types as empty.
        link["ifname"]: [
            ipaddress.IPv4Network(f"{place['local']}/{place['prefixlen']}", strict=False)
            for place in link["addr_info"]
        ]
        for link in shown
        if link
    }


def _allow(network: Network) -> None:
    """Let containers reach out under this machine's address, and answers to them in.

    Another engine lets the kernel forward nothing that no rule allows.
    """
    block, named = str(network.block), ("-m", "comment", "--comment", network.name)
    known = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
    for table, chain, rule in (
        ("nat", "POSTROUTING", ("-s", block, "!", "-d", block, *named, "-j", "MASQUERADE")),
        ("filter", "FORWARD", ("-d", block, *known, *named, "-j", "ACCEPT")),
        ("filter", "FORWARD", ("-s", block, *named, "-j", "ACCEPT")),
    ):
        _run("iptables", "--wait", "-t", table, "-I", chain, *rule)


def _run(*command: str) -> str:
    """Run one of root's programs, which must succeed, and return what it printed."""
    done = subprocess.run(
        command,
        env=root_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Problem(
            f"The network of a Docker engine cannot be made: `{shlex.join(command)}` failed ({last});"
            " let this process administer the network, or start an engine of your own."
        )
    return done.stdout


def _try(*command: str) -> str:
    """Run one of root's programs, which may fail."""
    with suppress(Problem):
        return _run(*command)
    return ""
