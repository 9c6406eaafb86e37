"""The Overview: the verdict with its reasons first, then who works, on what, how fast.

Where there is room everything is seen at once; on a small terminal one panel at a time,
and Tab goes on. A panel that can't be trusted wholly says why in its own border.
"""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from nexa_tui.actions import Place
from nexa_tui.screens.keys import bindings
from nexa_tui.screens.lists import ListView
from nexa_tui.screens.rows import Rows, table_columns
from nexa_tui.screens.said import Said
from nexa_tui.screens.session import Session
from nexa_tui.state.agents import AGENTS
from nexa_tui.state.charts import per_cell
from nexa_tui.state.formats import age, clock, percent, rate, size
from nexa_tui.state.listing import Choice, Look, arrange, since
from nexa_tui.state.overview import (
    PanelName,
    affected,
    agent_figures,
    flow_lines,
    series,
    verdict_lines,
)
from nexa_tui.state.severity import mark
from nexa_tui.state.store import BEAT_S, ClusterState, NoNode
from nexa_tui.state.tasks import TASKS, in_work_order
from nexa_tui.state.text import clean
from nexa_tui.theming import Terminal
from nexa_tui.widgets.chart import Chart
from nexa_tui.widgets.ink import terminal_of
from nexa_tui.widgets.lines import LineView, Piece
from nexa_tui.widgets.loglines import LogLine, LogLines
from nexa_tui.widgets.meter import Meter
from nexa_tui.widgets.panel import Panel
from nexa_tui.widgets.table import Table

