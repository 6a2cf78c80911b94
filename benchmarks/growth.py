# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rerun of deploy that changes nothing on the offline twin: what it takes longer with many projects.

Of its projects the host serves one, so what may grow is the work on the backend: stacks, keys,
secrets, users, schemas. Two teams share the twin, one with one project and one with many; their
reruns alternate, and times are medians. Schemas are copies of a migrated one.

Wants a Docker engine or root.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from ansible_collections.mlops.mlflow_aws.benchmarks import _bench, _calls, projects
from ansible_collections.mlops.mlflow_aws.tests.twin import _team, twin


class Place(projects.Place):
    """A twin on which each number of projects has stacks and a server of its own."""

    def prepare(self, count: int) -> None:
        """Deploy one project, copy its schema for the others, and deploy all of them."""
        variables = self.variables(count)
        first, *others = variables["mlflow_projects"]
        self.team.play("deploy", variables={**variables, "mlflow_projects": [first]})
        if others:
            self.team.copy_schema(first["name"], (other["name"] for other in others))
            self.deploy(count)

    def variables(self, count: int) -> dict[str, Any]:
        """Return the variables of the inventory with so many projects."""
        made, team = self.team.twin, f"t{count}"
        # One server each, so the ports of the others are only numbers.
        first = made.base_port + (count > 1)
        others = range(20000, 20000 + count - 1)
        return {
            **super().variables(count),
            "mlflow_stack_name": team,
            "mlflow_projects": [
                {"name": f"{team}-p{number}", "port": port}
                for number, port in enumerate([first, *others])
            ],
            "mlflow_server_projects": [f"{team}-p0"],
            "mlflow_server_docker_instance": f"{made.instance}-{count}",
            "mlflow_state_dir": str(made.folder / team),
        }


def measure(place: Place, count: int, rounds: int) -> None:
    """Measure and print."""
    for number in (1, count):
        projects.say(f"deploy with {number} projects")
        place.prepare(number)
    one: list[projects.Rerun] = []
    many: list[projects.Rerun] = []
    for number in range(rounds):
        one.append(place.rerun(1))
        many.append(place.rerun(count))
        times = f"{one[-1].seconds:.1f} s with one, {many[-1].seconds:.1f} s with {count}"
        projects.say(f"round {number + 1}: {times}")
    what = f"{count} projects to one"
    _bench.compare(f"tasks, {what}", many[-1].tasks, one[-1].tasks, "tasks", 1.0)
    more, fewer = many[-1].calls, one[-1].calls
    # One more for each page of a list: 50 keys, 100 secrets; and for each stack its template.
    _bench.compare(f"AWS calls, {what}", more.total(), fewer.total(), "calls", 1.5)
    for name, extra in sorted((more - fewer).items()):
        print(f"  {name}: {extra} more")
    seconds = statistics.median(rerun.seconds for rerun in many)
    least = statistics.median(rerun.seconds for rerun in one)
    _bench.report(f"time of a rerun, {what}", seconds, least, "s", 1.3)


def main() -> None:
    """Bring a twin up, and measure on it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="projects of the larger run (200)")
    parser.add_argument("--rounds", type=int, default=3, help="reruns of both (3)")
    arguments = parser.parse_args()
    with (
        _bench.workplace() as folder,
        twin.twin(folder / "twin", projects.say) as made,
        _calls.counted(made.aws.url) as calls,
    ):
        home = folder / "home"
        home.mkdir()
        measure(Place(_team.Team(made, home), calls), arguments.count, arguments.rounds)


if __name__ == "__main__":
    main()
