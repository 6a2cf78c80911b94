# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open every menu of MLflow's page in a headless Chromium, and report what each shows.

Runs in the environment of requirements/browser.txt, with scripts/ on its path. Prints a JSON list with, for
each menu: its name, the page's path, the answers with an error status, the exceptions of the page's scripts,
and what the page says of an error. "Detect Issues" is clicked, too: it is what people try first that needs
the job runner.
"""

import argparse
import json
import re
import sys
import time
from dataclasses import asdict, dataclass, field

from _browser import CLOSED, browsing, origin, wait_until_quiet
from playwright.sync_api import BrowserContext, Response, ViewportSize

SECONDS = 60
# Narrower, buttons have no text.
SIZE: ViewportSize = {"width": 1440, "height": 900}
# What a user clicks away: the assistant's panel, and a hint that covers the page.
PREFERENCES = {**CLOSED, "mlflow.detectIssues.guidanceShown_v1": "true"}
# The two kinds of experiments, of which each has menus of its own.
KINDS = {"genai": "GenAI", "machine_learning": "Model training"}
LINKS = """links => links.map(link => [link.innerText, link.getAttribute('href')])"""
# What pages say when something went wrong that nobody thought of.
BARE = re.compile(
    r"went wrong|internal server error|unexpected error|can(?:no|')t load|failed to (?:load|fetch)|"
    r"not_implemented|bad_request|page not found|error code|\b50[0-4]\b.*error",
    re.IGNORECASE,
)
SIDE = "aside nav"


@dataclass
class Menu:
    """One menu, and what opening it brought."""

    name: str
    path: str
    answers: list[str] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


class Visitor:
    """Goes from menu to menu in one tab."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        """Open a tab."""
        self.menus: dict[str, Menu] = {}
        self._url = url
        self._open = Menu("", "")
        self._asked: list[str] = []
        self._page = context.new_page()
        self._page.on("request", lambda request: self._asked.append(request.url))
        self._page.on("response", self._note_answer)
        self._page.on("pageerror", lambda error: self._open.exceptions.append(error.message))

    def walk(self, room: str, path: str, below: str = "/") -> None:
        """Open a page and each menu beside it whose path begins so; room begins their names.

        Pages of an experiment are opened again by each kind of experiments, others once.
        """
        opened = {bare(menu.path) for menu in self.menus.values()}
        seen = {found for found in opened if not found.startswith("/experiments/")}
        waiting = [(room, path)]
        while waiting:
            name, path = waiting.pop(0)
            self._visit(name, path)
            seen.add(bare(path))
            for text, found in self._links():
                if found.startswith(below) and bare(found) not in seen:
                    seen.add(bare(found))
                    waiting.append((f"{room} > {text}", found))

    def detect_issues(self, room: str) -> None:
        """Let the page that is open analyse its traces, and read what it says instead."""
        self._visit(f"{room} > Detect Issues", self.menus[room].path)
        for button in ("Detect Issues", "Run Analysis"):
            self._page.get_by_text(button, exact=True).first.click(timeout=SECONDS * 1000)
            self._wait_until_quiet()
        self._open.said = self._page.get_by_role("alert").all_inner_texts()

    def _links(self) -> list[tuple[str, str]]:
        """Return name and path of each menu beside the page."""
        found = self._page.eval_on_selector_all(f"{SIDE} a[href^='#/']", LINKS)
        return [(text.split("\n")[0].strip(), link[1:]) for text, link in found if text.strip()]

    def _visit(self, name: str, path: str) -> None:
        """Open one page and every tab of it, and read what it says."""
        self._open = self.menus[name] = Menu(name, path)
        # What differs after the # alone would be the same document.
        self._page.goto("about:blank")
        self._page.goto(f"{self._url}/#{path}", timeout=SECONDS * 1000)
        self._page.locator(SIDE).first.wait_for(state="visible", timeout=SECONDS * 1000)
        self._wait_until_quiet()
        self._read()
        for number in range(self._page.get_by_role("tab").count()):
            tab = self._page.get_by_role("tab").nth(number)
            if tab.is_visible() and tab.is_enabled():
                tab.click(force=True)
                self._wait_until_quiet()
                self._read()

    def _read(self) -> None:
        """Note what the page says of an error."""
        text = self._page.locator("body").inner_text()
        said = [line.strip() for line in text.splitlines() if BARE.search(line)]
        self._open.said += [line for line in said if line not in self._open.said]

    def _note_answer(self, answer: Response) -> None:
        """Note an answer with an error."""
        if answer.status >= 400:
            path = answer.url.removeprefix(origin(answer.url)).partition("?")[0]
            self._open.answers.append(f"{answer.status} {answer.request.method} {path}")

    def _wait_until_quiet(self) -> None:
        """Wait until the page has asked for nothing new for a while."""
        wait_until_quiet(self._page, self._asked, time.monotonic() + SECONDS)


def bare(path: str) -> str:
    """Return a path without its query."""
    return path.partition("?")[0]


def main() -> int:
    """Walk through a server's menus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("experiment", help="ID of an experiment with traces and runs")
    parser.add_argument("run", help="ID of a run of it")
    parser.add_argument("--detect-issues", action="store_true", help="click that, too")
    arguments = parser.parse_args()
    with browsing("127.0.0.1", SECONDS, PREFERENCES, size=SIZE) as (context, _proxy):
        visitor = Visitor(context, arguments.url)
        experiment = f"/experiments/{arguments.experiment}"
        visitor.walk("AI Gateway", "/gateway", "/gateway")
        visitor.walk("Settings", "/settings/general", "/settings")
        visitor.walk("Home", "/")
        for kind, name in KINDS.items():
            visitor.walk(name, f"{experiment}?workflowType={kind}")
        visitor.walk("Run", f"{experiment}/runs/{arguments.run}", "/none")
        if arguments.detect_issues:
            visitor.detect_issues("GenAI > Traces")
    print(json.dumps([asdict(menu) for menu in visitor.menus.values()]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