_REASONS = {"-low": 2, "-high": 6, "-tall": 10}
"""Lines of the verdict, by the height of the screen."""
_EVENTS = 100
_NOTHING = "Nothing is known yet."
_PRESSED = 4
"""Lines of the verdict from which on a screen that is not tall drops the figures."""
WELCOME: Sequence[Sequence[Piece]] = (
    (("No node runs here, and no context is set.", "strong"),),
    (),
    (("  s  ", "key"), ("start a node on this machine   ", "text"),
     ("nexa node start", "muted")),
    (("  a  ", "key"), ("attach to a node elsewhere     ", "text"),
     ("nexa --attach URL", "muted")),
    (("  d  ", "key"), ("see a demo, thrown away after  ", "text"),
     ("nexa demo", "muted")),
)  # fmt: skip


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

    def compose(self) -> ComposeResult:
        """Verdict, lists, figures, events."""
        yield Panel(Said(id="verdict-lines"), title="cluster", id="verdict")
        yield Said(id="welcome")
        with Container(id="lists"):
            yield Panel(_table(AGENTS, "agents"), title="Agents", key="3", id="agents")
            yield Panel(_table(TASKS, "tasks"), title="Tasks", key="4", id="tasks")
        with Container(id="figures"):
            yield Panel(
                Meter("cpu", label_width=4, note_width=13, id="cpu"),
                Meter("mem", label_width=4, note_width=13, id="memory"),
                Meter("disk", label_width=4, note_width=13, id="disk"),
                Chart(ramp="load", high=1.0, id="cpu-chart"),
                title="Host",
                id="host",
            )
            yield Panel(
                Said(id="flow-lines"),
                Chart(ramp="flow", id="flow-chart"),
                title="Throughput",
                id="flow",
            )
        yield Panel(
            LogLines(id="overview-events", empty=_NOTHING),
            title="Events",
            key="8",
            id="events",
        )

    def on_mount(self) -> None:
        """Charts can be focused, to be maximised."""
        for chart in self.query(Chart):
            chart.can_focus = True
        self._table("agents").sorted_by("state")
        self._make_current(self.query_one("#agents", Panel))

    def focus_content(self) -> None:
        """Put the focus on the panel it was on last."""
        current = self.query(".-current").first()
        self._focusable(current).focus()

    def address(self) -> str | None:
        """The address of what is under the cursor, or of the view."""
        focused = self.screen.focused
        if isinstance(focused, Table) and focused.cursor_key is not None:
            if focused.id == "overview-agents":
                return f"nexa://agents/{focused.cursor_key}"
            if focused.id == "overview-tasks":
                return f"nexa://tasks/{focused.cursor_key}"
        return "nexa://overview"

    def climb(self) -> bool:
        """Leave the maximised panel; False if none is."""
        if not self.has_class("-maximised"):
            return False
        self.action_maximise()
        return True

    def show(self) -> None:
        """Show what is known now."""
        state, now = self._session.shown, self._session.now
        alone = isinstance(state.link, NoNode)
        self.set_class(alone, "-alone")
        if alone:
            self.query_one("#welcome", Said).say(WELCOME)
        self._show_verdict(state, now)
        at = state.node_time(now)
        look = Look(
            None if at is None else at.replace(microsecond=0),
            ascii_only=terminal_of(self).ascii_only,
        )
        stale = not alone and state.stale(now)
        self.set_class(stale and not fades_badly(terminal_of(self)), "-stale")
        if (state.version, look, stale) == self._drawn:
            return
        fresh = state.version != (self._drawn[0] if self._drawn else None)
        self._drawn = (state.version, look, stale)
        self._show_lists(state, look)
        if fresh:
            self._show_host(state)
            self._show_events(state, look)
            self._show_doubts(state)

    def action_next_panel(self) -> None:
        """Focus the next panel."""
        self._turn(1)

    def action_previous_panel(self) -> None:
        """Focus the panel before."""
        self._turn(-1)

    async def action_open(self) -> None:
        """Open the record under the cursor; without a node, this key is the demo."""
        if isinstance(self._session.shown.link, NoNode):
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
        place: Place | None = {
            "overview-agents": "agents",
            "overview-tasks": "tasks",
            "overview-events": "events",
        }.get(message.view.id or "")  # pyright: ignore[reportAssignmentType]  # these are places
        if place is not None:
            self.post_message(ListView.Opened(place, message.key))

    def on_descendant_focus(self) -> None:
        """Remember which panel is looked at."""
        for panel in self.query(Panel):
            if panel.has_focus_within:
                self._make_current(panel)

    # Inside.

    def _show_verdict(self, state: ClusterState, now: float) -> None:
        most = next((n for c, n in _REASONS.items() if self.screen.has_class(c)), 4)
        lines = verdict_lines(
            state,
            now,
            width=self.size.width - 4,
            lines=most,
            ascii_only=terminal_of(self).ascii_only,
        )
        said = self.query_one("#verdict-lines", Said)
        said.styles.height = len(lines)
        said.say(lines)
        self.set_class(len(lines) > _PRESSED, "-pressed")
        style = lines[0][1][1]
        panel = self.query_one("#verdict", Panel)
        for key in ("warn", "crit"):
            panel.set_class(style == key, f"-{key}")
        panel.say(
            title=clean(state.cluster.name, 40) if state.cluster else "cluster",
            count=_members(state),
            info=_standing(state, now),
        )

    def _show_lists(self, state: ClusterState, look: Look) -> None:
        figures = agent_figures(state)
        agents = arrange(AGENTS, state.agents.values(), Choice(AGENTS.first), look)
        self._table("agents").update_rows(Rows(AGENTS, agents.records, look))
        self._table("agents").say_when_empty(
            _NOTHING if state.empty else "No agent yet."
        )
        self._table("tasks").say_when_empty(_NOTHING if state.empty else "No task yet.")
        share = f" {percent(figures.share).strip()} busy" if figures.slots else ""
        self.query_one("#agents", Panel).say(
            count="" if state.empty else f"{figures.connected}/{figures.known}{share}"
        )
        tasks = in_work_order(state.tasks.values())
        self._table("tasks").update_rows(Rows(TASKS, tasks, look))
        for table in (self._table("agents"), self._table("tasks")):
            if not table.has_focus:  # nobody reads there: the top matters most
                table.move_to(0, tell=False)
        counts = state.counts
        self.query_one("#tasks", Panel).say(
            count=""
            if state.empty
            else f"{counts.running + counts.assigned} running {counts.pending} waiting"
        )

    def _show_host(self, state: ClusterState) -> None:
        sample = state.sample
        if sample is None:
            return
        if sample is not self._sampled:
            self._sampled = sample
            self._samples += 1
        total = size(sample.memory_total_bytes).strip()
        self.query_one("#cpu", Meter).show(sample.cpu, f"load {sample.load_1m:.2f}")
        self.query_one("#memory", Meter).show(sample.memory, f"of {total}")
        self.query_one("#disk", Meter).show(
            sample.disk, f"{size(sample.disk_free_bytes).strip()} free"
        )
        self.query_one("#cpu-chart", Chart).show(
            series(state, lambda one: one.cpu), number=self._samples
        )
        received, sent = rate(sample.net_rx_bytes_s), rate(sample.net_tx_bytes_s)
        self.query_one("#host", Panel).say(
            note=(
                (f"net {received.strip()} in {sent.strip()} out", "muted"),
                (f"node {size(sample.rss_bytes).strip()}", "muted"),
            )
        )
        self.query_one("#flow-lines", Said).say(flow_lines(state))
        chart = self.query_one("#flow-chart", Chart)
        chart.show(
            series(state, lambda one: one.tasks_completed_s), number=self._samples
        )
        span = age(chart.size.width * per_cell(terminal_of(self).charts) * BEAT_S)
        self.query_one("#flow", Panel).say(
            note=((f"top {chart.top:g}/s", "muted"), (f"last {span.strip()}", "muted"))
        )

    def _show_events(self, state: ClusterState, look: Look) -> None:
        lines = [
            LogLine(
                event.id,
                clock(event.time),
                (
                    shown := mark("event", event.severity, ascii_only=look.ascii_only)
                ).glyph,
                shown.style,
                clean(event.kind, 18),
                clean(event.message, 300),
            )
            for event in state.events[-_EVENTS:]
        ]
        self.query_one(LogLines).update_lines(lines)
        count = "" if state.empty else str(len(state.events))
        self.query_one("#events", Panel).say(count=count)

    def _show_doubts(self, state: ClusterState) -> None:
        doubts = affected(state)
        glyph = mark(
            "health", "degraded", ascii_only=terminal_of(self).ascii_only
        ).glyph
        names: tuple[PanelName, ...] = ("agents", "tasks", "host", "flow", "events")
        for name in names:
            why = doubts.get(name)
            info: Sequence[Piece] = (
                ((f"{glyph} {clean(why, 60)}", "warn"),) if why else ()
            )
            self.query_one(f"#{name}", Panel).say(info=info)

    def _table(self, name: str) -> Table:
        return self.query_one(f"#overview-{name}", Table)

    def _panels(self) -> list[Widget]:
        return [panel for panel in self.query(Panel) if panel.id != "verdict"]

    def _turn(self, step: int) -> None:
        panels = self._panels()
        at = next((n for n, one in enumerate(panels) if one.has_class("-current")), 0)
        panel = panels[(at + step) % len(panels)]
        self._make_current(panel)
        self.call_after_refresh(self._focusable(panel).focus)

    def _make_current(self, panel: Widget) -> None:
        for one in self._panels():
            one.set_class(one is panel, "-current")
        for holder in self.query("#lists, #figures"):
            holder.set_class(panel not in holder.children, "-other")

    def _focusable(self, panel: Widget) -> Widget:
        return next(child for child in panel.walk_children(Widget) if child.can_focus)


