# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Caddy's configuration, purely: TLS, the question to the door for each request, and the way to the servers.

A request to a project is one to the door first (`/check`, as Caddy's forward_auth does it). The door's answer names
the project and its server: Caddy reads no path, and knows no project, so that projects and members change without
a new configuration.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .settings import Settings

# Between Caddy and the door, in the spelling that Caddy looks up. A client cannot set them.
MEMBER, PROJECT, UPSTREAM = "X-Mlflow-Member", "X-Mlflow-Project", "X-Mlflow-Upstream"
METHOD, URI, ADDRESS = "X-Forwarded-Method", "X-Forwarded-Uri", "X-Mlflow-Address"
PAGES = ("/", "/-/*")
# How long a connection to the door's own process is kept.
IDLE_SECONDS = 60
_HOLD_INTERVAL = "250ms"
_UNREAD = "^dial |: connection reset by peer$|: broken pipe$"
_UPSTREAM = r"^[^{}]+:[0-9]+$"
_AUDIT = "audit"
_LOG_MEBIBYTES, _LOG_FILES = 50, 10


class Places:
    """Where Caddy finds and leaves what."""

    def __init__(self, private: Path, folder: Path) -> None:
        """Take the folder of this process's sockets, and that of what lives longer."""
        self.admin, self.door = private / "admin.sock", private / "door.sock"
        self.data = folder / "caddy"
        self.audit = folder / "audit.log"

    @property
    def authority(self) -> Path:
        """Return the certificate of the door's own CA."""
        return self.data / "pki" / "authorities" / "local" / "root.crt"


def configuration(settings: Settings, places: Places) -> dict[str, Any]:
    """Return Caddy's configuration in its JSON form."""
    servers = {"door": _https(settings, places)}
    if settings.redirect:
        servers["redirect"] = _redirect(settings)
    return {
        "admin": {"listen": f"unix/{places.admin}", "config": {"persist": False}},
        "logging": _logging(places),
        "storage": {"module": "file_system", "root": str(places.data)},
        "apps": {
            "http": {"servers": servers},
            "tls": _tls(settings),
            "pki": {"certificate_authorities": {"local": {"install_trust": False}}},
        },
    }


def _https(settings: Settings, places: Places) -> dict[str, Any]:
    """Return the server for clients."""
    return {
        "listen": settings.listen,
        "protocols": ["h1", "h2"],
        "routes": [
            {
                "match": [{"host": [settings.host]}],
                "handle": [{"handler": "subroute", "routes": _routes(settings, places)}],
                "terminal": True,
            },
            {"handle": [_answer(421, f"This is {settings.host}; use that name.")]},
        ],
        "errors": {"routes": _failed()},
        # The certificate is chosen by the one name; a client that names no server gets it too.
        "tls_connection_policies": [{"default_sni": settings.host}],
        "automatic_https": {"disable_redirects": True},
        "strict_sni_host": False,
        "logs": {"default_logger_name": _AUDIT},
    }


def _routes(settings: Settings, places: Places) -> list[dict[str, Any]]:
    """Return what is done with a request to the right name."""
    pages = {
        "match": [{"path": list(PAGES)}],
        # Who signs in or out is in the answer alone.
        "handle": [
            _clean(),
            _noted(member=f"{{http.reverse_proxy.header.{MEMBER}}}"),
            _to_door(places, {}),
        ],
        "terminal": True,
    }
    noted = _noted(member="{http.vars.member}", project="{http.vars.project}")
    server = {
        "match": [{"vars_regexp": {"{http.vars.upstream}": {"pattern": _UPSTREAM}}}],
        "handle": [
            {"handler": "rewrite", "strip_path_prefix": "/{http.vars.project}"},
            _to_server(settings),
        ],
        "terminal": True,
    }
    nothing = {"handle": [_answer(404, "There is nothing here.")]}
    return [pages, {"handle": [_clean(), noted, _question(places)]}, server, nothing]


def _question(places: Places) -> dict[str, Any]:
    """Return the request to the door; its answer is the client's unless it lets the request pass."""
    passes = {
        "match": {"status_code": [2]},
        "routes": [{"handle": [_remembered()]}],
    }
    refused = {
        "routes": [
            {"handle": [_remembered()]},
            {"handle": [{"handler": "copy_response"}]},
        ]
    }
    asked = _to_door(places, {METHOD: ["{http.request.method}"], URI: ["{http.request.uri}"]})
    return {
        **asked,
        "rewrite": {"method": "GET", "uri": "/check"},
        "handle_response": [passes, refused],
    }


def _remembered() -> dict[str, Any]:
    """Return what keeps the door's answer: the next proxy's answer replaces its headers."""
    answer = {"member": MEMBER, "project": PROJECT, "upstream": UPSTREAM}
    kept = {name: f"{{http.reverse_proxy.header.{header}}}" for name, header in answer.items()}
    return {"handler": "vars", **kept}


def _to_door(places: Places, headers: dict[str, list[str]]) -> dict[str, Any]:
    """Return the way to the door's own process."""
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"unix/{places.door}"}],
        # Its own process keeps connections for longer (keeper.py), so that none ends as it is used.
        "transport": {"protocol": "http", "keep_alive": {"idle_timeout": f"{IDLE_SECONDS}s"}},
        "headers": {
            "request": {"set": {**headers, ADDRESS: ["{http.request.remote.host}"]}},
            "response": {"delete": [MEMBER, PROJECT, UPSTREAM]},
        },
    }


