"""Messages of topics as rows, and one in full: what others wrote, read safely."""

from collections import deque
from collections.abc import Sequence

import msgspec

from nexa_node.contract.messages import Posted
from nexa_node.contract.tasks import Json
from nexa_tui.state.detail import Field, Heading, Line, Words, moment
from nexa_tui.state.formats import TIMES, age, clock, size
from nexa_tui.state.listing import (
    Cell,
    Column,
    Listing,
    Look,
    Order,
    how_old,
    since,
    stamp,
)
from nexa_tui.state.text import clean, clean_lines

MESSAGES_MAX = 5000
BYTES_MAX = 16 * 1024**2
"""Of data that is kept to be looked at; the oldest goes first."""
PREVIEW = 300
LINES_MAX = 400


class Tail:
    """The newest messages that were seen, bounded in number and in bytes."""

    def __init__(
        self, *, most: int = MESSAGES_MAX, most_bytes: int = BYTES_MAX
    ) -> None:
        """Keep nothing yet."""
        self._kept: deque[tuple[Posted, int]] = deque()
        self._bytes = 0
        self._most, self._most_bytes = most, most_bytes
        self.seen = 0
        """How many ever came."""

    def take(self, messages: Sequence[Posted]) -> None:
        """Keep more; the oldest go."""
        for one in messages:
            weight = len(encoded(one.data))
            self._kept.append((one, weight))
            self._bytes += weight
            self.seen += 1
            while len(self._kept) > self._most or (
                self._bytes > self._most_bytes and len(self._kept) > 1
            ):
                self._bytes -= self._kept.popleft()[1]

    def all(self) -> list[Posted]:
        """What is kept, the oldest first."""
        return [one for one, _ in self._kept]


def encoded(data: Json) -> bytes:
    """Data as JSON; of a text the text itself."""
    return data.encode() if isinstance(data, str) else msgspec.json.encode(data)


def preview(message: Posted) -> str:
    """The beginning of the data, in one line."""
    return (
        ""
        if message.data is None
        else clean(_text(message.data).replace("\n", " "), PREVIEW)
    )


def _text(data: Json) -> str:
    return (
        data
        if isinstance(data, str)
        else encoded(data)[: 4 * PREVIEW].decode(errors="replace")
    )


MESSAGES: Listing[Posted] = Listing(
    title="Messages",
    columns=(
        Column("time", "time", 9, lambda m, _: Cell(clock(m.time), "muted"),
               lambda m: (stamp(m.time), m.seq), descending=True),
        Column("topic", "topic", 16, lambda m, _: Cell(clean(m.topic, 120), "strong"),
               lambda m: m.topic, grows=2),
        Column("from", "from", 12, lambda m, _: Cell(clean(m.sender, 60)),
               lambda m: m.sender, grows=1, rank=2),
        Column("type", "type", 12, lambda m, _: Cell(clean(m.type, 60), "accent"),
               lambda m: m.type, grows=1, rank=2),
        Column("data", "data", 38, lambda m, _: Cell(preview(m)),
               preview, grows=5),
        Column("size", "size", 9,
               lambda m, _: Cell(size(len(encoded(m.data))).strip(), "muted"),
               lambda m: len(encoded(m.data)), right=True, rank=4, descending=True),
        Column("ago", "ago", 7,
               lambda m, look: Cell(age(since(m.time, look.now)), "muted"),
               lambda m: how_old(m.time), right=True, rank=3),
        Column("seq", "position", 9, lambda m, _: Cell(str(m.seq), "muted"),
               lambda m: m.seq, right=True, rank=5, descending=True),
    ),
    key=lambda message: str(message.seq),
    problem=lambda _: False,
    address=lambda message: f"nexa://messages/{message.seq}",
    first=Order("time", descending=True),
    empty=("Nothing was sent to these topics yet.", "nexa send topic:TOPIC TYPE --data JSON"),
    note=TIMES,
)  # fmt: skip
"""The tail: the newest first."""


def message_lines(message: Posted, look: Look) -> Sequence[Line]:
    """One message: what stands on the envelope, then what is in it."""
    lines: list[Line] = [
        Field("topic", clean(message.topic, 255), "strong"),
        Field("type", clean(message.type, 255), "accent"),
        Field("from", clean(message.sender, 255)),
        Field("time", moment(message.time, look)),
        Field("id", clean(message.id, 100), "muted"),
        Field("position", str(message.seq), "muted"),
    ]
    if message.reply_to:
        lines.append(Field("reply to", clean(message.reply_to, 255)))
    if message.data is None:
        lines.append(Field("data", "none", "muted"))
        return lines
    weight = size(len(encoded(message.data))).strip()
    kind = "text" if isinstance(message.data, str) else "JSON"
    lines.append(Heading(f"data: {kind}, {weight}"))
    lines += [
        Words(line) for line in clean_lines(written(message.data), 2000, LINES_MAX)
    ]
    return lines


def written(data: Json) -> str:
    """Data to be read by a person: JSON indented, also where it is text."""
    if isinstance(data, str):
        try:
            content = msgspec.json.encode(msgspec.json.decode(data))
        except msgspec.DecodeError:
            return data
    else:
        content = msgspec.json.encode(data)
    return msgspec.json.format(content, indent=2).decode()