def _table(listing: object, name: str) -> Table:
    described = AGENTS if listing is AGENTS else TASKS
    return Table(
        table_columns(described, narrow=True),  # pyright: ignore[reportArgumentType]  # either kind
        empty=_NOTHING,
        id=f"overview-{name}",
    )


def fades_badly(terminal: Terminal) -> bool:
    """Whether the terminal's own colours can't be mixed with the background."""
    return terminal.colours in {"none", "16"}


def _members(state: ClusterState) -> str:
    if state.cluster is None:
        return ""
    nodes = len(state.cluster.nodes)
    quorum = state.cluster.quorum
    words = "1 node" if nodes == 1 else f"{nodes} nodes"
    return words if nodes == 1 else f"{words} quorum {quorum.have}/{quorum.need}"


def _standing(state: ClusterState, now: float) -> list[Piece]:
    """At the right of the verdict's border: how long it runs, what was checked."""
    pieces: list[Piece] = []
    if state.selftest is not None:
        passed = sum(check.status == "pass" for check in state.selftest.checks)
        shown = mark("check", state.selftest.status)
        pieces.append((f"self-test {passed}/{len(state.selftest.checks)}", shown.style))
    started = state.node.started if state.node else None
    up = since(started, state.node_time(now))
    if up is not None:
        pieces.append((f"up {age(up).strip()}", "muted"))
    return pieces
