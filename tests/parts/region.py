# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A region's stand-in: it answers what RDS and EC2 say of versions, zones and clusters.

The emulator knows neither Aurora Serverless as an instance class nor what a version can become.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.parse import parse_qs
from urllib.request import ProxyHandler, Request, build_opener

_OPENER = build_opener(ProxyHandler({}))
_RDS = "http://rds.amazonaws.com/doc/2014-10-31/"
_EC2 = "http://ec2.amazonaws.com/doc/2016-11-15/"


@dataclass
class Version:
    """A version of Aurora MySQL: what it can become, and what the region has for it."""

    targets: dict[str, bool] = field(default_factory=dict)
    zones: str = "abc"
    minimum: float = 0
    data_api: bool = True
    available: bool = True


@dataclass
class Region:
    """A region: its versions by name, versions of clusters, zones of instance types, its calls."""

    name: str
    versions: dict[str, Version]
    clusters: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    denied: str = ""

    def knows(self, action: str) -> bool:
        """Return whether this stand-in answers a call."""
        return action in self._answers()

    def answer(self, query: dict[str, list[str]]) -> tuple[int, str]:
        """Return status and body for a request."""
        action = query["Action"][0]
        self.calls.append(action)
        if action == self.denied:
            return 403, _refusal(action)
        member = self._answers()[action](query)
        if action == "DescribeInstanceTypeOfferings":
            return 200, f'<{action}Response xmlns="{_EC2}">{member}</{action}Response>'
        result = f"<{action}Result>{member}</{action}Result>"
        return 200, f'<{action}Response xmlns="{_RDS}">{result}</{action}Response>'

    def _answers(self) -> dict[str, Callable[[dict[str, list[str]]], str]]:
        """Return what answers each call."""
        return {
            "DescribeDBEngineVersions": self._engine_versions,
            "DescribeOrderableDBInstanceOptions": self._options,
            "DescribeDBClusters": self._clusters,
            "DescribeInstanceTypeOfferings": self._offerings,
        }

    def _engine_versions(self, query: dict[str, list[str]]) -> str:
        """Return the versions; those that new clusters cannot have only where all are asked for."""
        name = query.get("EngineVersion", [""])[0]
        everything = "IncludeAll" in query
        found = "".join(
            f"<DBEngineVersion><Engine>aurora-mysql</Engine><EngineVersion>{key}</EngineVersion>"
            f"<DBParameterGroupFamily>aurora-mysql{key[:3]}</DBParameterGroupFamily>"
            f"<ServerlessV2FeaturesSupport><MinCapacity>{version.minimum}</MinCapacity>"
            f"<MaxCapacity>256.0</MaxCapacity></ServerlessV2FeaturesSupport>"
            f"<ValidUpgradeTarget>{_targets(version)}</ValidUpgradeTarget></DBEngineVersion>"
            for key, version in self.versions.items()
            if name in ("", key) and (version.available or everything)
        )
        return f"<DBEngineVersions>{found}</DBEngineVersions>"

    def _options(self, query: dict[str, list[str]]) -> str:
        """Return the options of Aurora Serverless, one page for each version."""
        assert query["DBInstanceClass"] == ["db.serverless"]
        page = int(query.get("Marker", ["0"])[0])
        names = [key for key, version in self.versions.items() if version.available]
        found = ""
        for key in names[page : page + 1]:
            version = self.versions[key]
            zones = "".join(
                f"<AvailabilityZone><Name>{self.name}{letter}</Name></AvailabilityZone>"
                for letter in version.zones
            )
            found = (
                f"<OrderableDBInstanceOption><EngineVersion>{key}</EngineVersion>"
                f"<AvailabilityZones>{zones}</AvailabilityZones>"
                f"<SupportsHttpEndpoint>{str(version.data_api).lower()}</SupportsHttpEndpoint>"
                f"<SupportsIAMDatabaseAuthentication>true</SupportsIAMDatabaseAuthentication>"
                f"<SupportsPerformanceInsights>true</SupportsPerformanceInsights>"
                f"</OrderableDBInstanceOption>"
            )
        marker = f"<Marker>{page + 1}</Marker>" if page + 1 < len(names) else ""
        return f"<OrderableDBInstanceOptions>{found}</OrderableDBInstanceOptions>{marker}"

    def _clusters(self, query: dict[str, list[str]]) -> str:
        """Return a cluster."""
        version = self.clusters[query["DBClusterIdentifier"][0]]
        member = f"<DBCluster><EngineVersion>{version}</EngineVersion></DBCluster>"
        return f"<DBClusters>{member}</DBClusters>"

    def _offerings(self, query: dict[str, list[str]]) -> str:
        """Return the zones of the instance types that were asked for."""
        asked = [value[0] for key, value in query.items() if key.startswith("Filter.1.Value")]
        found = "".join(
            f"<item><instanceType>{name}</instanceType><locationType>availability-zone"
            f"</locationType><location>{self.name}{letter}</location></item>"
            for name in asked
            for letter in self.types.get(name, "")
        )
        return f"<instanceTypeOfferingSet>{found}</instanceTypeOfferingSet>"


@contextmanager
def serving(region: Region, emulator: str = "", quotas: str = "") -> Iterator[str]:
    """Serve a region on loopback and give its URL; what it does not know goes to the emulator.

    quotas: URL of the emulator for Service Quotas, if that is another one.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            query = parse_qs(body.decode("latin-1"))
            if region.knows(query.get("Action", [""])[0]):
                status, text = region.answer(query)
                self._send(status, text.encode())
            else:
                self._send(*self._forwarded(body))

        def _forwarded(self, body: bytes) -> tuple[int, bytes]:
            headers = {key: value for key, value in self.headers.items() if key != "Host"}
            target = self.headers.get("X-Amz-Target", "")
            url = quotas if quotas and target.startswith("ServiceQuotas") else emulator
            request = Request(url + self.path, body, headers)
            try:
                with _OPENER.open(request, timeout=60) as answer:
                    return answer.status, answer.read()
            except HTTPError as error:
                with error:
                    return error.code, error.read()

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def _targets(version: Version) -> str:
    """Return what a version can become."""
    return "".join(
        f"<UpgradeTarget><EngineVersion>{name}</EngineVersion>"
        f"<IsMajorVersionUpgrade>{str(major).lower()}</IsMajorVersionUpgrade></UpgradeTarget>"
        for name, major in version.targets.items()
    )


def _refusal(action: str) -> str:
    """Return how RDS refuses a call."""
    words = (
        f"User: arn:aws:iam::000000000000:user/ada is not authorized to perform: rds:{action} "
        "on resource: * because no identity-based policy allows the action"
    )
    return (
        f'<ErrorResponse xmlns="{_RDS}"><Error><Type>Sender</Type><Code>AccessDenied</Code>'
        f"<Message>{words}</Message></Error></ErrorResponse>"
    )
