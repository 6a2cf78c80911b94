# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry with one small image, for those who know its password; it can be made to fail."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers what an engine asks when it pulls."""

    server: Registry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send a manifest or a blob to whom may have it."""
        registry = self.server
        token = base64.b64encode(f"AWS:{registry.password}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {token}":
            self._send(401, "application/json", _error("UNAUTHORIZED", "authentication required"))
        elif self.path == "/v2/":
            self._send(200, "application/json", b"{}")
        elif self.path in registry.silent:
            time.sleep(3)
        elif self.path.rpartition("/")[2] in registry.things:
            kind, data = registry.things[self.path.rpartition("/")[2]]
            with registry.gauge.counted():
                time.sleep(registry.delay)
            self._send(200, kind, data)
        else:
            self._send(404, "application/json", _error("MANIFEST_UNKNOWN", "manifest unknown"))

    do_HEAD = do_GET

    def _send(self, status: int, kind: str, data: bytes) -> None:
        """Send an answer, whose body a HEAD request does not get."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
        if kind == MANIFEST:
            self.send_header("Docker-Content-Digest", _digest(data))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@dataclass
class Gauge:
    """Counts those that load something at a time; several registries may share it."""

    now: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count one more while the block runs."""
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            yield
        finally:
            with self.lock:
                self.now -= 1


class Registry(http.server.ThreadingHTTPServer):
    """A registry on loopback, which engines reach without TLS."""

    daemon_threads = True

    def __init__(self, password: str, content: str) -> None:
        """Listen, with an image that holds this content; `delay` is in seconds for each part."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.gauge = Gauge()
        self.delay = 0.0
        self.password = password
        self.silent: set[str] = set()
        self.things: dict[str, tuple[str, bytes]] = {}
        layer = _layer(content)
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
            "history": [{"created_by": "test"}],
        }
        described = [
            self._add(
                "application/vnd.docker.container.image.v1+json", json.dumps(config).encode()
            ),
            self._add("application/vnd.docker.image.rootfs.diff.tar.gzip", layer),
        ]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described[0],
            "layers": described[1:],
        }
        self.digest = self._add(MANIFEST, json.dumps(manifest).encode())["digest"]

    @property
    def image(self) -> str:
        """Return the image's reference."""
        return f"127.0.0.1:{self.server_port}/mlflow@{self.digest}"

    def _add(self, kind: str, data: bytes) -> dict[str, Any]:
        """Keep a blob or manifest and describe it."""
        self.things[_digest(data)] = (kind, data)
        return {"mediaType": kind, "size": len(data), "digest": _digest(data)}


@contextmanager
def registry(password: str, content: str) -> Iterator[Registry]:
    """Run a registry."""
    with Registry(password, content) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _layer(content: str) -> bytes:
    """Return a layer with one file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content.encode()))
    return stream.getvalue()


def _digest(data: bytes) -> str:
    """Return the digest by which a registry knows something."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _error(code: str, message: str) -> bytes:
    """Return the body of a refusal."""
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()
