# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: TLS to a database, which verifies CA and host name."""

from __future__ import annotations

import ssl
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.mysql_errors import one_line

_PEM = "-----BEGIN"


class _NamedContext(ssl.SSLContext):
    """A context that verifies the certificate for another name than the address connected to."""

    tls_name = ""

    def wrap_socket(self, *arguments: t.Any, **options: t.Any) -> ssl.SSLSocket:
        """Wrap a socket, verifying for tls_name."""
        return super().wrap_socket(*arguments, **{**options, "server_hostname": self.tls_name})


def verifying_context(ca: str, tls_name: str, where: str) -> ssl.SSLContext:
    """Return a context that verifies CA and host name.

    ca is PEM text or a path, empty for what this machine trusts; where names the database.
    """
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.tls_name = tls_name
    try:
        if not ca:
            context.load_default_certs()
        elif _PEM in ca:
            context.load_verify_locations(cadata=ca)
        else:
            context.load_verify_locations(cafile=ca)
    except (OSError, ValueError) as error:
        raise MlflowError(
            f"The CA certificate for MySQL at {where} cannot be read ({one_line(error)}); pass a PEM file "
            "or its text."
        ) from None
    return context
