# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: which project had which port of a host, so that none is handed on silently.

Clients keep an address for longer than an inventory keeps an order. MLflow asks nobody who they are, so
those of a project whose port went to another one would log to that one without any error.

STATE/ports/INSTANCE.json    {"5001": "demo", "5002": "churn"}; of a project's ports the last is its present one
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import FoundServer

# The key of a module's result that marks such a refusal, by which hosts see each other's.
REFUSED = "ports_refused"
_LAST_PORT = 65535


class ListedProject(t.NamedTuple):
    """One entry of the inventory's list; port_fixed: whether the entry names the port itself."""

    name: str
    port: int
    port_fixed: bool
    state: str


class PortPlan(t.NamedTuple):
    """What the record holds and is to hold: the project of each port."""

    before: dict[int, str]
    after: dict[int, str]

    @property
    def changed(self) -> bool:
        """Return whether the file has to be written."""
        return list(self.before.items()) != list(self.after.items())

    def difference(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the ports whose project changes, before and after."""
        ports = {port for port, _name in self.before.items() ^ self.after.items()}
        before, after = (
            {str(port): name for port, name in sorted(owners.items()) if port in ports}
            for owners in (self.before, self.after)
        )
        return before, after


class PortRecord(t.NamedTuple):
    """The file, and the inventory's list; serving: whether this run lets projects serve at all.

    Where nobody gave a list it is None, and nothing is recorded.
    """

    path: Path
    listed: t.Sequence[ListedProject] | None
    serving: bool

    def plan(self, found: t.Mapping[str, FoundServer]) -> PortPlan:
        """Return what the record is to hold; refuse a list that hands a port on."""
        if self.listed is None:
            return PortPlan({}, {})
        recorded = self._read()
        owners = _owners(recorded, found.values())
        claims = [item for item in self.listed if self.serving and item.state == "present"]
        reason = refusal(self.listed, claims, owners)
        if reason:
            raise MlflowError(reason, {REFUSED: True})
        return PortPlan(recorded, claimed(owners, claims))

    def write(self, plan: PortPlan) -> None:
        """Write the file where it differs."""
        if plan.changed:
            files.make_folder(self.path.parent)
            text = json.dumps({str(port): name for port, name in plan.after.items()}, indent=2)
            files.write_private(self.path, text + "\n")

    def _read(self) -> dict[int, str]:
        """Return what the file holds; nothing where there is none."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            return {int(port): str(name) for port, name in content.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError) as error:
            raise MlflowError(
                f"The record of which project had which port cannot be read ({self.path}: {error}); correct "
                "it, or delete it to have it written again from the servers that are on this host."
            ) from error


def refusal(
    listed: t.Sequence[ListedProject],
    claims: t.Iterable[ListedProject],
    owners: t.Mapping[int, str],
) -> str:
    """Return why the list hands ports on silently, and the remedy; empty where it does not."""
    handed = _handed_on(listed, claims, owners)
    if not handed:
        return ""
    said = [
        f"port {item.port} of project '{item.name}' belonged to '{owners[item.port]}'"
        for item in handed
    ]
    text = "; ".join(said)
    own = _named(_former_ports(listed, handed, owners), owners)
    remedies = [own] if own else []
    # Those in whose place others are do most often; else all that are not in the list.
    for names in ({owners[item.port] for item in handed}, set(owners.values())):
        back = _put_back(listed, owners, names)
        if back:
            remedies.append(back)
            break
    if len(handed) == 1:
        remedies.append(_on_purpose(listed, handed[0], owners))
    return (
        f"{text[0].upper()}{text[1:]}: clients of '{owners[handed[0].port]}' would log to '{handed[0].name}'. "
        f"Correct mlflow_projects: {'; or '.join(remedies)}."
    )


def claimed(owners: t.Mapping[int, str], claims: t.Iterable[ListedProject]) -> dict[int, str]:
    """Return the owners when these projects have their ports; a project's present port comes last."""
    after = dict(owners)
    for item in claims:
        if _port_of(item.name, after) != item.port:
            after.pop(item.port, None)
            after[item.port] = item.name
    return after


def _owners(recorded: t.Mapping[int, str], found: t.Iterable[FoundServer]) -> dict[int, str]:
    """Return whose each port is: a running server's, else as recorded, else a stopped one's.

    Servers count because an older release kept no record, and others may have used the engine.
    """
    known = [
        (int(one.settings["port"]), one) for one in found if one.settings and "port" in one.settings
    ]
    owners = {port: one.name for port, one in known if not one.running and port not in recorded}
    owners.update(recorded)
    for port, one in known:
        if one.running and owners.get(port) != one.name:
            owners.pop(port, None)
            owners[port] = one.name
    return owners


def _handed_on(
    listed: t.Sequence[ListedProject],
    claims: t.Iterable[ListedProject],
    owners: t.Mapping[int, str],
) -> list[ListedProject]:
    """Return the projects that would get another's port without anybody having written that down.

    An entry that names the port means it; but where the former owner is listed too, its own entry must
    say where it went.
    """
    moving = {item.name for item in listed if not item.port_fixed}
    return [
        item
        for item in claims
        if owners.get(item.port, item.name) != item.name
        and (not item.port_fixed or owners[item.port] in moving)
    ]


def _port_of(name: str, owners: t.Mapping[int, str]) -> int | None:
    """Return the port that a project had last."""
    return next((port for port in reversed(list(owners)) if owners[port] == name), None)


def _former_ports(
    listed: t.Sequence[ListedProject],
    handed: t.Sequence[ListedProject],
    owners: t.Mapping[int, str],
) -> dict[str, int]:
    """Return the ports to write into entries so that every project keeps its own, by name."""
    ports: dict[str, int] = {}
    taken = {item.port for item in listed if item.port_fixed and item not in handed}
    for item in listed:
        former = _port_of(item.name, owners)
        moves = item in handed or (not item.port_fixed and former not in (None, item.port))
        if moves and former is not None and former not in taken:
            ports[item.name] = former
            taken.add(former)
    used = {*owners, *(item.port for item in listed)}
    free = (port for port in range(min(used), _LAST_PORT + 1) if port not in used)
    for item in listed:
        crowded = not item.port_fixed and item.port in taken
        if item.name not in ports and (item in handed or crowded):
            # Above the last port there is none; the other remedies are left.
            ports[item.name] = next(free, 0)
    if 0 in ports.values():
        return {}
    return ports


def _named(ports: t.Mapping[str, int], owners: t.Mapping[int, str]) -> str:
    """Return the remedy that gives these projects their ports."""
    words = [
        f"give '{name}' `port: {port}`, {'its current port' if port in owners else 'which is free'}"
        for name, port in ports.items()
    ]
    return ", ".join(words)


def _put_back(
    listed: t.Sequence[ListedProject], owners: t.Mapping[int, str], names: t.Container[str]
) -> str:
    """Return the remedy that puts these projects' entries back in their places, empty where it would not do."""
    automatic = [item.port - index for index, item in enumerate(listed) if not item.port_fixed]
    there = {item.name for item in listed}
    gone = {name: port for port, name in owners.items() if name in names and name not in there}
    entries = list(listed)
    for name, port in sorted(gone.items(), key=lambda pair: pair[1]):
        if automatic and 0 <= port - automatic[0] <= len(entries):
            entries.insert(port - automatic[0], ListedProject(name, port, False, "absent"))
    entries = [
        item if item.port_fixed else item._replace(port=automatic[0] + index)
        for index, item in enumerate(entries)
    ]
    back = [(index, item.name) for index, item in enumerate(entries) if item.name not in there]
    present = [item for item in entries if item.state == "present"]
    distinct = len({item.port for item in entries}) == len(entries)
    if not back or not distinct or _handed_on(entries, present, owners):
        return ""
    words = [f"'{name}' back as mlflow_projects[{index}]" for index, name in back]
    return f"put {', '.join(words)} with `state: absent`"


def _on_purpose(
    listed: t.Sequence[ListedProject], item: ListedProject, owners: t.Mapping[int, str]
) -> str:
    """Return how to hand one port on and mean it."""
    owner = owners[item.port]
    involved = [one for one in listed if one.name in (item.name, owner) and not one.port_fixed]
    words = [f"`port: {one.port}` into the entry of '{one.name}'" for one in involved]
    return f"to hand the port over anyway, write {' and '.join(words)}"
