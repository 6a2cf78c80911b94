# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the front door decides: paths, routes, logins, tokens, sessions and attempts."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.programs.door.mlflow_aws_door import (
    attempts,
    paths,
    routes,
    sessions,
    store,
)
from ansible_collections.mlops.mlflow_aws.programs.door.mlflow_aws_door.attempts import Attempts
from ansible_collections.mlops.mlflow_aws.programs.door.mlflow_aws_door.check import (
    Asked,
    Verdict,
)
from ansible_collections.mlops.mlflow_aws.programs.door.mlflow_aws_door.errors import DoorError
from ansible_collections.mlops.mlflow_aws.programs.door.mlflow_aws_door.paths import Target
from ansible_collections.mlops.mlflow_aws.tests.unit.programs._door import (
    NOW,
    ORIGIN,
    PASSWORD,
    Files,
    files,
)
from itsdangerous import URLSafeTimedSerializer

CREATE = "/churn/api/2.0/mlflow/runs/create"
DELETE = "/churn/api/2.0/mlflow/experiments/delete"


@pytest.fixture
def kept(tmp_path: Path) -> Files:
    """Return the files of a door."""
    return files(tmp_path)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/", Target("", "/")),
        ("/-/login", Target("", "/-/login")),
        ("/churn", Target("churn", "/", bare=True)),
        ("/churn/", Target("churn", "/")),
        ("/churn?a=/../b", Target("churn", "/", bare=True)),
        ("/churn/get-artifact?path=a%2Fb&x=%zz", Target("churn", "/get-artifact")),
        ("/a-1/api/x", Target("a-1", "/api/x")),
        ("/churn/b%C3%BC%20c/%E2%82%AC", Target("churn", "/bü c/€")),
        ("/churn/a..b/...", Target("churn", "/a..b/...")),
        ("/churn/a%25b", Target("churn", "/a%b")),
        ("/churn/a%252fb", Target("churn", "/a%2fb")),
        ("/churn/m:generate;x=1/(a)@b!$&'*+,~", Target("churn", "/m:generate;x=1/(a)@b!$&'*+,~")),
        # Names that no project has lead to none.
        ("/%63hurn/x", Target("", "/churn/x")),
        ("/Churn/x", Target("", "/Churn/x")),
        ("/-churn/x", Target("", "/-churn/x")),
        ("/churn-/x", Target("", "/churn-/x")),
        ("/churn--a/x", Target("", "/churn--a/x")),
        ("/churn;a/x", Target("", "/churn;a/x")),
    ],
)
def test_a_plain_path_passes(target: str, found: Target) -> None:
    """Escapes of letters are undone once, as MLflow's server does it."""
    assert paths.split(target) == found


@pytest.mark.parametrize(
    "target",
    [
        "",
        "churn/",
        "*",
        "https://other.example/churn/",
        "//churn/",
        "/churn//x",
        "//",
        "/churn/x//",
        "/churn/./x",
        "/churn/../x",
        "/churn/x/..",
        "/churn/x/.",
        "/..",
        "/churn/%2e%2e/x",
        "/churn/.%2E/x",
        "/churn/%2e/x",
        "/churn/a%2fb",
        "/churn/a%2Fb",
        "/churn/a%5cb",
        "/churn/a%5Cb",
        "/churn/a\\b",
        "/churn%2fx",
        "/churn/a%",
        "/churn/a%4",
        "/churn/a%zz",
        "/churn/a%u0041",
        "/churn/%00",
        "/churn/a%0a",
        "/churn/a%0d%0ab",
        "/churn/%7f",
        "/churn/a\tb",
        "/churn/a b",
        "/churn/a\nb",
        "/churn/\xfc",
        "/churn/%ff",
        "/churn/%c0%af",
        "/churn/%c0%ae%c0%ae/x",
        "/churn/%ed%a0%80",
        "/churn/a#b",
        "/churn/?a#b",
        "/churn/?a\r\nb",
        "/churn/?a b",
        "/churn/" + "a" * 4096,
    ],
)
def test_a_path_of_two_readings_is_refused(target: str) -> None:
    """Whoever reads it otherwise would get at what was not checked."""
    assert paths.split(target) is None


