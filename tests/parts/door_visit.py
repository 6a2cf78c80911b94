# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign in at a front door in a headless Chromium, and open a project's run.

Runs in the environment of requirements/browser.txt, with scripts/ on its path. Prints a JSON object: how far the
pages of the door are wider than a desktop's and a phone's window, what they show, the address of the run's page,
and what the browser complained about.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from _browser import PREFERENCES, browsing
from playwright.sync_api import Page

SECONDS = 60
WIDTHS = {"desktop": 1280, "phone": 390}
# In pixels.
WIDER = "() => document.documentElement.scrollWidth - window.innerWidth"
QUIET_SECONDS = 1.5


def look(page: Page, pictures: Path, name: str) -> dict[str, int]:
    """Take a picture of a page in each width; return how much wider than the window it is."""
    found = {}
    for width, pixels in WIDTHS.items():
        page.set_viewport_size({"width": pixels, "height": 800})
        page.screenshot(path=str(pictures / f"{name}-{width}.png"))
        found[width] = page.evaluate(WIDER)
    page.set_viewport_size({"width": WIDTHS["desktop"], "height": 800})
    return found


def settle(page: Page, asked: list[str]) -> None:
    """Wait until a page has asked for nothing for a while."""
    seen, since = len(asked), time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        page.wait_for_timeout(100)
        if len(asked) != seen:
            seen, since = len(asked), time.monotonic()


def visit(page: Page, url: str, login: str, run: str, pictures: Path) -> dict[str, Any]:
    """Sign in, look at the projects, and open a run."""
    asked: list[str] = []
    said: list[str] = []
    failed: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "response",
        lambda one: failed.append(f"{one.status} {one.url}") if one.status >= 400 else None,
    )
    page.goto(f"{url}/churn/")
    found: dict[str, Any] = {"sign-in": look(page, pictures, "sign-in")}
    page.get_by_role("link", name="Sign in with Acme").click()
    page.locator("[name=login]").fill(login)
    page.locator("[name=password]").fill("any")
    page.locator("[type=submit]").click()
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url(f"{url}/churn/**")
    page.goto(url)
    found["projects"] = look(page, pictures, "projects")
    found["cards"] = page.get_by_role("listitem").all_inner_texts()
    # The issuer's own pages are another's.
    said.clear()
    failed.clear()
    page.get_by_role("link", name="churn", exact=True).click()
    page.goto(f"{url}/churn/#/experiments/{run.split('/')[0]}/runs")
    page.get_by_text("a-run-of-the-door", exact=True).first.wait_for()
    settle(page, asked)
    page.screenshot(path=str(pictures / "experiment.png"))
    page.goto(f"{url}/churn/#/experiments/{run.split('/')[0]}/runs/{run.split('/')[1]}")
    page.get_by_text("a-metric-of-the-door", exact=True).first.wait_for()
    settle(page, asked)
    page.screenshot(path=str(pictures / "run.png"))
    found |= {"said": said, "failed": failed, "run": page.url}
    found["outside"] = sorted(
        {one for one in asked if one.startswith(url) and not _below(one, ("/churn/", "/-/"))}
    )
    page.goto(url)
    page.get_by_role("button", name="Sign out").click()
    found["out"] = page.url
    return found


def _below(address: str, places: tuple[str, ...]) -> bool:
    """Return whether an address is below one of these, or is the page with the projects."""
    path = urlsplit(address).path
    return path in ("", "/") or path.startswith(places)


def main() -> None:
    """Visit one door."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("url", "login", "run"):
        parser.add_argument(name)
    parser.add_argument("pictures", type=Path)
    given = parser.parse_args()
    host = urlsplit(given.url).hostname or ""
    size = {"width": WIDTHS["desktop"], "height": 800}
    with browsing(host, SECONDS, PREFERENCES, size=size, local=True) as (context, _proxy):
        page = context.new_page()
        page.set_default_timeout(SECONDS * 1000)
        print(json.dumps(visit(page, given.url, given.login, given.run, given.pictures)))


if __name__ == "__main__":
    main()
