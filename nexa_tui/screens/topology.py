"""Nodes and topology: how the cluster holds together, and what a loss would do.

A list of nodes with everything a list has; around it the votes and what is wrong, who
hears whom, what it would do that the node under the cursor stops, and where the streams
are kept. On a small terminal one panel at a time, and Tab goes on.
"""

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from nexa_tui.screens.keys import bindings
from nexa_tui.screens.lists import ListView
from nexa_tui.screens.session import Session
from nexa_tui.screens.topology_layout import heights
from nexa_tui.screens.topology_panels import (
    HappenedPanel,
    LossPanel,
    SquarePanel,
    StandingPanel,
    StreamsPanel,
)
from nexa_tui.state.listing import Look
from nexa_tui.state.store import ClusterState
from nexa_tui.state.topology import Part, Topology, topology
from nexa_tui.state.topology_list import CONTROLLER, PARTS
from nexa_tui.widgets.ink import terminal_of
from nexa_tui.widgets.lines import LineView, Piece
from nexa_tui.widgets.panel import Panel

_STANDING = {"-low": 3, "-high": 5, "-tall": 8}
"""Lines of the standing, by the height of the screen."""
_SIDE_BY_SIDE = 160
"""Cells from which on there are two columns of panels."""
_FRAMED = 4
"""Cells that a frame with its gutter takes of a line."""


