r"""Bytes sealed with a key file: AES-256-GCM over pieces, so that it can be streamed.

    nexa-sealed-1\n  salt (16)  then for each piece: length and tag flag (4)  ciphertext

Each archive has a key of its own, derived from the file and the salt. The number of a
piece is its nonce, and the last one says that it is: pieces can't be changed, left out,
put in another order, or cut off unnoticed.
"""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from nexa_node import private_files
from nexa_node.contract.errors import Invalid

MAGIC = b"nexa-sealed-1\n"
SALT = 16
PIECE = 64 * 1024
TAG = 16
LAST = 1 << 31
KEY_LEAST = 32
"""Bytes in a key file: what `openssl rand -base64 32` writes is enough."""


def read_key(path: Path) -> bytes:
    """Read a key file.

    Raises:
        Invalid: There is none, others may read it, or it is too short to be a key.
    """
    content = private_files.read(path)
    if content is None:
        raise Invalid(
            f"there is no key file {path}",
            remedy=f"(umask 077; openssl rand -base64 32 > {path}), and keep a copy",
        )
    key = content.strip()
    if len(key) < KEY_LEAST:
        raise Invalid(
            f"the key in {path} has {len(key)} bytes; it needs {KEY_LEAST} random ones",
            remedy=f"(umask 077; openssl rand -base64 32 > {path}), and keep a copy",
        )
    return key


async def seal(chunks: AsyncIterator[bytes], key: bytes) -> AsyncIterator[bytes]:
    """Seal what comes with `key`."""
    salt = secrets.token_bytes(SALT)
    cipher = _cipher(key, salt)
    yield MAGIC + salt
    number, held = 0, b""
    async for chunk in chunks:
        held += chunk
        while len(held) > PIECE:
            yield _sealed(cipher, number, held[:PIECE], 0)
            held = held[PIECE:]
            number += 1
    yield _sealed(cipher, number, held, LAST)


async def unseal(
    chunks: AsyncIterator[bytes], key: bytes | None
) -> AsyncIterator[bytes]:
    """Give back what was sealed; what was never sealed goes through as it is.

    Raises:
        Invalid: It is sealed and there is no key, another key, or it is damaged.
    """
    source = _Taking(chunks)
    start = await source.up_to(len(MAGIC))
    if start != MAGIC:
        yield start
        async for chunk in source.rest():
            yield chunk
        return
    if key is None:
        raise Invalid(
            "this backup is sealed with a key, and this node has none",
            remedy="name the key file: [cluster] backup_key_file",
        )
    cipher = _cipher(key, await source.exactly(SALT))
    number, word = 0, 0
    while not word & LAST:
        word = int.from_bytes(await source.exactly(4), "big")
        size = word & ~LAST
        if size > PIECE:
            raise _broken(number)
        content = await source.exactly(size + TAG)
        try:
            yield cipher.decrypt(_nonce(number), content, word.to_bytes(4, "big"))
        except InvalidTag:
            raise _broken(number) from None
        number += 1
    if await source.up_to(1):
        raise _broken(number)


class _Taking:
    """Bytes as they come, taken in the sizes that are needed."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._held: bytes = b""

    async def up_to(self, size: int) -> bytes:
        while len(self._held) < size:
            try:
                self._held += await anext(self._chunks)
            except StopAsyncIteration:
                break
        some, self._held = self._held[:size], self._held[size:]
        return some

    async def exactly(self, size: int) -> bytes:
        some = await self.up_to(size)
        if len(some) < size:
            raise Invalid(
                "this backup is damaged: it ends in the middle",
                remedy="copy it again, and compare the sizes",
            )
        return some

    async def rest(self) -> AsyncIterator[bytes]:
        if self._held:
            yield self._held
        async for chunk in self._chunks:
            yield chunk


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    derived = HKDF(algorithm=SHA256(), length=32, salt=salt, info=MAGIC).derive(key)
    return AESGCM(derived)


def _sealed(cipher: AESGCM, number: int, content: bytes, flag: int) -> bytes:
    word = (len(content) | flag).to_bytes(4, "big")
    return word + cipher.encrypt(_nonce(number), content, word)


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _broken(number: int) -> Invalid:
    if number == 0:
        return Invalid(
            "this backup was sealed with another key, or its beginning is damaged",
            remedy="name the key it was sealed with: [cluster] backup_key_file",
        )
    return Invalid(
        f"this backup is damaged: piece {number} of what was sealed is not as it was"
        " written"
    )