@pytest.mark.parametrize(
    ("target", "where"),
    [
        ("/churn/?x=1&y=//evil.example", "/churn/?x=1&y=//evil.example"),
        ("/churn/#/experiments/1", "/"),
        ("/churn", "/churn"),
        ("/", "/"),
        ("", "/"),
        ("/-/logout", "/"),
        ("/?next=x", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/%5cevil.example", "/"),
        ("///evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/churn/?\r\nSet-Cookie: x=1", "/"),
        ("/churn/?\xfc", "/"),
        (" /churn/", "/"),
        ("\t//evil.example", "/"),
    ],
)
def test_a_sign_in_leads_to_no_other_site(target: str, where: str) -> None:
    """And into no other header of the answer."""
    assert paths.following(target) == where


TABLE = routes.Table(
    routes.Route(*line.split())
    for line in (
        "read GET /a",
        "read GET /a/{name:path}",
        "manage GET /a/{name:path}/b",
        "edit POST /a/<path:name>",
        "edit GET /a/{one}/c/{two}",
        "nobody GET /a/x.y",
    )
)


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/a", "read"),
        ("HEAD", "/a", "read"),
        ("get", "/a", ""),
        ("Get", "/a", ""),
        ("PUT", "/a", ""),
        ("", "/a", ""),
        ("GET", "/a/", ""),
        ("GET", "/b", ""),
        ("GET", "/a/1/2/3", "read"),
        ("GET", "/a/1/2/b", "manage"),
        ("GET", "/a/1/b/b", "manage"),
        ("GET", "/a/1/c/2", "edit"),
        ("GET", "/a/x.y", "nobody"),
        ("GET", "/a/x-y", "read"),
        ("POST", "/a/1\n/2", "edit"),
        ("GET", "/a\n", ""),
    ],
)
def test_the_strongest_route_counts(method: str, path: str, role: str) -> None:
    """MLflow may take any of those that match; what is not in the table is nobody's."""
    assert TABLE.role(method, path) == role


def test_the_table_is_whole() -> None:
    """Each line has a known role and method, and comes once."""
    lines = list(routes.read())
    assert {line.role for line in lines} == set(routes.ROLES)
    assert {line.method for line in lines} == {"GET", "POST", "PUT", "PATCH", "DELETE"}
    assert len({line[1:] for line in lines}) == len(lines)


def test_a_long_path_takes_no_time() -> None:
    """Whatever a member sends, the door's one process answers others at once."""
    table = routes.Table(routes.read())
    began = time.process_time()
    for filling in ("/versions/tags", "/versions/a/tags/a", "/a", "/aliases/endpoints/"):
        path = "/ajax-api/3.0/mlflow/mcp-servers" + (filling * 400)[:4000]
        for method in ("GET", "DELETE", "PATCH", "POST"):
            table.role(method, path)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("role", "needed", "allowed"),
    [
        ("read", "read", True),
        ("read", "edit", False),
        ("edit", "read", True),
        ("manage", "manage", True),
        ("manage", "nobody", False),
        ("", "read", False),
        ("read", "", False),
        ("manage", "", False),
        ("", "", False),
    ],
)
def test_roles_are_in_an_order(role: str, needed: str, *, allowed: bool) -> None:
    """None allows nothing, and an unknown route is for none."""
    assert routes.allows(role, needed) is allowed


