# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names under which clients and browsers may call a server; a real server judges them elsewhere."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.addresses import (
    accepted_hosts,
    accepted_origins,
    allowed_host,
    listen_address,
)

LOCAL = ["localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*", "[::1]", "[[]::1]:*"]


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("mlflow.example.com", "mlflow.example.com"),
        ("MLflow.Example.com:8443", "mlflow.example.com:8443"),
        ("*.example.com:*", "*.example.com:*"),
        ("*", "*"),
        ("10.0.0.5:80", "10.0.0.5:80"),
        ("2001:DB8:0::5", "[2001:db8::5]"),
        ("[2001:db8::5]", "[2001:db8::5]"),
        ("[2001:DB8::5]:9", "[2001:db8::5]:9"),
        ("[2001:db8::5]:*", "[2001:db8::5]:*"),
        ("[10.0.0.5]", None),
        ("[2001:db8::5", None),
        ("[2001:db8::*]", None),
        ("2001:db8::g", None),
        ("fe80::1%eth0", None),
        ("a.example:", None),
        ("a.example:0", None),
        ("a.example:65536", None),
        ("https://a.example", None),
        ("a.example/path", None),
        ("a,b", None),
        ("a b", None),
        ("", None),
    ],
)
def test_an_entry_of_allowed_hosts(text: str, entry: str | None) -> None:
    """It becomes what browsers write; what cannot be a host is none. Twice changes nothing."""
    assert allowed_host(text) == entry
    if entry is not None:
        assert allowed_host(entry) == entry


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("::", "::"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("FD00::5", "fd00::5"),
        ("Host.Example.com", "host.example.com"),
        ("localhost", "localhost"),
    ],
)
def test_an_address_to_listen_on(text: str, address: str) -> None:
    """In one form, so that another way to write it restarts no server."""
    assert listen_address(text) == address


@pytest.mark.parametrize(
    ("hosts", "accepted"),
    [
        (["mlflow.example.com"], ["mlflow.example.com", "mlflow.example.com:*"]),
        (["mlflow.example.com:8443"], ["mlflow.example.com:8443"]),
        (["mlflow.example.com:443"], ["mlflow.example.com", "mlflow.example.com:443"]),
        (["[fe80::1]"], ["[fe80::1]", "[[]fe80::1]:*"]),
        (["[fe80::1]:5001"], ["[fe80::1]:5001"]),
        (["[fe80::1]:*"], ["[[]fe80::1]:*"]),
        (["*.example.com"], ["*.example.com", "*.example.com:*"]),
        (["*"], ["*"]),
        (["localhost"], []),
        (["a.example", "a.example"], ["a.example", "a.example:*"]),
    ],
)
def test_accepted_hosts_hold_every_form(hosts: list[str], accepted: list[str]) -> None:
    """Each name with and without a port; the local forms stay, as naming one drops them."""
    assert accepted_hosts(hosts, "127.0.0.1") == [*accepted, *LOCAL]


@pytest.mark.parametrize(
    ("address", "form", "pattern"),
    [
        ("10.0.0.5", "10.0.0.5", "10.0.0.5:*"),
        ("fd00::5", "[fd00::5]", "[[]fd00::5]:*"),
        ("host.example.com", "host.example.com", "host.example.com:*"),
    ],
)
def test_a_server_is_reached_under_its_own_address(address: str, form: str, pattern: str) -> None:
    """Its URL holds it, so it is accepted where names are given, and its page may write."""
    assert {form, pattern} <= set(accepted_hosts(["mlflow.example.com"], address))
    assert f"http://{form}" in accepted_origins([], address)
    assert f"https://{pattern}" in accepted_origins([], address)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "0.0.0.0", "::", "10.0.0.5"])
def test_mlflows_own_list_stays_where_it_suffices(address: str) -> None:
    """It holds private addresses, which a server may have besides the one that it listens on."""
    assert accepted_hosts([], address) == []


@pytest.mark.parametrize("address", ["127.0.0.2", "192.0.2.1", "fd00::5", "host.example.com"])
def test_mlflows_own_list_does_not_hold(address: str) -> None:
    """Without one of ours the server would refuse its own URL."""
    form = f"[{address}]" if ":" in address else address
    assert form in accepted_hosts([], address)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "0.0.0.0", "::"])
def test_no_origin_of_local_addresses_and_wildcards(address: str) -> None:
    """MLflow trusts local pages itself; what a wildcard stands for is not known here."""
    assert accepted_origins(["localhost:3000", "[::1]"], address) == []


@pytest.mark.parametrize(
    ("host", "origins"),
    [
        (
            "a.example",
            ["http://a.example", "http://a.example:*", "https://a.example", "https://a.example:*"],
        ),
        ("a.example:8443", ["http://a.example:8443", "https://a.example:8443"]),
        ("a.example:443", ["http://a.example:443", "https://a.example"]),
        ("a.example:80", ["http://a.example", "https://a.example:80"]),
        ("[fd00::5]:9", ["http://[fd00::5]:9", "https://[fd00::5]:9"]),
        (
            "[fd00::5]",
            [
                "http://[fd00::5]",
                "http://[[]fd00::5]:*",
                "https://[fd00::5]",
                "https://[[]fd00::5]:*",
            ],
        ),
        ("*", []),
        ("**", []),
        ("*.*", []),
        ("*:5001", []),
    ],
)
def test_origins_follow_from_hosts(host: str, origins: list[str]) -> None:
    """Both schemes, the port as the host's; of a name for all hosts none follows."""
    assert accepted_origins([host], "127.0.0.1") == origins
