# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rerun of deploy on the offline twin that changes nothing: tasks, calls of AWS, and time.

With many projects it should have as many tasks and make as many calls of the AWS API as with
one. Its time is set against that of a plain playbook that sees to the same by the modules that
one would take for it, each called once for each project and thing:

    community.mysql  mysql_db (one call for all, as it takes a list); mysql_user for both users,
                     their rights and TLS
    community.aws    secretsmanager_secret, for both secrets
    amazon.aws       iam_managed_policy and iam_role
    community.docker docker_container, with image, user, mounts, limits and labels
    ansible.builtin  uri, which asks the server for its experiments

Both find everything as it should be and have Ansible's defaults. To be fair that playbook is
spared what has to be done once for all (the stack, the repository, the image), what only a first
run needs (reading passwords), and what deploy does beyond this: it looks at the schemas'
revisions, tables and collations, at ports, and for each server's verification run. Nothing is added
that would make it slow, and loops print one short line for each item.

Runs alternate; times are medians. Wants a Docker engine or root, and 200 MiB for each project.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.mlops.mlflow_aws.benchmarks import _bench, _calls
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.tests.support import run
from ansible_collections.mlops.mlflow_aws.tests.twin import _team, twin

RUNTIME_RIGHTS = "SELECT,INSERT,UPDATE,DELETE"
MIGRATOR_RIGHTS = f"{RUNTIME_RIGHTS},CREATE,ALTER,DROP,INDEX,REFERENCES,TRIGGER"
# A first deploy of many servers on few processors takes its time, which is not what is measured.
PATIENCE = {
    "mlflow_server_timeout": 1100,
    "mlflow_project_migration_timeout": 1100,
    "mlflow_verify_timeout": 600,
}
GENERIC_SECONDS = 7200

PLAYBOOK = """
- name: See to the projects one by one
  hosts: localhost
  gather_facts: false
  module_defaults:
    community.mysql.mysql_db: "{{ mysql }}"
    community.mysql.mysql_user: "{{ mysql }}"
    community.aws.secretsmanager_secret: "{{ aws }}"
    amazon.aws.iam_managed_policy: "{{ aws }}"
    amazon.aws.iam_role: "{{ aws }}"
  tasks:
    - name: Make the schemas
      community.mysql.mysql_db:
        name: "{{ projects | map(attribute='schema') }}"
        encoding: utf8mb4
        collation: utf8mb4_bin

    - name: Make the servers' and the migrators' users
      community.mysql.mysql_user:
        name: "{{ item.name }}"
        host: "%"
        priv: "{{ item.rights }}"
        tls_requires: {SSL: null}
        update_password: on_create
        column_case_sensitive: true
      loop: "{{ projects | map(attribute='users') | flatten }}"
      loop_control: &label {label: "{{ item.name }}"}

    - name: Make the secrets
      community.aws.secretsmanager_secret:
        name: "{{ item.name }}"
        description: "{{ item.description }}"
        kms_key_id: "{{ item.key }}"
        tags: "{{ item.tags }}"
        overwrite: false
      loop: "{{ projects | map(attribute='secrets') | flatten }}"
      loop_control: *label

    - name: Make the policies
      amazon.aws.iam_managed_policy:
        name: "{{ item.policy.name }}"
        path: "{{ item.policy.path }}"
        policy: "{{ item.policy.document }}"
      loop: "{{ projects }}"
      loop_control: *label

    - name: Make the roles
      amazon.aws.iam_role:
        name: "{{ item.role.name }}"
        path: "{{ item.role.path }}"
        assume_role_policy_document: "{{ item.role.document }}"
        managed_policies: ["{{ item.policy.arn }}"]
        create_instance_profile: false
        tags: "{{ item.role.tags }}"
      loop: "{{ projects }}"
      loop_control: *label

    - name: Run the servers
      community.docker.docker_container:
        docker_host: "{{ docker_host }}"
        name: "{{ item.container.name }}"
        image: "{{ item.container.image }}"
        pull: never
        command: "{{ item.container.command }}"
        user: "{{ item.container.user }}"
        env: "{{ item.container.env }}"
        labels: "{{ item.container.labels }}"
        mounts: "{{ item.container.mounts }}"
        tmpfs: "{{ item.container.tmpfs }}"
        network_mode: "{{ item.container.network }}"
        pids_limit: "{{ item.container.processes }}"
        read_only: true
        init: true
        cap_drop: [ALL]
        security_opts: [no-new-privileges]
        restart_policy: unless-stopped
        stop_timeout: 60
        state: started
      loop: "{{ projects }}"
      loop_control: *label

    - name: Ask the servers
      ansible.builtin.uri:
        url: "{{ item.url }}/api/2.0/mlflow/experiments/search"
        method: POST
        body_format: json
        body: {max_results: 1}
      loop: "{{ projects }}"
      loop_control: *label
"""


