# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a project's data over the years: state, backup, restore, upgrade.

    tables.py             tables and rows in one form for all databases, and their checksums
    mysql_database.py     a schema in MySQL: read in one snapshot, written, replaced as a whole
    sqlite_database.py    the same for an SQLite file
    databases.py          which of the two a project has
    places.py             folders and S3 prefixes: artifacts, and where backups lie
    sealing.py            encryption of what a backup writes
    manifest.py           what a backup holds, as a document
    repository.py         the backups of a project: the newest, and which are kept
    backup.py             make one
    restore.py            bring one back
    other_key.py          what a restore does with secrets that it cannot decrypt
    upgrade.py            migrate a copy, and put it in place
    importing.py          bring a folder `mlruns`, an SQLite file or a server's content in
    filestore.py          read a folder into a database
    remote.py             read a server into a database
    kinds.py              what is brought, in units that are there as a whole or not at all
    merging.py            bring a database into the project's own
    arrival.py            artifacts on their way in
    deleted.py            what users deleted longer ago than a retention, and what is referred to
    owners.py             whose an artifact is, by its path
    gc.py                 remove for good what was deleted, and orphaned artifacts
    content.py            what is compared before and after
    info.py               state of a project
    projects.py           the projects of a request

Each verb of mlflow_entry.py that is about data reads a request (JSON, mode 0600) and prints one
line of JSON for each project: its `name`, what the verb tells, and `error`, one sentence, empty
if all is well. Progress goes to the log.
"""
