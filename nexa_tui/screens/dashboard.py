"""The dashboard: the frame that is always there, and one view at a time inside it.

The frame answers where I am: which cluster and node, as whom, how old the data is, what
the keys do. Views are made when they are first looked at, and only the one that is seen
is kept up to date.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar, Protocol, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.screen import Screen
from textual.widget import Widget

from nexa_tui.actions import Place
from nexa_tui.screens.asked import AskedList
from nexa_tui.screens.banner import banner_lines, standing
from nexa_tui.screens.clusters import ClustersView
from nexa_tui.screens.dead_letters import DeadLettersView
from nexa_tui.screens.detail import Detail
from nexa_tui.screens.keys import frame_bindings, method
from nexa_tui.screens.lists import ListView
from nexa_tui.screens.logs import LogView
from nexa_tui.screens.messages import MessagesView
from nexa_tui.screens.metrics import MetricsView
from nexa_tui.screens.overview import Overview
from nexa_tui.screens.said import Said
from nexa_tui.screens.session import Session
from nexa_tui.screens.shelves import InboxesView, TopicsView
from nexa_tui.screens.topology import TopologyView
from nexa_tui.state.access import ROLES, TOKENS, role_lines, token_lines
from nexa_tui.state.agents import AGENTS
from nexa_tui.state.alert_lists import (
    HISTORY,
    RULES,
    SILENCES,
    change_lines,
    rule_lines,
    silence_lines,
)
from nexa_tui.state.alerts import ALERTS
from nexa_tui.state.audit import AUDIT, audit_lines
from nexa_tui.state.events import EVENTS
from nexa_tui.state.namespaces import NAMESPACES, namespace_lines
from nexa_tui.state.store import Denied, NoNode
from nexa_tui.state.tasks import TASKS
from nexa_tui.widgets.ink import app_of, terminal_of
from nexa_tui.widgets.statusbar import KeyBar, KeyHint, TopBar

HISTORY_MAX = 50
DETAILED = frozenset(("agents", "tasks", "nodes", "events", "alerts"))
"""Places whose records have a view of their own."""


class View(Protocol):
    """What the frame asks of a view."""

    place: Place

    def show(self) -> None:
        """Show what is known now."""
        ...

    def climb(self) -> bool:
        """Go one step up inside; False at the top."""
        ...

    def address(self) -> str | None:
        """The address of what is looked at."""
        ...

    def focus_content(self) -> None:
        """Put the focus where the keys work."""
        ...


class Dashboard(Screen[None]):
    """The frame."""

    BINDINGS: ClassVar[list[BindingType]] = frame_bindings()

    def __init__(self, session: Session, *, first: str = "overview") -> None:
        """Frame what `session` works on, and begin with the view `first`."""
        super().__init__(id="dashboard")
        self._session = session
        self._first = first
        self._overview = Overview(session)
        self._top, self._keys = TopBar(id="top"), KeyBar(id="keys")
        self._banner = Said(id="banner")
        self._body = Container(self._overview, id="body")
        self._view: Widget = self._overview
        self._where = "overview"
        self._history: list[str] = []

    def compose(self) -> ComposeResult:
        """Top bar, banner, one view, key bar."""
        yield self._top
        yield self._banner
        yield self._body
        yield self._keys

    async def on_mount(self) -> None:
        """Begin with the Overview."""
        self.refresh_view()
        self.view.focus_content()
        await self.go(self._first)

    @property
    def view(self) -> View:
        """The view that is seen."""
        return cast("View", self._view)

    @property
    def places(self) -> tuple[Place, ...]:
        """Where we are, for key bar and help."""
        place = self.view.place
        alone = isinstance(self._session.shown.link, NoNode | Denied)
        if alone and place == "overview":
            return ("no-node",)
        places: list[Place] = [place]
        if isinstance(self._view, ListView):
            places.append("list")
        return tuple(places)

    def refresh_view(self) -> None:
        """Show what is known now; only what differs is painted."""
        if not self._view.is_attached:
            return
        session, ascii_only = self._session, terminal_of(self).ascii_only
        with app_of(self).batch_update():
            self._top.show(standing(session))
            lines = (
                []
                if self._where == "overview"
                else banner_lines(
                    session.shown,
                    session.shown_at,
                    ascii_only=ascii_only,
                    quorum=self._where != "nodes",
                )
            )
            self._banner.display = bool(lines)
            self._banner.styles.height = max(1, len(lines))
            self._banner.say(lines)
            self.view.show()
            self._keys.show(self._hints())

    def subject(self) -> tuple[Place, str] | None:
        """What an action without an argument is about: a list and a key."""
        if isinstance(self._view, Detail):
            return self._view.of, self._view.key
        if isinstance(self._view, ListView):
            shown = cast("ListView[object]", self._view)
            key = shown.table.cursor_key
            return None if key is None else (shown.place, key)
        return None

    async def go(self, name: str, *, remember: bool = True) -> None:
        """Turn to a view: `tasks`, or `tasks/01j…` for one record."""
        if name == self._where:
            return
        old, view = self._view, await self._made(name)
        if remember:
            self._history = [*self._history, self._where][-HISTORY_MAX:]
        self._where, self._view = name, view
        with app_of(self).batch_update():
            if isinstance(old, Detail):
                await old.remove()
            else:
                old.display = False
            view.display = True
            self.refresh_view()
            self.view.focus_content()

    async def act(self, action: str) -> None:
        """Do what a key of the view would do, wherever the focus is."""
        await app_of(self).run_action(action, self._view)

    async def filter_by(self, words: str) -> None:
        """Filter the list that is seen."""
        if isinstance(self._view, ListView):
            shown = cast("ListView[object]", self._view)
            if words:
                await shown.filter_by(words)
            else:
                await shown.action_filter()
        elif isinstance(self._view, LogView):
            await self._view.filter_by(words)

    async def follow(self, topic: str) -> None:
        """Follow topics."""
        await self.go("messages")
        if isinstance(self._view, MessagesView):
            self._view.follow(topic)

    async def at_time(self, text: str) -> None:
        """Look at the logs of a time.

        Raises:
            ValueError: It is none.
        """
        await self.go("logs")
        if isinstance(self._view, LogView):
            self._view.seek(text)

    async def open_address(self, address: str) -> bool:
        """Turn to what an address names; False if it is none of ours."""
        scheme, _, rest = address.partition("://")
        place, _, key = rest.strip("/").partition("/")
        if scheme != "nexa" or place not in {"overview", *_LISTS}:
            return False
        if key and place in DETAILED:
            await self.go(f"{place}/{key}")
            return True
        await self.go(place)
        if key and isinstance(self._view, LogView):
            self._view.seek_seq(key.rpartition("/")[2])
        elif key and isinstance(self._view, ListView):
            cast("ListView[object]", self._view).seek(address)
        return True

    async def ask(self, expression: str) -> None:
        """Ask a question of the metrics."""
        await self.go("metrics")
        if isinstance(self._view, MetricsView):
            self._view.ask_own(expression)

    async def action_view(self, name: str) -> None:
        """Turn to a view by its number."""
        await self.go(name)

    async def action_tab_next(self) -> None:
        """Turn to the next list of this view."""
        await self._tab(1)

    async def action_tab_previous(self) -> None:
        """Turn to the list before."""
        await self._tab(-1)

    async def _tab(self, step: int) -> None:
        for tabs in _TABS:
            if self._where in tabs:
                at = tabs.index(self._where)
                await self.go(tabs[(at + step) % len(tabs)], remember=False)
                return

    async def action_back(self) -> None:
        """Turn to the view before this one."""
        if self._history:
            await self.go(self._history.pop(), remember=False)

    async def action_escape(self) -> None:
        """One step up; never out."""
        if self.view.climb():
            self.refresh_view()
        elif isinstance(self._view, Detail):
            await self.go(self._view.of if self._came_from_list() else "overview")
        elif self._where != "overview":
            await self.go("overview")

    async def action_quit(self) -> None:
        """Back; at the root, ask."""
        before = self._where
        if not self.view.climb() and before == "overview":
            await self.run_action("app.do('leave')")
        elif before != "overview":
            await self.action_escape()

    def on_list_view_opened(self, message: "ListView.Opened") -> None:
        """Open a record."""
        message.stop()
        if message.place == "topics":
            self.run_worker(partial(self.follow, message.key), exit_on_error=False)
            return
        where = f"{message.place}/{message.key}"
        self.run_worker(partial(self.go, where), exit_on_error=False)

    @on(KeyBar.Pressed)
    async def _pressed(self, message: KeyBar.Pressed) -> None:
        message.stop()
        await self.act(message.hint.action)

    def on_screen_resume(self, _event: events.ScreenResume) -> None:
        """Something was on top: catch up."""
        self.refresh_view()

    def _came_from_list(self) -> bool:
        return (
            bool(self._history) and self._history[-1] == cast("Detail", self._view).of
        )

    async def _made(self, name: str) -> Widget:
        place, _, key = name.partition("/")
        body = self._body
        if key:
            detail = Detail(cast("Place", place), key, self._session)
            await body.mount(detail)
            return detail
        found = body.query(f"#view-{place}")
        if found:
            return found.first()
        view = self._new(place)
        await body.mount(view)
        return view

    def _new(self, place: str) -> Widget:
        return _LISTS[place](self._session)

    def _hints(self) -> list[KeyHint]:
        session = self._session
        actions = session.keymap.bar(
            *self.places, role=session.role, read_only=session.read_only
        )
        detail = self._view if isinstance(self._view, Detail) else None
        hints = [
            KeyHint(one.shown(), one.label, method(one.id))
            for one in actions
            if (detail is None or detail.offers(one)) and session.missing(one) is None
        ]
        at = next((n for n, one in enumerate(hints) if "'palette'" in one.action), 0)
        return [*hints[: at + 1], KeyHint("0-9", "views"), *hints[at + 1 :]]


_TABS = (
    ("alerts", "silences", "alert-history", "rules"),
    ("messages", "topics", "inboxes", "dead-letters"),
    ("logs", "events"),
    ("audit", "tokens", "roles", "namespaces"),
)
"""One view, several lists."""
_LISTS: Mapping[str, Callable[[Session], Widget]] = {
    "nodes": TopologyView,
    "agents": lambda session: ListView(
        AGENTS, lambda state: state.agents.values(),
        place="agents", number=3, session=session,
    ),
    "tasks": lambda session: ListView(
        TASKS, lambda state: state.tasks.values(),
        place="tasks", number=4, session=session,
    ),
    "alerts": lambda session: ListView(
        ALERTS, lambda state: state.alerts.values(),
        place="alerts", number=6, session=session,
    ),
    "silences": lambda session: AskedList(
        SILENCES, lambda node: node.silences(), silence_lines,
        place="silences", number=6, session=session,
    ),
    "alert-history": lambda session: AskedList(
        HISTORY, lambda node: node.alert_history(), change_lines,
        place="alert-history", number=6, session=session,
    ),
    "rules": lambda session: AskedList(
        RULES, lambda node: node.rules(), rule_lines,
        place="rules", number=6, session=session,
    ),
    "audit": lambda session: AskedList(
        AUDIT, lambda node: node.audit(), audit_lines,
        place="audit", number=9, session=session,
    ),
    "tokens": lambda session: AskedList(
        TOKENS, lambda node: node.tokens(), token_lines,
        place="tokens", number=9, session=session,
    ),
    "roles": lambda session: AskedList(
        ROLES, lambda node: node.roles(), role_lines,
        place="roles", number=9, session=session,
    ),
    "namespaces": lambda session: AskedList(
        NAMESPACES, lambda node: node.namespaces(), namespace_lines,
        place="namespaces", number=9, session=session,
    ),
    "metrics": MetricsView,
    "messages": MessagesView,
    "dead-letters": DeadLettersView,
    "topics": TopicsView,
    "inboxes": InboxesView,
    "logs": LogView,
    "clusters": ClustersView,
    "events": lambda session: ListView(
        EVENTS, lambda state: state.events,
        place="events", number=8, session=session,
    ),
}  # fmt: skip