class Rerun(NamedTuple):
    """What a run that changes nothing took."""

    tasks: int
    calls: Counter[str]
    seconds: float


@dataclass(frozen=True)
class Place:
    """A twin with a team, and the counter through which the team's modules call AWS."""

    team: _team.Team
    calls: _calls.Calls

    def variables(self, count: int) -> dict[str, Any]:
        """Return the variables of an inventory with a number of projects."""
        return {
            **_team.projects(*names(count)),
            **PATIENCE,
            "mlflow_stack_endpoint_url": self.calls.url,
            # Servers are told the emulator's own address, so that their calls do not count.
            "mlflow_backend_endpoint_url": self.team.twin.aws.url,
        }

    def deploy(self, count: int) -> str:
        """Run the playbook for a number of projects and return what it printed."""
        return self.team.play("deploy", variables=self.variables(count)).output

    def rerun(self, count: int) -> Rerun:
        """Run it where it has nothing to do."""
        self.calls.take()
        printed, seconds = timed(lambda: self.deploy(count))
        require_unchanged(printed)
        return Rerun(printed.count("\nTASK ["), self.calls.take(), seconds)

    def generic(self, folder: Path) -> float:
        """Return the seconds of the plain playbook, which has nothing to do either."""
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "generic.yml"]
        command += ["-i", "localhost,", "-e", "@variables.json"]
        environment = self.team.environment
        printed, seconds = timed(
            lambda: run(command, cwd=folder, env=environment, timeout=GENERIC_SECONDS).output
        )
        require_unchanged(printed)
        return seconds

    def write_generic(self, folder: Path, count: int) -> None:
        """Write the plain playbook, and what it is to find, into a folder."""
        made = self.team.twin
        ca = folder / "ca.pem"
        ca.write_text(made.mysql.ca)
        (folder / "generic.yml").write_text(PLAYBOOK)
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "projects": [self.project(number) for number in range(count)],
            "aws": made.aws.options(),
            "docker_host": made.engine.host,
            "mysql": {
                "login_host": made.mysql.host,
                "login_port": int(
                    made.variables["mlflow_stack_parameters"]["ExistingDatabasePort"]
                ),
                "login_user": made.mysql.user,
                "login_password": made.mysql.password,
                "ca_cert": str(ca),
                "check_hostname": True,
            },
        }
        path = folder / "variables.json"
        path.touch(0o600)
        path.write_text(json.dumps(variables))

    def project(self, number: int) -> dict[str, Any]:
        """Return what there is of one project, in the words of the plain playbook."""
        name = names(number + 1)[number]
        schema = _names.schema_name(name)
        told = self.team.places()[name]
        pattern = schema.replace("_", r"\_")
        users = {
            _names.runtime_user(name): RUNTIME_RIGHTS,
            _names.migrator_user(name): MIGRATOR_RIGHTS,
        }
        return {
            "name": name,
            "schema": schema,
            "users": [
                {"name": user, "rights": {f"{pattern}.*": rights}} for user, rights in users.items()
            ],
            "secrets": [self.secret(told["runtime_secret"]), self.secret(told["migrator_secret"])],
            "role": self.role(told["role"]),
            "policy": self.policy(told["policy"]),
            "container": container(self.team.inspect(name)),
            "url": f"http://127.0.0.1:{self.team.twin.base_port + number}",
        }

    def secret(self, arn: str) -> dict[str, Any]:
        """Return a secret's settings."""
        found = self.team.twin.aws.client("secretsmanager").describe_secret(SecretId=arn)
        return {
            "name": found["Name"],
            "description": found.get("Description", ""),
            "key": found.get("KmsKeyId", ""),
            "tags": tags(found),
        }

    def role(self, arn: str) -> dict[str, Any]:
        """Return a role's settings."""
        iam = self.team.twin.aws.client("iam")
        found = iam.get_role(RoleName=arn.rpartition("/")[2])["Role"]
        return {
            "name": found["RoleName"],
            "path": found["Path"],
            "document": found["AssumeRolePolicyDocument"],
            "tags": tags(found),
        }

    def policy(self, arn: str) -> dict[str, Any]:
        """Return a policy's settings."""
        iam = self.team.twin.aws.client("iam")
        found = iam.get_policy(PolicyArn=arn)["Policy"]
        version = iam.get_policy_version(PolicyArn=arn, VersionId=found["DefaultVersionId"])
        return {
            "arn": arn,
            "name": found["PolicyName"],
            "path": found["Path"],
            "document": version["PolicyVersion"]["Document"],
        }


