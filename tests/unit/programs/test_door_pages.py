# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the front door answers: its pages, sign-in, Caddy's configuration, and settings that are broken."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from ansible_collections.mlops.mlflow_aws.programs.door.mlflow_aws_door import (
    attempts,
    caddy,
    errors,
    pages,
    sessions,
    settings,
    store,
)
from ansible_collections.mlops.mlflow_aws.programs.door.mlflow_aws_door.application import (
    Application,
)
from ansible_collections.mlops.mlflow_aws.programs.door.mlflow_aws_door.errors import DoorError
from ansible_collections.mlops.mlflow_aws.programs.door.mlflow_aws_door.oidc import Issuer
from ansible_collections.mlops.mlflow_aws.tests.unit.programs._door import (
    ORIGIN,
    PASSWORD,
    Files,
    content,
    files,
)
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

OWN = {"origin": ORIGIN, "x-mlflow-address": "10.0.0.1"}
ISSUER = {
    "issuer": "https://login.example",
    "client_id": "door",
    "client_secret": "x",
    "name": "Acme",
}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """Return the files of a door, whose passwords take no time."""
    monkeypatch.setitem(store.SCRYPT, "n", 16)
    return files(tmp_path)


@dataclass
class Got:
    """An answer."""

    status: int
    headers: list[tuple[str, str]]
    text: str

    def all(self, name: str) -> list[str]:
        """Return the values of a header."""
        return [value for found, value in self.headers if found == name]

    @property
    def location(self) -> str:
        """Return where it leads."""
        return "".join(self.all("location"))

    @property
    def cookie(self) -> str:
        """Return the cookies that it gives, as a browser sends them."""
        return "; ".join(one.partition(";")[0] for one in self.all("set-cookie"))


def send(
    application: Application,
    method: str,
    target: str,
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    body: bytes = b"",
) -> Got:
    """Send one request as Caddy does."""
    sent: list[Any] = []
    path, _mark, query = target.partition("?")
    pairs = list(headers.items()) if isinstance(headers, dict) else headers or []
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in pairs],
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def take(message: Any) -> None:
        sent.append(message)

    asyncio.run(application(scope, receive, take))
    found = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    return Got(sent[0]["status"], found, sent[1]["body"].decode())


def made(kept: Files, **changes: Any) -> Application:
    """Return the application of a door."""
    return Application(kept.door(**changes), attempts.Attempts(time.monotonic))


def sign_in(application: Application, **form: str) -> Got:
    """Sign in by the form, as ann with her password where nothing else is given."""
    fields = {"name": "ann", "password": PASSWORD, "next": "/", **form}
    return send(application, "POST", "/-/login", OWN, urlencode(fields).encode())


def check(
    application: Application, target: str, *more: tuple[str, str], method: str = "GET"
) -> Got:
    """Ask as Caddy does before each request."""
    return send(
        application,
        "GET",
        "/check",
        [("x-forwarded-method", method), ("x-forwarded-uri", target), *more],
    )


def test_caddy_learns_who_where_and_whither(kept: Files) -> None:
    """Of what passes; of the rest no server."""
    application, token = made(kept), f"Bearer {kept.token('ci')}"
    passed = check(application, "/churn/version", ("authorization", token))
    assert (passed.status, dict(passed.headers)) == (
        200,
        {
            "x-mlflow-member": "ci",
            "x-mlflow-project": "churn",
            "x-mlflow-upstream": "127.0.0.1:5000",
            "content-length": "0",
        },
    )
    for target, status in (("/fraud/", 403), ("/churn/nowhere", 404), ("/churn/../x", 400)):
        refused = check(application, target, ("authorization", token))
        assert refused.status == status
        assert not refused.all("x-mlflow-upstream")
        assert set(json.loads(refused.text)) == {"error_code", "message"}
    unknown = check(application, "/churn/version")
    assert (unknown.status, unknown.all("www-authenticate")) == (401, ['Bearer realm="MLflow"'])


