"""Changing inputs: bytes, lines, and the documents in them."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

SIZE_MAX = 20_000
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64 - 1, -(2**63), 10**30,
    0.5, -0.0, 1e308, "", " ", "*", ">", ".", "a.b", "a b", "a\nb", "a\r\nb", "\x00",
    "\x1b[31m", "\u202e", "￿", "x" * 64, "x" * 3000, "../..", "nx.>", "$KV.nx_tasks.>",
    "NaN", "2.0", "-1", [], {}, [[]], {"": None}, {"id": {}}, [None] * 130,
)  # fmt: skip
"""Values that mean something to somebody."""
WORDS: tuple[bytes, ...] = (
    b'"jsonrpc":"2.0"', b'"id":null', b'"id":1', b'"method":"session.hello"',
    b'"method":"task.complete"', b'"params":{}', b'"result":{}', b'"error":{}',
    b"NaN", b"Infinity", b"1e999", b"\\ud800", b"\xff", b"\xed\xa0\x80", b"[" * 40,
    b"{" * 40, b'{"a":' * 40, b"]", b"}", b",", b'"', b"\x00", b"\r\n", b"\n", b"+",
    b"f8:", b"f1:\\xff", b"F1:a", b"f0:", b"f9:x", b"k", b"K", b"T", b"y2:99999:",
    b"\\r\\n", b"Content-Length: 9\\r\\n", b"Transfer-Encoding: chunked\\r\\n",
)  # fmt: skip

Change = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def mutated(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """Change an input a few times.

    Args:
        rng: The only chance there is: the same one makes the same inputs.
        data: The input.
        corpus: Others, to take pieces of.
    """
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        data = rng.choice(_CHANGES)(rng, data, corpus)[:SIZE_MAX]
    return data


def _flip(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    if not data:
        return b"\n"
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _cut(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    begin = rng.randrange(len(data) + 1)
    return data[:begin] + data[begin + rng.choice((1, 2, 8, 64)) :]


def _word(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(WORDS) + data[at:]


def _repeat(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at:at] = [lines[at]] * rng.choice((1, 1, 2, 20))
    return b"\n".join(lines)


def _shuffle(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    head, *lines = data.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join([head, *lines])


def _splice(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    ours, theirs = data.split(b"\n"), rng.choice(corpus).split(b"\n")
    at, take = rng.randrange(len(ours) + 1), rng.randrange(len(theirs) + 1)
    return b"\n".join([*ours[:at], *theirs[take:], *ours[at:]])


def _settings(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    _, _, rest = data.partition(b"\n")
    return rng.choice(rng.choice(corpus).split(b"\n")) + b"\n" + rest


def _document(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """Change the document in one line, so that it stays one."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    try:
        document = msgspec.json.decode(lines[at][1:])
        changed = msgspec.json.encode(_changed(rng, document))
    except (ValueError, RecursionError, OverflowError):
        return _word(rng, data, corpus)
    lines[at] = lines[at][:1] + changed.replace(b"\n", b"\\n")
    return b"\n".join(lines)


def _changed(rng: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        what = rng.random()
        if what < 0.1:
            return {name: item for name, item in value.items() if name != key}
        if what < 0.2:
            return {**value, str(rng.choice(HOSTILE))[:100]: value[key]}
        return {**value, key: _changed(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        if rng.random() < 0.2:
            return value * rng.choice((2, 9))
        return [*value[:at], _changed(rng, value[at]), *value[at + 1 :]]
    if isinstance(value, str) and rng.random() < 0.3:
        return value + str(rng.choice(HOSTILE))[:100]
    return rng.choice(HOSTILE)


_CHANGES: tuple[Change, ...] = (
    _flip, _cut, _word, _repeat, _shuffle, _splice, _settings,
    _document, _document, _document, _document,
)  # fmt: skip