def names(count: int) -> list[str]:
    """Return the projects' names; a larger list begins with a smaller one."""
    return [f"p{number}" for number in range(count)]


def tags(found: dict[str, Any]) -> dict[str, str]:
    """Return the tags of something on AWS."""
    return {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}


def container(found: dict[str, Any]) -> dict[str, Any]:
    """Return a container's settings, in the words of docker_container."""
    config, host = found["Config"], found["HostConfig"]
    return {
        "name": found["Name"].lstrip("/"),
        "image": config["Image"],
        "command": config["Cmd"],
        "user": config["User"],
        "env": dict(entry.split("=", 1) for entry in config["Env"]),
        "labels": config["Labels"],
        "mounts": [mount(one) for one in host["Mounts"]],
        "tmpfs": [f"{path}:{options}" for path, options in host["Tmpfs"].items()],
        "network": host["NetworkMode"],
        "processes": host["PidsLimit"],
    }


def mount(found: dict[str, Any]) -> dict[str, Any]:
    """Return one mount's settings."""
    options = {"type": found["Type"], "source": found["Source"], "target": found["Target"]}
    if found["Type"] == "bind":
        return {**options, "read_only": found.get("ReadOnly", False)}
    return {**options, "no_copy": found.get("VolumeOptions", {}).get("NoCopy", False)}


def timed(work: Callable[[], str]) -> tuple[str, float]:
    """Return what some work gives, and the seconds that it takes."""
    began = time.monotonic()
    return work(), time.monotonic() - began


def require_unchanged(printed: str) -> None:
    """End where a run changed something: nothing would be compared then."""
    found = _team.RECAP.search(printed)
    if not found or found.groups() != ("0", "0"):
        raise SystemExit(f"The rerun changed something or failed:\n{printed}")


def say(text: str) -> None:
    """Show how far it is, beside the results."""
    print(text, file=sys.stderr, flush=True)


def measure(place: Place, folder: Path, count: int, rounds: int) -> None:
    """Measure and print."""
    say("deploy with one project, twice")
    place.deploy(1)
    one = place.rerun(1)
    say(f"deploy with {count} projects")
    place.deploy(count)
    place.write_generic(folder, count)
    ours: list[Rerun] = []
    generic: list[float] = []
    for number in range(rounds):
        ours.append(place.rerun(count))
        say(f"round {number + 1}: deploy {ours[-1].seconds:.1f} s")
        generic.append(place.generic(folder))
        say(f"round {number + 1}: the plain playbook {generic[-1]:.1f} s")
    many = ours[-1]
    print(f"changed by each rerun: 0; time with one project: {one.seconds:.1f} s")
    what = f"{count} projects to one"
    _bench.compare(f"tasks, {what}", many.tasks, one.tasks, "tasks", 1.0)
    _bench.compare(f"AWS calls, {what}", many.calls.total(), one.calls.total(), "calls", 1.0)
    for name, more in sorted((many.calls - one.calls).items()):
        print(f"  {name}: {more} more")
    seconds = statistics.median(rerun.seconds for rerun in ours)
    what = f"time for {count} projects, the plain playbook"
    _bench.report(what, statistics.median(generic), seconds, "s", 15, at_least=True)


def main() -> None:
    """Bring a twin up, and measure on it."""
    parser = argparse.ArgumentParser(description=__doc__)
    most = twin.PROJECT_PORTS
    parser.add_argument("--count", type=int, default=50, help=f"projects, at most {most} (50)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of both (3)")
    arguments = parser.parse_args()
    with (
        _bench.workplace() as folder,
        twin.twin(folder / "twin", say) as made,
        _calls.counted(made.aws.url) as calls,
    ):
        home = folder / "home"
        home.mkdir()
        place = Place(_team.Team(made, home), calls)
        measure(place, folder, min(arguments.count, most), arguments.rounds)


if __name__ == "__main__":
    main()
