# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: under which names clients and browsers may call a server.

MLflow compares the headers Host and Origin as text: an entry without an asterisk must be equal,
and one with an asterisk is a pattern of fnmatch, to which brackets are a set of characters.
Browsers write names in lower case, IPv6 in its shortest form in brackets, and leave out
the port that is a scheme's own.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

# What `allowed_hosts` and `mlflow_server_host` may hold besides addresses.
_NAME = re.compile(r"(?=.*[a-z0-9])[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?\Z")
_PATTERN = re.compile(r"[a-z0-9*_-]+(\.[a-z0-9*_-]+)*\.?\Z")
_PORT = re.compile(r"(\*|[0-9]{1,5})\Z")
_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_WILDCARDS = ("0.0.0.0", "::")
# MLflow accepts these by itself. IPv6 addresses it means to accept, but forgets their brackets.
_PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def listen_address(text: t.Any) -> str:
    """Return the address or name to listen on as programs write it, or refuse it."""
    plain = text.lower() if isinstance(text, str) else ""
    found = _ip(plain)
    # An address that is wrong is not a name.
    if not found and _NAME.match(plain) and not plain.replace(".", "").isdecimal():
        found = plain
    if not found:
        raise MlflowError(
            f"No server can listen on {text!r}; set mlflow_server_host to an IP address without brackets, "
            "zone or port, such as 127.0.0.1 or ::1, or to a name of the host."
        )
    return found


def allowed_host(text: str) -> str | None:
    """Return an entry of `allowed_hosts` as browsers write it, None for anything else.

    It may hold asterisks and a port. IPv6 comes with brackets or, without a port, bare.
    """
    plain = text.lower()
    bare = _ip(plain)
    if bare:
        return _bracketed(bare)
    host, colon, port = plain.rpartition(":")
    if not colon or plain.endswith("]"):
        host, colon, port = plain, "", ""
    if colon and not (_PORT.match(port) and (port == "*" or 0 < int(port) < 65536)):
        return None
    inner = host[1:-1] if host.startswith("[") and host.endswith("]") else ""
    address = _ip(inner) if ":" in inner else None
    if address:
        return f"[{address}]{colon}{port}"
    return plain if _PATTERN.match(host) else None


def accepted_hosts(hosts: t.Sequence[str], address: str) -> list[str]:
    """Return all Host headers to accept of a server that listens on address.

    hosts and address are as allowed_host() and listen_address() return them. Naming one
    replaces MLflow's own list; empty keeps it, where it holds what the server's URL does.
    """
    own = [*_LOCAL, _bracketed(address)]
    if not hosts and _is_accepted(address):
        return []
    forms: list[str] = []
    for entry in [*hosts, *own]:
        host, port = _split(entry)
        if port in _DEFAULT_PORTS.values():
            forms.append(host)
        # "*" alone is no pattern but MLflow's word for no check.
        forms += [entry] if port or entry == "*" else [entry, f"{entry}:*"]
    return [_pattern(form) for form in dict.fromkeys(forms)]


def accepted_origins(hosts: t.Sequence[str], address: str) -> list[str]:
    """Return the origins whose pages may change data: all that a browser names a page of ours by.

    Of "*" none follow: it would be every page of the Internet. MLflow trusts local ones itself.
    """
    # Names of wildcards are those of the host, which nobody can list.
    own = [] if address in _WILDCARDS else [_bracketed(address)]
    origins: list[str] = []
    for entry in [*hosts, *own]:
        host, port = _split(entry)
        # What holds nothing but asterisks and dots is "*" in other words.
        if host in _LOCAL or not host.strip("*."):
            continue
        for scheme, default in _DEFAULT_PORTS.items():
            if port in ("", default):
                origins.append(f"{scheme}://{host}")
            if port != default:
                origins.append(f"{scheme}://{host}:{port or '*'}")
    return [_pattern(origin) for origin in dict.fromkeys(origins)]


def _ip(text: str) -> str | None:
    """Return an address in its shortest form, None where it is none or belongs to one interface."""
    try:
        return None if "%" in text else ipaddress.ip_address(text).compressed
    except ValueError:
        return None


def _bracketed(address: str) -> str:
    """Return an address as it stands in a URL."""
    return f"[{address}]" if ":" in address else address


def _split(entry: str) -> tuple[str, str]:
    """Return host and port of an entry; the port may be empty."""
    host, colon, port = entry.rpartition(":")
    return (host, port) if colon and not entry.endswith("]") else (entry, "")


def _pattern(text: str) -> str:
    """Return what MLflow takes for this text, brackets and all."""
    return text.replace("[", "[[]") if "*" in text else text


def _is_accepted(address: str) -> bool:
    """Return whether MLflow's own list holds the address, or what a wildcard is reached under."""
    if address in ("localhost", "127.0.0.1", "::1", *_WILDCARDS):
        return True
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in _PRIVATE)
