# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real MySQL in a container that stands for Aurora, on loopback, with TLS by a CA of its own.

What is like Aurora: only encrypted connections, no binary log, caching_sha2_password, no
performance schema. The image needs nothing but mysqld and a shell.
"""

from __future__ import annotations

import datetime
import io
import ipaddress
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pymysql
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FOLDER = "/etc/mysql-twin"
LABEL = "mlops.mlflow_aws.twin"
# For servers of tests that no power cut will meet: statements do not wait for the disk.
UNSAFE = ("--innodb-flush-method=nosync",)
# Starts mysqld like the official image as far as RDS emulators rely on that: these
# variables and /var/lib/mysql. Root may come from anywhere.
ENTRY = r"""#!/bin/sh
set -eu
data=/var/lib/mysql
quoted() { printf "'"; printf %s "$1" | sed "s/[\\\\']/\\\\&/g"; printf "'"; }
mkdir -p "$data" /run/mysqld
chown nobody "$data" /run/mysqld
# Unlike echo, which reads backslashes.
say() { printf '%s\n' "$*"; }
{
  if [ -n "${MYSQL_ROOT_PASSWORD:-}" ]; then
    say "CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY $(quoted "$MYSQL_ROOT_PASSWORD");"
    say "GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;"
  fi
  [ -z "${MYSQL_DATABASE:-}" ] || say "CREATE DATABASE IF NOT EXISTS \`$MYSQL_DATABASE\`;"
  if [ -n "${MYSQL_USER:-}" ]; then
    user="$(quoted "$MYSQL_USER")@'%'"
    say "CREATE USER IF NOT EXISTS $user IDENTIFIED BY $(quoted "$MYSQL_PASSWORD");"
    [ -z "${MYSQL_DATABASE:-}" ] || say "GRANT ALL ON \`$MYSQL_DATABASE\`.* TO $user;"
  fi
  [ ! -e FOLDER/init.sql ] || cat FOLDER/init.sql
} > /run/mysqld/init.sql
chown nobody /run/mysqld/init.sql
chmod 400 /run/mysqld/init.sql
if [ ! -e "$data/mysql.ibd" ]; then
  # Nothing is lost if the machine dies here, and waiting for a busy disk takes a minute.
  mysqld --no-defaults --initialize-insecure --user=nobody --datadir="$data" \
    --innodb-flush-method=nosync
fi
# An emulator asks for a binary log, which Aurora has not by default.
[ -z "${MYSQL_ROOT_PASSWORD:-}" ] || set --
[ ! -e FOLDER/server.key ] ||
  set -- --ssl-ca=FOLDER/ca.pem --ssl-cert=FOLDER/server.pem --ssl-key=FOLDER/server.key "$@"
exec mysqld --no-defaults --user=nobody --datadir="$data" --socket=/run/mysqld/mysqld.sock \
  --pid-file=/run/mysqld/mysqld.pid --secure-file-priv=NULL --mysqlx=OFF --skip-log-bin \
  --performance-schema=OFF --max-connect-errors=1000000 --init-file=/run/mysqld/init.sql "$@"
""".replace("FOLDER", FOLDER)


@dataclass(frozen=True)
class Certificates:
    """A CA, and a server's certificate and key signed by it, all as PEM text."""

    ca: str
    server: str
    key: str


def make_certificates(*names: str) -> Certificates:
    """Make a CA and a certificate for these host names and addresses."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _number in range(2))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mlflow-twin CA")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    authority = (
        _builder(issuer, issuer, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    server = (
        _builder(subject, issuer, key)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False
        )
        .sign(ca_key, hashes.SHA256())
    )
    return Certificates(
        authority.public_bytes(serialization.Encoding.PEM).decode(),
        server.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    """Return the beginning of a certificate that is good for some days."""
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    """Return what a key is for: signing certificates, or serving."""
    return x509.KeyUsage(
        digital_signature=not sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    """Return a host name or an address as certificates hold it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def docker(*arguments: str, data: bytes | None = None, timeout: float = 120) -> str:
    """Run the docker program, which must succeed, and return what it printed."""
    done = subprocess.run(
        ["docker", *arguments],
        input=data,
        capture_output=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
    )
    if done.returncode != 0:
        raise RuntimeError(f"docker {arguments[0]}: {done.stderr.decode().strip()}")
    return done.stdout.decode().strip()


