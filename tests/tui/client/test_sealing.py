"""A sealed stream: opened with its key as it was, and refused when anything was touched."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from nexa_node.adapters.files import sealing as nodes
from nexa_node.contract.errors import Invalid
from nexa_tui.client.sealing import (
    MAGIC,
    PIECE,
    SALT,
    is_sealed,
    read_key,
    seal,
    unseal,
)

KEY = b"k" * 32
SALTED = b"s" * SALT


def sealed(plain: Iterable[bytes]) -> bytes:
    return b"".join(seal(plain, KEY, SALTED))


def opened(stream: bytes, key: bytes = KEY, size: int = 1000) -> bytes:
    pieces = (stream[at : at + size] for at in range(0, len(stream), size))
    return b"".join(unseal(pieces, key))


@given(st.lists(st.binary(max_size=3000), max_size=6), st.integers(1, 5000))
def test_it_comes_out_as_it_went_in(chunks: list[bytes], size: int) -> None:
    stream = sealed(chunks)

    assert opened(stream, size=size) == b"".join(chunks)
    assert is_sealed(stream)


@pytest.mark.parametrize("length", [0, 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7])
def test_lengths_around_a_frame(length: int) -> None:
    plain = bytes(range(256)) * (length // 256 + 1)

    assert opened(sealed([plain[:length]]), size=PIECE // 3) == plain[:length]


def test_another_key_opens_nothing() -> None:
    with pytest.raises(Invalid, match="another key"):
        opened(sealed([b"words"]), key=b"x" * 32)


@pytest.mark.parametrize("at", [len(MAGIC), len(MAGIC) + SALT + 4, -1])
def test_one_changed_bit_is_noticed(at: int) -> None:
    stream = bytearray(sealed([b"a" * (PIECE + 10)]))
    stream[at] ^= 1

    with pytest.raises(Invalid):
        opened(bytes(stream))


def test_frames_cannot_be_swapped_left_out_or_cut_off() -> None:
    stream = sealed([bytes([n]) * PIECE for n in range(3)])
    head, frame = len(MAGIC) + SALT, PIECE + 16 + 4
    one, two = stream[head : head + frame], stream[head + frame : head + 2 * frame]
    rest = stream[head + 2 * frame :]

    for damaged in (two + one + rest, one + rest, one + two, one, b""):
        with pytest.raises(Invalid):
            opened(stream[:head] + damaged)


def test_what_is_not_sealed_says_so() -> None:
    with pytest.raises(Invalid, match="not sealed"):
        opened(b"something else entirely, and long enough")


def test_a_length_out_of_reason_is_refused_before_it_is_read() -> None:
    with pytest.raises(Invalid, match="damaged"):
        opened(MAGIC + SALTED + b"\x7f\xff\xff\xff")


def test_a_key_file_is_private_and_long_enough(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(Invalid, match="can't be read") as missing:
        read_key(path)
    path.write_bytes(b"short")
    path.chmod(0o644)
    with pytest.raises(Invalid, match="others can read"):
        read_key(path)
    path.chmod(0o600)
    with pytest.raises(Invalid, match="less than 32"):
        read_key(path)
    path.write_bytes(KEY + b"\n")

    assert read_key(path) == KEY
    assert "/dev/urandom" in (missing.value.remedy or "")


@given(st.binary(max_size=3 * PIECE))
async def test_what_a_node_sealed_is_opened_here_and_the_other_way_round(
    plain: bytes,
) -> None:
    async def one(content: bytes) -> AsyncIterator[bytes]:
        yield content

    theirs = b"".join([some async for some in nodes.seal(one(plain), KEY)])
    ours = [some async for some in nodes.unseal(one(sealed([plain])), KEY)]

    assert opened(theirs, size=5000) == plain
    assert b"".join(ours) == plain
