"""What is said in one turn leaves in one piece, in order, and nothing is lost."""

import asyncio
from typing import Any

from nexa_node.adapters.asgi.corking import HELD_MAX, Corked


class Wire:
    """A transport that keeps what was written to it."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        self.said.append(data)

    def write_eof(self) -> None:
        self.said.append("eof")

    def close(self) -> None:
        self.closing = True
        self.said.append("close")

    def abort(self) -> None:
        self.said.append("abort")

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 5


def corked() -> tuple[Wire, Corked]:
    wire: Any = Wire()
    return wire, Corked(wire, asyncio.get_running_loop())


async def test_what_is_said_in_one_turn_leaves_in_one_piece() -> None:
    wire, transport = corked()
    transport.write(b"a")
    transport.write(b"b")
    assert wire.said == []
    assert transport.get_write_buffer_size() == 7
    await asyncio.sleep(0)
    transport.write(b"c")
    await asyncio.sleep(0)

    assert wire.said == [b"ab", b"c"]


async def test_much_is_not_held_back() -> None:
    wire, transport = corked()
    transport.write(b"x" * HELD_MAX)

    assert [len(each) for each in wire.said] == [HELD_MAX]
    await asyncio.sleep(0)
    assert len(wire.said) == 1


async def test_an_end_comes_after_what_was_said() -> None:
    wire, transport = corked()
    transport.write(b"a")
    transport.write_eof()
    transport.write(b"b")
    transport.close()
    await asyncio.sleep(0)

    assert wire.said == [b"a", "eof", b"b", "close"]


async def test_an_abort_takes_what_is_held_with_it() -> None:
    wire, transport = corked()
    transport.write(b"a")
    transport.abort()
    await asyncio.sleep(0)

    assert wire.said == ["abort"]
    assert transport.is_closing() is False
