# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MLflow's front door: one address for the projects of a host, with TLS, sign-in and roles.

cli         the verbs, which the launcher mlflow_door.py calls
keeper      runs Caddy and the door's own process, and loads settings that were replaced
caddy       Caddy's configuration
application the answers to Caddy, and the pages
check       whether a request passes; paths, routes, store and sessions are what it reads
"""