def _archive(files: Mapping[str, tuple[str, int]]) -> bytes:
    """Return a tar of files, each with its mode."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, (text, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(text.encode()), mode, int(time.time())
            # Debian's `nobody`, as which mysqld runs.
            entry.uid = entry.gid = 65534
            archive.addfile(entry, io.BytesIO(text.encode()))
    return stream.getvalue()


def build_rds_image(base: str, tag: str, certificates: Certificates) -> None:
    """Make the image that an RDS emulator takes for MySQL's official one of that version.

    ministack adds MINISTACK_IMAGE_PREFIX to mysql:8.0, so that nobody's own image is replaced. The
    server takes encrypted connections with these certificates, and others, since the emulator's
    Data API makes none.
    """
    recipe = (
        f"FROM {base}\n"
        f"COPY --chown=65534 entry ca.pem server.pem server.key {FOLDER}/\n"
        f'ENTRYPOINT ["sh", "{FOLDER}/entry"]\n'
    )
    files = {
        "Dockerfile": (recipe, 0o644),
        "entry": (ENTRY, 0o644),
        "ca.pem": (certificates.ca, 0o644),
        "server.pem": (certificates.server, 0o644),
        "server.key": (certificates.key, 0o600),
    }
    docker("build", "--quiet", "--tag", tag, "-", data=_archive(files), timeout=300)


@dataclass(frozen=True)
class Mysql:
    """A running MySQL; its administrator may do everything."""

    container: str
    port: int
    user: str
    password: str
    certificates: Certificates
    host: str = "127.0.0.1"

    @property
    def ca(self) -> str:
        """Return the CA's certificate as PEM text."""
        return self.certificates.ca

    def connect(
        self, user: str = "", password: str = "", **options: Any
    ) -> pymysql.connections.Connection[Any]:
        """Return a verified connection, the administrator's unless a user is given."""
        import ssl

        context = ssl.create_default_context(cadata=self.ca)
        return pymysql.connect(
            **{
                "host": self.host,
                "port": self.port,
                "user": user or self.user,
                "password": password or self.password,
                "ssl": context,
                "autocommit": True,
                "connect_timeout": 10,
                "read_timeout": 60,
                **options,
            }
        )

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Carry out a statement as the administrator and return its rows."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return list(cursor.fetchall())

    def await_ready(self, seconds: float = 180) -> None:
        """Wait until it answers, or fail with the end of its log."""
        deadline = time.monotonic() + seconds
        while not self._answers():
            if time.monotonic() > deadline:
                raise RuntimeError(f"MySQL did not start: {self.log()[-2000:]}")
            time.sleep(0.2)

    def log(self) -> str:
        """Return what mysqld said."""
        done = subprocess.run(
            ["docker", "logs", self.container],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=30,
            check=False,
        )
        return done.stdout.decode(errors="replace")

    def act(self, verb: str) -> None:
        """Let docker do something to it: kill, start, restart, pause, unpause."""
        docker(verb, self.container)

    def _answers(self) -> bool:
        """Say whether it takes connections."""
        try:
            self.query("SELECT 1")
        except (pymysql.err.MySQLError, OSError):
            return False
        return True


@contextmanager
def running(
    image: str,
    container: str,
    port: int,
    *,
    password: str,
    names: Sequence[str] = (),
    options: Sequence[str] = (),
    certificates: Certificates | None = None,
    volumes: Mapping[str, str] | None = None,
) -> Iterator[Mysql]:
    """Run a MySQL while the block runs, with its data in the container.

    It listens on a loopback port. names are further host names that its certificate is good
    for, options are further ones of mysqld, volumes are this machine's folders by where they
    are in the container. It survives `docker restart`.
    """
    made = certificates or make_certificates("localhost", "127.0.0.1", *names)
    mysql = Mysql(container, port, "admin", password, made)
    secret = password.replace("\\", r"\\").replace("'", r"\'")
    init = (
        f"CREATE USER IF NOT EXISTS 'admin'@'%' IDENTIFIED BY '{secret}' REQUIRE SSL;\n"
        "GRANT ALL ON *.* TO 'admin'@'%' WITH GRANT OPTION;\n"
    )
    files = {
        f"{FOLDER[1:]}/entry": (ENTRY, 0o644),
        f"{FOLDER[1:]}/init.sql": (init, 0o600),
        f"{FOLDER[1:]}/ca.pem": (made.ca, 0o644),
        f"{FOLDER[1:]}/server.pem": (made.server, 0o644),
        f"{FOLDER[1:]}/server.key": (made.key, 0o600),
    }
    where = ["--name", container, "--label", LABEL, "--publish", f"127.0.0.1:{port}:3306"]
    for inside, folder in (volumes or {}).items():
        where += ["--volume", f"{folder}:{inside}"]
    entry = ["sh", f"{FOLDER}/entry", "--require-secure-transport=ON", *options]
    docker("create", "--init", *where, image, *entry)
    try:
        docker("cp", "-", f"{container}:/", data=_archive(files))
        docker("start", container)
        mysql.await_ready()
        yield mysql
    finally:
        docker("rm", "--force", "--volumes", container)
