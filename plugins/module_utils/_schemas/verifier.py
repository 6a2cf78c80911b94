# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what takes a password's place in SQL, for caching_sha2_password."""

from __future__ import annotations

import hashlib
import secrets

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

PASSWORD_LENGTH = 255
# The alphabet of crypt(3), in its own order.
_LETTERS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SALT_LENGTH = 20
_ROUNDS = 5000


def verifier(password: str, salt: str = "") -> str:
    """Return what MySQL keeps of a password for caching_sha2_password.

    It takes the password's place in statements, so that no password is in one: not in a log of
    the server or of AWS, not in an error, and none needs quoting. salt is 20 characters of
    crypt's alphabet, random unless given.
    """
    if not password.isascii() or not 0 < len(password) <= PASSWORD_LENGTH:
        # Clients disagree on the encoding of others: PyMySQL sends Latin-1.
        raise MlflowError(
            f"a password must have 1 to {PASSWORD_LENGTH} characters, all of them ASCII"
        )
    text = password.encode("ascii")
    chosen = salt or "".join(secrets.choice(_LETTERS) for _number in range(_SALT_LENGTH))
    return f"$A$005${chosen}{_sha256_crypt(text, chosen.encode('ascii'))}"


def _sha256_crypt(password: bytes, salt: bytes) -> str:
    """Return the digest of Drepper's SHA-crypt, which MySQL uses with a longer salt."""
    sha = hashlib.sha256
    length = len(password)
    other = sha(password + salt + password).digest()
    mixed = sha(password + salt + _repeated(other, length))
    count = length
    while count:
        mixed.update(other if count & 1 else password)
        count >>= 1
    digest = mixed.digest()
    first = _repeated(sha(password * length).digest(), length)
    second = _repeated(sha(salt * (16 + digest[0])).digest(), len(salt))
    # What surrounds the digest in a round repeats itself after 2 * 3 * 7 of them.
    middles = [
        (second if number % 3 else b"") + (first if number % 7 else b"") for number in range(42)
    ]
    frames = [
        (first + middle, b"") if number % 2 else (b"", middle + first)
        for number, middle in enumerate(middles)
    ]
    for number in range(_ROUNDS):
        before, after = frames[number % 42]
        digest = sha(before + digest + after).digest()
    return _crypt_text(digest)


def _repeated(block: bytes, length: int) -> bytes:
    """Return a block over and over, up to a length."""
    return (block * (length // len(block) + 1))[:length]


def _crypt_text(digest: bytes) -> str:
    """Return a digest in crypt's alphabet, its bytes in SHA-crypt's order."""
    text = []
    high, middle, low = 0, 10, 20
    for _number in range(10):
        text.append(_crypt_letters(digest[high] << 16 | digest[middle] << 8 | digest[low], 4))
        high, middle, low = (low + 1) % 30, (high + 1) % 30, (middle + 1) % 30
    text.append(_crypt_letters(digest[31] << 8 | digest[30], 3))
    return "".join(text)


def _crypt_letters(value: int, count: int) -> str:
    """Return the low bits of a number, six to a letter, lowest first."""
    return "".join(_LETTERS[value >> 6 * place & 63] for place in range(count))
