"""Topics and inboxes as rows: what each keeps."""

from collections.abc import Sequence

from nexa_node.contract.messages import Posted, Shelf
from nexa_tui.state.detail import Heading, Line, Words
from nexa_tui.state.formats import clock
from nexa_tui.state.listing import Cell, Column, Listing, Order
from nexa_tui.state.messages import preview
from nexa_tui.state.text import clean


def _never(_: Shelf) -> bool:
    return False


def _listing(
    title: str, place: str, name: str, empty: tuple[str, ...]
) -> Listing[Shelf]:
    return Listing(
        title=title,
        columns=(
            Column("name", name, 24, lambda s, _: Cell(clean(s.name, 255), "strong"),
                   lambda s: s.name, grows=1),
            Column("messages", "messages", 10, lambda s, _: Cell(f"{s.messages:,}"),
                   lambda s: s.messages, right=True, descending=True),
        ),
        key=lambda shelf: shelf.name,
        problem=_never,
        address=lambda shelf: f"nexa://{place}/{shelf.name}",
        first=Order("messages", descending=True),
        empty=empty,
    )  # fmt: skip


TOPICS = _listing(
    "Topics", "topics", "topic",
    ("No topic keeps anything.", "nexa send topic:TOPIC TYPE --data JSON"),
)  # fmt: skip
INBOXES = _listing(
    "Inboxes", "inboxes", "agent",
    ("Nothing waits for any agent.", "nexa send AGENT TYPE --data JSON"),
)  # fmt: skip


def inbox_lines(waiting: Sequence[Posted]) -> Sequence[Line]:
    """What waits in an inbox, the oldest first: envelope, then data."""
    lines: list[Line] = []
    for one in waiting:
        head = f"{clock(one.time)}  {clean(one.sender, 60)}  {clean(one.type, 60)}"
        lines += [Heading(head), Words(preview(one) or "no data", "text")]
    return lines or [Words("Nothing waits any more.", "muted")]
