# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Login by IAM at a real MySQL: a plugin of the name that Aurora's has, and who checks its tokens.

Aurora's own plugin is in no MySQL that can be had. This one asks for the token in the same way,
by mysql_clear_password, and hands it to this process, which checks what AWS documents of tokens:
signature, age, user, host, and whether a policy lets the signer connect as that user.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote

# Where the plugin and the socket are in the server's container.
INSIDE = "/run/iam"
OPTIONS = (f"--plugin-dir={INSIDE}", "--plugin-load-add=aws.so")
_SOCKET, _LIBRARY = "login.sock", "aws.so"
_MOST_SECONDS = 900
_PLUGIN = r"""
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* MySQL's interfaces of plugins (version 1.11) and of authentication (2.1), as far as they are used. */
struct channel {
  int (*read)(struct channel *, unsigned char **);
  int (*write)(struct channel *, const unsigned char *, int);
};
struct account {
  char *user;
  unsigned int user_length;
  const char *text;
  unsigned long text_length;
};

/* Has the socket's other end check a token; it answers with one letter. */
static int checked(const struct account *who, const char *token, int length) {
  struct sockaddr_un place = {AF_UNIX, "SOCKET"};
  char answer = 'n';
  int end = socket(AF_UNIX, SOCK_STREAM, 0);
  if (end < 0) return 0;
  if (!connect(end, (struct sockaddr *)&place, sizeof place)) {
    dprintf(end, "%.*s\n%.*s\n%.*s\n", (int)who->text_length, who->text, (int)who->user_length,
            who->user, length, token);
    if (read(end, &answer, 1) != 1) answer = 'n';
  }
  close(end);
  return answer == 'y';
}

static int log_in(struct channel *client, struct account *who) {
  unsigned char *packet;
  int length = client->read(client, &packet);
  if (length < 1) return 0;
  return checked(who, (char *)packet, (int)strnlen((char *)packet, length)) ? -1 : 0;
}

static int kept(char *out, unsigned int *space, const char *in, unsigned int length) {
  if (*space < length) return 1;
  memcpy(out, in, length);
  *space = length;
  return 0;
}

static int fine(char *const text, unsigned int length) { return 0; }

static int unsalted(const char *text, unsigned int length, unsigned char *salt, unsigned char *size) {
  *size = 0;
  return 0;
}

static struct {
  int version;
  const char *client;
  int (*log_in)(struct channel *, struct account *);
  int (*generate)(char *, unsigned int *, const char *, unsigned int);
  int (*validate)(char *const, unsigned int);
  int (*salt)(const char *, unsigned int, unsigned char *, unsigned char *);
  unsigned long flags;
  void *compare;
} authentication = {0x0201, "mysql_clear_password", log_in, kept, fine, unsalted, 0, 0};

struct plugin {
  int type;
  void *info;
  const char *name, *author, *description;
  int license;
  void *begin, *check, *end;
  unsigned int version;
  void *status, *variables, *reserved;
  unsigned long flags;
};
int _mysql_plugin_interface_version_ = 0x010B;
int _mysql_sizeof_struct_st_plugin_ = sizeof(struct plugin);
struct plugin _mysql_plugin_declarations_[] = {
    {7, &authentication, "AWSAuthenticationPlugin", "tests", "stands for Aurora's", 1, 0, 0, 0,
     0x0100, 0, 0, 0, 0},
    {0}};
""".replace("SOCKET", f"{INSIDE}/{_SOCKET}")


@dataclass(frozen=True)
class Signer:
    """Somebody at AWS: keys, and the database users as whom a policy lets him connect."""

    secret: str
    users: tuple[str, ...]
    session: str = ""


@dataclass
class Logins:
    """Who may log in, and what became of each try: (user, reason), the reason being empty if he was let in.

    folder holds plugin and socket; host and port are what tokens must be for.
    """

    folder: Path
    region: str
    host: str = ""
    port: int = 0
    signers: dict[str, Signer] = field(default_factory=dict)
    tries: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def check(self, text: str, user: str, token: str) -> bool:
        """Note a try, and return whether the token is good for a user that was created AS text."""
        reason = "not created AS 'RDS'" if text != "RDS" else self._fault(user, token)
        self.tries.append((user, reason))
        self.tokens.add(token)
        return not reason

    def _fault(self, user: str, token: str) -> str:
        """Return what is wrong with a token, or an empty text."""
        place, _slash, query = token.partition("/?")
        told = dict(parse_qsl(query, keep_blank_values=True))
        key, _slash, scope = told.get("X-Amz-Credential", "").partition("/")
        signer = self.signers.get(key)
        if signer is None:
            return f"nobody has the key {key!r}"
        if scope != f"{told['X-Amz-Date'][:8]}/{self.region}/rds-db/aws4_request":
            return f"signed for {scope}"
        if told.get("X-Amz-Security-Token", "") != signer.session:
            return "of another session"
        if told.pop("X-Amz-Signature", "") != _signature(place, told, scope, signer.secret):
            return "the signature is wrong"
        if place != f"{self.host}:{self.port}":
            return f"for {place}"
        if (told["Action"], told["DBUser"]) != ("connect", user):
            return f"for the user {told['DBUser']}"
        if user not in signer.users:
            return f"rds-db:connect is not allowed for {user}"
        made = datetime.datetime.strptime(told["X-Amz-Date"], "%Y%m%dT%H%M%S%z")
        age = (datetime.datetime.now(datetime.UTC) - made).total_seconds()
        good = min(_MOST_SECONDS, int(told["X-Amz-Expires"]))
        return "" if -300 < age < good else f"{age:.0f} seconds old"


def _signature(place: str, told: dict[str, str], scope: str, secret: str) -> str:
    """Return AWS's signature, version 4, of a GET with these parameters."""
    query = "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(told.items())
    )
    nothing = hashlib.sha256(b"").hexdigest()
    request = f"GET\n/\n{query}\nhost:{place}\n\nhost\n{nothing}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{told['X-Amz-Date']}\n{scope}\n{digest}"
    return hmac.new(key, text.encode(), "sha256").hexdigest()


@contextmanager
def checker(folder: Path, region: str) -> Iterator[Logins]:
    """Build the plugin into a folder, and check tokens while the block runs."""
    folder.chmod(0o755)
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-x", "c", "-o", folder / _LIBRARY, "-"],
        input=_PLUGIN.encode(),
        check=True,
        timeout=60,
    )
    logins = Logins(folder, region)

    class Handler(socketserver.StreamRequestHandler):
        """One question of the plugin."""

        def handle(self) -> None:
            text, user, token = (self.rfile.readline().decode().rstrip("\n") for _line in range(3))
            self.wfile.write(b"y" if logins.check(text, user, token) else b"n")

    with socketserver.ThreadingUnixStreamServer(str(folder / _SOCKET), Handler) as server:
        # mysqld is another user.
        (folder / _SOCKET).chmod(0o666)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield logins
        finally:
            server.shutdown()
