# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys with which MLflow encrypts what it keeps in its database.

Unless they are set, MLflow makes up the key of webhooks' secrets in each process, so that
neither the next process nor the other workers can read what one wrote, and encrypts the
gateway's secrets with a passphrase that is printed in its source. All of them are derived from
one root key of the project: a file beside its database, or a parameter at AWS that is the same
for all hosts. They get into the server's environment after it has started, where neither its
arguments, nor `docker inspect`, nor /proc show them.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from .aws import read_parameter
from .errors import EntryError, say
from .private import write_private

WEBHOOKS = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"
PASSPHRASE, PASSPHRASE_VERSION = "MLFLOW_CRYPTO_KEK_PASSPHRASE", "MLFLOW_CRYPTO_KEK_VERSION"
# A key that a later MLflow needs is one more name: each is derived by its name.
DERIVED = (WEBHOOKS, PASSPHRASE)
# Secrets of version 1 were encrypted with the passphrase in MLflow's source.
_OWN_VERSION = "2"
_BYTES = 32
_NAME = "root-key"


def make_ready(settings: dict[str, Any], folder: Path | None) -> None:
    """Make the root key of the settings, if they name one, available to the server.

    A missing file is created; a parameter is read into the private folder.
    """
    aws = settings.get("aws") or {}
    if settings.get("key_file"):
        _make_file(Path(settings["key_file"]))
    elif aws.get("key_parameter") and folder:
        write_private(folder / _NAME, read_parameter(aws["key_parameter"], aws))
    _root(settings, folder)


def variables(settings: dict[str, Any], folder: Path | None) -> dict[str, str]:
    """Return the keys as MLflow's variables, except those that the settings set themselves."""
    root = _root(settings, folder)
    if root is None:
        return {}
    given = settings["environment"]
    keys = {name: _derive(root, name) for name in DERIVED if name not in given}
    if PASSPHRASE in keys:
        keys[PASSPHRASE_VERSION] = _OWN_VERSION
    return {name: text for name, text in keys.items() if name not in given}


def read_older(settings: dict[str, Any]) -> None:
    """Let MLflow read what was written before the project had its own key."""
    if not _source(settings, Path()):
        return
    _tolerate_lost_secrets()
    if PASSPHRASE not in settings["environment"]:
        version = settings["environment"].get(PASSPHRASE_VERSION, "1")
        if not version.isdecimal():
            raise EntryError(f"{PASSPHRASE_VERSION} is {version!r}; set it to a whole number.")
        _try_builtin_passphrase(int(version))


def _try_builtin_passphrase(version: int) -> None:
    """Decrypt the gateway's secrets with the passphrase in MLflow's source if ours does not fit.

    They are not rewritten, so that hosts that still run an older release can read them too.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.utils import crypto

    unwrap = crypto.unwrap_dek

    @lru_cache(maxsize=1)
    def builtin() -> bytes:
        return bytes(crypto.KEKManager(crypto.DEFAULT_KEK_PASSPHRASE, version).get_kek())

    def unwrap_dek(wrapped_dek: bytes, kek: bytes) -> bytes:
        try:
            return bytes(unwrap(wrapped_dek, kek))
        except MlflowException as error:
            with contextlib.suppress(MlflowException):
                return bytes(unwrap(wrapped_dek, builtin()))
            raise error

    crypto.unwrap_dek = unwrap_dek


def _tolerate_lost_secrets() -> None:
    """Let a webhook whose secret cannot be decrypted be listed, changed and deleted.

    Such a row is left by a process that made up its key. It would fail each request that reads
    webhooks, and the delivery of all others. What is delivered for it is signed with a random
    secret, so that it never passes for genuine.
    """
    from cryptography.fernet import InvalidToken
    from mlflow.store.model_registry.dbmodels.models import EncryptedString

    decrypt = EncryptedString.process_result_value
    logged: set[str] = set()

    def process_result_value(self: Any, value: Any, dialect: Any) -> Any:
        try:
            return decrypt(self, value, dialect)
        except InvalidToken:
            if value not in logged:
                logged.add(value)
                say(
                    "The secret of a webhook was encrypted with a key that is lost; set the webhook's "
                    "secret again."
                )
            return secrets.token_urlsafe(_BYTES)

    EncryptedString.process_result_value = process_result_value


def _root(settings: dict[str, Any], folder: Path | None) -> bytes | None:
    """Return the root key, None if the settings name none."""
    path = _source(settings, folder)
    if path is None:
        return None
    try:
        key = base64.b64decode(path.read_text(encoding="ascii"), validate=False)
    except (OSError, ValueError) as error:
        raise EntryError(f"The project's key in {path} cannot be read: {error}.") from None
    if len(key) != _BYTES:
        what = settings.get("key_file") or (settings.get("aws") or {}).get("key_parameter")
        raise EntryError(
            f"{what} does not hold a key of {_BYTES} bytes in base64; restore it from a backup."
        )
    return key


def _source(settings: dict[str, Any], folder: Path | None) -> Path | None:
    """Return the file from which the server reads the root key."""
    if settings.get("key_file"):
        return Path(settings["key_file"])
    if (settings.get("aws") or {}).get("key_parameter") and folder:
        return folder / _NAME
    return None


def _derive(root: bytes, name: str) -> str:
    """Return the key of one name in URL-safe base64, which is how Fernet takes it."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derived = HKDF(SHA256(), _BYTES, salt=None, info=name.encode("ascii")).derive(root)
    return base64.urlsafe_b64encode(derived).decode("ascii")


def _make_file(path: Path) -> None:
    """Create a file with a new key if there is none; it is never there in part."""
    if path.exists():
        return
    new = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(base64.b64encode(secrets.token_bytes(_BYTES)).decode("ascii") + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        # If another process was faster, its key stays.
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
    except OSError as error:
        raise EntryError(
            f"The project's key cannot be written to {path} ({error.strerror}); run the deploy playbook."
        ) from None
    finally:
        new.unlink(missing_ok=True)
