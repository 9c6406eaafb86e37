"""View 8: what all nodes log, as it comes; filtered, searched by time, exported.

Lines are fetched by waiting for them, so that nothing is asked again and again, and the
node keeps what it can: who reads slowly misses lines and never slows a node. Older ones
are fetched when the cursor comes to the top.
"""

import asyncio
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from nexa_node.contract.errors import NexaError
from nexa_node.contract.logs import LogLine
from nexa_tui.actions import Place
from nexa_tui.client.api import NodeClient
from nexa_tui.screens.keys import bindings
from nexa_tui.screens.session import Session
from nexa_tui.state.filters import NOTHING
from nexa_tui.state.formats import TIMES
from nexa_tui.state.listing import Look
from nexa_tui.state.log_index import LogIndex
from nexa_tui.state.log_store import LogStore
from nexa_tui.state.logs import KEYS, glyph, line_lines, moment_of, said, text_style
from nexa_tui.state.text import clean
from nexa_tui.widgets.ink import app_of, terminal_of
from nexa_tui.widgets.lines import LineView, Piece
from nexa_tui.widgets.logpane import LogCells, LogPane
from nexa_tui.widgets.panel import Panel

if TYPE_CHECKING:
    from nexa_tui.widgets.filterbar import FilterBar

WAIT_S = 10.0
AGAIN_S = 3.0
GAP_S = 0.2
"""Between two answers, so that a flood costs five questions a second."""
_HINT = "nexa logs --cluster --follow"


