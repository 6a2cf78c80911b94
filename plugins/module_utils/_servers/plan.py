# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: plans what to do about a host's servers, purely."""

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import addresses
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._sizes import size_in_bytes

KEEP, START, RESTART, STOP, REMOVE = "keep", "start", "restart", "stop", "remove"
_STATE_WORDS = {"present": "running", "stopped": "stopped", "absent": "absent"}
# The module's state caps each server's own: stopping all never starts one.
_RANK = ("absent", "stopped", "present")


class WantedServer(t.NamedTuple):
    """One server as it should be; settings is the content of its settings file."""

    name: str
    state: str
    settings: dict[str, t.Any]

    @property
    def host(self) -> str:
        """Return the address to listen on."""
        return str(self.settings["host"])

    @property
    def port(self) -> int:
        """Return the port to listen on."""
        return int(self.settings["port"])

    @property
    def configuration(self) -> str:
        """Return the hash of the settings and of the MLflow that reads them."""
        return str(self.settings["configuration"])


class FoundServer(t.NamedTuple):
    """One server as it is.

    running: its process is up or being started; configuration: what that process was started
    with; known: settings or logs of it are on the host; settings: of the last start, if any, as
    `redacted` returns them.
    """

    name: str
    running: bool = False
    known: bool = False
    configuration: str = ""
    pid: int = 0
    settings: dict[str, t.Any] | None = None


class Step(t.NamedTuple):
    """What to do about one server, and why."""

    name: str
    action: str
    wanted: WantedServer | None
    found: FoundServer

    @property
    def changed(self) -> bool:
        """Return whether this step does anything."""
        return self.action != KEEP

    @property
    def runs(self) -> bool:
        """Return whether the server runs when the step is done."""
        return self.action in (START, RESTART) or (self.action == KEEP and self.found.running)


def wanted_server(options: t.Mapping[str, t.Any], cap: str, runtime: str) -> WantedServer:
    """Return one server as wanted from its module options.

    cap is the module's own state; runtime identifies the MLflow that will run, so that
    another one means another configuration.
    """
    address = addresses.listen_address(options["host"])
    hosts = [_host(text) for text in options["allowed_hosts"]]
    settings = {
        "host": address,
        "port": options["port"],
        "workers": options["workers"],
        "backend_store_uri": options["backend_store_uri"],
        "artifacts_destination": options["artifacts_destination"],
        "allowed_hosts": addresses.accepted_hosts(hosts, address),
        "environment": {name: str(text) for name, text in sorted(options["environment"].items())},
    }
    # Without them the server is the same as before they existed.
    for key in ("database", "aws"):
        if options.get(key):
            given = {name: text for name, text in options[key].items() if text is not None}
            settings[key] = _by_broker(given) if key == "aws" else given
    origins = addresses.accepted_origins(hosts, address)
    if origins:
        settings["allowed_origins"] = origins
    settings.update(_choices(options))
    for key in ("key_file", "door"):
        if options.get(key):
            settings[key] = options[key]
    digest = hashlib.sha256(json.dumps([runtime, settings], sort_keys=True).encode("utf-8"))
    settings["configuration"] = digest.hexdigest()[:16]
    state = min(options["state"], cap, key=_RANK.index)
    return WantedServer(str(options["name"]), state, settings)


def _choices(options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return those settings that a project may leave out, as far as it has them."""
    chosen: dict[str, t.Any] = {
        key: True for key in ("metrics", "jobs", "assistant", "presigned_only") if options.get(key)
    }
    archival = options.get("trace_archival")
    if archival:
        chosen["trace_archival"] = {k: v for k, v in archival.items() if v is not None}
    if options.get("max_upload_size"):
        chosen["max_upload_size"] = _upload_bytes(options["max_upload_size"])
    return chosen


def _by_broker(aws: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return a server's identity as it is told of it: of a role only the socket that gives it."""
    if not aws.get("broker"):
        return aws
    return {name: text for name, text in aws.items() if name not in ("profile", "role_arn")}


def plan(
    wanted: t.Iterable[WantedServer], found: t.Mapping[str, FoundServer], unlisted: str
) -> list[Step]:
    """Return one step for each wanted server, in order, then for others that were found.

    unlisted: what is done about those, KEEP, STOP or REMOVE.
    """
    steps = [_step(server, found.get(server.name, FoundServer(server.name))) for server in wanted]
    listed = {step.name for step in steps}
    for name, server in sorted(found.items()):
        due = server.running or (unlisted == REMOVE and server.known)
        if name not in listed and unlisted != KEEP and due:
            steps.append(Step(name, unlisted, None, server))
    return steps


def whole(settings: t.Any) -> dict[str, t.Any] | None:
    """Return settings that were read back, None where they were cut short."""
    if not isinstance(settings, dict):
        return None
    sound = isinstance(settings.get("host"), str) and isinstance(settings.get("port"), int)
    return settings if sound else None


def redacted(settings: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return settings without values of variables and long texts; configuration tells them apart."""
    shown = {**settings}
    if "environment" in shown:
        shown["environment"] = sorted(shown["environment"])
    if "door" in shown:
        shown["door"] = True
    certificate = shown.get("database", {}).get("ca", "")
    if certificate:
        digest = hashlib.sha256(certificate.encode("utf-8")).hexdigest()
        shown["database"] = {**shown["database"], "ca": f"sha256:{digest[:16]}"}
    return shown


def difference(steps: t.Iterable[Step]) -> dict[str, dict[str, t.Any]]:
    """Return what changes as before and after, keyed by server, for Ansible's diff mode."""
    before: dict[str, t.Any] = {}
    after: dict[str, t.Any] = {}
    for step in steps:
        if not step.changed:
            continue
        settings = step.found.settings
        was = "running" if step.found.running else "stopped" if step.found.known else "absent"
        before[step.name] = {"state": was, **(settings or {})}
        will = "absent" if step.action == REMOVE else "stopped"
        after[step.name] = {"state": _STATE_WORDS[step.wanted.state] if step.wanted else will}
        if step.wanted and step.action != REMOVE:
            after[step.name].update(redacted(step.wanted.settings))
        elif settings and step.action == STOP:
            after[step.name].update(settings)
    return {"before": before, "after": after}


def _step(wanted: WantedServer, found: FoundServer) -> Step:
    """Decide what one listed server needs."""
    if wanted.state == "present":
        same = found.configuration == wanted.configuration
        action = START if not found.running else KEEP if same else RESTART
    elif wanted.state == "stopped":
        action = STOP if found.running else KEEP
    else:
        action = REMOVE if found.known or found.running else KEEP
    return Step(wanted.name, action, wanted, found)


def _upload_bytes(text: str) -> int:
    """Return the largest body of a request in bytes."""
    size = size_in_bytes(text)
    if not size:
        raise MlflowError(f"max_upload_size is {text!r}; write a size such as 500m or 2g.")
    return size


def _host(text: str) -> str:
    """Return a host that clients may name, or refuse it."""
    found = addresses.allowed_host(text)
    if found is None:
        raise MlflowError(
            f"allowed_hosts holds {text!r}; write a host name such as mlflow.example.com, without "
            "scheme or path."
        )
    return found
