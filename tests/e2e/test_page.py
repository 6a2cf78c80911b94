# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A project's page in a real browser: the picture in the README, taken again and checked."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.tests.e2e._examples import (
    EXAMPLES,
    User,
    logged_page,
)
from ansible_collections.mlops.mlflow_aws.tests.e2e._newcomer import Newcomer
from ansible_collections.mlops.mlflow_aws.tests.support import (
    CHECKOUT,
    Done,
    clean_environment,
    run,
)

NAME = "mlflow.example.com"
# Certificates are Caddy's own, and nobody is asked to trust them.
CADDYFILE = """
{{
    admin off
    auto_https disable_redirects
    skip_install_trust
}}
https://mlflow.example.com:{port} {{
    bind 127.0.0.1
    tls internal
    reverse_proxy {server}
}}
"""
PROXY_SECONDS = 60
PNG = b"\x89PNG\r\n\x1a\n"
# The first call also installs the browser and its driver.
SCREENSHOT_SECONDS = 1500
pytestmark = pytest.mark.timeout(2 * SCREENSHOT_SECONDS)


@dataclass(frozen=True)
class Camera:
    """Runs scripts/screenshot as a user would, who has an empty HOME."""

    home: Path

    def __call__(self, page: str, picture: Path, *more: str, check: bool = True) -> Done:
        """Take one picture."""
        environment = clean_environment(self.home)
        # The driver's environment is made once for the tests' own Python.
        environment["MLFLOW_AWS_PYTHON"] = os.path.realpath(sys.executable)
        command: list[str | Path] = [CHECKOUT / "scripts" / "screenshot", page, picture, *more]
        return run(command, cwd=self.home, env=environment, timeout=SCREENSHOT_SECONDS, check=check)


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    """Return what takes pictures."""
    home = tmp_path / "home"
    home.mkdir()
    return Camera(home)


def foreign(done: Done) -> list[str]:
    """Read from the report what the page asked of others; installing may print before it."""
    report = json.loads(done.output[done.output.index("{\n") :])
    assert report["requests"] > 1
    addresses: list[str] = report["foreign"]
    return addresses


def look_at(picture: Path) -> tuple[int, int, int]:
    """Give a PNG's width and height, and how many of its rows are busy.

    PNG stores rows as differences to their surroundings: a row of one colour, or like the
    one above it, is all but zero, whichever way the encoder chose.
    """
    data = picture.read_bytes()
    assert data.startswith(PNG), f"{picture} is not a PNG file"
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    assert (depth, colour) in ((8, 2), (8, 6)), "8 bits each of red, green, blue (and alpha)"
    position, pixels = len(PNG), b""
    while position < len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        if kind == b"IDAT":
            pixels += data[position + 8 : position + 8 + length]
        position += 12 + length
    raw = zlib.decompress(pixels)
    row = 1 + width * {2: 3, 6: 4}[colour]
    busy = sum(len(set(raw[start : start + row])) > 10 for start in range(0, len(raw), row))
    return width, height, busy


def assert_is_a_page(picture: Path) -> None:
    """Check that the picture has the window's size, and text or graphics in many of its rows."""
    width, height, busy = look_at(picture)
    assert (width, height) == (1280, 800)
    assert busy > 200


@pytest.fixture
def run_name(examples_python: Path, project_url: str, tmp_path: Path) -> tuple[str, str]:
    """Log a run by the example; give its name and the address of its experiment's page."""
    name = f"page-{uuid.uuid4().hex[:8]}"
    user = User(examples_python, tmp_path, project_url)
    done = user.run(user.python, EXAMPLES / "tracking.py", "--run-name", name)
    experiment, _run = logged_page(done.output)
    return name, f"{project_url}/#/experiments/{experiment}/runs?compareRunsMode=CHART"


