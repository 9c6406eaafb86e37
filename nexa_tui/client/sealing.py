r"""A stream of bytes under lock and key: what a backup is written as with `--key-file`.

AES-256-GCM over pieces of at most 64 KiB, as nodes seal the backups they make by
themselves: what one writes the other opens. A piece's nonce is its number, and the last
one says that it is, so that pieces can't be swapped, left out or cut off unseen.

    nexa-sealed-1\n  salt (16)  then pieces: length and last flag (4)  ciphertext and tag
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from nexa_node.contract.errors import Invalid

MAGIC = b"nexa-sealed-1\n"
SALT = 16
PIECE = 64 * 1024
"""Plain bytes of one piece at most."""
KEY_MIN = 32
_TAG = 16
_WORD = 4
_LAST = 1 << 31


def read_key(path: Path) -> bytes:
    """Read a key file.

    Raises:
        Invalid: It can't be read, is open to others, or is too short to be a key.
    """
    make = f"head -c 32 /dev/urandom | base64 > {path}; chmod 600 {path}"
    try:
        mode, content = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise Invalid(
            f"the key file {path} can't be read: {error.strerror}", remedy=make
        ) from error
    if mode & 0o077:
        raise Invalid(
            f"others can read the key file {path}", remedy=f"chmod 600 {path}"
        )
    if len(content.strip()) < KEY_MIN:
        raise Invalid(f"{path} has less than {KEY_MIN} bytes", remedy=make)
    return content.strip()


def seal(chunks: Iterable[bytes], key: bytes, salt: bytes) -> Iterator[bytes]:
    """Lock a stream.

    Args:
        chunks: The plain bytes, in pieces of any size.
        key: As `read_key` gives it.
        salt: 16 random bytes, new for each stream.
    """
    cipher = _cipher(key, salt)
    yield MAGIC + salt
    number = 0
    held = b""
    for chunk in chunks:
        held += chunk
        while len(held) > PIECE:
            yield _sealed(cipher, number, held[:PIECE], flag=0)
            held = held[PIECE:]
            number += 1
    yield _sealed(cipher, number, held, flag=_LAST)


def unseal(chunks: Iterable[bytes], key: bytes) -> Iterator[bytes]:
    """Open a stream; every piece that is yielded is as it was written.

    Raises:
        Invalid: Another key, a damaged stream, or one that ends early.
    """
    source = _Source(chunks)
    head = source.take(len(MAGIC) + SALT)
    if not head.startswith(MAGIC) or len(head) < len(MAGIC) + SALT:
        raise Invalid("it is not sealed with a key", remedy="leave out --key-file")
    cipher = _cipher(key, head[len(MAGIC) :])
    number, word = 0, b""
    while not number or not _is_last(word):
        word = source.take(_WORD)
        size = int.from_bytes(word, "big") & ~_LAST
        if size > PIECE:
            raise Invalid("it is damaged")
        sealed = source.take(size + _TAG)
        if len(word) < _WORD or len(sealed) < size + _TAG:
            raise Invalid("it ends early: the rest of it is missing")
        try:
            yield cipher.decrypt(_nonce(number), sealed, word)
        except InvalidTag as error:
            raise _closed(number) from error
        number += 1
    if source.take(1):
        raise Invalid("it is damaged: something stands behind its end")


def is_sealed(head: bytes) -> bool:
    """Whether a stream that begins so is locked."""
    return head.startswith(MAGIC)


class _Source:
    """Bytes in the sizes that are asked for."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = b""

    def take(self, size: int) -> bytes:
        while len(self._held) < size:
            more = next(self._chunks, b"")
            if not more:
                break
            self._held += more
        taken, self._held = self._held[:size], self._held[size:]
        return taken


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    made = HKDF(algorithm=SHA256(), length=32, salt=salt, info=MAGIC)
    return AESGCM(made.derive(key))


def _sealed(cipher: AESGCM, number: int, plain: bytes, *, flag: int) -> bytes:
    word = (len(plain) | flag).to_bytes(_WORD, "big")
    return word + cipher.encrypt(_nonce(number), plain, word)


def _is_last(word: bytes) -> bool:
    return bool(int.from_bytes(word, "big") & _LAST)


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _closed(number: int) -> Invalid:
    if number:
        return Invalid(f"it is damaged: piece {number} is not as it was written")
    return Invalid(
        "it can't be opened: another key, or its beginning is damaged",
        remedy="give the --key-file that it was made with",
    )