def basic(name: str, password: str) -> str:
    """Return the header with which requests logs in."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_a_token_logs_in_alone_and_as_a_password(kept: Files) -> None:
    """Beside the name of its member only."""
    door, token = kept.door(), kept.token("ci")
    for authorization, status in (
        (f"Bearer {token}", 200),
        (f"bearer  {token}", 200),
        (basic("ci", token), 200),
        (basic("ann", token), 401),
        (basic("", token), 401),
        (f"Bearer {token}x", 401),
        (f"Bearer {token[:-1]}x", 401),
        (f"Bearer {token} {token}", 401),
        (f"Token {token}", 401),
        (token, 401),
        ("Bearer ", 401),
        ("Basic %%%", 401),
        ("Basic " + base64.b64encode(b"\xff:" + token.encode()).decode(), 401),
        ("Basic " + base64.b64encode(token.encode()).decode(), 401),
    ):
        assert door.check(Asked("POST", CREATE, authorization)).status == status, authorization


def test_a_token_ends(kept: Files) -> None:
    """By its time, by its revocation, and with its member."""
    door = kept.door()
    old, young = kept.token("ci", expires=NOW), kept.token("ci", number=2, expires=NOW + 1)
    gone = kept.token("gone", number=3)
    asked = [Asked("GET", "/churn/", f"Bearer {token}") for token in (old, young, gone)]
    assert [door.check(one).status for one in asked] == [401, 200, 401]
    kept.write(store.TOKENS, "{}")
    assert door.check(asked[1]).status == 401


def test_no_one_learns_which_projects_there_are(kept: Files) -> None:
    """A project without a role, and none at all, are answered alike."""
    door, token = kept.door(), kept.token("ci")

    def asked(project: str) -> tuple[object, ...]:
        found = door.check(Asked("GET", f"/{project}/nowhere", f"Bearer {token}"))
        return found.status, found.code, found.message.replace(project, "NAME")

    assert asked("fraud") == asked("absent")
    assert asked("fraud")[0] == 403


@pytest.mark.parametrize(
    ("member", "method", "target", "status"),
    [
        ("bob", "GET", "/churn/version", 200),
        ("bob", "HEAD", "/churn/version", 200),
        ("bob", "POST", CREATE, 403),
        ("ci", "POST", CREATE, 200),
        ("ci", "POST", DELETE, 403),
        ("ann", "POST", DELETE, 200),
        ("ann", "POST", DELETE + "/", 404),
        ("ann", "post", DELETE, 404),
        ("ann", "OPTIONS", DELETE, 404),
        ("ann", "GET", "/churn/ajax-api/3.0/mlflow/assistant/config", 403),
        ("ann", "GET", "/fraud/", 200),
        ("ann", "GET", "/churn", 308),
        ("ann", "GET", "/", 404),
        ("ann", "GET", "/%63hurn/version", 404),
        ("ann", "GET", "/churn/../fraud/", 400),
    ],
)
def test_a_role_allows_what_it_allows(
    member: str, method: str, target: str, status: int, kept: Files
) -> None:
    """What passes has a project and its server, and nothing else has a server."""
    door = kept.door()
    found = door.check(Asked(method, target, f"Bearer {kept.token(member)}"))
    assert found.status == status, found
    project = target.split("/")[1] if status == 200 else ""
    upstream = door.settings.projects[project].upstream if project else ""
    assert found.upstream == upstream
    assert found.location == ("/churn/" if status == 308 else "")


def session(door_files: Files, member: str) -> str:
    """Return the Cookie header of somebody who has signed in."""
    made = sessions.Sessions(door_files.folder / store.SESSION_KEY).begin(member, 60)
    return made.partition(";")[0]


@pytest.mark.parametrize(
    ("method", "origin", "site", "status"),
    [
        ("GET", "", "", 200),
        ("GET", "https://evil.example", "cross-site", 200),
        ("POST", ORIGIN, "same-origin", 200),
        ("POST", ORIGIN, "", 200),
        ("POST", "", "same-origin", 200),
        ("POST", "", "same-site", 403),
        ("POST", "", "none", 403),
        ("POST", "", "", 403),
        ("POST", "null", "same-origin", 403),
        ("POST", "https://mlflow.example.com", "same-origin", 403),
        ("POST", ORIGIN + ".evil.example", "", 403),
        ("POST", "http://mlflow.example.com:8443", "", 403),
    ],
)
def test_a_cookie_counts_for_own_pages(
    method: str, origin: str, site: str, status: int, kept: Files
) -> None:
    """A page of another site makes a browser send it, but not change anything by it."""
    target = CREATE if method == "POST" else "/churn/"
    asked = Asked(method, target, "", session(kept, "ann"), origin, site)
    assert kept.door().check(asked).status == status


def test_a_login_that_fails_is_not_replaced_by_a_cookie(kept: Files) -> None:
    """A client that sends both means the one that it names."""
    cookie = session(kept, "ann")
    assert kept.door().check(Asked("GET", "/churn/", "Bearer x", cookie)).status == 401


@pytest.mark.parametrize(
    ("asked", "location"),
    [
        (Asked("GET", "/churn/?a=b&c", accept="text/html,*/*"), "%2Fchurn%2F%3Fa%3Db%26c"),
        (Asked("HEAD", "/churn/", accept="text/html"), "%2Fchurn%2F"),
        (Asked("POST", "/churn/", accept="text/html"), ""),
        (Asked("GET", "/churn/", accept="*/*"), ""),
        (Asked("GET", "/churn/", "Bearer x", accept="text/html"), ""),
    ],
)
def test_a_browser_is_led_to_the_sign_in(asked: Asked, location: str, kept: Files) -> None:
    """And programs are told to log in."""
    found = kept.door().check(asked)
    wanted = Verdict(303, location=f"/-/login?next={location}") if location else None
    assert found == (wanted or found)
    assert found.status == (303 if location else 401)


def test_files_are_read_when_they_are_replaced(kept: Files) -> None:
    """A broken one lets nobody in, nor does a broken entry."""
    stored = store.Store(kept.folder)
    token = kept.token("ci")
    assert stored.member_of(token, NOW) == "ci"
    good = (kept.folder / store.TOKENS).read_text()
    for broken in (
        "",
        "{",
        "[]",
        "null",
        good.replace("sha256", "sha"),
        good.replace(": 0,", ": [],"),
    ):
        kept.write(store.TOKENS, broken)
        assert stored.member_of(token, NOW) == "", broken
    for broken in ('{"%s": 1}', '{"%s": {"sha256": 1, "expires": 0, "member": "ci"}}'):
        kept.write(store.TOKENS, broken % token.split("_")[1])
        assert stored.member_of(token, NOW) == "", broken
    kept.write(store.TOKENS, good)
    assert stored.member_of(token, NOW) == "ci"
    (kept.folder / store.TOKENS).unlink()
    assert stored.member_of(token, NOW) == ""


def test_passwords(kept: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the right one; a broken entry has none."""
    monkeypatch.setitem(store.SCRYPT, "n", 16)
    stored = store.Store(kept.folder)
    assert not stored.has_passwords()
    kept.password("ann")
    assert stored.has_passwords()
    tries = [
        ("ann", PASSWORD),
        ("ann", PASSWORD + " "),
        ("ann", ""),
        ("bob", PASSWORD),
        ("bob", ""),
    ]
    assert [stored.is_password(*one) for one in tries] == [True, False, False, False, False]
    for entry in (
        {},
        {"salt": "zz", "scrypt": "00"},
        {"salt": "00"},
        {"salt": "00", "scrypt": "é"},
    ):
        kept.write(store.PASSWORDS, json.dumps({"ann": entry}))
        assert not stored.is_password("ann", PASSWORD)