class TopologyView(ListView[Part]):
    """The second view."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("nodes")

    def __init__(self, session: Session) -> None:
        """Show what `session` knows."""
        super().__init__(PARTS, self._parts, place="nodes", number=2, session=session)
        self._topology: Topology | None = None
        self._read_from: object = None
        self._told: tuple[object, ...] = ()
        self._standing = StandingPanel()
        self._square, self._loss = SquarePanel(), LossPanel()
        self._streams = StreamsPanel()
        self._happened = HappenedPanel()
        self._pair = Container(
            self._square, self._loss, self._happened, id="topology-pair"
        )
        self._body = Container(
            self._panel, self._pair, self._streams, id="topology-body"
        )
        self._current: Panel = self._panel
        self._make_current(self._panel)

    def compose(self) -> ComposeResult:
        """Standing on top; nodes, what stands side by side, streams."""
        yield self._standing
        yield self._body

    def show(self) -> None:
        """Show what is known now; costs nothing when nothing changed."""
        super().show()
        state = self._session.shown
        view = self._read(state)
        if view is None:
            return
        at = state.node_time(self._session.shown_at)
        look = Look(
            None if at is None else at.replace(microsecond=0),
            ascii_only=terminal_of(self).ascii_only,
        )
        told = (state.version, self.table.cursor_key, self.size, look.ascii_only)
        if told == self._told:
            return
        self._told = told
        self._show_around(view, state, look)

    def climb(self) -> bool:
        """Leave the maximised panel, then what a list has. False at the top."""
        if self.has_class("-maximised"):
            self.action_maximise()
            return True
        return super().climb()

    def focus_content(self) -> None:
        """Put the focus on the panel it was on last."""
        self._focus_in(self._current)

    def action_next_panel(self) -> None:
        """Focus the next panel."""
        self._turn(1)

    def action_previous_panel(self) -> None:
        """Focus the panel before."""
        self._turn(-1)

    def action_maximise(self) -> None:
        """Show the panel in focus alone, or all of them again."""
        self.toggle_class("-maximised")
        self._told = ()
        self.call_after_refresh(self.show)

    @on(LineView.Highlighted, "#table-nodes")
    def _looked_at(self, message: LineView.Highlighted) -> None:
        message.stop()
        self.show()

    @on(LineView.Selected, "#square")
    def _chosen_in_square(self, message: LineView.Selected) -> None:
        message.stop().prevent_default()
        view = self._topology
        part = view.part(message.key) if view else None
        if part is not None:
            self.post_message(self.Opened("nodes", part.node.id))

    @on(LineView.Selected, "#topology-streams-table")
    def _chosen_in_streams(self, message: LineView.Selected) -> None:
        """A stream has no page of its own: its leader has."""
        message.stop().prevent_default()
        view = self._topology
        if view is None:
            return
        for stream in view.cluster.streams:
            part = (
                view.part(stream.leader or "") if stream.name == message.key else None
            )
            if part is not None:
                self.post_message(self.Opened("nodes", part.node.id))

    def on_descendant_focus(self, _event: events.DescendantFocus) -> None:
        """Remember which panel is looked at."""
        for panel in self._panels():
            if panel.has_focus_within:
                self._make_current(panel)

    def on_resize(self, _event: events.Resize) -> None:
        """Deal out the lines anew."""
        self.call_after_refresh(self.show)

    # Inside.

    def _read(self, state: ClusterState) -> Topology | None:
        """Read the cluster; again only when it changed."""
        if state.cluster is not self._read_from:
            self._read_from = state.cluster
            self._topology = topology(state.cluster) if state.cluster else None
        return self._topology

    def _parts(self, state: ClusterState) -> tuple[Part, ...]:
        view = self._read(state)
        return view.parts if view else ()

    def _show_around(self, view: Topology, state: ClusterState, look: Look) -> None:
        width, room = self.size.width, self.size.height
        if not width:
            return
        most = next((n for c, n in _STANDING.items() if self.screen.has_class(c)), 4)
        took = self._standing.show(view, width=width - _FRAMED, lines=most)
        alone = len(view.parts) == 1
        self.set_class(alone, "-single")
        many = width >= _SIDE_BY_SIDE
        side = width * 2 // 5 if many else width if alone else width // 2
        part = view.part(self.table.cursor_key or "") or view.parts[0]
        agents = tuple(state.agents.values())
        told = self._loss.show(view, agents, part.name, width=side - _FRAMED)
        self._square.show(view, part.name)
        self._streams.show(view, look)
        if many:
            self._happened.show(state, look)
        self._deal(room - took - 2, view, told=told, many=many)
        sign = CONTROLLER[look.ascii_only]
        if not alone:
            self._panel.say(note=self._legend(sign))

    def _legend(self, sign: str) -> list[Piece]:
        note: list[Piece] = [(f"{sign} controller", "muted")]
        if self.choice.problems:
            note.insert(0, ("! problems only", "warn"))
        return note

    def _deal(self, room: int, view: Topology, *, told: int, many: bool) -> None:
        streams = len(view.cluster.streams)
        number = len(view.parts)
        self.set_class(many, "-side")
        if many:
            nodes = min(number + 3, max(6, room * 3 // 5))
            self._body.styles.grid_rows = f"{nodes} 1fr"
            self._square.styles.height = min(number + 3, room // 2)
            self._loss.styles.height = min(told + 2, room // 2)
            for panel in (self._panel, self._streams, self._pair):
                panel.styles.height = "1fr"
                panel.set_class(False, "-out")
            return
        if self.screen.has_class("-narrow") or self.screen.has_class("-low"):
            for panel in (self._panel, self._streams, self._square, self._pair):
                panel.styles.height = "1fr"
            return
        dealt = heights(room, nodes=number, told=told, streams=streams)
        hidden = told + 2 - dealt.pair
        more = f"{hidden} more lines: Enter" if hidden > 0 and dealt.pair else ""
        self._loss.say(note=((more, "muted"),) if more else ())
        self._panel.styles.height = dealt.nodes
        self._pair.styles.height = dealt.pair
        self._streams.styles.height = dealt.streams
        self._loss.styles.height = self._square.styles.height = "1fr"
        self._pair.set_class(not dealt.pair, "-out")
        self._streams.set_class(not dealt.streams, "-out")

    def _panels(self) -> tuple[Panel, ...]:
        return (self._panel, self._square, self._streams)

    def _turn(self, step: int) -> None:
        panels = [one for one in self._panels() if self._reachable(one)]
        at = panels.index(self._current) if self._current in panels else 0
        panel = panels[(at + step) % len(panels)]
        self._make_current(panel)
        self.call_after_refresh(self._focus_in, panel)

    def _reachable(self, panel: Panel) -> bool:
        """One of a single node's panels says nothing: who hears whom."""
        return panel is not self._square or not self.has_class("-single")

    def _focus_in(self, panel: Panel) -> None:
        within = panel.walk_children(Widget)
        found = next((child for child in within if child.can_focus), None)
        if found is not None:
            found.focus()

    def _make_current(self, panel: Panel) -> None:
        self._current = panel
        for one in (*self._panels(), self._loss):
            one.set_class(one is panel, "-current")
        self._pair.set_class(panel is not self._square, "-other")
