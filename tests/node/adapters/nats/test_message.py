"""NATS' wire format: however the bytes are cut, the same messages come out."""

import itertools

import pytest
from hypothesis import given, strategies as st

from nexa_node.adapters.nats.message import (
    LINE_LIMIT,
    Line,
    Malformed,
    Msg,
    Reader,
    header_block,
    publish,
)

STREAM = (
    b'INFO {"a": 1}\r\n'
    b"MSG a.b 1 5\r\nhello\r\n"
    b"PING\r\n"
    b"MSG a.b 1 reply.to 0\r\n\r\n"
    b"HMSG a.b 1 23 28\r\nNATS/1.0\r\nA: b\r\nC:d\r\n\r\nMSG a\r\n"
    b"HMSG a.b 1 r 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"
    b"MSG a.b 2 3\r\nxyz\r\n"
    b"-ERR 'no'\r\n"
    b"HMSG a.b 1 28 28\r\nNATS/1.0 404 No Messages\r\n\r\n\r\n"
    b"+OK\r\n"
)
LINES = [Line(b"INFO", b'{"a": 1}'), Line(b"PING", b""), Line(b"-ERR", b"'no'")]
MESSAGES = [
    ("a.b", "", b"hello", None, None),
    ("a.b", "reply.to", b"", None, None),
    ("a.b", "", b"MSG a", {"A": "b", "C": "d"}, None),
    ("a.b", "r", b"", {"Status": "503"}, "503"),
    ("a.b", "", b"", {"Status": "404", "Description": "No Messages"}, "404"),
]


def told(message: Msg) -> tuple[object, ...]:
    return (
        message.subject,
        message.reply,
        message.data,
        message.headers,
        message.status,
    )


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_cut_of_the_bytes_gives_the_same_messages(cuts: list[int]) -> None:
    reader, heard, lines = Reader(), list[Msg](), list[Line]()
    reader.handlers[b"1"] = heard.append
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, end in itertools.pairwise(edges):
        lines += reader.feed(STREAM[start:end])

    assert [told(message) for message in heard] == MESSAGES
    assert lines == [*LINES, Line(b"+OK", b"")]


def test_a_large_message_comes_in_many_pieces() -> None:
    reader, heard = Reader(), list[Msg]()
    reader.handlers[b"7"] = heard.append
    payload = b"x" * 3_000_000
    sent = b"MSG a 7 3000000\r\n" + payload + b"\r\nPONG\r\n"
    lines = [
        line
        for at in range(0, len(sent), 65_536)
        for line in reader.feed(sent[at : at + 65_536])
    ]

    assert heard[0].data == payload
    assert lines == [Line(b"PONG", b"")]


@pytest.mark.parametrize(
    "data",
    [
        b"MSG a\r\n",
        b"MSG a 1 x\r\n",
        b"HMSG a 1\r\n",
        b"HMSG a 1 x 5\r\n",
        b"MSG \xff 1 0\r\n\r\n",
        b"x" * (LINE_LIMIT + 1),
    ],
)
def test_what_is_no_nats_is_refused(data: bytes) -> None:
    reader = Reader()
    with pytest.raises(Malformed):
        list(reader.feed(data))


def test_commands_are_written_as_nats_reads_them() -> None:
    block = header_block({"A": "1", "B": "two\r\nX: 3"})

    assert block == b"A: 1\r\nB: two  X: 3\r\n"
    assert publish("a", b"xy") == b"PUB a 2\r\nxy\r\n"
    assert publish("a", b"xy", "r") == b"PUB a r 2\r\nxy\r\n"
    assert (
        publish("a", b"xy", "r", b"A: 1\r\n")
        == b"HPUB a r 18 20\r\nNATS/1.0\r\nA: 1\r\n\r\nxy\r\n"
    )


@pytest.mark.parametrize(
    ("subject", "reply"),
    [
        ("", ""),
        ("a b", ""),
        ("a\r\nPUB b 0", ""),
        ("a\tb", ""),
        ("a", "b c"),
        ("", "b"),
    ],
)
def test_subjects_that_would_be_read_as_something_else(
    subject: str, reply: str
) -> None:
    with pytest.raises(ValueError, match="is no subject"):
        publish(subject, b"", reply)


def test_a_message_shows_itself_without_its_payload() -> None:
    assert repr(Msg("a", "r", b"secret")) == "Msg('a', reply='r', 6 bytes)"
