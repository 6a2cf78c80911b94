# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that mlflow_server and mlflow_server_check share."""

from __future__ import annotations


class ModuleDocFragment:
    """The servers of a host, and how they run; the specification is _servers/options.py."""

    DOCUMENTATION = r"""
options:
  servers:
    description: The servers of this host.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the project.
        type: str
        required: true
      state:
        description:
          - V(present) runs the server.
          - V(stopped) stops it and keeps its settings and log.
          - V(absent) stops it and deletes its settings and log.
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
        description: Number of worker processes.
        type: int
        default: 1
      backend_store_uri:
        description: SQLAlchemy URI of the project's database, without a password. C({state_dir}) in it is replaced by
          the state directory.
        type: str
        required: true
      artifacts_destination:
        description: Directory or URI where the server stores artifacts. C({state_dir}) in it is replaced by the state
          directory.
        type: str
        required: true
      allowed_hosts:
        description:
          - Host names that clients may use beside localhost and O(servers[].host). If empty, MLflow's own list of
            private addresses applies.
          - Pages served under these names may change data, over HTTP and HTTPS, on any port unless one is given. V(*)
            accepts every host name, and adds no page.
        type: list
        elements: str
        default: []
      environment:
        description:
          - Further environment variables of the server.
          - Stored in a file that only the server's user can read. Results, logs and diffs never show the values.
        type: dict
        default: {}
      metrics:
        description: Whether the server exposes Prometheus metrics of its requests on C(/metrics), to every client that
          may call it.
        type: bool
        default: false
        version_added: 0.2.0
      jobs:
        description:
          - Whether MLflow's job runner runs beside the server, for judges on traces, evaluation runs, issue detection,
            prompt optimization, automatic evaluation and trace archival. If V(false), the server refuses requests for
            these.
          - The runner takes memory and queries the database every few seconds, which keeps a database awake that pauses
            while it is idle.
        type: bool
        default: false
        version_added: 0.3.0
      assistant:
        description:
          - Whether MLflow's assistant answers requests from the server's own host. It runs commands as the server's
            user, for every user of that host. If V(false), the server refuses requests for it.
          - Requests from other hosts, and all requests to a container, are refused by MLflow.
        type: bool
        default: false
        version_added: 0.3.0
      trace_archival:
        description:
          - When MLflow moves the spans of traces from the database to the project's artifacts, in the folder
            C(trace-archive). MLflow reads archived traces as before.
          - The job runner does it, so it requires O(servers[].jobs=true).
        type: dict
        version_added: 0.3.0
        suboptions:
          retention:
            description: Age at which traces are archived in minutes, hours or days, such as V(90m), V(12h) or V(30d).
            type: str
            required: true
          interval_seconds:
            description: Minimum time in seconds between two passes. The job runner checks once a minute. If unset,
              MLflow's default of 300.
            type: int
          max_traces_per_pass:
            description: Maximum number of traces in a pass. If unset, there is no limit.
            type: int
          long_retention_allowlist:
            description: IDs of experiments that may set a longer retention than O(servers[].trace_archival.retention).
            type: list
            elements: str
      max_upload_size:
        description:
          - Maximum size of the body of a request as it is sent, such as V(500m) or V(2g), and thus of a file or a trace
            that clients upload through the server. A larger one gets status 413.
          - If empty, there is no limit.
        type: str
        default: ""
        version_added: 0.3.0
      presigned_only:
        description: Whether clients must transfer artifacts directly from and to S3 by presigned URLs. Requires
          MLflow 3.18 or newer.
        type: bool
        default: false
        version_added: 0.3.0
      database:
        description:
          - Identity of the server at a MySQL database. It holds names; the server reads the password itself.
          - If unset, O(servers[].backend_store_uri) is complete.
        type: dict
        version_added: 0.2.0
        suboptions:
          secret:
            description: ARN or name of the Secrets Manager secret whose JSON holds C(password). May be empty with
              O(servers[].database.login=iam).
            type: str
            required: true
          login:
            description:
              - How the user logs in. With V(iam), the server signs a token for each login with its AWS identity, and
                the secret is optional. The server reads it, if it can, for the time when the user has a password.
              - If unset, V(password).
            type: str
            choices: [password, iam]
          user:
            description: Database user.
            type: str
            required: true
          ca:
            description: CA certificates (PEM) to verify the database's certificate with. If empty, those of Amazon RDS.
            type: str
            default: ""
          tunnel:
            description: Address on the host where a tunnel to the database starts, as C(HOST:PORT). TLS still verifies
              the host name of the URI.
            type: str
      aws:
        description: Identity of the server at AWS. If unset, the server does not use AWS.
        type: dict
        version_added: 0.2.0
        suboptions:
          region:
            description: AWS region.
            type: str
            required: true
          endpoint_url:
            description: URL of the AWS endpoint. If empty, AWS's own endpoints.
            type: str
            default: ""
          role_arn:
            description: ARN of the role whose credentials the server gets from the host's credential broker, which
              O(broker) requires. If empty, the identity of the host or of O(aws_config_dir) is used.
            type: str
            default: ""
          profile:
            description: Profile of the AWS configuration. If empty, the default profile.
            type: str
            default: ""
          key_parameter:
            description:
              - Name of the SSM parameter that holds the project's root key, from which the server derives the keys
                that MLflow encrypts the secrets of webhooks and of the gateway with.
            type: str
            version_added: 0.2.0
      key_file:
        description:
          - Path to the file that holds the project's root key, where it is not an SSM parameter. The server creates it
            if it does not exist.
          - If unset, MLflow generates a key in each process, and such secrets do not outlive it.
        type: str
        default: ""
        version_added: 0.2.0
  state:
    description: Upper bound on the state of every server in O(servers). V(stopped) stops all and starts none.
    type: str
    choices: [present, stopped, absent]
    default: present
  stop_unlisted:
    description:
      - Whether to stop servers that run on the host but are not in O(servers). Their data, settings and logs are kept.
      - With O(state=absent) they are removed with their settings and logs, stopped ones too. Their data is kept.
    type: bool
    default: false
  inventory:
    description:
      - The projects of the whole inventory, including those that this host does not serve, as
        P(mlops.mlflow_aws.mlflow_inventory_ports#filter) returns them.
      - If unset, ports are not recorded, and RV(kept) is empty.
    type: dict
    version_added: 0.2.0
    suboptions:
      backend:
        description: Kind of backend. With V(local) the host has the data of its projects.
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
            description: Name of the project.
            type: str
            required: true
          port:
            description: Port of the project.
            type: int
            required: true
          port_fixed:
            description: Whether the entry sets the port, rather than its position in the list.
            type: bool
            required: true
          state:
            description: State of the entry.
            type: str
            choices: [present, stopped, absent]
            required: true
  memory:
    description: Memory limit of each container, such as V(512m) or V(2g). If unset, there is no limit.
    type: str
    default: ""
    version_added: 0.2.0
  start_at_boot:
    description:
      - Whether the host starts the servers at boot, by a line in the connecting user's crontab.
      - Requires C(crontab) and a cron daemon on the host. Containers need neither, as their engine restarts them.
      - If V(false), the line of an earlier run is removed. The module fails if the crontab cannot be changed.
    type: bool
    default: false
    version_added: 0.2.0
  door:
    description: Front door of the host, as M(mlops.mlflow_aws.mlflow_door) runs it. Servers answer it alone then, and
      the env files lead to it.
    type: dict
    version_added: 0.5.0
    suboptions:
      url:
        description: Address of the door, without a path.
        type: str
        required: true
      internal_ca:
        description: Whether the door's certificate is of its own CA, which the env files name.
        type: bool
        default: false
  broker:
    description:
      - How the host's credential broker runs, as O(mlops.mlflow_aws.mlflow_broker#module:runtime). Each server with
        O(servers[].aws) gets the socket of its project, and the credentials of O(servers[].aws.role_arn) through it.
      - If V(none), servers have the identity of the host or of O(aws_config_dir), and can assume no role.
    type: str
    choices: [none, docker, process]
    default: none
    version_added: 0.2.0
"""

    INSTANCE = r"""
options:
  runtime:
    description:
      - How servers run. V(process) runs them as processes of the connecting user, under Supervisor.
      - V(docker) runs them as containers of the host's Docker engine. Servers of the other runtime are not seen.
    type: str
    choices: [docker, process]
    default: process
  docker_instance:
    description: Name prefix of the containers and volumes. It separates inventories that share an engine.
    type: str
    default: mlflow
    version_added: 0.2.0
"""
