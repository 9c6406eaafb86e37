"""The two encodings of the agent protocol: JSON text and msgpack, one schema.

Decides what may be read at all: well-formed, 32 levels deep at most, 10,000 values at
most, no key twice in an object, no number JSON cannot hold. What passes here may be
stored as JSON and given to any other agent. Nothing but `Malformed` escapes `open`.
"""

import math
import re
from dataclasses import dataclass
from typing import Any, Protocol, cast

import msgspec

from nexa_node.contract.frames import Envelope

DEPTH_LIMIT = 32
VALUES_LIMIT = 10_000

_INTEGER_BITS = 64
_NUMBER_GROWTH = 14
"""Bytes that a number may be longer when it is written again: `1e15` has 18 then."""
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL
)
"""An escape in a JSON text; a group if it is half of a surrogate pair."""
_STRING_OR_BRACE = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"(\s*+:)?|[{}]')
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, or what begins like one and has no end: never looked at twice."""
_HALF_A_PAIR = (
    "half of a surrogate pair: \\ud800 to \\udfff come by twos, a high one and a low one; "
    "bytes that are no text go as base64"
)


class Malformed(Exception):
    """The bytes are not a document; the message says why."""


class NotEncodable(Exception):
    """A value of ours that this encoding cannot hold."""


class Codec(Protocol):
    """One encoding."""

    @property
    def text(self) -> bool:
        """Whether its frames are text frames."""
        ...

    def open(self, data: bytes) -> None:
        """Check that `data` is one safe document.

        Raises:
            Malformed: It is none, or one made to hurt.
        """
        ...

    def kept(self, size: int) -> int:
        """The most bytes of JSON that may become of a document of `size` bytes."""
        ...

    def is_batch(self, data: bytes) -> bool:
        """Say whether the document is an array."""
        ...

    def split(self, data: bytes) -> list[msgspec.Raw]:
        """Take an array apart, its elements left raw."""
        ...

    def envelope(self, data: bytes | msgspec.Raw) -> Envelope:
        """Read one frame, its body left raw.

        Raises:
            msgspec.ValidationError: It is not a JSON-RPC frame; the path is told.
        """
        ...

    def read(self, data: bytes | msgspec.Raw, kind: Any) -> Any:
        """Read `data` as a `kind`.

        Raises:
            msgspec.ValidationError: It is something else; the path is told.
        """
        ...

    def write(self, value: Any) -> bytes:
        """Encode.

        Raises:
            NotEncodable: It holds something this encoding cannot.
        """
        ...

    def join(self, frames: list[bytes]) -> bytes:
        """Make one array of encoded frames."""
        ...


@dataclass(frozen=True, slots=True)
class JsonCodec:
    """`nexa.v1.json`."""

    text: bool = True

    def open(self, data: bytes) -> None:
        """Check; documents that re-encode to themselves are proven in one step."""
        _refuse_many(data)
        try:
            value = _decoded(_JSON_ANY.decode, data)
        except Malformed:
            if any(found[1] for found in _ESCAPE.finditer(data)):
                raise Malformed(_HALF_A_PAIR) from None
            raise
        if _may_be_large(data):
            _check_size(value)
        if not _same_again(value, data):
            _check_keys(data)

    def kept(self, size: int) -> int:
        """Only numbers grow, `1e15,` most; all else is as long, or shorter."""
        return size + min(3 * size, _NUMBER_GROWTH * VALUES_LIMIT)

    def is_batch(self, data: bytes) -> bool:
        """See the first character."""
        return data.lstrip()[:1] == b"["

    def split(self, data: bytes) -> list[msgspec.Raw]:
        """Take an array apart."""
        return msgspec.json.decode(data, type=list[msgspec.Raw])

    def envelope(self, data: bytes | msgspec.Raw) -> Envelope:
        """Read one frame."""
        return _JSON_ENVELOPE.decode(data)

    def read(self, data: bytes | msgspec.Raw, kind: Any) -> Any:
        """Read a body; an absent one is an empty object."""
        decoder = _JSON_DECODERS.get(kind)
        if decoder is None:
            decoder = _JSON_DECODERS[kind] = msgspec.json.Decoder(kind)
        return decoder.decode(data if _is_there(data) else b"{}")

    def write(self, value: Any) -> bytes:
        """Encode."""
        try:
            return _JSON.encode(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise NotEncodable(str(error)) from error

    def join(self, frames: list[bytes]) -> bytes:
        """Make one array."""
        return b"[" + b",".join(frames) + b"]"


@dataclass(frozen=True, slots=True)
class MsgpackCodec:
    """`nexa.v1.msgpack`. Bytes are allowed; where JSON is kept they become base64."""

    text: bool = False

    def open(self, data: bytes) -> None:
        """Check; a map whose keys were fewer when read has one of them twice."""
        value = _decoded(_MSGPACK_ANY.decode, data)
        _check_size(value)
        if _again(_MSGPACK, value) == data:
            return
        if _pairs_in(data) != _keys_of(value):
            raise Malformed("an object has the same key twice")

    def kept(self, size: int) -> int:
        r"""A control character, one byte, is `\u0001`; nothing grows more than that."""
        return 6 * size

    def is_batch(self, data: bytes) -> bool:
        """See the first byte: one of the three kinds of array."""
        first = data[0] if data else 0
        return first & 0xF0 == 0x90 or first in (0xDC, 0xDD)

    def split(self, data: bytes) -> list[msgspec.Raw]:
        """Take an array apart."""
        return msgspec.msgpack.decode(data, type=list[msgspec.Raw])

    def envelope(self, data: bytes | msgspec.Raw) -> Envelope:
        """Read one frame."""
        return _MSGPACK_ENVELOPE.decode(data)

    def read(self, data: bytes | msgspec.Raw, kind: Any) -> Any:
        """Read a body; an absent one is an empty map."""
        decoder = _MSGPACK_DECODERS.get(kind)
        if decoder is None:
            decoder = _MSGPACK_DECODERS[kind] = msgspec.msgpack.Decoder(kind)
        return decoder.decode(data if _is_there(data) else b"\x80")

    def write(self, value: Any) -> bytes:
        """Encode; an integer too large for msgpack becomes a float."""
        try:
            return _MSGPACK.encode(value)
        except OverflowError:
            return _MSGPACK.encode(_narrowed(msgspec.to_builtins(value)))
        except (TypeError, ValueError, RecursionError) as error:
            raise NotEncodable(str(error)) from error

    def join(self, frames: list[bytes]) -> bytes:
        """Make one array."""
        return b"\xdc" + len(frames).to_bytes(2, "big") + b"".join(frames)


def _is_there(data: bytes | msgspec.Raw) -> bool:
    return bool(bytes(memoryview(data)[:1]))


def _decoded(decode: Any, data: bytes) -> object:
    try:
        return decode(data)
    except RecursionError:
        raise Malformed(f"nested deeper than {DEPTH_LIMIT} levels") from None
    except (ValueError, OverflowError, MemoryError) as error:
        raise Malformed(str(error)) from None


def _same_again(value: object, data: bytes) -> bool:
    """Say whether `data`, but for spaces behind `,` and `:`, is what `value` encodes to.

    What was read back has each key once, so equal bytes prove that `data` had, too.
    """
    again = _again(_JSON, value)
    return again in (data, data.replace(b": ", b":").replace(b", ", b","))


def _again(
    encoder: "msgspec.json.Encoder | msgspec.msgpack.Encoder", value: object
) -> bytes | None:
    try:
        return encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def _refuse_many(data: bytes) -> None:
    """Refuse by its commas what would take many times its size in memory once read."""
    if data.count(b",") < VALUES_LIMIT:
        return
    if _STRING.sub(b"", data).count(b",") >= VALUES_LIMIT:
        raise Malformed(f"more than {VALUES_LIMIT:,} values")


def _may_be_large(data: bytes) -> bool:
    openings = data.count(b"[") + data.count(b"{")
    return openings > DEPTH_LIMIT or openings + data.count(b",") >= VALUES_LIMIT


def _check_size(value: object) -> None:
    """Walk the document, a level at a time."""
    level: list[object] = [value]
    values = depth = 0
    while level:
        values += len(level)
        if values > VALUES_LIMIT:
            raise Malformed(f"more than {VALUES_LIMIT:,} values")
        containers = 0
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                containers += 1
                entries = cast("dict[object, object]", item)
                _check_names(entries)
                below.extend(entries.values())
            elif isinstance(item, list):
                containers += 1
                below.extend(cast("list[object]", item))
            else:
                _check_scalar(item)
        depth += 1
        if containers and depth > DEPTH_LIMIT:
            raise Malformed(f"nested deeper than {DEPTH_LIMIT} levels")
        level = below


def _check_names(entries: dict[object, object]) -> None:
    if not all(isinstance(name, str) for name in entries):
        raise Malformed("the keys of an object are strings")


def _check_scalar(item: object) -> None:
    if isinstance(item, float) and not math.isfinite(item):
        raise Malformed("a number is NaN or infinite")
    if isinstance(item, msgspec.msgpack.Ext):
        raise Malformed(f"extension type {item.code} means nothing here")


def _check_keys(data: bytes) -> None:
    """Look at each object's keys as they are written."""
    seen: list[set[bytes | str]] = []
    for found in _STRING_OR_BRACE.finditer(data):
        if found.lastindex == 2:
            key = _key(found[1])
            if key in seen[-1]:
                raise Malformed("an object has the same key twice")
            seen[-1].add(key)
        elif found[0] == b"{":
            seen.append(set())
        elif found[0] == b"}":
            seen.pop()


