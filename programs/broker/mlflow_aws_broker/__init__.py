# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's credential broker: the only program there that acts with the host's own AWS identity.

    cli         the verbs of mlflow_broker.py
    settings    the settings file
    identity    the host's own identity, and what to do when it is not accepted
    reasons     why a call to AWS failed, and what to do, in one sentence
    keeper      credentials of the projects' roles, kept and renewed in time
    listener    one socket for each project, and one for the broker's state
    errors      BrokerError, and the log

Each project has a socket of its own, and beside it a file with a key. Whoever sends that key gets the
project's credentials and nothing else: nothing more is read from a client, so it can ask for nothing. The
answer is one JSON object and the end of the connection, either what a credential_process prints, or

    error       one sentence: why there are no credentials, and what to do
    login       whether that is up to whoever has to log in on this host, so that waiting helps

The state, on a socket that no server has, holds `identity` and `projects` (by name): sentences, empty
if all is well.
"""
