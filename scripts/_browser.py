"""Open one page in a headless Chromium, wait for what it must show, take a picture.

Runs in the environment of requirements/browser.txt; scripts/screenshot prepares it.
Prints one JSON object: the picture's path, what the page asked for in all, and the
addresses that it asked for at any host but its own.
"""

import argparse
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Error, Page, ViewportSize, sync_playwright

# Keep in step with _chromium.sh.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SIZE: ViewportSize = {"width": 1280, "height": 800}
# A page is done loading when it has asked for nothing new for so long.
QUIET_SECONDS = 1.0
# What a user would click away or choose once: the assistant's panel, which opens by
# itself on the first visit, and the menu for model training rather than generative AI.
# A name that a newer MLflow does not know is without effect.
CLOSED = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.assistant.panelOpen_v1": "false",
}
PREFERENCES = {**CLOSED, "mlflow.workflowType_v1": '"machine_learning"'}


class PageError(Exception):
    """One sentence for the user."""


@dataclass(frozen=True)
class Report:
    """What one visit found."""

    picture: str
    requests: int
    foreign: list[str]


def read_arguments() -> argparse.Namespace:
    """Read the page's address and what to wait for."""
    parser = argparse.ArgumentParser(prog="scripts/screenshot", description=__doc__)
    parser.add_argument("url", help="the page's address")
    parser.add_argument("picture", type=Path, help="the PNG file to write")
    parser.add_argument("--text", action="append", default=[], help="exact text to wait for")
    parser.add_argument("--selector", action="append", default=[], help="CSS to wait for")
    parser.add_argument(
        "--local",
        action="store_true",
        help="take this machine for the page's host, and any certificate for its own",
    )
    parser.add_argument("--timeout", type=float, default=60, help="seconds to wait at most")
    return parser.parse_args()


def browser_path() -> str:
    """Find the system's Chromium."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise PageError("A browser is missing; install Chromium (Debian: apt-get install chromium).")


class DeadEnd(BaseHTTPRequestHandler):
    """Act as a proxy that forwards nothing and notes what it was asked for."""

    server: "DeadEndServer"

    def refuse(self) -> None:
        """Note the address and answer no."""
        self.server.asked.append(self.path)
        self.send_error(403)

    do_CONNECT = do_DELETE = do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = refuse

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class DeadEndServer(ThreadingHTTPServer):
    """The proxy, and the list of what it was asked for."""

    def __init__(self) -> None:
        """Listen on a free port of this machine."""
        super().__init__(("127.0.0.1", 0), DeadEnd)
        self.asked: list[str] = []


@contextmanager
def dead_end() -> Iterator[DeadEndServer]:
    """Run the proxy; a browser set to it can reach this machine's own servers only.

    Playwright does not report what a page's shared workers ask for (MLflow's telemetry is
    one): the proxy sees all there is, and lets nothing leave this machine.
    """
    with DeadEndServer() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(timeout=10)


def browser_flags(local: str) -> list[str]:
    """Keep the browser itself quiet, and what it asks for all the same on this machine.

    local: a host name that stands for this machine, or empty.
    """
    # The last such list wins: Playwright's own, as far as it matters here, and autofill.
    without = ["AutofillServerCommunication", "HttpsUpgrades", "MediaRouter"]
    without += ["NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding"]
    return [
        "--disable-background-networking",
        "--disable-component-update",
        f"--disable-features={','.join(without)}",
        "--disable-gpu",
        "--disable-quic",
        "--disable-sync",
        "--no-first-run",
        # Port 9 is where data is discarded. Pages use the proxy of their context.
        "--proxy-server=http://127.0.0.1:9",
        *([f"--host-resolver-rules=MAP {local} 127.0.0.1"] if local else []),
    ]


def origin(url: str) -> str:
    """Give scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def is_foreign(url: str, home: str) -> bool:
    """Tell whether a request goes to another host; data and blobs go nowhere."""
    return urlsplit(url).scheme not in ("data", "blob") and origin(url) != home


def prepare(context: BrowserContext, preferences: Mapping[str, str]) -> None:
    """Set preferences before a page's own scripts run; an empty page has none."""
    settings = json.dumps(dict(preferences))
    context.add_init_script(
        "if (location.protocol !== 'about:') "
        f"for (const [key, value] of Object.entries({settings})) localStorage.setItem(key, value)"
    )


@contextmanager
def browsing(
    host: str,
    seconds: float,
    preferences: Mapping[str, str],
    *,
    size: ViewportSize,
    local: bool = False,
) -> Iterator[tuple[BrowserContext, DeadEndServer]]:
    """Run a browser that reaches this host and no other, and yield it with the proxy that notes the rest.

    local: take this machine for the host, and any certificate for its own; seconds: for the start.
    """
    with dead_end() as proxy, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path(),
            args=browser_flags(host if local else ""),
            # Chromium's sandbox does not work for root, and nobody else should lose it.
            chromium_sandbox=os.geteuid() != 0,
            timeout=seconds * 1000,
        )
        try:
            context = browser.new_context(
                viewport=size,
                ignore_https_errors=local,
                proxy={"server": f"http://127.0.0.1:{proxy.server_port}", "bypass": host},
            )
            prepare(context, preferences)
            yield context, proxy
        finally:
            browser.close()


def wait_for_content(page: Page, arguments: argparse.Namespace, deadline: float) -> None:
    """Wait until everything asked for is visible."""
    awaited = [
        (f"the text {text!r}", page.get_by_text(text, exact=True)) for text in arguments.text
    ]
    awaited += [(f"the element {css}", page.locator(css)) for css in arguments.selector]
    for what, locator in awaited:
        left = max(deadline - time.monotonic(), 0.001)
        try:
            locator.first.wait_for(state="visible", timeout=left * 1000)
        except Error as error:
            page.screenshot(path=str(arguments.picture))
            raise PageError(
                f"{arguments.url} did not show {what} within {arguments.timeout:g} s; "
                f"{arguments.picture} shows what was there."
            ) from error


def wait_until_quiet(page: Page, asked: Sequence[str], deadline: float) -> None:
    """Wait until no new request has been made for a while, so that late ones are counted."""
    seen, since = len(asked), time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        if time.monotonic() > deadline:
            raise PageError(f"{page.url} does not stop loading.")
        page.wait_for_timeout(100)
        if len(asked) != seen:
            seen, since = len(asked), time.monotonic()


def visit(arguments: argparse.Namespace) -> Report:
    """Open the page, wait, and take the picture."""
    deadline = time.monotonic() + arguments.timeout
    home = urlsplit(arguments.url)
    asked: list[str] = []
    host = home.hostname or ""
    with browsing(host, arguments.timeout, PREFERENCES, size=SIZE, local=arguments.local) as (
        context,
        proxy,
    ):
        context.on("request", lambda request: asked.append(request.url))
        page = context.new_page()
        page.goto(arguments.url, timeout=arguments.timeout * 1000)
        wait_for_content(page, arguments, deadline)
        wait_until_quiet(page, asked, deadline)
        page.screenshot(path=str(arguments.picture))
    foreign = {url for url in asked if is_foreign(url, origin(arguments.url))}
    return Report(str(arguments.picture), len(asked), sorted(foreign | set(proxy.asked)))


def main() -> int:
    """Visit one page."""
    try:
        report = visit(read_arguments())
    except PageError as error:
        print(error, file=sys.stderr)
        return 1
    except Error as error:
        print(f"The browser failed: {error.message.splitlines()[0]}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(report), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
