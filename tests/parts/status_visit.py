# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open a page from a file in a headless Chromium without a network, in several widths and schemes.

Runs in the environment of requirements/browser.txt, with scripts/ on its path. Prints a JSON list with, for
each: its name, how far the page is wider than its window, what it asked for besides itself, what the browser
complained about, its background, the headings that can be seen, and what of a row of the table can be.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from _browser import browser_flags, browser_path
from playwright.sync_api import Browser, sync_playwright

SECONDS = 60
PHONE, DESKTOP = 360, 1280
VIEWS = {
    "desktop": {"viewport": {"width": DESKTOP, "height": 800}, "color_scheme": "light"},
    "dark": {"viewport": {"width": DESKTOP, "height": 800}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": PHONE, "height": 740}, "color_scheme": "light"},
}
# Both of them in pixels.
WIDER = "() => document.documentElement.scrollWidth - window.innerWidth"
CUT_OFF = "() => { const box = document.querySelector('.wide'); return box.scrollWidth - box.clientWidth }"
BACKGROUND = "() => getComputedStyle(document.body).backgroundColor"


def look(
    browser: Browser, name: str, view: dict[str, Any], url: str, picture: Path
) -> dict[str, Any]:
    """Open the page in one way."""
    context = browser.new_context(offline=True, **view)
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(url, timeout=SECONDS * 1000)
    page.screenshot(path=str(picture))
    row = page.get_by_role("row").nth(1)
    found = {
        "name": name,
        "wider": page.evaluate(WIDER),
        "cut_off": page.evaluate(CUT_OFF),
        "asked": [
            address for address in asked if address != url and not address.startswith("data:")
        ],
        "said": said,
        "background": page.evaluate(BACKGROUND),
        "headings": [one.inner_text() for one in page.get_by_role("heading").all()],
        "images": page.get_by_role("img").count(),
        "row": row.inner_text(),
        "cells": row.get_by_role("cell").count(),
    }
    context.close()
    return found


def main() -> None:
    """Open it in each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("pictures", type=Path, help="the folder for a picture of each")
    arguments = parser.parse_args()
    url = arguments.page.resolve().as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path(),
            args=browser_flags(""),
            # Chromium's sandbox does not work for root, and nobody else should lose it.
            chromium_sandbox=os.geteuid() != 0,
            timeout=SECONDS * 1000,
        )
        found = [
            look(browser, name, view, url, arguments.pictures / f"{name}.png")
            for name, view in VIEWS.items()
        ]
        browser.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
