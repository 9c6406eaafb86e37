"""One record in full. What the feed does not carry is asked of the node, once."""

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from nexa_node.contract.alerts import AlertDetail
from nexa_node.contract.errors import NexaError
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.tasks import FINISHED, Explanation, Task
from nexa_tui.actions import Action, Place
from nexa_tui.screens.keys import bindings
from nexa_tui.screens.session import Session
from nexa_tui.screens.sheet import Sheet
from nexa_tui.state.alert_detail import alert_lines
from nexa_tui.state.detail import (
    Line,
    Words,
    agent_lines,
    event_lines,
    task_lines,
)
from nexa_tui.state.formats import TIMES
from nexa_tui.state.listing import Look
from nexa_tui.state.store import ClusterState
from nexa_tui.state.text import clean
from nexa_tui.state.topology import topology
from nexa_tui.state.topology_detail import node_page
from nexa_tui.widgets.ink import terminal_of
from nexa_tui.widgets.lines import Piece
from nexa_tui.widgets.panel import Panel

_TASKS_MAX = 50
_NOUNS = {
    "tasks": "Task", "agents": "Agent", "nodes": "Node", "events": "Event",
    "alerts": "Alert",
}  # fmt: skip


class Detail(Container):
    """A view of one record."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("detail")

    def __init__(self, place: Place, key: str, session: Session) -> None:
        """Show the record of `place` that `key` names."""
        super().__init__(id="view-detail", classes="view")
        self.of: Place = place
        self.place: Place = "detail"
        self.key = key
        self._session = session
        self._whole: Task | None = None
        self._alert: AlertDetail | None = None
        self._why: Explanation | None = None
        self._error: NexaError | None = None
        self._asked_for: object = None
        self._sheet = Sheet(id="sheet")
        noun = _NOUNS.get(place, place)
        self._panel = Panel(self._sheet, title=f"{noun} {clean(key, 60)}", id="detail")

    def compose(self) -> ComposeResult:
        """The lines in a panel."""
        yield self._panel

    def focus_content(self) -> None:
        """Put the focus where the keys work."""
        self._sheet.focus()

    def address(self) -> str | None:
        """The address of the record."""
        return f"nexa://{self.of}/{self.key}"

    @property
    def over(self) -> bool:
        """Whether it is a task that has ended: nothing can be done to it any more."""
        task = self._session.shown.tasks.get(TaskId(self.key)) or self._whole
        return self.of == "tasks" and task is not None and task.status in FINISHED

    def offers(self, action: Action) -> bool:
        """Say whether an action makes sense for this record."""
        if "detail" not in action.where:
            return True
        lists = [place for place in action.where if place in _NOUNS]
        if len(lists) in {0, len(_NOUNS)}:
            return True
        return self.of in lists and not (action.dangerous and self.over)

    def climb(self) -> bool:
        """Nothing to climb inside."""
        return False

    def show(self) -> None:
        """Show what is known now, and ask for what is not."""
        state, now = self._session.shown, self._session.shown_at
        at = state.node_time(now)
        look = Look(
            None if at is None else at.replace(microsecond=0),
            ascii_only=terminal_of(self).ascii_only,
        )
        makers: dict[str, Callable[[ClusterState, Look], Sequence[Line]]] = {
            "tasks": self._task_lines,
            "agents": self._agent_lines,
            "nodes": self._node_lines,
            "events": self._event_lines,
            "alerts": self._alert_lines,
        }
        self._sheet.show_lines(makers[self.of](state, look))
        info: list[Piece] = [(TIMES, "muted"), ("Esc back", "muted")]
        if self._error is not None:
            info.insert(0, (clean(self._error.message, 80), "crit"))
        self._panel.say(info=info)

    def _task_lines(self, state: ClusterState, look: Look) -> Sequence[Line]:
        summary = state.tasks.get(TaskId(self.key))
        self._ask(summary, self._fetch)
        if self._whole is not None and (
            summary is None or self._whole.status == summary.status
        ):
            return task_lines(self._whole, look, self._why)
        if summary is not None:
            return task_lines(summary, look)
        return _gone("task", "nexa task show " + clean(self.key))

    def _agent_lines(self, state: ClusterState, look: Look) -> Sequence[Line]:
        agent = state.agents.get(AgentId(self.key))
        if agent is None:
            return _gone("agent", "nexa agents list")
        mine = [task for task in state.tasks.values() if task.agent == agent.id]
        return agent_lines(agent, mine[: -_TASKS_MAX - 1 : -1], look)

    def _node_lines(self, state: ClusterState, look: Look) -> Sequence[Line]:
        view = topology(state.cluster) if state.cluster else None
        part = view.part(self.key) if view else None
        if view is None or part is None:
            return _gone("node", "nexa cluster status")
        self._panel.say(title=f"Node {clean(part.name, 40)}")
        return node_page(view, part, tuple(state.agents.values()), look)

    def _event_lines(self, state: ClusterState, look: Look) -> Sequence[Line]:
        for event in state.events:
            if event.id == self.key:
                return event_lines(event, look)
        return _gone("event", "nexa events")

    def _alert_lines(self, state: ClusterState, look: Look) -> Sequence[Line]:
        alert = state.alerts.get(self.key)
        self._ask(alert, self._fetch_alert)
        detail = self._alert
        if alert is None and detail is not None:
            alert = detail.alert
        if alert is None:
            return _gone("alert", "nexa alerts history")
        self._panel.say(title=f"Alert {clean(alert.name, 60)}")
        return alert_lines(alert, look, detail)

    def _ask(self, summary: object, fetch: Callable[[], Awaitable[None]]) -> None:
        """Ask the node for the whole record; again only when it changed."""
        wanted = self.key if summary is None else summary
        if self._session.client is None or self._asked_for == wanted:
            return
        self._asked_for = wanted
        self.run_worker(fetch, group="detail", exclusive=True, exit_on_error=False)

    async def _fetch_alert(self) -> None:
        client = self._session.client
        if client is None:
            return
        try:
            self._alert, self._error = await client.alert(self.key), None
        except NexaError as error:
            self._error = error
        if self.is_attached:
            self.show()

    async def _fetch(self) -> None:
        client = self._session.client
        if client is None:
            return
        try:
            task = await client.task(TaskId(self.key))
            waiting = task.status not in FINISHED
            self._why = await client.explain(task.id) if waiting else None
        except NexaError as error:
            self._error = error
        else:
            self._whole, self._error = task, None
        if self.is_attached:
            self.show()


def _gone(noun: str, command: str) -> tuple[Line, ...]:
    return (
        Words(f"This node does not remember the {noun} any more.", "muted"),
        Words(command, "strong"),
    )