def test_a_session_is_the_doors_own(kept: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a forged one, nor an old one, nor what was signed for something else or by another key."""
    made = sessions.Sessions(kept.folder / store.SESSION_KEY)
    cookie = session(kept, "ann")
    pending = made.remember({"next": "/"}).partition(";")[0].partition("=")[2]
    value = cookie.partition("=")[2]
    content, _dot, signature = value.rpartition(".")
    # Not its last letter, of which two bits mean nothing.
    flipped = f"{content}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    for sent, member in (
        (cookie, "ann"),
        (f'a="b; x={{"y": 1}}; {cookie};z', "ann"),
        (f"x{cookie}", ""),
        (f"{sessions.COOKIE}={flipped}", ""),
        (f"{sessions.COOKIE}={pending}", ""),
        (f"{sessions.COOKIE}=", ""),
        (f"{sessions.PENDING}={value}", ""),
        ("", ""),
    ):
        assert made.member(sent, 60) == member, sent
    assert made.pending(f"{sessions.PENDING}={value}") == {}
    assert made.pending(f"{sessions.PENDING}={pending}") == {"next": "/"}
    with monkeypatch.context() as later:
        now = time.time()
        later.setattr(time, "time", lambda: now + 62)
        assert made.member(cookie, 60) == ""
    kept.write(store.SESSION_KEY, "f" * 64)
    assert made.member(cookie, 60) == ""


@pytest.mark.parametrize("key", ["", "\n", "0" * 63, "x" * 64, "\xff"])
def test_a_broken_key_signs_nothing(key: str, kept: Files) -> None:
    """With an empty one anybody could sign in."""
    kept.write(store.SESSION_KEY, key)
    made = sessions.Sessions(kept.folder / store.SESSION_KEY)
    signer = URLSafeTimedSerializer(
        key or "secret", salt=sessions.COOKIE, signer_kwargs=sessions._SIGNER
    )
    assert made.member(f"{sessions.COOKIE}={signer.dumps('ann')!s}", 60) == ""
    with pytest.raises(DoorError, match=r"holds no key for sessions; run the servers playbook\.$"):
        made.begin("ann", 60)


def test_cookies_are_for_this_host_and_tls() -> None:
    """No script reads them, and no other site's page sends them with a change."""
    for header in (sessions.end(), sessions.forget()):
        name, *rest = header.split("; ")
        assert name.startswith("__Host-")
        assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=0"} == set(rest)


class Clock:
    """A clock that stands."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def fail(made: Attempts, times: int, name: str, address: str) -> int:
    """Fail so often; return how long one has to wait then."""
    for _number in range(times):
        made.note(name, address)
    return made.wait(name, address)


@pytest.mark.parametrize(
    ("tries", "asked", "waits"),
    [
        ([(4, "ann", "10.0.0.1")], ("ann", "10.0.0.1"), False),
        ([(5, "ann", "10.0.0.1")], ("ann", "10.0.0.1"), True),
        ([(5, "ann", "10.0.0.1")], ("ann", "10.0.0.2"), False),
        ([(5, "ann", "10.0.0.1")], ("bob", "10.0.0.1"), False),
        ([(4, f"n{n}", "10.0.0.1") for n in range(8)], ("bob", "10.0.0.1"), True),
        ([(4, "ann", f"10.0.0.{n}") for n in range(25)], ("ann", "10.0.1.1"), True),
        ([(5, "ann", "2001:db8::1")], ("ann", "2001:db8::ffff:2"), True),
        ([(5, "ann", "2001:db8::1")], ("ann", "2001:db8:0:1::1"), False),
        ([(5, "a" * 200, "10.0.0.1")], ("a" * 300, "10.0.0.1"), True),
        ([(5, "ann", "")], ("ann", "%zz"), True),
    ],
)
def test_attempts_are_few(
    tries: list[tuple[int, str, str]], asked: tuple[str, str], *, waits: bool
) -> None:
    """Of one name from one address, of one address, and of one name from anywhere."""
    made = Attempts(Clock())
    for one in tries:
        fail(made, *one)
    assert (made.wait(*asked) > 0) is waits


def test_attempts_are_forgotten() -> None:
    """With time, and one that succeeds counts for nobody."""
    clock = Clock()
    made = Attempts(clock)
    assert fail(made, 5, "ann", "10.0.0.1") == attempts.WINDOW + 1
    clock.now += attempts.WINDOW
    assert made.wait("ann", "10.0.0.1") == 0
    for number in range(200):
        made.note(f"n{number}", "10.0.0.1")
        made.forget(f"n{number}", "10.0.0.1")
    assert made.wait("ann", "10.0.0.1") == 0


def test_attempts_take_little_memory() -> None:
    """However many addresses and names there are, and however long."""
    made = Attempts(Clock())
    for number in range(attempts._MOST // 2):
        made.note(f"{number}" + "x" * 5000, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(made._failed) == attempts._MOST
    assert max(len(name) for name, _address in made._failed) == 100
    for _number in range(1000):
        made.note("ann", "10.0.0.1")
    assert max(map(len, made._failed.values())) == attempts.BY_NAME