@pytest.fixture
def talkative_page(tmp_path: Path) -> Iterator[str]:
    """Serve a page that asks foreign hosts for things: itself and by a shared worker."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text(
        "<p>ready</p><img src='http://image.invalid/x.png'>"
        "<script>new SharedWorker('worker.js')</script>"
    )
    (site / "worker.js").write_text("fetch('https://worker.invalid/x')")
    handler = partial(SimpleHTTPRequestHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join(timeout=10)


def test_the_project_page_shows_the_run(
    camera: Camera, run_name: tuple[str, str], tmp_path: Path
) -> None:
    """The run's name and a chart are visible, and the page asks nobody but its server."""
    name, page = run_name
    picture = tmp_path / "project-page.png"
    done = camera(page, picture, "--text", name, "--selector", ".js-plotly-plot .trace")
    assert foreign(done) == []
    assert_is_a_page(picture)


@pytest.fixture
def named(newcomer: Newcomer, project_url: str) -> Iterator[str]:
    """Let the project be called by NAME, as the README says; return its own URL."""
    text = newcomer.projects.read_text()
    entry = f"  - name: demo\n    server:\n      allowed_hosts: [{NAME}]\n"
    newcomer.projects.write_text(text.replace("  - name: demo\n", entry))
    try:
        newcomer.quickstart()
        yield project_url
    finally:
        newcomer.projects.write_text(text)
        newcomer.quickstart()


@pytest.fixture
def proxy(
    named: str,
    environment: Callable[..., Path],
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> Iterator[str]:
    """Run Caddy in front of the project's server, for HTTPS under NAME; return the address."""
    [port] = free_ports(1)
    settings = tmp_path / "Caddyfile"
    settings.write_text(CADDYFILE.format(port=port, server=named))
    log = tmp_path / "caddy.log"
    with log.open("w") as stream:
        caddy = subprocess.Popen(
            [environment("proxy") / "caddy", "run", "--config", settings],
            # Its certificates go there, too.
            env=clean_environment(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + PROXY_SECONDS
        while not listens(port):
            assert caddy.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield f"https://{NAME}:{port}"
    finally:
        caddy.kill()
        caddy.wait()


def listens(port: int) -> bool:
    """Say whether a program listens on a port of this machine."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


@pytest.mark.thorough("test_names.py sends what a page sends under each listed name every time.")
def test_the_project_page_is_whole_behind_a_proxy(
    camera: Camera, run_name: tuple[str, str], proxy: str, project_url: str, tmp_path: Path
) -> None:
    """Under the proxy's name the page lists runs, for which it sends requests that may change data."""
    name, page = run_name
    picture = tmp_path / "proxied-page.png"
    address = page.replace(project_url, proxy)
    found = ("--text", name, "--selector", ".js-plotly-plot .trace", "--local")
    done = camera(address, picture, *found)
    assert foreign(done) == []
    assert_is_a_page(picture)


@pytest.mark.thorough("The page of a run is read every time.")
def test_a_run_that_is_not_there_is_missed(
    camera: Camera, run_name: tuple[str, str], tmp_path: Path
) -> None:
    """The wait has a bound and the message says what was awaited and where to look."""
    picture = tmp_path / "missing.png"
    done = camera(run_name[1], picture, "--text", "no-such-run", "--timeout", "15", check=False)
    assert done.code == 1
    assert "did not show the text 'no-such-run' within 15 s" in done.output.splitlines()[-1]
    assert_is_a_page(picture)


def test_requests_to_other_hosts_are_seen(
    camera: Camera, talkative_page: str, tmp_path: Path
) -> None:
    """So that an empty list of foreign addresses means something."""
    done = camera(talkative_page, tmp_path / "talkative.png", "--text", "ready")
    assert set(foreign(done)) >= {"http://image.invalid/x.png", "worker.invalid:443"}


def test_a_nearly_blank_picture_is_told_from_a_page(
    camera: Camera, talkative_page: str, tmp_path: Path
) -> None:
    """So that the check of a picture can fail."""
    picture = tmp_path / "one-word.png"
    camera(talkative_page, picture, "--text", "ready")
    width, height, busy = look_at(picture)
    assert (width, height) == (1280, 800)
    assert 0 < busy < 50


def test_the_picture_in_the_readme_is_a_page() -> None:
    """What is committed is such a picture too."""
    assert_is_a_page(CHECKOUT / "docs" / "images" / "project-page.png")