def test_of_two_logins_none_is_believed(kept: Files) -> None:
    """Nor is a cookie beside them; several headers of cookies are one."""
    kept.password("ann")
    application = made(kept)
    token, cookie = kept.token("ci"), sign_in(application).cookie
    twice = [("authorization", f"Bearer {token}")] * 2
    assert check(application, "/churn/", *twice).status == 401
    assert check(application, "/churn/", *twice, ("cookie", cookie)).status == 401
    assert check(application, "/churn/", ("cookie", "a=b"), ("cookie", cookie)).status == 200
    assert check(application, "/churn/", ("cookie", cookie), ("cookie", "a=b")).status == 200
    post = ("/churn/api/2.0/mlflow/runs/create", ("cookie", cookie), ("origin", ORIGIN))
    assert check(application, *post, method="POST").status == 200
    assert check(application, *post, ("origin", ORIGIN), method="POST").status == 403


def test_sign_in_and_out(kept: Files) -> None:
    """A browser goes where it wanted to go, and has its session then."""
    kept.password("ann")
    application = made(kept)
    assert send(application, "GET", "/").location == "/-/login"
    page = send(application, "GET", "/-/login?next=" + quote("/churn/?a=b&c"))
    assert 'name="next" value="/churn/?a=b&amp;c"' in page.text
    begun = sign_in(application, next="/churn/?a=b&c")
    assert (begun.status, begun.location) == (303, "/churn/?a=b&c")
    assert begun.all("x-mlflow-member") == ["ann"]
    home = send(application, "GET", "/", {"cookie": begun.cookie})
    assert ['href="/churn/"' in home.text, 'href="/fraud/"' in home.text] == [True, True]
    assert send(application, "POST", "/-/logout", {"cookie": begun.cookie}).status == 403
    ended = send(application, "POST", "/-/logout", {"cookie": begun.cookie, **OWN})
    assert (ended.status, ended.cookie) == (303, f"{sessions.COOKIE}=")


@pytest.mark.parametrize("page", ["/", "/-/login", "/-/nowhere", "/-/login/", "/-/style.css"])
def test_pages_have_their_headers(page: str, kept: Files) -> None:
    """No script runs in them, and no other site frames them."""
    for method in ("GET", "HEAD"):
        found = send(made(kept), method, page)
        assert found.all("content-security-policy") == [pages.POLICY]
        assert found.all("x-content-type-options") == ["nosniff"]
        assert len(found.all("cache-control")) == 1
    assert send(made(kept), "DELETE", page).status == 404


@pytest.mark.parametrize(
    "where",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "/churn/?\r\nSet-Cookie: a=b"],
)
def test_a_sign_in_stays_here(where: str, kept: Files) -> None:
    """Whatever `next` says, in the form and in the address."""
    kept.password("ann")
    application = made(kept)
    assert sign_in(application, next=where).location == "/"
    page = send(application, "GET", "/-/login?next=" + quote(where, safe=""))
    assert 'name="next" value="/"' in page.text


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({"password": "wrong"}, OWN),
        ({"name": "bob"}, OWN),
        ({"name": "nobody"}, OWN),
        ({"name": ""}, OWN),
        ({}, {}),
        ({}, OWN | {"origin": "https://evil.example"}),
        ({}, OWN | {"origin": "null"}),
    ],
)
def test_a_wrong_sign_in(form: dict[str, str], headers: dict[str, str], kept: Files) -> None:
    """No session, and the same words for each wrong name and password."""
    kept.password("ann")
    fields = {"name": "ann", "password": PASSWORD, **form}
    found = send(made(kept), "POST", "/-/login", headers, urlencode(fields).encode())
    assert (found.status, found.cookie) == (403, "")
    said = "The name or the password is wrong." if headers == OWN else "Sign in on this page."
    assert said in found.text


def test_too_many_sign_ins(kept: Files) -> None:
    """The right password is refused then, too, and the session of before goes on."""
    kept.password("ann")
    application = made(kept)
    cookie = sign_in(application).cookie
    for _number in range(attempts.BY_BOTH):
        assert sign_in(application, password="wrong").status == 403
    found = sign_in(application)
    assert (found.status, found.cookie) == (429, "")
    assert 0 < int(found.all("retry-after")[0]) <= attempts.WINDOW + 1
    assert send(application, "GET", "/", {"cookie": cookie}).status == 200


def test_a_removed_member_cannot_sign_in(kept: Files) -> None:
    """A password that was left is none, and a session has ended."""
    kept.password("ann")
    application = made(kept)
    cookie = sign_in(application).cookie
    application.door.settings = kept.settings(members={"bob": {"kind": "person", "email": ""}})
    assert sign_in(application).status == 403
    assert send(application, "GET", "/", {"cookie": cookie}).location == "/-/login"
    assert check(application, "/churn/", ("cookie", cookie)).status == 401


