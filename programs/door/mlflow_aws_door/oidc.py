# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign-in by OpenID Connect: the authorization code flow with PKCE, through Authlib."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from requests import RequestException

from .errors import DoorError
from .settings import Oidc

CALLBACK = "/-/callback"
_SECONDS = 10
# How long an issuer's metadata and keys are kept; an unknown key is asked for at once.
_FRESH_SECONDS = 3600
_ALGORITHMS = [
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]
# A clock may be so much off.
_LEEWAY = 60
_AWAY = "The sign-in service does not answer; try again later. Those who are signed in can go on."
_FAILED = "The sign-in did not succeed; begin again."


class Issuer:
    """One issuer, as it describes itself. Its calls wait for the network: a thread makes them."""

    def __init__(self, oidc: Oidc, origin: str) -> None:
        """Take the settings and the door's own address."""
        self.oidc = oidc
        self._origin, self._redirect = origin, f"{origin}{CALLBACK}"
        self._metadata: tuple[float, dict[str, Any]] = (0.0, {})
        self._keys: KeySet | None = None

    def serves(self, oidc: Oidc, origin: str) -> bool:
        """Return whether it was made of these settings."""
        return (self.oidc, self._origin) == (oidc, origin)

    def begin(self) -> tuple[str, dict[str, str]]:
        """Return where to send a browser, and what it has to bring back; raises DoorError."""
        kept = {name: secrets.token_urlsafe(32) for name in ("nonce", "verifier")}
        with self._session() as session:
            url, state = session.create_authorization_url(
                self._endpoint("authorization_endpoint"),
                nonce=kept["nonce"],
                code_challenge=create_s256_code_challenge(kept["verifier"]),
                code_challenge_method="S256",
            )
        return url, {**kept, "state": state}

    def finish(self, query: str, kept: dict[str, Any]) -> str:
        """Return the email address of the person whose browser came back; raises DoorError."""
        try:
            given = dict(parse_qsl(query))
            # Other parameters, such as error, come without a code.
            if not hmac.compare_digest(given["state"].encode(), str(kept["state"]).encode()):
                raise DoorError(_FAILED)
            with self._session() as session:
                token = session.fetch_token(
                    self._endpoint("token_endpoint"),
                    grant_type="authorization_code",
                    code=given["code"],
                    code_verifier=str(kept["verifier"]),
                    timeout=_SECONDS,
                )
            claims = self._claims(str(token["id_token"]))
            if claims.get("nonce") != kept["nonce"]:
                raise DoorError(_FAILED)
            if "email" not in claims:
                claims = self._user(str(token["access_token"]), claims["sub"])
        except RequestException:
            raise DoorError(_AWAY) from None
        except (OAuthError, JoseError, LookupError, TypeError, ValueError):
            raise DoorError(_FAILED) from None
        # Some issuers write truth values as text.
        if str(claims.get("email_verified", True)).lower() == "false" or not claims.get("email"):
            raise DoorError(
                "The sign-in service does not confirm an email address; ask its administrators."
            )
        return str(claims["email"])

    def _user(self, token: str, subject: str) -> dict[str, Any]:
        """Return what the issuer says of a person apart from the ID token; LookupError if it is another one."""
        found = self._get(self._endpoint("userinfo_endpoint"), {"Authorization": f"Bearer {token}"})
        if found["sub"] != subject:
            raise LookupError("another person's claims")
        return found

    def _claims(self, token: str) -> dict[str, Any]:
        """Return what the issuer says of a person; raises JoseError if it is not the issuer who says so."""
        try:
            decoded = jwt.decode(token, self._key_set(), algorithms=_ALGORITHMS)
        except (JoseError, ValueError):
            # It may have new keys.
            self._keys = None
            decoded = jwt.decode(token, self._key_set(), algorithms=_ALGORITHMS)
        registry = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY,
            iss={"essential": True, "value": self._described()["issuer"]},
            aud={"essential": True, "value": self.oidc.client_id},
            exp={"essential": True},
        )
        registry.validate(decoded.claims)
        audiences = decoded.claims["aud"]
        party = decoded.claims.get("azp", self.oidc.client_id)
        if party != self.oidc.client_id or (
            isinstance(audiences, list) and len(audiences) > 1 and "azp" not in decoded.claims
        ):
            raise ValueError("another client's token")
        return decoded.claims

    def _key_set(self) -> KeySet:
        """Return the issuer's keys."""
        if self._keys is None:
            keys: Any = self._get(self._endpoint("jwks_uri"))
            self._keys = KeySet.import_key_set(keys)
        return self._keys

    def _endpoint(self, name: str) -> str:
        """Return one of the issuer's addresses."""
        return _secure(str(self._described().get(name, "")))

    def _described(self) -> dict[str, Any]:
        """Return what the issuer says of itself; raises DoorError if it does not answer."""
        at, found = self._metadata
        if not found or time.monotonic() - at > _FRESH_SECONDS:
            issuer = self.oidc.issuer.rstrip("/")
            try:
                found = self._get(f"{_secure(issuer)}/.well-known/openid-configuration")
            except (RequestException, ValueError):
                raise DoorError(_AWAY) from None
            if str(found.get("issuer", "")).rstrip("/") != issuer:
                raise DoorError(
                    "The sign-in service has another name than mlflow_door_oidc gives; correct issuer there."
                )
            self._metadata, self._keys = (time.monotonic(), found), None
        return found

    def _get(self, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return a JSON object."""
        with self._session() as session:
            answer = session.request(
                "GET", url, headers=headers, timeout=_SECONDS, withhold_token=True
            )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _session(self) -> OAuth2Session:
        """Return a client of the issuer."""
        return OAuth2Session(
            self.oidc.client_id,
            self.oidc.client_secret or None,
            scope="openid email",
            redirect_uri=self._redirect,
        )


def _secure(url: str) -> str:
    """Return an address; raises DoorError for one without TLS that is not on this host."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    ):
        return url
    raise DoorError(
        "The sign-in service has an address without TLS; correct issuer of mlflow_door_oidc."
    )
