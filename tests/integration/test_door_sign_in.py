# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signing in at the front door: by a password, at a real issuer of OpenID Connect, and in a browser."""

from __future__ import annotations

import http.cookiejar
import json
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts import door as doors
from ansible_collections.mlops.mlflow_aws.tests.parts import oidc_issuer
from ansible_collections.mlops.mlflow_aws.tests.parts.door import Door, Upstream
from ansible_collections.mlops.mlflow_aws.tests.parts.host import ask
from ansible_collections.mlops.mlflow_aws.tests.parts.mlflow_server import server
from ansible_collections.mlops.mlflow_aws.tests.parts.oidc_issuer import Issuer
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, clean_environment

# The first test may have to install MLflow, Caddy and a browser.
pytestmark = pytest.mark.timeout(1500)

VISIT = CHECKOUT / "tests" / "parts" / "door_visit.py"
MEMBERS = {"ann": {"churn": "manage", "other": "read"}, "bob": {"churn": "read"}}
# What MLflow's page asks for without a door, too, and does not get: a login of MLflow's own, and the assistant.
IN_VAIN = {
    "2.0/mlflow/users/current",
    "3.0/mlflow/assistant/config",
    "3.0/mlflow/assistant/providers",
}
LATE = "The sign-in service does not answer; try again later."


@pytest.fixture(scope="module")
def door_python(environment: Callable[..., Path]) -> Path:
    """Return the Python of the door's locked requirements."""
    return environment("door", "../programs/door/requirements") / "python"


@pytest.fixture(scope="module")
def churn() -> Iterator[Upstream]:
    """Return a server that notes what reaches it."""
    with doors.upstream() as found:
        yield found


@pytest.fixture(scope="module")
def front(
    door_python: Path, churn: Upstream, free_ports: Callable[[int], list[int]]
) -> Iterator[Door]:
    """Return a door under a name that a sign-in service on this machine may have, too."""
    upstreams = {"churn": churn.address, "other": churn.address}
    [port] = free_ports(1)
    with doors.door(door_python, port, upstreams, MEMBERS, host="localhost") as found:
        yield found


@pytest.fixture(scope="module")
def issuer(
    front: Door,
    free_ports: Callable[[int], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Issuer]:
    """Return an issuer that the door knows."""
    folder = tmp_path_factory.mktemp("issuer")
    back = f"{front.url}/-/callback"
    [port] = free_ports(1)
    with oidc_issuer.issuer(port, back, folder) as found:
        front.change(oidc=found.settings)
        yield found


class Form(HTMLParser):
    """The first form of a page: where it leads, and its fields."""

    def __init__(self, text: str) -> None:
        """Read a page."""
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take what is in the form."""
        given = dict(attrs)
        if tag == "form" and not self.action:
            self.action = given.get("action") or ""
        if tag == "input" and given.get("name"):
            self.fields[str(given["name"])] = given.get("value") or ""


@dataclass
class Page:
    """A page that a browser has come to."""

    status: int
    url: str
    text: str


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects up to one that leads to `end`, and notes that."""

    end = ""
    noted = ""

    def redirect_request(self, *given: Any) -> urllib.request.Request | None:
        """Return the request that follows, if one does."""
        if self.end and self.end in given[-1]:
            self.noted = given[-1]
            return None
        return super().redirect_request(*given)


class Browser:
    """A browser without scripts: keeps cookies, follows redirects, and says where a form comes from."""

    def __init__(self, front: Door) -> None:
        """Have no cookies."""
        self.jar = http.cookiejar.CookieJar()
        self.redirects = Redirects()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=front.context()),
            urllib.request.HTTPCookieProcessor(self.jar),
            self.redirects,
        )

    def get(self, url: str, form: dict[str, str] | None = None, origin: str = "") -> Page:
        """Open a page, or send a form."""
        headers = {"Accept": "text/html"} | ({"Origin": origin} if origin else {})
        body = None if form is None else urlencode(form).encode()
        request = urllib.request.Request(url, body, headers)
        try:
            with self.opener.open(request, timeout=60) as answer:
                return Page(answer.status, answer.url, answer.read().decode())
        except HTTPError as error:
            with error:
                return Page(error.code, str(error.url), error.read().decode())

    def submit(self, page: Page, **fields: str) -> Page:
        """Fill in the form of a page, and send it."""
        form = Form(page.text)
        origin = "/".join(page.url.split("/")[:3])
        return self.get(urljoin(page.url, form.action), form.fields | fields, origin)


def by_issuer(browser: Browser, start: str, login: str) -> Page:
    """Walk from a page of the door through the issuer's two pages."""
    page = browser.submit(browser.get(start), login=login, password="any")
    return browser.submit(page)


def test_a_person_signs_in_by_a_password(front: Door, churn: Upstream) -> None:
    """And comes to where they wanted to go; the server gets no cookie."""
    browser = Browser(front)
    page = browser.get(f"{front.url}/churn/?a=b")
    assert page.url == f"{front.url}/-/login?next=%2Fchurn%2F%3Fa%3Db"
    wrong = browser.submit(page, name="ann", password="wrong")
    assert (wrong.status, len(browser.jar)) == (403, 0)
    assert "The name or the password is wrong." in wrong.text
    there = browser.submit(wrong, name="ann", password=doors.PASSWORD)
    assert (there.status, there.url) == (200, f"{front.url}/churn/?a=b")
    assert "Cookie" not in churn.seen[-1].headers
    home = browser.get(front.url)
    assert re.findall(r'href="/([a-z]+)/"', home.text) == ["churn", "other"]
    assert "About churn" in home.text
    assert browser.submit(home).url == f"{front.url}/-/login"
    assert browser.get(f"{front.url}/churn/").url.startswith(f"{front.url}/-/login")


