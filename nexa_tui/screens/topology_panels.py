"""The panels of the topology view beside its list of nodes."""

from collections.abc import Sequence
from textwrap import wrap

from nexa_node.contract.agents import Agent
from nexa_tui.screens.rows import Rows, table_columns
from nexa_tui.screens.said import Said
from nexa_tui.state.formats import TIMES, clock, duration
from nexa_tui.state.listing import Look
from nexa_tui.state.severity import mark
from nexa_tui.state.store import ClusterState
from nexa_tui.state.text import clean
from nexa_tui.state.topology import Topology, troubled
from nexa_tui.state.topology_list import STREAMS
from nexa_tui.state.topology_loss import (
    Sentence,
    growing,
    loss,
    loss_sentences,
)
from nexa_tui.state.topology_told import findings, standing_line
from nexa_tui.widgets.ink import terminal_of
from nexa_tui.widgets.lines import Piece
from nexa_tui.widgets.loglines import LogLine, LogLines
from nexa_tui.widgets.panel import Panel
from nexa_tui.widgets.table import Table
from nexa_tui.widgets.topology_square import SquareView

_MIN = 20
_EVENTS = 100
_ABOUT = (
    "node.", "nodes.", "cluster.", "controller.", "join.", "store.", "stream.",
    "backup.", "restore.",
)  # fmt: skip
"""Kinds of events that are about what the cluster is made of."""
_BAD = frozenset(("warn", "crit"))


class StandingPanel(Panel):
    """Votes, margin, offices; then what is wrong. As tall as it has to be."""

    def __init__(self) -> None:
        """Start without a verdict."""
        self._said = Said(id="standing-lines")
        super().__init__(self._said, title="cluster", id="topology-standing")

    def show(self, view: Topology, *, width: int, lines: int) -> int:
        """Show how it stands; answers how many lines it took, of at most `lines`."""
        ascii_only = terminal_of(self).ascii_only
        wrong = findings(view)
        first = _folded_pieces(standing_line(view, ascii_only=ascii_only), width)
        first = first[: max(1, lines - bool(wrong))]
        rest: list[tuple[Piece, ...]] = []
        for one in wrong:
            parts = wrap(one.text, max(_MIN, width - 4)) or [""]
            sign = {"crit": "x" if ascii_only else "✗", "warn": "!"}.get(one.style, " ")
            rest += [
                (
                    (f" {sign if n == 0 else ' '} ", one.style),
                    (part, "muted" if one.style == "muted" else "text"),
                )
                for n, part in enumerate(parts)
            ]
        room = max(1, lines - len(first))
        if len(rest) > room:
            more = f"   and more: {len(wrong)} things in all; ! shows their nodes"
            rest = [*rest[: max(0, room - 1)], ((more, "muted"),)]
        told = [*first, *rest]
        self._said.styles.height = len(told)
        self._said.say(told)
        worst = wrong[0].style if wrong else "border"
        self.say(
            title=clean(view.cluster.name, 40),
            edge=worst if worst in _BAD else "border",
            count=_members(view),
        )
        return len(told)


class SquarePanel(Panel):
    """Who hears whom."""

    def __init__(self) -> None:
        """Start empty."""
        self.square = SquareView(id="square")
        super().__init__(self.square, title="Who hears whom", id="topology-square")

    def show(self, view: Topology, about: str) -> None:
        """Show it, and the line of `about`."""
        self.square.show(view, about)
        usual = view.usual_ms
        info: list[Piece] = []
        if usual is not None:
            info.append((f"usual {duration(usual).strip()}", "muted"))
        hidden = self.square.hidden
        note: list[Piece] = [(f"{hidden} not shown", "warn")] if hidden else []
        self.say(info=info, note=[*note, ("row hears column", "muted")])


