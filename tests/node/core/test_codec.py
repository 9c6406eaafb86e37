import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from nexa_node.core.codec import JSON, MSGPACK, Codec, Malformed, NotEncodable

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
BOTH = pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["json", "msgpack"])


@BOTH
@given(document=DOCUMENTS)
def test_what_is_written_may_be_read_and_is_the_same(
    codec: Codec, document: Any
) -> None:
    data = codec.write(document)
    codec.open(data)

    assert codec.read(data, Any) == document


@BOTH
@given(data=st.binary(max_size=200))
def test_garbage_is_malformed_and_nothing_else(codec: Codec, data: bytes) -> None:
    try:
        codec.open(data)
    except Malformed:
        return
    codec.read(data, Any)


@given(document=DOCUMENTS)
def test_spaces_make_no_difference(document: Any) -> None:
    JSON.open(msgspec.json.format(msgspec.json.encode(document), indent=2))


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":2}',
        b'{"a": 1, "b": {"c": 1, "c": 1}}',
        b'{"a":1,"\\u0061":2}',
        b'[{"x y": 1, "x y": 2}]',
    ],
)
def test_a_key_twice_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match="twice"):
        JSON.open(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": {"a": {"a": 1}}, "b": "\\"a\\": {"}',
        b'{"a\\\\":1,"a":2}',
        '{"ключ": "é", "a": "\\u00e9"}'.encode(),
        b'[{"a": 1}, {"a": 1}]',
    ],
)
def test_the_same_key_elsewhere_is_not(data: bytes) -> None:
    JSON.open(data)


def test_a_key_twice_in_msgpack_is_malformed() -> None:
    with pytest.raises(Malformed, match="twice"):
        MSGPACK.open(b"\x82\xa1a\x01\xa1a\x02")


LONG = {
    "map16": {str(n): n for n in range(20)},
    "map32": {str(n): n for n in range(70)},
    "str8": "x" * 40,
    "str16": "x" * 300,
    "bin": [b"x" * 3, b"x" * 300],
    "list": list(range(20)),
    "ints": [-(2**n) for n in range(60)] + [2**n for n in range(60)],
    "float": 1.5,
    "null": [None, True, False],
    "time": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
}


def test_msgpack_of_other_writers_is_walked_to_its_end() -> None:
    """An integer wider than it need be, so that it does not re-encode to itself."""
    whole = msgspec.msgpack.encode(LONG)
    wide = b"\xde\x00" + bytes([len(LONG) + 1]) + whole[1:] + b"\xa1z\xcf" + b"\0" * 8
    MSGPACK.open(wide)

    twice = b"\xde\x00" + bytes([len(LONG) + 2]) + whole[1:] + 2 * (b"\xa1z\xd1\0\1")
    with pytest.raises(Malformed, match="twice"):
        MSGPACK.open(twice)


@pytest.mark.parametrize("depth", [33, 1000, 100_000, 500_000])
@pytest.mark.parametrize("kind", ["[", '{"a":', "[{"])
def test_depth_bombs_are_malformed(kind: str, depth: int) -> None:
    closing = {"[": "]", '{"a":': "1}", "[{": "}]"}[kind]
    with pytest.raises(Malformed):
        JSON.open((kind * depth + closing * depth).encode())


@pytest.mark.parametrize("depth", [33, 1000, 100_000])
@pytest.mark.parametrize("kind", [b"\x91", b"\x81\xa1a"])
def test_depth_bombs_in_msgpack_are_malformed(kind: bytes, depth: int) -> None:
    with pytest.raises(Malformed, match="nested"):
        MSGPACK.open(kind * depth + b"\x90")


def test_32_levels_are_allowed() -> None:
    JSON.open(b"[" * 32 + b"]" * 32)
    MSGPACK.open(b"\x91" * 31 + b"\x90")


@BOTH
def test_too_many_values_are_malformed(codec: Codec) -> None:
    codec.open(codec.write(list(range(9_999))))

    with pytest.raises(Malformed, match="values"):
        codec.open(codec.write(list(range(10_000))))


@pytest.mark.parametrize(
    "data",
    [
        b"NaN",
        b"Infinity",
        b"1e999",
        b'{"a":"\xff"}',
        b'"\\ud800"',
        b"",
        b"{",
        b"9" * 5000,
    ],
)
def test_what_json_cannot_hold_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        JSON.open(data)


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), {1: 2}, msgspec.msgpack.Ext(5, b"x"), [float("nan")]],
)
def test_what_json_cannot_hold_is_malformed_in_msgpack(value: Any) -> None:
    with pytest.raises(Malformed):
        MSGPACK.open(msgspec.msgpack.encode(value))


def test_msgpack_tells_large_integers_as_nearly_as_it_can() -> None:
    written = MSGPACK.write({"a": [10**30], "b": 10**400, "c": 5})

    assert msgspec.msgpack.decode(written) == {"a": [1e30], "b": str(10**400), "c": 5}


@BOTH
def test_what_cannot_be_written_is_told(codec: Codec) -> None:
    with pytest.raises(NotEncodable):
        codec.write({"a": object()})


@BOTH
def test_joined_frames_are_one_batch(codec: Codec) -> None:
    batch = codec.join([codec.write({"a": n}) for n in range(128)])

    assert codec.is_batch(batch)
    assert not codec.is_batch(codec.write({"a": []}))
    assert codec.read(batch, Any) == [{"a": n} for n in range(128)]
    assert len(codec.split(batch)) == 128
