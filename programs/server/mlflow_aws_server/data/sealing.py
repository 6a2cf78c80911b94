# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encryption of what a backup writes, with a key of the user's.

Each file begins with a random salt of 16 bytes; its key is derived from the user's and the salt (HKDF,
SHA-256). Then come chunks of 1 MiB and 16 bytes (AES-256-GCM), the last one shorter. A chunk's
nonce is its number, and for the last one also a mark, so that chunks can be neither exchanged nor
cut off without notice.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from ..errors import EntryError

NAME = "aes-256-gcm"
KEY_BYTES = 32
_SALT_BYTES, _TAG_BYTES, _CHUNK_BYTES = 16, 16, 1 << 20


class Codec(Protocol):
    """What a backup's files go through on their way."""

    name: str
    key_id: str

    def seal(self, chunks: Iterable[bytes]) -> Iterable[bytes]:
        """Return the form in which chunks are stored."""

    def open(self, chunks: Iterable[bytes], what: str) -> Iterable[bytes]:
        """Return what was stored; what names the file in errors."""


class Plain:
    """No encryption."""

    name = ""
    key_id = ""

    def seal(self, chunks: Iterable[bytes]) -> Iterable[bytes]:
        """Return chunks as they are."""
        return chunks

    def open(self, chunks: Iterable[bytes], what: str) -> Iterable[bytes]:  # noqa: ARG002
        """Return chunks as they are."""
        return chunks


class Sealed:
    """Encryption with one key."""

    name = NAME

    def __init__(self, text: str) -> None:
        """Take the key: 32 bytes in base64, as `openssl rand -base64 32` prints them."""
        try:
            self._key = base64.b64decode(text.strip(), validate=True)
        except ValueError:
            self._key = b""
        if len(self._key) != KEY_BYTES:
            raise EntryError(
                "The key for backups is not 32 bytes in base64; make one with `openssl rand -base64 32`."
            )
        # By which a backup tells that another key would be needed.
        self.key_id = hashlib.sha256(b"mlflow_aws backup key" + self._key).hexdigest()[:16]

    def seal(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Return the encrypted form of chunks."""
        salt = os.urandom(_SALT_BYTES)
        cipher = self._cipher(salt)
        yield salt
        for number, (piece, last) in enumerate(_pieces(chunks, _CHUNK_BYTES)):
            yield cipher.encrypt(_nonce(number, last), piece, None)

    def open(self, chunks: Iterable[bytes], what: str) -> Iterator[bytes]:
        """Return what was encrypted; raises EntryError, with the file's name, for anything altered."""
        from cryptography.exceptions import InvalidTag

        cipher: Any = None
        stream = _Salted(chunks)
        pieces = _pieces(stream, _CHUNK_BYTES + _TAG_BYTES)
        for number, (piece, last) in enumerate(pieces):
            if cipher is None:
                cipher = self._cipher(stream.salt)
            try:
                yield cipher.decrypt(_nonce(number, last), piece, None)
            except InvalidTag:
                raise EntryError(
                    f"{what} cannot be decrypted: it was altered, or encrypted with another key; name "
                    "another backup, or the key with which it was made."
                ) from None

    def _cipher(self, salt: bytes) -> Any:
        """Return the cipher of one file."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        derived = HKDF(hashes.SHA256(), KEY_BYTES, salt, b"mlflow_aws backup").derive(self._key)
        return AESGCM(derived)


class _Salted:
    """A stream that begins with a salt, which is known once the rest is read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        """Take the stream."""
        self._chunks = iter(chunks)
        self.salt = b""

    def __iter__(self) -> Iterator[bytes]:
        """Return what follows the salt."""
        start = b""
        while len(start) < _SALT_BYTES and (chunk := next(self._chunks, None)) is not None:
            start += chunk
        self.salt = start[:_SALT_BYTES]
        yield start[_SALT_BYTES:]
        yield from self._chunks


def _pieces(chunks: Iterable[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """Return a stream in pieces of a size, each with whether it is the last; one at least."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        # One byte more than a piece says that it is not the last.
        while len(held) > size:
            yield bytes(held[:size]), False
            del held[:size]
    yield bytes(held), True


def _nonce(number: int, last: bool) -> bytes:
    """Return the nonce of a chunk."""
    return number.to_bytes(11, "big") + (b"\1" if last else b"\0")
