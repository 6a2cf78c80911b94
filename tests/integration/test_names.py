# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Under which names a server may be called and its pages may write, and its metrics.

MLflow's own middleware judges each header here: how it matches is no published interface.
"""

from __future__ import annotations

import http.client
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Host, by_name

# The first test may have to install MLflow.
pytestmark = pytest.mark.timeout(600)

SEARCH = "/ajax-api/2.0/mlflow/experiments/search"
EVIL = "https://evil.example"
REQUESTS = "mlflow_http_request_duration_seconds_count"


@pytest.fixture(scope="module")
def named(new_host: Callable[..., Host]) -> Iterator[Host]:
    """Return a host whose servers are each to be called by other names."""
    host = new_host("demo", "own", "six", "metered", "shared")
    yield host
    host.close()


def call(
    address: str, port: int, host: str = "", origin: str = "", path: str = SEARCH
) -> tuple[int, str]:
    """Send what a browser would; a search is a POST, which changes data as far as MLflow knows."""
    headers = {"Content-Type": "application/json"}
    headers |= {name: text for name, text in (("Host", host), ("Origin", origin)) if text}
    with closing(http.client.HTTPConnection(address, port, timeout=60)) as connection:
        method, body = ("POST", '{"max_results": 1}') if path == SEARCH else ("GET", None)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.mark.thorough("A page writes under the address that is listened on every time.")
def test_a_page_writes_under_each_name_of_the_list(named: Host) -> None:
    """Over HTTP and HTTPS; a foreign page, host or port is refused."""
    hosts = [
        "MLflow.Example.com",
        "2001:DB8:0::5",
        "[2001:db8::6]:8443",
        "*.lab.example",
        "secure.example:443",
    ]
    environment = {"MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "https://tools.example"}
    server = named.server("demo", allowed_hosts=hosts, environment=environment)
    record = by_name(named.converge(server))["demo"]
    assert record["healthy"] is True
    port = server["port"]
    served = [
        ("mlflow.example.com", "https://mlflow.example.com"),
        ("mlflow.example.com:8080", "http://mlflow.example.com:8080"),
        ("[2001:db8::5]", "https://[2001:db8::5]"),
        ("[2001:db8::5]:5001", "http://[2001:db8::5]:5001"),
        ("[2001:db8::6]:8443", "https://[2001:db8::6]:8443"),
        ("a.lab.example:81", "http://a.lab.example:81"),
        ("secure.example", "https://secure.example"),
        ("localhost:3000", "http://localhost:3000"),
        ("[::1]:3000", "http://[::1]:3000"),
        # The variable's own is there, too.
        ("mlflow.example.com", "https://tools.example"),
        ("mlflow.example.com", ""),
    ]
    for host, origin in served:
        assert call("127.0.0.1", port, host, origin)[0] == 200, (host, origin)
    foreign = [
        ("mlflow.example.com", EVIL),
        ("mlflow.example.com", "https://mlflow.example.com.evil.example"),
        ("mlflow.example.com", "http://[2001:db8::6]:9"),
        ("mlflow.example.com", "http://secure.example"),
    ]
    for host, origin in foreign:
        status = call("127.0.0.1", port, host, origin)
        assert status == (403, "Cross-origin request blocked"), (host, origin)
    for host in ("evil.example", "[2001:db8::7]", "[2001:db8::6]:9", "secure.example:8443"):
        assert call("127.0.0.1", port, host)[0] == 403, host
    assert named.converge(server)["changed"] is False


def test_of_all_hosts_no_page_follows(named: Host) -> None:
    """Every name is accepted; who may write is still said by name."""
    server = named.server("demo", allowed_hosts=["*", "mlflow.example.com"])
    named.converge(server)
    port = server["port"]
    assert call("127.0.0.1", port, "any.example")[0] == 200
    assert call("127.0.0.1", port, "any.example", EVIL)[0] == 403
    assert call("127.0.0.1", port, "any.example", "http://mlflow.example.com")[0] == 200


def test_a_page_writes_under_the_address_that_is_listened_on(named: Host) -> None:
    """Of which MLflow's own list knows nothing, so that the server would refuse its own URL."""
    server = named.server("own", host="127.0.0.2")
    record = by_name(named.converge(server))["own"]
    assert record["healthy"] is True
    assert call("127.0.0.2", server["port"], origin=record["url"])[0] == 200
    assert call("127.0.0.2", server["port"], origin=EVIL)[0] == 403


