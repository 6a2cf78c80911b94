# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Caddy's configuration, purely: TLS, the question to the door for each request, and the way to the servers.

A request to a project is one to the door first (`/check`, as Caddy's forward_auth does it). The door's answer names
the project, and that name alone chooses the server: Caddy reads no path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .settings import Settings

# Between Caddy and the door, in the spelling that Caddy looks up. A client cannot set them.
MEMBER, PROJECT = "X-Mlflow-Member", "X-Mlflow-Project"
METHOD, URI, ADDRESS = "X-Forwarded-Method", "X-Forwarded-Uri", "X-Mlflow-Address"
PAGES = ("/", "/-/*")
_HOLD_INTERVAL = "250ms"
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
        "routes": [
            {
                "match": [{"host": [settings.host]}],
                "handle": [{"handler": "subroute", "routes": _routes(settings, places)}],
                "terminal": True,
            },
            {"handle": [_answer(421, f"This is {settings.host}; use that name.")]},
        ],
        "errors": {"routes": [{"handle": [_failed()]}]},
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
        "handle": [_clean(), _noted("{http.vars.member}", "{http.vars.project}"), _to_door(places, {})],
        "terminal": True,
    }
    ask = {
        "handle": [_clean(), _noted("{http.vars.member}", "{http.vars.project}"), _question(places)],
    }
    servers = [
        {
            "match": [{"vars": {"{http.vars.project}": [name]}}],
            "handle": [_to_server(settings, project.upstream)],
            "terminal": True,
        }
        for name, project in sorted(settings.projects.items())
    ]
    return [pages, ask, *servers, {"handle": [_answer(404, "There is nothing here.")]}]


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
    return {**asked, "rewrite": {"method": "GET", "uri": "/check"}, "handle_response": [passes, refused]}


def _remembered() -> dict[str, Any]:
    """Return what keeps the door's answer: the next proxy's answer replaces its headers."""
    return {
        "handler": "vars",
        "member": f"{{http.reverse_proxy.header.{MEMBER}}}",
        "project": f"{{http.reverse_proxy.header.{PROJECT}}}",
    }


def _to_door(places: Places, headers: dict[str, list[str]]) -> dict[str, Any]:
    """Return the way to the door's own process."""
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"unix/{places.door}"}],
        "headers": {
            "request": {"set": {**headers, ADDRESS: ["{http.request.remote.host}"]}},
            "response": {"delete": [MEMBER, PROJECT]},
        },
    }


def _to_server(settings: Settings, upstream: str) -> dict[str, Any]:
    """Return the way to a project's server, whose paths begin below the project's."""
    return {
        "handler": "subroute",
        "routes": [
            {"handle": [{"handler": "rewrite", "strip_path_prefix": "/{http.vars.project}"}]},
            {"handle": [_proxy(settings, upstream)]},
        ],
    }


def _proxy(settings: Settings, upstream: str) -> dict[str, Any]:
    """Return what sends a request to a server: no login with it, and under the server's own name."""
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": upstream}],
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
            }
        },
    }


def _clean() -> dict[str, Any]:
    """Return what takes from a request what only the door may say."""
    own = [MEMBER, PROJECT, METHOD, URI, ADDRESS, "X-HTTP-Method-Override"]
    return {"handler": "headers", "request": {"delete": own}}


def _noted(member: str, project: str) -> dict[str, Any]:
    """Return what writes into the log who did it, and where."""
    return {
        "handler": "subroute",
        "routes": [
            {"handle": [{"handler": "log_append", "key": key, "value": value}]}
            for key, value in (("member", member), ("project", project))
        ],
    }


def _failed() -> dict[str, Any]:
    """Return the answer where no server answered: one after which each client of MLflow tries again."""
    return {
        **_answer(429, "The server did not answer; try again."),
        "headers": {"Retry-After": ["2"], "Content-Type": ["text/plain; charset=utf-8"]},
    }


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
                "handle": [
                    {
                        "handler": "static_response",
                        "status_code": 308,
                        "headers": {"Location": [f"{settings.origin}{{http.request.uri}}"]},
                    }
                ]
            }
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
            "default": {"level": "WARN", "exclude": [name]},
            _AUDIT: {"writer": file, "encoder": hidden, "include": [name]},
        }
    }