def _key(written: bytes) -> bytes | str:
    if b"\\" not in written:
        return written
    return msgspec.json.decode(b'"' + written + b'"', type=str).encode()


def _keys_of(value: object) -> int:
    keys = 0
    left: list[object] = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            entries = cast("dict[str, object]", item)
            keys += len(entries)
            left.extend(entries.values())
        elif isinstance(item, list):
            left.extend(cast("list[object]", item))
    return keys


_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4,
          0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5,
          0xD7: 9, 0xD8: 17}  # fmt: skip
"""Bytes that follow a msgpack tag, where they are always as many."""
_COUNTED = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1),
            0xC9: (4, 1), 0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)}  # fmt: skip
"""Bytes of the length that follows a tag, and what is added to it."""


def _pairs_in(data: bytes) -> int:
    """Count the pairs of all maps in a well-formed msgpack document."""
    pairs = at = 0
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 0xF0 == 0x80:
            pairs += tag & 0x0F
        elif tag in (0xDE, 0xDF):
            size = 2 if tag == 0xDE else 4
            pairs += int.from_bytes(data[at : at + size], "big")
            at += size
        else:
            at += _skip(data, tag, at)
    return pairs


def _skip(data: bytes, tag: int, at: int) -> int:
    """Bytes from behind a tag that is no map's to the next tag."""
    if tag & 0xE0 == 0xA0:
        return tag & 0x1F
    if tag in (0xDC, 0xDD):
        return 2 if tag == 0xDC else 4
    if tag in _COUNTED:
        size, more = _COUNTED[tag]
        return size + more + int.from_bytes(data[at : at + size], "big")
    return _FIXED.get(tag, 0)


def _narrowed(value: object) -> object:
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value)
        return {name: _narrowed(item) for name, item in entries.items()}
    if isinstance(value, (list, tuple)):
        return [_narrowed(item) for item in cast("list[object]", value)]
    if isinstance(value, int) and value.bit_length() >= _INTEGER_BITS:
        return _float_of(value)
    return value


def _float_of(value: int) -> float | str:
    try:
        return float(value)
    except OverflowError:
        return str(value)


_JSON = msgspec.json.Encoder()
_JSON_ANY = msgspec.json.Decoder()
_JSON_ENVELOPE = msgspec.json.Decoder(Envelope)
_JSON_DECODERS: dict[Any, "msgspec.json.Decoder[Any]"] = {}
_MSGPACK = msgspec.msgpack.Encoder()
_MSGPACK_ANY = msgspec.msgpack.Decoder()
_MSGPACK_ENVELOPE = msgspec.msgpack.Decoder(Envelope)
_MSGPACK_DECODERS: dict[Any, "msgspec.msgpack.Decoder[Any]"] = {}

JSON = JsonCodec()
MSGPACK = MsgpackCodec()