@pytest.mark.parametrize("workers", left_out.params([1], [2], "Metrics have two workers."))
def test_a_server_listens_on_ipv6(named: Host, workers: int) -> None:
    """It is probed, listed, verified and written to its file by one URL."""
    hosts = ["mlflow.example.com"]
    server = named.server("six", host="::1", allowed_hosts=hosts, workers=workers)
    record = by_name(named.change(server))["six"]
    url = f"http://[::1]:{server['port']}"
    assert (record["url"], record["healthy"], record["reason"]) == (url, True, "")
    assert call("::1", server["port"], origin=url)[0] == 200
    assert call("::1", server["port"], "mlflow.example.com", "https://mlflow.example.com")[0] == 200
    assert call("::1", server["port"], origin=EVIL)[0] == 403
    sourced = f'. {shlex.quote(record["env_file"])} && printf %s "$MLFLOW_TRACKING_URI"'
    told = subprocess.run(["sh", "-c", sourced], capture_output=True, text=True, check=True)
    assert told.stdout == url
    assert named.info()["six"]["healthy"] is True
    options = {
        "servers": [{"name": "six", "url": url, "key": record["configuration"]}],
        **named.program,
    }
    [run] = named.modules.call("mlflow_run", options)["runs"]
    assert run["run_id"]
    # The same address in other words is no other configuration.
    assert named.converge(server | {"host": "0:0:0:0:0:0:0:1"})["changed"] is False


@pytest.mark.thorough("A server listens on one IPv6 address every time.")
def test_a_server_listens_on_all_ipv6_addresses(named: Host) -> None:
    """It is reached under the loopback address, whatever names it has."""
    server = named.server("six", host="::", allowed_hosts=["mlflow.example.com"])
    record = by_name(named.converge(server))["six"]
    assert (record["url"], record["healthy"]) == (f"http://[::1]:{server['port']}", True)
    named.converge(named.server("six", state="absent"))


def counted(text: str) -> float:
    """Return how many requests were answered, by the text of /metrics."""
    lines = [line for line in text.splitlines() if line.startswith(REQUESTS)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.mark.parametrize(
    ("name", "workers"),
    left_out.params([("metered", 1)], [("shared", 2)], "One worker counts requests every time."),
)
def test_metrics_count_the_requests_of_all_workers(named: Host, name: str, workers: int) -> None:
    """Each worker answers for all, after a restart too; without the setting there are none."""
    server = named.server(name, workers=workers, allowed_hosts=["mlflow.example.com"])
    port = server["port"]
    record = by_name(named.converge(server))[name]
    assert call("127.0.0.1", port, path="/metrics")[0] == 404
    result = named.converge(server | {"metrics": True}, how={"diff": True})
    assert result["diff"]["after"][name]["metrics"] is True
    before = counted(call("127.0.0.1", port, path="/metrics")[1])
    for _number in range(20):
        assert call("127.0.0.1", port)[0] == 200
    told = [call("127.0.0.1", port, path="/metrics") for _number in range(10)]
    assert {status for status, _text in told} == {200}
    assert all(counted(text) >= before + 20 for _status, text in told)
    assert "mlflow_http_request_total" in told[0][1]
    # Whoever may not call the server may not read what is said about it.
    assert call("127.0.0.1", port, "evil.example", path="/metrics")[0] == 403
    assert named.converge(server | {"metrics": True})["changed"] is False
    fresh: dict[str, Any] = server | {"metrics": True, "environment": {"A": "1"}}
    named.converge(fresh)
    assert counted(call("127.0.0.1", port, path="/metrics")[1]) < before + 20
    assert by_name(named.converge(server))[name]["configuration"] == record["configuration"]
    assert call("127.0.0.1", port, path="/metrics")[0] == 404
    named.converge(server | {"state": "absent"})
