#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_server
short_description: Bring all MLflow servers of a host to their wanted state
version_added: 0.1.0
description:
  - Starts, restarts, stops and removes any number of servers in one task, all at once, and waits until each
    answers a request that reads its database through the API.
  - A server is restarted only when its configuration or its MLflow changed.
  - Servers are supervised; one that dies is started again. Their logs are rotated.
  - For each server that runs writes a file into C(env) below O(state_dir), which sets C(MLFLOW_TRACKING_URI) for
    whoever sources it. Its name is O(docker_instance), a dash, the project and C(.env).
  - Never touches data; removing a server removes its settings and its log.
  - With O(inventory) each host remembers which project had which port, in C(ports) below O(state_dir), and a run that
    would let one project have the port of another is refused before anything is touched. The clients of the other one
    would log into it without any error.
  - With O(runtime=docker) a server is a container and a volume, both named by O(docker_instance) and the project. The
    container has a read-only root and no capability, and is made anew only when its configuration changed. What others
    made is never touched; where it is in the way, the run is refused before anything is changed.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_server_info
  - module: mlops.mlflow_aws.mlflow_installation
  - module: mlops.mlflow_aws.mlflow_image_pull
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.state_dir
  - mlops.mlflow_aws.docker
  - mlops.mlflow_aws.docker.placement
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows the names of environment variables, never their values.
options:
  servers:
    description: The servers of this host.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The project's name.
        type: str
        required: true
      state:
        description:
          - V(present) runs the server.
          - V(stopped) ends it and keeps its settings and log.
          - V(absent) ends it and deletes its settings and log.
        type: str
        choices: [present, stopped, absent]
        default: present
      host:
        description: Address to listen on, such as V(127.0.0.1) or V(::1), or a name of the host.
        type: str
        default: 127.0.0.1
      port:
        description: Port to listen on.
        type: int
        required: true
      workers:
        description: Number of processes that answer requests.
        type: int
        default: 1
      backend_store_uri:
        description: SQLAlchemy URI of the project's database, without a password. C({state_dir}) in it stands for the
          state folder.
        type: str
        required: true
      artifacts_destination:
        description: Folder or URI where the server keeps the artifacts that clients send it. C({state_dir}) in it
          stands for the state folder.
        type: str
        required: true
      allowed_hosts:
        description:
          - Names under which clients may call the server beside localhost and O(servers[].host); without any, MLflow's
            own list of private addresses holds.
          - Pages under these names may change data, by HTTP and HTTPS, on any port unless one is named. Of V(*), which
            accepts every name, no page follows.
        type: list
        elements: str
        default: []
      environment:
        description:
          - Further environment variables of the server, name to text.
          - Kept in a file that only the server's user can read. Results, logs and diffs never show the values.
        type: dict
        default: {}
      metrics:
        description: Whether the server shows Prometheus metrics of its requests on C(/metrics), to all who may call it.
        type: bool
        default: false
        version_added: 0.2.0
      database:
        description:
          - Identity of the server at a MySQL database. It holds names; the server reads the password itself.
          - Without it O(servers[].backend_store_uri) says all.
        type: dict
        version_added: 0.2.0
        suboptions:
          secret:
            description: ARN or name of the Secrets Manager secret whose JSON holds C(password).
            type: str
            required: true
          user:
            description: User of the database.
            type: str
            required: true
          ca:
            description: Certificates (PEM) that the database's must lead to; empty for those of Amazon RDS.
            type: str
            default: ""
          tunnel:
            description: Where on the host a tunnel to the database ends, as C(HOST:PORT). TLS still verifies the host
              of the URI.
            type: str
      aws:
        description: Identity of the server at AWS; without it the server does not need one.
        type: dict
        version_added: 0.2.0
        suboptions:
          region:
            description: The region.
            type: str
            required: true
          endpoint_url:
            description: Where to reach AWS's services; empty for AWS's own addresses.
            type: str
            default: ""
          role_arn:
            description: The role to become; empty for the identity that the host or O(aws_config_dir) gives.
            type: str
            default: ""
          profile:
            description: Profile of the AWS configuration; empty for the default one.
            type: str
            default: ""
          key_parameter:
            description:
              - Name of the SSM parameter that holds the project's root key, from which the server derives the keys
                that MLflow encrypts webhooks' and the gateway's secrets by.
            type: str
            version_added: 0.2.0
      key_file:
        description:
          - Path of the file that holds the project's root key, where it is not a parameter at AWS. The server creates
            it if it is missing.
          - If unset, MLflow makes up a key in each process, and such secrets do not outlive it.
        type: str
        default: ""
        version_added: 0.2.0
  state:
    description: Caps the state of every server in O(servers), so that V(stopped) ends all and starts none.
    type: str
    choices: [present, stopped, absent]
    default: present
  stop_unlisted:
    description:
      - Whether to stop servers that run on the host but are not in O(servers); their data, settings and logs stay.
      - With O(state=absent) they are removed with their settings and logs, those that are stopped too; their data stay.
    type: bool
    default: false
  inventory:
    description:
      - What the whole inventory says of its projects, those too that this host does not serve, as
        P(mlops.mlflow_aws.mlflow_inventory_ports#filter) returns it.
      - If unset, ports are not remembered, and RV(kept) is empty.
    type: dict
    version_added: 0.2.0
    suboptions:
      backend:
        description: The kind of backend. With V(local) the host has the data of its projects.
        type: str
        choices: [local, aws]
        default: local
      projects:
        description: The list of projects, in its order.
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description: The project's name.
            type: str
            required: true
          port:
            description: Its port.
            type: int
            required: true
          port_fixed:
            description: Whether its entry names the port, rather than its place in the list.
            type: bool
            required: true
          state:
            description: The state of its entry.
            type: str
            choices: [present, stopped, absent]
            required: true
  runtime:
    description:
      - How servers run. V(process) runs them as processes of this user, under Supervisor.
      - V(docker) runs them as containers of the host's Docker engine. Another runtime does not see them.
    type: str
    choices: [docker, process]
    default: process
  python:
    description:
      - The interpreter that has MLflow installed, as returned by M(mlops.mlflow_aws.mlflow_installation).
      - Required for O(runtime=process), except with O(look).
    type: path
  entrypoint:
    description:
      - Path of C(mlflow_entry.py) beside it, as returned by M(mlops.mlflow_aws.mlflow_installation).
      - Required for O(runtime=process), except with O(look).
    type: path
  memory:
    description: Memory that each container may take, such as V(512m) or V(2g); without it all that the host has.
    type: str
    default: ""
    version_added: 0.2.0
  docker_instance:
    description: Sets apart the servers of several inventories on one engine; their containers' names start with it.
    type: str
    default: mlflow
    version_added: 0.2.0
  timeout:
    description: Seconds in which all servers together must answer.
    type: int
    default: 180
  start_at_boot:
    description:
      - Whether the host starts the servers when it boots, by a line of the connecting user's crontab.
      - Needs C(crontab) and a cron daemon on the host. Containers need neither, as their engine starts them again.
      - If V(false), the line of an earlier run is removed; the module fails where the crontab cannot be changed.
    type: bool
    default: false
    version_added: 0.2.0
  look:
    description:
      - Only look whether the host has all that it needs, in one call, and tell it as RV(settled). Nothing is changed,
        and what would be an error without it, such as a port that is held, is told as RV(reason).
    type: dict
    version_added: 0.2.0
    suboptions:
      runtime_files:
        description: Digest of the files of MLflow's installation, as returned by
          P(mlops.mlflow_aws.mlflow_installation_files#filter). With O(runtime=process) the installation is found by it.
        type: str
        default: ""
      base_python:
        description: The interpreter that the installation is made with, as
          O(mlops.mlflow_aws.mlflow_installation#module:python).
        type: str
        default: ""
      experiment:
        description: The experiment with the runs that prove servers, as for M(mlops.mlflow_aws.mlflow_run).
        type: str
        default: mlflow-aws-verify
      always:
        description: Whether a run is to be logged in any case, so that a host with a server always needs something.
        type: bool
        default: false
      tunnel:
        description: Whether the host is to have a tunnel to the database. That is not looked at here, so that such a
          host always needs something.
        type: bool
        default: false
"""

EXAMPLES = r"""
- name: Run a project's server
  mlops.mlflow_aws.mlflow_server:
    servers:
      - name: demo
        port: 5001
        backend_store_uri: sqlite:////srv/mlflow/projects/demo/mlflow.db
        artifacts_destination: /srv/mlflow/projects/demo/artifacts
    python: /srv/mlflow/runtimes/3.17.2-0123456789ab/venv/bin/python
    entrypoint: /srv/mlflow/runtimes/3.17.2-0123456789ab/mlflow_entry.py

- name: Run a project's server as a container
  mlops.mlflow_aws.mlflow_server:
    runtime: docker
    image: "{{ image }}"
    memory: 1g
    aws_config_dir: ~/.aws
    servers:
      - name: demo
        port: 5001
        backend_store_uri: mysql+pymysql://db.example.com:3306/mlflow_demo
        artifacts_destination: s3://example-mlflow/projects/demo
        database:
          user: mlflow_rt_demo
          secret: example-secret
        aws:
          region: eu-central-1
  vars:
    image: registry.example.com/mlflow@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
"""

RETURN = r"""
servers:
  description: One record for each server, by name.
  returned: always, unless the input was refused
  type: list
  elements: dict
  contains:
    name:
      description: The project's name.
      type: str
    action:
      description: What was done, or in check mode would be, one of V(keep), V(start), V(restart), V(stop) or
        V(remove).
      type: str
    planned:
      description: Whether that is still to be done, as in check mode.
      type: bool
    state:
      description: How it is now, one of V(running), V(stopped) or V(absent).
      type: str
    url:
      description: Its URL, as this host reaches it.
      type: str
    port:
      description: Its port, or null where nothing is known of it.
      type: int
    pid:
      description: Its process id, or null where it does not run or is a container.
      type: int
    healthy:
      description: Whether it answered a request that reads its database.
      type: bool
    version:
      description: MLflow's version, as the server says.
      type: str
    configuration:
      description: Hash of its configuration; another one means a restart.
      type: str
    reason:
      description: Why it is not healthy, else empty.
      type: str
    log_path:
      description: Where its log is; the command that shows it where the server is a container.
      type: str
    log_tail:
      description: The last lines of its log, where it should answer and does not.
      type: list
      elements: str
    env_file:
      description: File that sets C(MLFLOW_TRACKING_URI) to its address for whoever sources it; there while it runs.
      type: str
    listed:
      description: Whether it is one of those asked for.
      type: bool
kept:
  description: Data of the local backend that are on the host under names that O(inventory) does not list.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the project.
      type: str
    place:
      description: Folder with its data.
      type: str
ports_refused:
  description: Whether the run was refused because a project would get the port of another one.
  returned: when a port was refused
  type: bool
tunnel:
  description: Whether the host has a tunnel of M(mlops.mlflow_aws.mlflow_database_tunnel).
  returned: success
  type: bool
settled:
  description: Whether the host has all that it needs. Its MLflow is there, every server is as it was asked for and
    answers, and a run has proved its configuration.
  returned: with O(look)
  type: bool
reason:
  description: What the host lacks first, else empty. Where it lacks something there are no RV(servers).
  returned: with O(look)
  type: str
runs:
  description: The run that proves each server, as M(mlops.mlflow_aws.mlflow_run) returns it.
  returned: with O(look)
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import local
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files, installation
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import paths as host_paths
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.crontab import Boot
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import manager, up_to_date
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.env_files import EnvFiles
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    KEEP,
    REMOVE,
    STOP,
    Wanted,
    wanted_server,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.port_owners import (
    Listed,
    PortRecord,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.runtime import Runtime


def main() -> None:
    """Run the module."""
    states = {"type": "str", "choices": ["present", "stopped", "absent"], "default": "present"}
    text = {"type": "str", "default": ""}
    database = {
        # An ARN or a name.
        "secret": {"type": "str", "required": True, "no_log": False},
        "user": {"type": "str", "required": True},
        "ca": text,
        "tunnel": {"type": "str"},
    }
    aws = {
        "region": {"type": "str", "required": True},
        "endpoint_url": text,
        "role_arn": text,
        "profile": text,
        # Its name.
        "key_parameter": {"type": "str", "no_log": False},
    }
    server = {
        "name": {"type": "str", "required": True},
        "state": states,
        "host": {"type": "str", "default": "127.0.0.1"},
        "port": {"type": "int", "required": True},
        "workers": {"type": "int", "default": 1},
        "backend_store_uri": {"type": "str", "required": True},
        "artifacts_destination": {"type": "str", "required": True},
        "allowed_hosts": {"type": "list", "elements": "str", "default": []},
        "environment": {"type": "dict", "default": {}},
        "metrics": {"type": "bool", "default": False},
        "database": {"type": "dict", "options": database},
        "aws": {"type": "dict", "options": aws},
        "key_file": {"type": "str", "default": "", "no_log": False},
    }
    project = {
        "name": {"type": "str", "required": True},
        "port": {"type": "int", "required": True},
        "port_fixed": {"type": "bool", "required": True},
        "state": {"type": "str", "choices": states["choices"], "required": True},
    }
    inventory = {
        "backend": {"type": "str", "choices": ["local", "aws"], "default": "local"},
        "projects": {"type": "list", "elements": "dict", "required": True, "options": project},
    }
    look = {
        "runtime_files": text,
        "base_python": text,
        "experiment": {"type": "str", "default": "mlflow-aws-verify"},
        "always": {"type": "bool", "default": False},
        "tunnel": {"type": "bool", "default": False},
    }
    module = AnsibleModule(
        argument_spec={
            "state_dir": {"type": "path"},
            "servers": {"type": "list", "elements": "dict", "required": True, "options": server},
            "state": states,
            "stop_unlisted": {"type": "bool", "default": False},
            "inventory": {"type": "dict", "options": inventory},
            "runtime": {"type": "str", "choices": ["docker", "process"], "default": "process"},
            "python": {"type": "path"},
            "entrypoint": {"type": "path"},
            "image": {"type": "str"},
            "docker_host": text,
            "docker_network": {"type": "str", "default": "bridge"},
            "docker_instance": {"type": "str", "default": "mlflow"},
            "aws_config_dir": {"type": "path"},
            "memory": text,
            "container_user": text,
            "timeout": {"type": "int", "default": 180},
            "start_at_boot": {"type": "bool", "default": False},
            "look": {"type": "dict", "options": look},
        },
        # Check mode and ending servers need no image.
        required_if=[("runtime", "process", ("python", "look"), True)],
        required_together=[("python", "entrypoint")],
        supports_check_mode=True,
        # The invocation would go to the host's system log, environment values included.
        no_log=True,
    )
    _module.hide(
        module,
        (
            value
            for item in module.params["servers"]
            for value in map(str, item["environment"].values())
        ),
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Converge the servers, or look whether that would do anything."""
    params = module.params
    state = files.state_folder(params["state_dir"])
    if params["look"]:
        try:
            looked = _looked(params, state)
        except MlflowError as error:
            looked = up_to_date.Looked(str(error))
        settled = {"settled": not looked.reason, "kept": _kept(params, state)}
        return {"changed": False, **settled, **looked._asdict()}
    folder = files.servers_folder(state)
    runtime, identity = _runtime(params, folder)
    kept = {"kept": _kept(params, state)}
    try:
        outcome = manager.converge(
            runtime,
            _wanted(params, state, identity),
            unlisted=_unlisted(params),
            timeout=params["timeout"],
            lock=folder / ".lock",
            env_files=EnvFiles(files.env_folder(state), params["docker_instance"]),
            ports=_ports_of(params, state),
            boot=_boot_of(runtime, params, folder),
            check_mode=module.check_mode,
        )
    except MlflowError as error:
        raise MlflowError(str(error), error.details | kept) from error
    return {
        "changed": outcome.changed,
        "servers": outcome.servers,
        **kept,
        "tunnel": files.has_tunnel(state),
        "diff": outcome.diff,
    }


def _looked(params: dict[str, Any], state: Path) -> up_to_date.Looked:
    """Look whether the host has all that it needs, its MLflow first."""
    options = params["look"]
    if options["tunnel"]:
        return up_to_date.Looked("its tunnel is to be looked after")
    if files.has_tunnel(state):
        return up_to_date.Looked("a tunnel is left that nobody needs")
    # Ending servers needs no MLflow.
    if params["state"] == "present" and params["runtime"] == "docker":
        if not _has_image(params):
            return up_to_date.Looked("the image is not there")
    elif params["state"] == "present":
        installed = installation.find(
            files.runtimes_folder(state), options["runtime_files"], options["base_python"]
        )
        if installed is None:
            return up_to_date.Looked("MLflow is not installed")
        paths = {"python": str(installed.python), "entrypoint": str(installed.entrypoint)}
        params = params | paths
    folder = files.servers_folder(state)
    runtime, identity = _runtime(params, folder)
    proofs = up_to_date.Proofs(options["experiment"])
    outcome = manager.check(
        runtime,
        _wanted(params, state, identity),
        unlisted=_unlisted(params),
        env_files=EnvFiles(files.env_folder(state), params["docker_instance"]),
        ports=_ports_of(params, state),
        boot=_boot_of(runtime, params, folder),
        ask=proofs.ask,
    )
    return up_to_date.look(outcome, proofs, options["always"])


def _wanted(params: dict[str, Any], state: Path, identity: str) -> list[Wanted]:
    """Return the servers as they are to be."""
    return [
        wanted_server(_placed(server, state), params["state"], identity)
        for server in params["servers"]
    ]


def _unlisted(params: dict[str, Any]) -> str:
    """Return what is done about servers that are not listed."""
    if not params["stop_unlisted"]:
        return KEEP
    return REMOVE if params["state"] == "absent" else STOP


def _ports_of(params: dict[str, Any], state: Path) -> PortRecord:
    """Return the record of which project had which port."""
    inventory = params["inventory"]
    return PortRecord(
        files.ports_folder(state) / f"{params['docker_instance']}.json",
        [Listed(**project) for project in inventory["projects"]] if inventory else None,
        params["state"] == "present",
    )


def _kept(params: dict[str, Any], state: Path) -> list[dict[str, str]]:
    """Return the data on this host under names that are not listed."""
    inventory = params["inventory"]
    if not inventory or inventory["backend"] != "local":
        return []
    return local.kept(state, {project["name"] for project in inventory["projects"]})


def _placed(server: dict[str, Any], state: Path) -> dict[str, Any]:
    """Return a server's options with the state folder where they name it."""
    places = ("backend_store_uri", "artifacts_destination", "key_file")
    placed = {key: server[key].replace(files.STATE_DIR, str(state)) for key in places}
    destination = placed["artifacts_destination"]
    # A project that is to be absent has no place.
    if destination and "://" not in destination:
        host_paths.host_path("artifacts_destination", destination)
    return server | placed


# A host has one runtime, and loading both would take as long as what is done with one: so each is
# imported where it is made.


def _runtime(params: dict[str, Any], folder: Path) -> tuple[Runtime, str]:
    """Return the runtime, and what stands for the MLflow that it runs and how."""
    return (_processes if params["runtime"] == "process" else _containers)(params, folder)


def _processes(params: dict[str, Any], folder: Path) -> tuple[Runtime, str]:
    """Return the runtime of processes, and the name of the folder of its MLflow."""
    from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import processes

    python, entrypoint = host_paths.runtime_paths(params)
    identity = Path(entrypoint).parent.name
    return processes.ProcessRuntime(folder, python, entrypoint, identity), identity


def _boot_of(runtime: Runtime, params: dict[str, Any], folder: Path) -> Boot | None:
    """Return what the host does at boot, None where something else starts servers."""
    command = runtime.command
    return Boot(folder, command, params["start_at_boot"]) if command else None


def _containers(params: dict[str, Any], _folder: Path) -> tuple[Runtime, str]:
    """Return the runtime of containers, and what stands for all that they share."""
    from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import (
        client,
        container_spec,
    )
    from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import containers

    placement = containers.Placement(
        image=params["image"] or "",
        network=params["docker_network"],
        aws_config_dir=container_spec.aws_folder(params["aws_config_dir"]),
        memory=container_spec.memory_bytes(params["memory"]),
        user=params["container_user"],
    )
    engine = client.Engine(params["docker_host"])
    runtime = containers.DockerRuntime(engine, placement, params["docker_instance"])
    # Ending servers needs neither the image nor the AWS folder.
    return runtime, runtime.identity() if params["state"] == "present" else ""


def _has_image(params: dict[str, Any]) -> bool:
    """Say whether the host's engine has the image, which the control node may not have named."""
    from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import client

    image = params["image"]
    return bool(image) and client.Engine(params["docker_host"]).image(image) is not None


if __name__ == "__main__":
    main()