class LossPanel(Panel):
    """What it would do that the node under the cursor stops; with few nodes, what helps."""

    def __init__(self) -> None:
        """Start empty."""
        self._said = Said(id="loss-lines")
        super().__init__(self._said, title="Loss", id="topology-loss")

    def show(
        self, view: Topology, agents: Sequence[Agent], name: str, *, width: int
    ) -> int:
        """Show it; answers how many lines it takes."""
        told = loss(view, agents, name)
        if told is None:
            self._said.say(())
            return 0
        shown = clean(told.node, 30)
        lines = _folded(loss_sentences(told), width)
        lesson = [] if view.attached else growing(view.members)
        if lesson:
            lines += [(), *_folded(lesson, width)]
        self._said.styles.height = max(1, len(lines))
        self._said.say(lines)
        edge = "crit" if told.breaks else "border"
        title = f"{shown} is down" if told.down else f"If {shown} stops"
        self.say(title=title, edge=edge)
        return len(lines)


class StreamsPanel(Panel):
    """Where each stream is kept: what is wrong first, then by name."""

    def __init__(self) -> None:
        """Start empty."""
        text, hint = STREAMS.empty
        self.table = Table(
            table_columns(STREAMS), empty=text, hint=hint, id="topology-streams-table"
        )
        super().__init__(self.table, title="Streams", id="topology-streams")

    def show(self, view: Topology, look: Look) -> None:
        """Show them."""
        wrong = troubled(view.cluster.streams)
        rest = [one for one in view.cluster.streams if one not in wrong]
        ordered = [*wrong, *sorted(rest, key=lambda one: one.name)]
        self.table.update_rows(Rows(STREAMS, ordered, look))
        if not self.table.has_focus:
            self.table.move_to(0, tell=False)
        note: list[Piece] = []
        if wrong:
            note.append((f"{len(wrong)} not in step", "warn"))
        self.say(count=str(len(ordered)), note=note)


class HappenedPanel(Panel):
    """What happened to nodes, streams and the cluster; where there is room for it."""

    def __init__(self) -> None:
        """Start empty."""
        self._lines = LogLines(
            id="topology-events", empty="Nothing happened to it yet."
        )
        self._lines.can_focus = False
        super().__init__(self._lines, title="What happened", id="topology-happened")

    def show(self, state: ClusterState, look: Look) -> None:
        """Show the newest, the newest last."""
        about = [one for one in state.events if one.kind.startswith(_ABOUT)]
        lines: list[LogLine] = []
        for event in about[-_EVENTS:]:
            shown = mark("event", clean(event.severity, 20), ascii_only=look.ascii_only)
            lines.append(
                LogLine(
                    event.id,
                    clock(event.time),
                    shown.glyph,
                    shown.style,
                    clean(event.kind, 18),
                    clean(event.message, 300),
                )
            )
        self._lines.update_lines(lines)
        self.say(count=str(len(about)), note=((TIMES, "muted"),))


def _members(view: Topology) -> str:
    number = len(view.parts)
    return "1 node" if number == 1 else f"{number} nodes"


def _folded(told: Sequence[Sentence], width: int) -> list[tuple[Piece, ...]]:
    """Sentences between words; what is indented stays so."""
    lines: list[tuple[Piece, ...]] = []
    for one in told:
        lead = len(one.text) - len(one.text.lstrip())
        parts = wrap(
            one.text,
            max(_MIN, width),
            initial_indent=" " * lead,
            subsequent_indent=" " * (lead + 2),
            drop_whitespace=True,
            replace_whitespace=False,
            break_on_hyphens=False,
        )
        lines += [((f" {part}", one.style),) for part in parts or [""]]
    return lines


def _folded_pieces(pieces: Sequence[Piece], width: int) -> list[tuple[Piece, ...]]:
    """Pieces as lines of at most `width` cells, broken where three blanks begin one."""
    lines: list[list[Piece]] = [[]]
    used = 1
    for group in _groups(pieces):
        length = sum(len(text) for text, _ in group)
        if lines[-1] and used + length > width:
            lines.append([])
            used = 1
        lines[-1] += group
        used += length
    return [((" ", "text"), *line) for line in lines]


def _groups(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Pieces that belong together: a new group begins with three blanks."""
    groups: list[list[Piece]] = []
    for text, style in pieces:
        if text.startswith("   ") or not groups:
            groups.append([])
        groups[-1].append((text, style))
    return groups
