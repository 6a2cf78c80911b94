# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs as an MLflow server, and beside one: the one place that touches MLflow's internals.

    cli             the verbs of mlflow_entry.py
    server          serve: from the settings file to uvicorn
    confinement     what a server keeps that runs beside those of other projects
    kept            the list of that
    landlock        the kernel's part of that: files, ports and signals
    seccomp         and ways around
    application     MLflow's ASGI application, made ready in each worker
    settings        the settings file
    environment     the variables of a process: what it keeps, and what a server gets
    access          what settings name by reference, made ready in a private folder
    aws             the server's AWS identity, and the calls that it makes
    broker          the credentials of the project's role, by the host's broker
    mysql           limits, waits and sentences for a MySQL database
    connections     what a process takes of the database's connections, and which request got none
    turns           requests wait for their turn at the database
    jobs_off        a server without jobs says so before MLflow begins one
    jobs            MLflow's job runner beside a server that has one
    jobs_turn       one runner at a time for a project, on all hosts
    jobs_submission what its engine lacks
    refusal         a server that cannot serve stays up, says why, and looks again
    option_file     the MySQL option file, which follows the secret
    database_login  tokens of IAM for a database that asks for them
    keys            the keys by which MLflow encrypts
    health          whether the server on this machine is well
    processes       a server ends with the process that started it
    revisions       the schema revisions that this MLflow knows
    schema_check    a server refuses a schema that is not this MLflow's
    schema_state    in which state a schema is, and whether it can be migrated
    migrate_all     many MySQL schemas, several at once
    migrate_one     one MySQL schema, under its lock
    verification    log a run through servers and read it back
    installation    where this program lies, and whose MLflow it loads
    private         files and folders that only this user can read
    errors          EntryError, and the log

It imports nothing of the collection's plugins, which are not installed where it runs.
tests/unit/programs checks that both sides agree.
"""