class LogView(Container):
    """The log of all nodes in a panel."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("logs")
    place: Place = "logs"

    def __init__(self, session: Session) -> None:
        """Show what the session's node tells of all nodes."""
        super().__init__(id="view-logs", classes="view")
        self._session = session
        self._begin()
        self.pane = LogPane(
            self._index, self._cells, empty="Asking the node.", hint="", id="log-lines"
        )
        self._panel = Panel(self.pane, title="Logs", key="8", id="panel-logs")
        self._bar: FilterBar | None = None

    def _begin(self) -> None:
        self._store = LogStore()
        self._filter, self._problems = NOTHING, False
        self._index = LogIndex(self._store)
        self._cursor: str | None = None
        self._of: NodeClient | None = None
        self._asked_at = float("inf")
        """When it was refused; then it is asked again after a while."""
        self._error: NexaError | None = None
        self._answers = 0
        self._fetching = self._older_done = self._running = False

    def compose(self) -> ComposeResult:
        """The lines in a panel; the line for the filter comes when it is asked for."""
        yield self._panel

    @property
    def rows(self) -> int:
        """How many lines are shown."""
        return len(self._index)

    def current(self) -> LogLine | None:
        """The line under the cursor."""
        return self._index.line(self.pane.cursor) if len(self._index) else None

    def address(self) -> str | None:
        """The address of the line under the cursor."""
        line = self.current()
        return (
            None if line is None else f"nexa://logs/{clean(line.node, 60)}/{line.seq}"
        )

    def focus_content(self) -> None:
        """Put the focus where the keys work."""
        self.pane.focus()

    def show(self) -> None:
        """Begin to ask if nobody does; look at a piece of what was not looked at."""
        client = self._session.client
        again = self._session.now - self._asked_at >= AGAIN_S
        if client is not None and (again or self._of is not client):
            if self._of is not None and not again:
                self._begin()
                self.pane.show(self._index, anew=True)
            self._of, self._asked_at = client, float("inf")
            self.run_worker(
                self._first, group="asked", exclusive=True, exit_on_error=False
            )
        elif client is not None and self._answers and not self._running:
            self._run(client)  # it is looked at again
        if not self._session.paused:
            self._show_lines()
        self._say()

    def climb(self) -> bool:
        """Go one step up: the filter, problems only. False at the top."""
        if self._bar is not None and self._filter:
            self._bar.action_close(clear=True)
            return True
        if self._problems:
            self.action_problems()
            return True
        return False

    def exported(self) -> list[dict[str, object]]:
        """The lines that are shown, for a file."""
        return [
            {
                "time": line.time.isoformat(), "level": line.level, "node": line.node,
                "component": line.component, "event": line.event, **line.fields,
            }
            for line in map(self._index.line, range(len(self._index)))
        ]  # fmt: skip

    def equivalent(self) -> str:
        """The command that shows the same."""
        words = self._filter.text.strip()
        level = "--level warning " if self._problems else ""
        return f"nexa logs --cluster --follow {level}{words}".strip()

    async def filter_by(self, text: str) -> None:
        """Filter by words that were typed elsewhere."""
        from textual.widgets import Input

        bar = await self._bar_made()
        bar.open()
        if text:
            bar.query_one(Input).value = text
            bar.action_close(clear=False)

    # Keys.

    async def action_filter(self) -> None:
        """Open the line for the filter."""
        (await self._bar_made()).open()

    def action_problems(self) -> None:
        """Show only warnings and worse, or everything."""
        self._problems = not self._problems
        self._choose()

    def action_follow(self) -> None:
        """Go along with what is new."""
        self.pane.action_last()
        self._say()

    def action_seek(self) -> None:
        """Ask for a time, and go there."""
        from nexa_tui.screens.form import Answers, Blank, Form

        form = Form(
            title="Go to a time",
            target="in UTC, as the lines are",
            blanks=(Blank("time", "time", hint="14:03, 5m (ago), 2026-03-01T14:03"),),
            verb="Go",
            check=self._time_fault,
        )

        def answered(answers: Answers | None) -> None:
            if answers is not None:
                self.seek(answers["time"])

        app_of(self).push_screen(form, answered)

    def seek(self, text: str) -> None:
        """Put the cursor on the first line of a time.

        Raises:
            ValueError: It is no time.
        """
        now = self._now()
        wanted = int(moment_of(text, now).timestamp() * 1e6)
        self.pane.move_to(self._index.row_at(wanted))
        self._say()

    def seek_seq(self, seq: str) -> None:
        """Put the cursor on the line of a position, or the one after it."""
        if seq.isascii() and seq.isdigit():
            self.pane.move_to(self._index.row_at(int(seq)))

    def action_open(self) -> None:
        """Show the line under the cursor in full."""
        line = self.current()
        if line is not None:
            from nexa_tui.screens.dialogs import Reading

            look = Look(self._now(), terminal_of(self).ascii_only)
            app_of(self).push_screen(Reading("Log line", line_lines(line, look)))

    def on_line_view_selected(self, message: LineView.Selected) -> None:
        """Enter, or a click."""
        message.stop()
        self.action_open()

    def on_line_view_highlighted(self, message: LineView.Highlighted) -> None:
        """At the top there may be more."""
        message.stop()
        done = self._older_done or self._fetching or not self._index.done
        if message.index == 0 and not done and self._cursor is not None:
            self._fetching = True
            self.run_worker(self._older, group="asked", exit_on_error=False)
        self._say()

    def on_filter_bar_changed(self, message: "FilterBar.Changed") -> None:
        """Filter by what is typed, while it is typed."""
        message.stop()
        self._filter = message.filter
        self._choose()

    def on_filter_bar_closed(self, message: "FilterBar.Closed") -> None:
        """Back to the lines."""
        message.stop()
        self.focus_content()

    # Inside.

    def _now(self) -> datetime:
        told = self._session.shown.node_time(self._session.now)
        return told or self._session.clock.utc()

    def _time_fault(self, answers: dict[str, str]) -> str | None:
        try:
            moment_of(answers["time"], self._now())
        except ValueError as error:
            return str(error)
        return None

    def _choose(self) -> None:
        self._index = LogIndex(self._store, self._filter, problems=self._problems)
        self.pane.following = True
        self._index.look()
        self.pane.show(self._index, anew=True)
        self._say()
        self._go_on()

    def _show_lines(self) -> None:
        before = self._index.look()
        self.pane.show(self._index, before=before)
        self._go_on()

    def _go_on(self) -> None:
        """Look at more soon, a piece at a time, so that keys come between."""
        if not self._index.done and self.is_attached:
            self.set_timer(0.01, self._piece)

    def _piece(self) -> None:
        if not self._index.done:
            self._show_lines()
            self._say()

    def _cells(self, row: int) -> LogCells:
        line = self._index.line(row)
        sign, style = glyph(line, ascii_only=terminal_of(self).ascii_only)
        return (
            (f"{line.time:%H:%M:%S}.{line.time.microsecond // 1000:03}", "muted"),
            (sign, style),
            (clean(line.node, 40), "muted"),
            (clean(line.component, 60), "muted"),
            (said(line), text_style(line)),
        )

    async def _first(self) -> None:
        """Ask for the newest lines; then follow."""
        of = self._of
        if of is None:
            return
        try:
            page = await of.logs(after=None)
        except NexaError as error:
            self._failed(error)
            self._asked_at = self._session.now
            return
        self._took(page.items, page.next_cursor)
        self._run(of)

    def _run(self, of: NodeClient) -> None:
        self._running = True
        self.run_worker(
            partial(self._follow, of), group="tail", exclusive=True, exit_on_error=False
        )

    async def _follow(self, of: NodeClient) -> None:
        try:
            await self._follow_on(of)
        finally:
            self._running = False

    async def _follow_on(self, of: NodeClient) -> None:
        """Until it is not looked at any more, or another node is."""
        while self._session.client is of and self.display:
            try:
                page = await of.logs(after=self._cursor, wait_s=WAIT_S)
            except NexaError as error:
                self._failed(error)
                await asyncio.sleep(AGAIN_S)
                continue
            self._took(page.items, page.next_cursor)
            await asyncio.sleep(GAP_S)

    async def _older(self) -> None:
        client = self._session.client
        try:
            if client is not None and len(self._store):
                first = self._store.get(self._store.first)
                page = await client.logs(after=None, before=first.seq)
                room = self._store.add_before(page.items)
                self._older_done = room < len(page.items) or not page.items
                if room:
                    top = self._index.look()
                    self.pane.show(self._index, before=top or room)
        except NexaError as error:
            self._failed(error)
        finally:
            self._fetching = False
        self._say()

    def _took(self, lines: tuple[LogLine, ...], cursor: str | None) -> None:
        self._error = None
        self._answers += 1
        self._cursor = cursor
        self._store.add(lines)
        if self.is_attached and self.display and not self._session.paused:
            self._show_lines()
            self._say()

    def _failed(self, error: NexaError) -> None:
        self._error = error
        if self.is_attached:
            self._say()

    async def _bar_made(self) -> "FilterBar":
        if self._bar is None:
            from nexa_tui.widgets.filterbar import FilterBar

            self._bar = FilterBar(keys=KEYS)
            await self._panel.mount(self._bar)
        return self._bar

    def _say(self) -> None:
        total, shown = len(self._store), len(self._index)
        narrowed = bool(self._filter or self._problems)
        count = f"{shown:,} of {total:,}" if narrowed else f"{total:,}"
        if not self._index.done:
            count += f", {self._index.share:.0%} looked at"
        note: list[Piece] = [("! warnings and worse", "warn")] if self._problems else []
        note.append((TIMES, "muted"))
        info: list[Piece]
        if self._error is not None:
            info = [(clean(self._error.message, 80), "crit")]
        elif self._session.paused:
            info = [("held", "warn")]
        elif self.pane.following:
            info = [("following", "ok")]
        else:
            info = [("f follows", "muted")]
        self._panel.say(count=count, info=info, note=note)
        if self._bar is not None and self._filter:
            self._bar.say(count)
        self._say_when_empty()

    def _say_when_empty(self) -> None:
        if self._session.client is None:
            self.pane.say_when_empty("No node is attached.", "a attaches one")
        elif self._error is not None:
            remedy = clean(self._error.remedy or "", 200)
            self.pane.say_when_empty(clean(self._error.message, 200), remedy)
        elif not self._answers:
            self.pane.say_when_empty("Asking the node.", "")
        elif self._filter or self._problems:
            self.pane.say_when_empty(
                "Nothing fits." if self._index.done else "Nothing yet; looking on.",
                "Esc clears it; ! before a word inverts it",
            )
        else:
            self.pane.say_when_empty("Nothing was logged yet.", _HINT)
