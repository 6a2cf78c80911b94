# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the environment of every program that is started with an MLflow.

What a person exports for their own work (MLFLOW_*, OTEL_*, PYTHON*, proxies, certificates) is about
other servers and other Pythons. So there is a list of what is passed on, and nothing else is.
"""

from __future__ import annotations

import os

# Who and where the program is.
_KEPT = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER")
# What a program needs besides that talks to AWS: whose credentials, by which way. XDG_RUNTIME_DIR
# is in memory, MLFLOW_AWS_* are limits of programs/server/mlflow_entry.py.
_AWS = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE")
_AWS_MORE = ("SSL_CERT_DIR", "SSL_CERT_FILE", "XDG_RUNTIME_DIR")
_LIMITS = "MLFLOW_AWS_"


def clean(*more: str) -> dict[str, str]:
    """Return what a program gets of this process's environment, with these variables too."""
    return {name: os.environ[name] for name in (*_KEPT, *more) if name in os.environ}


def clean_for_broker() -> dict[str, str]:
    """Return what a program gets that has its credentials from a broker, and none of this process."""
    return _reaching_aws("AWS_CA_BUNDLE")


def clean_for_aws() -> dict[str, str]:
    """Return what a program gets that reads secrets from AWS as this process would."""
    return _reaching_aws("AWS_")


def _reaching_aws(prefix: str) -> dict[str, str]:
    """Return what a program gets to reach AWS, with the variables that start with a prefix."""
    names = {*_AWS_MORE, *_AWS, *(name.lower() for name in _AWS)}
    names.update(name for name in os.environ if name.startswith((prefix, _LIMITS)))
    return clean(*sorted(names))