def test_without_a_key_nobody_signs_in(kept: Files) -> None:
    """And the log says why."""
    kept.password("ann")
    kept.write(store.SESSION_KEY, "")
    found = sign_in(made(kept))
    assert (found.status, found.cookie) == (500, "")
    assert "The log of the door says why." in found.text


def test_texts_are_texts() -> None:
    """Whatever stands in names and descriptions."""
    odd = "<script>\"&'"
    card = pages.Card(odd, odd, odd, odd, odd)
    for page in (
        pages.projects(odd, [card]),
        pages.sign_in(odd, odd, issuer=odd, passwords=True),
        pages.message(odd, odd),
    ):
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        assert "\"&amp;'" not in page


def test_a_person_without_projects_is_told(kept: Files) -> None:
    """Whom to ask; and one who may not sign in yet is, too."""
    assert "not a member of any project yet" in pages.projects("bob", [])
    assert "Nobody can sign in yet" in pages.sign_in("/", "", issuer="", passwords=False)
    application = made(kept, projects={})
    kept.password("ann")
    assert sign_in(application).location == "/"


def test_the_log_has_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """That nobody else writes."""
    errors.say("a\nmlflow_door: b\x1b[2J\u2028c é")
    assert capsys.readouterr().err == "mlflow_door: a?mlflow_door: b?[2J?c é\n"


KEY, OTHER = (ECKey.generate_key("P-256", parameters={"kid": "1"}) for _number in range(2))


class Service:
    """Stands for a sign-in service: its keys, what it says of itself and of people."""

    def __init__(self) -> None:
        """Know nobody yet."""
        self.claims: dict[str, Any] = {}
        self.user: dict[str, Any] = {}
        self.made = ""

    def get(self, url: str, _headers: Any = None) -> dict[str, Any]:
        """Answer a request."""
        home = str(ISSUER["issuer"])
        if url.endswith("openid-configuration"):
            names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
            return {"issuer": home, **{name: f"{home}/{name}" for name in names}}
        if url.endswith("jwks_uri"):
            return dict(KeySet([KEY]).as_dict(private=False))
        return self.user

    def token(self) -> dict[str, str]:
        """Return tokens for the claims."""
        key = self.claims.pop("key", KEY)
        made = self.made or jwt.encode({"alg": "ES256", "kid": "1"}, self.claims, key)
        return {"id_token": made, "access_token": "access"}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """Stand for a sign-in service."""
    found = Service()
    monkeypatch.setattr(Issuer, "_get", lambda _self, *given: found.get(*given))
    monkeypatch.setattr(OAuth2Session, "fetch_token", lambda _self, _url, **_given: found.token())
    return found


