# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: which Docker engine to use, and how to connect to it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shlex
import socket
import ssl
import subprocess
import typing as t
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import paths
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.unix_http import UnixConnection

DEFAULT_SOCKET = "/var/run/docker.sock"
_PORT, _TLS_PORT = 2375, 2376
# For ssh to say why it ends.
_SSH_SECONDS = 2


def default_host() -> str:
    """Return the engine that `docker` itself would use, by its variables and contexts.

    If there are none, the first socket that this user may use: the system's, a rootless engine's,
    or Docker Desktop's.
    """
    if os.environ.get("DOCKER_HOST"):
        return os.environ["DOCKER_HOST"]
    found = _context_host()
    if found:
        return found
    runtime = paths.environment_folder("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    places = (
        DEFAULT_SOCKET,
        f"{runtime}/docker.sock",
        os.path.expanduser("~/.docker/run/docker.sock"),
    )
    usable = [place for place in places if os.access(place, os.R_OK | os.W_OK)]
    return f"unix://{usable[0] if usable else DEFAULT_SOCKET}"


def configuration_folder() -> Path:
    """Return the folder of the user's own Docker configuration."""
    return Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))


def socket_path(host: str) -> str:
    """Return the path of a Unix socket given as unix:///PATH, an empty text for anything else."""
    scheme, _colon, path = host.partition("://")
    return path if scheme == "unix" and path.startswith("/") else ""


@contextlib.contextmanager
def connected(host: str, timeout: float) -> t.Iterator[http.client.HTTPConnection]:
    """Yield a connection to an engine: unix:///PATH, tcp://HOST:PORT, or ssh://USER@HOST:PORT."""
    connection = _connection(host, timeout)
    ssh = connection if isinstance(connection, _SshConnection) else None
    try:
        yield connection
    except (ConnectionError, http.client.HTTPException) as error:
        said = ssh.said() if ssh else ""
        if not said:
            raise
        raise ConnectionError(said) from error
    finally:
        connection.close()
        if ssh:
            ssh.end()


def _connection(host: str, timeout: float) -> http.client.HTTPConnection:
    """Return what connects to an engine, which its first request does."""
    if socket_path(host):
        return UnixConnection(socket_path(host), timeout)
    url = _parsed(host)
    if url.scheme == "ssh":
        return _SshConnection(url, timeout)
    context = _tls(url.scheme == "https")
    if context is None:
        return http.client.HTTPConnection(str(url.hostname), url.port or _PORT, timeout=timeout)
    return http.client.HTTPSConnection(
        str(url.hostname), url.port or _TLS_PORT, timeout=timeout, context=context
    )


def _parsed(host: str) -> SplitResult:
    """Return the parts of an engine's URL; refuse one that names no host or a wrong port."""
    # A port that is none is an error only where it is read.
    with contextlib.suppress(ValueError):
        url = urlsplit(host)
        if url.scheme in ("tcp", "http", "https", "ssh") and url.hostname and url.port != 0:
            return url
    raise MlflowError(
        f"The Docker engine {host!r} cannot be used; write unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST."
    )


class _SshConnection(http.client.HTTPConnection):
    """HTTP to an engine behind ssh, carried by `docker system dial-stdio` as Docker itself does."""

    def __init__(self, url: SplitResult, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._url = url
        self._process: subprocess.Popen[bytes] | None = None

    def connect(self) -> None:
        """Start ssh with one end of a pair of sockets, and keep the other."""
        url = self._url
        command = [
            "ssh",
            "-o",
            "BatchMode=yes",
            "-o",
            f"ConnectTimeout={max(1, int(self.timeout or 1))}",
        ]
        command += ["-l", url.username] if url.username else []
        command += ["-p", str(url.port)] if url.port else []
        dial = ["docker"]
        dial += ["--host", f"unix://{url.path}"] if url.path.strip("/") else []
        command += ["--", str(url.hostname), shlex.join([*dial, "system", "dial-stdio"])]
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(self.timeout)
        with theirs:
            try:
                self._process = subprocess.Popen(  # pylint: disable=ansible-bad-function
                    command, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.PIPE
                )
            except FileNotFoundError as error:
                raise MlflowError(
                    f"The Docker engine {url.geturl()} cannot be used (this machine has no ssh); install "
                    "the OpenSSH client."
                ) from error

    def said(self) -> str:
        """Return why ssh ended, in its own words, an empty text where it did not."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            words = self._process.communicate(timeout=_SSH_SECONDS)[1] if self._process else b""
            lines = words.decode("utf-8", "replace").strip().splitlines()
            return f"ssh: {lines[-1].strip()}" if lines else ""
        return ""

    def end(self) -> None:
        """End ssh, which outlives an answer that closes the connection."""
        process, self._process = self._process, None
        if process is not None:
            with process:
                process.kill()


def _context_host() -> str:
    """Return the engine of the docker command's current context, an empty text for none."""
    home = configuration_folder()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        name = os.environ.get("DOCKER_CONTEXT")
        if not name:
            configuration = json.loads((home / "config.json").read_text(encoding="utf-8"))
            name = configuration["currentContext"]
        if name != "default":
            folder = hashlib.sha256(name.encode("utf-8")).hexdigest()
            meta = home / "contexts" / "meta" / folder / "meta.json"
            return str(json.loads(meta.read_text(encoding="utf-8"))["Endpoints"]["docker"]["Host"])
    return ""


def _tls(wanted: bool) -> t.Any:
    """Return how to encrypt connections over TCP, by the variables that Docker reads; None for not."""
    verify = bool(os.environ.get("DOCKER_TLS_VERIFY"))
    if not (wanted or verify or os.environ.get("DOCKER_TLS")):
        return None
    folder = Path(os.environ.get("DOCKER_CERT_PATH") or configuration_folder())
    try:
        context = ssl.create_default_context()
        if (folder / "ca.pem").is_file():
            context.load_verify_locations(str(folder / "ca.pem"))
        if (folder / "cert.pem").is_file():
            context.load_cert_chain(str(folder / "cert.pem"), str(folder / "key.pem"))
    except (OSError, ValueError) as error:
        raise MlflowError(
            f"The certificates for Docker in {folder} cannot be read ({error}); correct DOCKER_CERT_PATH."
        ) from error
    if not wanted and not verify:
        # DOCKER_TLS alone encrypts and verifies nothing.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