def _to_server(settings: Settings) -> dict[str, Any]:
    """Return what sends a request to a server: no login with it, and under the server's own name."""
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": "{http.vars.upstream}"}],
        # A server that starts again does not listen; nothing was sent then.
        "load_balancing": {"try_duration": f"{settings.hold}s", "try_interval": _HOLD_INTERVAL},
        "flush_interval": -1,
        "transport": {
            "protocol": "http",
            "dial_timeout": "5s",
            # A kept connection may end as a request is sent, and nobody could tell whether it arrived.
            "keep_alive": {"enabled": False},
            "compression": False,
        },
        "headers": {
            "request": {
                "set": {
                    "Host": ["{http.reverse_proxy.upstream.hostport}"],
                    "Authorization": [f"Bearer {settings.secret}"],
                    MEMBER: ["{http.vars.member}"],
                },
                "delete": ["Cookie", "Origin", "Referer"],
            },
            # All projects share one origin: a server of one is to change nothing for the others.
            "response": {"delete": ["Set-Cookie", "Clear-Site-Data", "Service-Worker-Allowed"]},
        },
    }


def _clean() -> dict[str, Any]:
    """Return what takes from a request what only the door may say, and what changes its meaning."""
    own = [MEMBER, PROJECT, UPSTREAM, METHOD, URI, ADDRESS]
    odd = ["X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL", "Upgrade"]
    # WSGI takes `_` for `-`, so that such a header would pass for another one.
    return {"handler": "headers", "request": {"delete": [*own, *odd, "*_*"]}}


def _noted(**fields: str) -> dict[str, Any]:
    """Return what writes into the log who did it, and where."""
    return {
        "handler": "subroute",
        "routes": [
            {"handle": [{"handler": "log_append", "key": key, "value": value}]}
            for key, value in fields.items()
        ],
    }


def _failed() -> list[dict[str, Any]]:
    """Return the answers where a server gave none.

    Each client of MLflow repeats any call after 429, so that is for those that reached no server, or of which one
    had not read the whole: the system resets a connection then, and ends it otherwise. What else was sent may have
    been done; each client knows what it repeats after 502.
    """
    unsent = _answer(429, "The server is not reachable; try again.")
    unsent["headers"]["Retry-After"] = ["2"]
    return [
        {
            "match": [{"vars_regexp": {"{http.error.message}": {"pattern": _UNREAD}}}],
            "handle": [unsent],
            "terminal": True,
        },
        {"handle": [_answer(502, "The server ended before it answered.")]},
    ]


def _answer(status: int, text: str) -> dict[str, Any]:
    """Return an answer in one line."""
    return {
        "handler": "static_response",
        "status_code": status,
        "headers": {"Content-Type": ["text/plain; charset=utf-8"]},
        "body": f"{text}\n",
    }


def _redirect(settings: Settings) -> dict[str, Any]:
    """Return the server that sends HTTP to HTTPS, to the one name; a CA's challenges come before."""
    return {
        "listen": settings.redirect,
        "routes": [
            {
                # Without its slash it would lengthen the name.
                "match": [{"vars_regexp": {"{http.request.uri}": {"pattern": "^/"}}}],
                "handle": [
                    {
                        "handler": "static_response",
                        "status_code": 308,
                        "headers": {"Location": [f"{settings.origin}{{http.request.uri}}"]},
                    }
                ],
                "terminal": True,
            },
            {"handle": [_answer(400, "The path of a request begins with a slash.")]},
        ],
        "automatic_https": {"disable": True},
    }


def _tls(settings: Settings) -> dict[str, Any]:
    """Return where the certificate comes from."""
    tls = settings.tls
    if tls["kind"] == "files":
        pair = {"certificate": tls["certificate"], "key": tls["key"], "format": "pem"}
        return {"certificates": {"load_files": [pair]}, "automation": {"policies": []}}
    if tls["kind"] == "internal":
        issuer = {"module": "internal", "ca": "local"}
    else:
        issuer = {"module": "acme", "email": tls["email"], "ca": tls["directory"]}
    given = {key: value for key, value in issuer.items() if value}
    policy = {"subjects": [settings.host], "issuers": [given]}
    return {"certificates": {"automate": [settings.host]}, "automation": {"policies": [policy]}}


def _logging(places: Places) -> dict[str, Any]:
    """Return the logs: what goes wrong, and who did what without what is secret."""
    hidden = {
        "format": "filter",
        "wrap": {"format": "json", "time_format": "rfc3339_nano"},
        "fields": {
            "request>headers": {"filter": "delete"},
            "resp_headers": {"filter": "delete"},
            "request>tls": {"filter": "delete"},
            # What follows the question mark of a sign-in is a secret for a moment.
            "request>uri": {"filter": "regexp", "regexp": r"\?.*", "value": ""},
        },
    }
    file = {
        "output": "file",
        "filename": str(places.audit),
        "mode": "0600",
        "roll_size_mb": _LOG_MEBIBYTES,
        "roll_keep": _LOG_FILES,
    }
    name = f"http.log.access.{_AUDIT}"
    return {
        "logs": {
            "default": {"level": "WARN", "encoder": hidden, "exclude": [name, "admin"]},
            _AUDIT: {"writer": file, "encoder": hidden, "include": [name]},
        }
    }
