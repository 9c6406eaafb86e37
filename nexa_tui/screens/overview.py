"""The Overview: the verdict with its reasons first, then who works, on what, how fast.

Where there is room everything is seen at once; on a small terminal one panel at a time,
and Tab goes on. A panel that can't be trusted wholly says why in its own border.
"""

from collections.abc import Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from nexa_tui.actions import Place
from nexa_tui.screens.keys import bindings
from nexa_tui.screens.lists import ListView
from nexa_tui.screens.panels import (
    AgentsPanel,
    EventsPanel,
    FlowPanel,
    HostPanel,
    TasksPanel,
    VerdictPanel,
)
from nexa_tui.screens.said import Said
from nexa_tui.screens.session import Session
from nexa_tui.screens.welcome import welcome_lines
from nexa_tui.state.listing import Look
from nexa_tui.state.overview import affected
from nexa_tui.state.severity import mark
from nexa_tui.state.store import ClusterState, Denied, NoNode
from nexa_tui.state.touched import PanelName
from nexa_tui.theming import Terminal
from nexa_tui.widgets.ink import terminal_of
from nexa_tui.widgets.lines import LineView
from nexa_tui.widgets.panel import Panel
from nexa_tui.widgets.table import Table

_REASONS = {"-low": 3, "-high": 6, "-tall": 10}
"""Lines of the verdict, by the height of the screen."""
_PRESSED = 4
"""Lines of the verdict from which on a screen that is not tall drops the figures."""
_LISTED: Mapping[str, Place] = {
    "overview-agents": "agents",
    "overview-tasks": "tasks",
    "overview-events": "events",
}


class Overview(Container):
    """The first view."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("overview")

    def __init__(self, session: Session) -> None:
        """Show what `session` knows."""
        super().__init__(id="view-overview", classes="view")
        self._session = session
        self.place: Place = "overview"
        self._drawn: tuple[object, ...] = ()
        self._samples = 0
        self._sampled: object = None
        self._verdict = VerdictPanel()
        self._welcome = Said(id="welcome")
        self._agents, self._tasks = AgentsPanel(), TasksPanel()
        self._host, self._flow = HostPanel(), FlowPanel()
        self._events = EventsPanel()
        self._lists = Container(self._agents, self._tasks, id="lists")
        self._figures = Container(self._host, self._flow, id="figures")
        self._current: Panel = self._agents
        self._make_current(self._agents)

    def compose(self) -> ComposeResult:
        """Verdict, lists, figures, events."""
        yield self._verdict
        yield self._welcome
        yield self._lists
        yield self._figures
        yield self._events

    def focus_content(self) -> None:
        """Put the focus on the panel it was on last."""
        self._focus_in(self._current)

    def address(self) -> str | None:
        """The address of what is under the cursor, or of the view."""
        focused = self.screen.focused
        if isinstance(focused, Table) and focused.cursor_key is not None:
            place = _LISTED.get(focused.id or "")
            return f"nexa://{place}/{focused.cursor_key}" if place else None
        return "nexa://overview"

    def climb(self) -> bool:
        """Leave the maximised panel; False if none is."""
        if not self.has_class("-maximised"):
            return False
        self.action_maximise()
        return True

    def show(self) -> None:
        """Show what is known now."""
        state, now = self._session.shown, self._session.shown_at
        alone = isinstance(state.link, NoNode)
        stale = not alone and state.stale(now)
        self.set_class(alone, "-alone")
        self.set_class(stale and not _fades_badly(terminal_of(self)), "-stale")
        if alone:
            ascii_only = terminal_of(self).ascii_only
            self._welcome.say(welcome_lines(self._session.run, ascii_only=ascii_only))
        self._show_verdict(state, now)
        at = state.node_time(now)
        look = Look(
            None if at is None else at.replace(microsecond=0),
            ascii_only=terminal_of(self).ascii_only,
        )
        drawn = (state.version, look, stale)
        if drawn == self._drawn:
            return
        fresh = not self._drawn or state.version != self._drawn[0]
        self._drawn = drawn
        self._agents.show(state, look, stale=stale)
        self._tasks.show(state, look, stale=stale)
        if fresh:
            self._show_fresh(state, look)

    def action_next_panel(self) -> None:
        """Focus the next panel."""
        self._turn(1)

    def action_previous_panel(self) -> None:
        """Focus the panel before."""
        self._turn(-1)

    async def action_open(self) -> None:
        """Open the record under the cursor; without a node, this key is the demo."""
        if isinstance(self._session.shown.link, NoNode | Denied):
            await self.run_action("app.do('demo')")
            return
        focused = self.screen.focused
        if isinstance(focused, LineView):
            focused.action_choose()

    def action_maximise(self) -> None:
        """Show the panel in focus alone, or all of them again."""
        self.toggle_class("-maximised")

    @on(LineView.Selected)
    def _selected(self, message: LineView.Selected) -> None:
        message.stop()
        place = _LISTED.get(message.view.id or "")
        if place is not None:
            self.post_message(ListView.Opened(place, message.key))

    def on_descendant_focus(self) -> None:
        """Remember which panel is looked at."""
        for panel in self._panels():
            if panel.has_focus_within:
                self._make_current(panel)

    # Inside.

    def _show_verdict(self, state: ClusterState, now: float) -> None:
        most = next((n for c, n in _REASONS.items() if self.screen.has_class(c)), 4)
        width = self.size.width or self.screen.size.width
        took = self._verdict.show(state, now, width=width - 4, lines=most)
        self.set_class(took > _PRESSED, "-pressed")

    def _show_fresh(self, state: ClusterState, look: Look) -> None:
        if state.sample is not self._sampled:
            self._sampled = state.sample
            self._samples += 1
        self._host.show(state, number=self._samples)
        self._flow.show(state, number=self._samples)
        self._events.show(state, look)
        doubts = affected(state)
        shown = mark("health", "degraded", ascii_only=look.ascii_only)
        for panel in self._panels():
            name: PanelName = panel.id  # pyright: ignore[reportAssignmentType]  # their ids are those names
            doubt = doubts.get(name)
            panel.say(
                doubt=f"{shown.glyph} {doubt.text}" if doubt else "",
                edge="warn" if doubt else "border",
            )

    def _panels(self) -> tuple[Panel, ...]:
        return (self._agents, self._tasks, self._host, self._flow, self._events)

    def _turn(self, step: int) -> None:
        panels = self._panels()
        panel = panels[(panels.index(self._current) + step) % len(panels)]
        self._make_current(panel)
        self.call_after_refresh(self._focus_in, panel)

    def _focus_in(self, panel: Panel) -> None:
        """Focus what is in a panel; one that is not mounted, or no more, has nothing."""
        within = panel.walk_children(Widget)
        found = next((child for child in within if child.can_focus), None)
        if found is not None:
            found.focus()

    def _make_current(self, panel: Panel) -> None:
        self._current = panel
        for one in self._panels():
            one.set_class(one is panel, "-current")
        self._lists.set_class(panel not in (self._agents, self._tasks), "-other")
        self._figures.set_class(panel not in (self._host, self._flow), "-other")


def _fades_badly(terminal: Terminal) -> bool:
    """Whether the terminal's own colours can't be mixed with the background."""
    return terminal.colours in {"none", "16"}