def test_wrong_passwords_are_few(front: Door) -> None:
    """Soon nobody is asked for more of them; tokens go on."""
    browser = Browser(front)
    page = browser.get(f"{front.url}/-/login")
    tries = [browser.submit(page, name="bob", password="wrong").status for _number in range(8)]
    assert tries == [403] * 5 + [429] * 3
    assert front.ask("GET", "/churn/version", front.secrets["bob"]).status == 200


def test_a_person_signs_in_at_the_issuer(front: Door, issuer: Issuer) -> None:
    """A real one, that demands PKCE; whoever is not a member is refused, and whose address is not confirmed."""
    del issuer
    browser = Browser(front)
    page = browser.get(f"{front.url}/churn/?a=b")
    [start] = re.findall(r'href="(/-/start[^"]*)"', page.text)
    there = by_issuer(browser, front.url + start, "ann@example.com")
    assert (there.status, there.url) == (200, f"{front.url}/churn/?a=b")
    assert {cookie.name for cookie in browser.jar if cookie.path == "/" and cookie.secure} == {
        "__Host-mlflow"
    }
    last = [line for line in front.audit if line["request"]["uri"] == "/-/callback"][-1]
    assert (last["member"], last["status"]) == ("ann", 303)
    for login, words in (
        ("eve@example.com", "eve@example.com is not a member here"),
        ("unverified@example.com", "does not confirm an email address"),
    ):
        refused = by_issuer(Browser(front), f"{front.url}/-/start", login)
        assert refused.status == 403
        assert words in refused.text


def test_a_sign_in_is_for_the_browser_that_began_it(front: Door, issuer: Issuer) -> None:
    """Another state or another browser is refused, and a code serves once."""
    del issuer
    first, second = Browser(front), Browser(front)
    first.get(f"{front.url}/-/start")
    page = second.get(f"{front.url}/-/start")
    page = second.submit(page, login="ann@example.com", password="any")
    second.redirects.end = "/-/callback"
    second.submit(page)
    back = second.redirects.noted
    refused = first.get(back)
    assert (refused.status, "begin again" in refused.text) == (403, True)
    assert Browser(front).get(back).status == 403
    assert second.get(re.sub("state=[^&]+", "state=x", back)).status == 403
    assert second.get(back).url == f"{front.url}/"
    assert second.get(back).status == 403


def test_an_issuer_that_is_away(front: Door, issuer: Issuer, tmp_path: Path) -> None:
    """Those who have signed in, and tokens, go on; passwords, too."""
    browser = Browser(front)
    by_issuer(browser, f"{front.url}/-/start", "ann@example.com")
    issuer.end()
    # What the issuer says of itself is kept for a while; what is new asks for it.
    front.change(oidc=issuer.settings | {"name": "Other"})
    assert browser.get(f"{front.url}/churn/").url == f"{front.url}/churn/"
    assert front.ask("GET", "/churn/version", front.secrets["ann"]).status == 200
    page = Browser(front).get(f"{front.url}/-/start")
    assert (page.status, LATE in page.text) == (503, True)
    other = Browser(front)
    assert other.submit(page, name="ann", password=doors.PASSWORD).url == f"{front.url}/"
    issuer.start(tmp_path)
    front.change(oidc=issuer.settings)


@pytest.fixture(scope="module")
def browser_python(
    environment: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the Python that drives a browser, which is installed."""
    subprocess.run(
        [CHECKOUT / "scripts" / "_chromium.sh"],
        env=clean_environment(tmp_path_factory.mktemp("home")),
        timeout=1300,
        check=True,
    )
    return environment("browser") / "python"


def logged(url: str) -> str:
    """Log a run with a metric; return the IDs of its experiment and of itself."""
    api = "/api/2.0/mlflow"
    body = {"experiment_id": "0", "run_name": "a-run-of-the-door", "start_time": 1}
    run = json.loads(ask(url, f"{api}/runs/create", body)[1])["run"]["info"]["run_id"]
    metric = {"run_id": run, "key": "a-metric-of-the-door", "value": 1, "timestamp": 1, "step": 1}
    assert ask(url, f"{api}/runs/log-metric", metric)[0] == 200
    return f"0/{run}"


def test_a_browser_signs_in_and_opens_a_run(
    front: Door,
    issuer: Issuer,
    browser_python: Path,
    environment: Callable[..., Path],
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> None:
    """MLflow's pages work below the project's path; those of the door fit a phone."""
    del issuer
    python = environment("server", "../docker/requirements") / "python"
    [port] = free_ports(1)
    with server(python, port, tmp_path) as upstream:
        projects = dict(front.settings["projects"])
        front.change(projects=projects | {"churn": projects["churn"] | {"upstream": upstream}})
        run = logged(f"http://{upstream}")
        done = subprocess.run(
            [browser_python, VISIT, front.url, "ann@example.com", run, tmp_path],
            env=clean_environment(tmp_path) | {"PYTHONPATH": str(CHECKOUT / "scripts")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        front.change(projects=projects)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["sign-in"] == found["projects"] == {"desktop": 0, "phone": 0}
    assert [card.splitlines()[0] for card in found["cards"]] == ["running", "running"]
    assert found["outside"] == []
    assert {one.partition("/churn/ajax-api/")[2] for one in found["failed"]} <= IN_VAIN
    # Each of them is a line of the console, and nothing else is.
    assert [one for one in found["said"] if not one.startswith("Failed to load resource")] == []
    assert len(found["said"]) == len(found["failed"])
    assert found["run"].startswith(f"{front.url}/churn/#/experiments/0/runs/")
    assert found["out"] == f"{front.url}/-/login"