def person(**changes: Any) -> dict[str, Any]:
    """Return the claims of ann."""
    claims = {
        "iss": ISSUER["issuer"],
        "aud": "door",
        "sub": "1",
        "exp": int(time.time()) + 60,
        "email": "ann@example.com",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


@pytest.mark.parametrize(
    ("claims", "user", "location"),
    [
        ({}, {}, "/churn/"),
        ({"email": "ANN@example.COM", "email_verified": True}, {}, "/churn/"),
        ({"email_verified": "true"}, {}, "/churn/"),
        ({"email": None}, {"sub": "1", "email": "ann@example.com"}, "/churn/"),
        ({"aud": ["door", "x"], "azp": "door"}, {}, "/churn/"),
        ({"email": None}, {"sub": "2", "email": "ann@example.com"}, ""),
        ({"email": None}, {"sub": "1"}, ""),
        ({"email": None}, {"sub": "1", "email": "ann@example.com", "email_verified": False}, ""),
        ({"email": ""}, {}, ""),
        ({"email_verified": False}, {}, ""),
        ({"email_verified": "false"}, {}, ""),
        ({"email": "ann@example.com\n"}, {}, ""),
        ({"email": "eve@example.com"}, {}, ""),
        ({"nonce": "other"}, {}, ""),
        ({"nonce": None}, {}, ""),
        ({"iss": "https://other.example"}, {}, ""),
        ({"iss": None}, {}, ""),
        ({"aud": "other"}, {}, ""),
        ({"aud": ["door", "x"]}, {}, ""),
        ({"aud": ["door", "x"], "azp": "x"}, {}, ""),
        ({"exp": 1}, {}, ""),
        ({"exp": None}, {}, ""),
        ({"key": OTHER}, {}, ""),
    ],
)
def test_a_sign_in_service_says_who_it_is(
    claims: dict[str, Any], user: dict[str, Any], location: str, kept: Files, service: Service
) -> None:
    """Only for this door, for this sign-in, of an address that it confirms, and of a member."""
    application = made(kept, oidc=ISSUER)
    started = send(application, "GET", "/-/start?next=/churn/")
    asked = {name: value[0] for name, value in parse_qs(urlsplit(started.location).query).items()}
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == f"{ORIGIN}/-/callback"
    service.claims = person(**{"nonce": asked["nonce"], **claims})
    service.user = user
    back = f"/-/callback?code=c&state={asked['state']}"
    found = send(application, "GET", back, {"cookie": started.cookie})
    assert (found.status, found.location) == ((303, location) if location else (403, ""))
    assert (sessions.COOKIE + "=" in found.cookie) is bool(location)


@pytest.mark.parametrize(
    "back",
    [
        "",
        "code=c",
        "state={}",
        "code=c&state=other",
        "error=access_denied&state={}",
        "code=c&state=",
    ],
)
def test_a_sign_in_comes_back_as_it_went(back: str, kept: Files, service: Service) -> None:
    """To the browser that began it."""
    application = made(kept, oidc=ISSUER)
    started = send(application, "GET", "/-/start")
    asked = parse_qs(urlsplit(started.location).query)
    service.claims = person(nonce=asked["nonce"][0])
    target = "/-/callback?" + back.format(asked["state"][0])
    found = send(application, "GET", target, {"cookie": started.cookie})
    assert (found.status, found.cookie) == (403, "")
    target = f"/-/callback?code=c&state={asked['state'][0]}"
    assert send(application, "GET", target).status == 403


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256"])
def test_tokens_of_other_algorithms_are_refused(
    algorithm: str, kept: Files, service: Service
) -> None:
    """None, and those by a key that everybody knows."""
    application = made(kept, oidc=ISSUER)
    started = send(application, "GET", "/-/start")
    asked = parse_qs(urlsplit(started.location).query)
    halves = ({"alg": algorithm, "kid": "1"}, person(nonce=asked["nonce"][0]))
    signed = ".".join(map(encoded, (json.dumps(half).encode() for half in halves)))
    code = hmac.digest(KEY.as_pem(private=False), signed.encode(), "sha256")
    service.made = signed + "." + (encoded(code) if algorithm == "HS256" else "")
    target = f"/-/callback?code=c&state={asked['state'][0]}"
    assert send(application, "GET", target, {"cookie": started.cookie}).status == 403


def encoded(content: bytes) -> str:
    """Return a part of a token."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("issuer", "words"),
    [
        ("http://login.example", "has an address without TLS"),
        ("https://other.example", "has another name than mlflow_door_oidc gives"),
    ],
)
def test_a_wrong_sign_in_service(issuer: str, words: str, kept: Files, service: Service) -> None:
    """The page says what is wrong; passwords and tokens go on."""
    del service
    found = send(made(kept, oidc=ISSUER | {"issuer": issuer}), "GET", "/-/start")
    assert found.status == 503
    assert words in found.text


def parts(found: object) -> Iterator[dict[str, Any]]:
    """Return all objects in a configuration."""
    if isinstance(found, dict):
        yield found
    for one in (
        found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    ):
        yield from parts(one)


def configuration(kept: Files, **changes: Any) -> dict[str, Any]:
    """Return Caddy's configuration."""
    return caddy.configuration(
        kept.settings(**changes), caddy.Places(Path("/run/x"), Path("/var/x"))
    )


def test_caddy_passes_on_nothing_secret(kept: Files) -> None:
    """No login gets to a server, nothing that only the door may say comes from a client, and logs hide headers."""
    found = configuration(kept)
    proxies = [one for one in parts(found) if one.get("handler") == "reverse_proxy"]
    assert [one["upstreams"][0]["dial"] for one in proxies] == [
        "unix//run/x/door.sock",
        "unix//run/x/door.sock",
        "{http.vars.upstream}",
    ]
    server = proxies[-1]["headers"]["request"]
    assert "Cookie" in server["delete"]
    # In place of the client's own.
    assert server["set"]["Authorization"] == [f"Bearer {'s' * 43}"]
    cleaned = [one["request"]["delete"] for one in parts(found) if one.get("handler") == "headers"]
    own = {caddy.MEMBER, caddy.PROJECT, caddy.UPSTREAM, caddy.METHOD, caddy.URI, caddy.ADDRESS}
    assert len(cleaned) == 2
    for deleted in cleaned:
        assert own | {"*_*"} <= set(deleted)
    for log in found["logging"]["logs"].values():
        assert log["encoder"]["format"] == "filter"
        assert {"request>headers", "resp_headers", "request>uri"} <= set(log["encoder"]["fields"])
    # The secret is in one place.
    assert json.dumps(found).count("s" * 43) == 1


def test_caddy_needs_no_change_for_projects(kept: Files) -> None:
    """So that the connections of the others stay."""
    less = {"projects": {}, "members": {}, "configuration": "x", "session": 1}
    assert configuration(kept) == configuration(kept, **less)
    assert configuration(kept) != configuration(kept, hold=11)


@pytest.mark.parametrize(
    ("tls", "wanted"),
    [
        ({"kind": "internal"}, {"module": "internal", "ca": "local"}),
        (
            {"kind": "acme", "email": "", "directory": ""},
            {"module": "acme"},
        ),
        (
            {"kind": "acme", "email": "a@b", "directory": "https://ca"},
            {"module": "acme", "email": "a@b", "ca": "https://ca"},
        ),
    ],
)
def test_caddy_gets_certificates(tls: dict[str, str], wanted: dict[str, str], kept: Files) -> None:
    """For the one name."""
    found = configuration(kept, tls=tls)["apps"]["tls"]
    assert found["certificates"] == {"automate": ["mlflow.example.com"]}
    assert found["automation"]["policies"][0]["issuers"] == [wanted]


def test_caddy_reads_certificates(kept: Files) -> None:
    """Of the team's own."""
    found = configuration(kept, tls={"kind": "files", "certificate": "/c", "key": "/k"})
    [pair] = found["apps"]["tls"]["certificates"]["load_files"]
    assert (pair["certificate"], pair["key"]) == ("/c", "/k")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"host": 1}',
        json.dumps({"more": 1, **content()}),
        json.dumps(content(secret="")),
        json.dumps(content(secret="s" * 31)),
        json.dumps(content(secret="s" * 43 + "\n")),
        json.dumps(content(hold="1")),
        json.dumps(content(tls={"kind": "none"})),
        json.dumps(content(tls={})),
        json.dumps(content(oidc={"issuer": "x"})),
        json.dumps(content(members={"ann": {}})),
        *(
            json.dumps(content(projects={name: {"owner": "", "description": "", **project}}))
            for name, project in (
                ("churn", {"upstream": "127.0.0.1:5000", "members": {"ann": "nobody"}}),
                ("churn", {"upstream": "127.0.0.1:5000", "members": {"ann": "admin"}}),
                ("churn", {"upstream": "127.0.0.1:5000", "members": []}),
                ("churn", {"upstream": "{http.vars.x}:1", "members": {}}),
                ("churn", {"upstream": "127.0.0.1", "members": {}}),
                ("-", {"upstream": "127.0.0.1:5000", "members": {}}),
                ("a/b", {"upstream": "127.0.0.1:5000", "members": {}}),
                ("", {"upstream": "127.0.0.1:5000", "members": {}}),
            )
        ),
    ],
)
def test_settings_that_cannot_be_used(text: str, kept: Files) -> None:
    """One sentence, before anything is done by them."""
    path = kept.write("settings.json", text)
    with pytest.raises(
        DoorError, match=r"^[^\n]*cannot be read [^\n]*; run the servers playbook\.$"
    ):
        settings.read(path)


def test_settings_are_read(kept: Files) -> None:
    """With the roles that they give; the port of HTTPS is not written."""
    found = kept.settings()
    roles = [found.role(*one) for one in (("ann", "churn"), ("bob", "churn"), ("bob", "fraud"))]
    assert roles == ["manage", "read", ""]
    assert (found.role("gone", "churn"), found.role("ann", "gone")) == ("", "")
    assert found.origin == ORIGIN
    assert kept.settings(port=443).origin == "https://mlflow.example.com"
