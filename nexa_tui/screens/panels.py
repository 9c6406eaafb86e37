"""The panels of the Overview. Each holds its own widgets and knows what it shows."""

from nexa_tui.screens.rows import OLD, Rows, table_columns
from nexa_tui.screens.said import Said
from nexa_tui.state.agents import AGENTS
from nexa_tui.state.charts import per_cell
from nexa_tui.state.formats import TIMES, age, clock, percent, rate, size
from nexa_tui.state.listing import Choice, Look, arrange, since
from nexa_tui.state.overview import (
    Piece,
    agent_figures,
    flow_lines,
    series,
    verdict_lines,
)
from nexa_tui.state.severity import mark
from nexa_tui.state.store import BEAT_S, ClusterState
from nexa_tui.state.tasks import TASKS, in_work_order
from nexa_tui.state.text import clean
from nexa_tui.widgets.chart import Chart
from nexa_tui.widgets.ink import terminal_of
from nexa_tui.widgets.loglines import LogLine, LogLines
from nexa_tui.widgets.meter import Meter
from nexa_tui.widgets.panel import Panel
from nexa_tui.widgets.table import Rows as TableRows, Table

_EVENTS = 100
_NOTHING = "Nothing is known yet."


class VerdictPanel(Panel):
    """The verdict with its reasons, and what mends it: as tall as it has to be."""

    def __init__(self) -> None:
        """Start without a verdict."""
        self._said = Said(id="verdict-lines")
        super().__init__(self._said, title="cluster", id="verdict")

    def show(self, state: ClusterState, now: float, *, width: int, lines: int) -> int:
        """Show the verdict; answers how many lines it took, of at most `lines`."""
        told = verdict_lines(
            state,
            now,
            width=width,
            lines=lines,
            ascii_only=terminal_of(self).ascii_only,
        )
        self._said.styles.height = len(told)
        self._said.say(told)
        style = told[0][1][1]
        self.say(
            edge=style if style in {"warn", "crit"} else "border",
            title=clean(state.cluster.name, 40) if state.cluster else "cluster",
            count=_members(state),
            info=_standing(state, now),
        )
        return len(told)


class AgentsPanel(Panel):
    """Who works: the most urgent first."""

    def __init__(self) -> None:
        """Start empty."""
        self.table = Table(
            table_columns(AGENTS, narrow=True), empty=_NOTHING, id="overview-agents"
        )
        self.table.sorted_by(AGENTS.first.column)
        super().__init__(self.table, title="Agents", key="3", id="agents")

    def show(self, state: ClusterState, look: Look, *, stale: bool = False) -> None:
        """Show the agents; `stale` is said before their figures."""
        figures = agent_figures(state)
        agents = arrange(AGENTS, state.agents.values(), Choice(AGENTS.first), look)
        _teach(self.table, state, "No agent yet.", AGENTS.empty[1])
        _fill(self.table, Rows(AGENTS, agents.records, look))
        share = f", {percent(figures.share).strip()} busy" if figures.slots else ""
        count = "" if state.empty else f"{figures.connected}/{figures.known}{share}"
        self.say(count=(OLD if stale else "") + count)


class TasksPanel(Panel):
    """What is worked on, then what waits, then what is over."""

    def __init__(self) -> None:
        """Start empty."""
        self.table = Table(
            table_columns(TASKS, narrow=True), empty=_NOTHING, id="overview-tasks"
        )
        super().__init__(self.table, title="Tasks", key="4", id="tasks")

    def show(self, state: ClusterState, look: Look, *, stale: bool = False) -> None:
        """Show the tasks; `stale` is said before their figures."""
        _teach(self.table, state, "No task yet.", TASKS.empty[1])
        _fill(self.table, Rows(TASKS, in_work_order(state.tasks.values()), look))
        counts = state.counts
        running = counts.running + counts.assigned
        count = "" if state.empty else f"{running} running, {counts.pending} waiting"
        self.say(count=(OLD if stale else "") + count)


class HostPanel(Panel):
    """The node's machine, with history."""

    def __init__(self) -> None:
        """Start without figures."""
        self._cpu = Meter("cpu", label_width=4, note_width=13, id="cpu")
        self._memory = Meter("mem", label_width=4, note_width=13, id="memory")
        self._disk = Meter("disk", label_width=4, note_width=13, id="disk")
        self._chart = _chart("cpu-chart", high=1.0)
        super().__init__(
            self._cpu, self._memory, self._disk, self._chart, title="Host", id="host"
        )

    def show(self, state: ClusterState, *, number: int) -> None:
        """Show the newest sample; `number` counts the samples ever seen."""
        sample = state.sample
        if sample is None:
            return
        total = size(sample.memory_total_bytes).strip()
        free = size(sample.disk_free_bytes).strip()
        self._cpu.show(sample.cpu, f"load {sample.load_1m:.2f}")
        self._memory.show(sample.memory, f"of {total}")
        self._disk.show(sample.disk, f"{free} free")
        self._chart.show(series(state, lambda one: one.cpu), number=number)
        received, sent = rate(sample.net_rx_bytes_s), rate(sample.net_tx_bytes_s)
        self.say(
            note=(
                (f"net {received.strip()} in {sent.strip()} out", "muted"),
                (f"node {size(sample.rss_bytes).strip()}", "muted"),
            )
        )


class FlowPanel(Panel):
    """How fast work goes, with history."""

    def __init__(self) -> None:
        """Start without figures."""
        self._said = Said(id="flow-lines")
        self._known = False
        self._chart = _chart("flow-chart", high=None)
        super().__init__(self._said, self._chart, title="Throughput", id="flow")

    def show(self, state: ClusterState, *, number: int) -> None:
        """Show the newest sample; `number` counts the samples ever seen."""
        if state.sample is None:
            return
        self._known = True
        self._said.say(flow_lines(state))
        done = series(state, lambda one: one.tasks_completed_s)
        self._chart.show(done, number=number)
        self._say_scales()

    def on_resize(self) -> None:
        """The chart shows more, or less, of the past: once it has its new size."""
        self.call_after_refresh(self._say_scales)

    def _say_scales(self) -> None:
        samples = self._chart.size.width * per_cell(terminal_of(self).charts)
        if samples and self._known:
            top, past = f"{self._chart.top:g}", age(samples * BEAT_S).strip()
            self.say(note=((f"top {top}/s", "muted"), (f"last {past}", "muted")))


class EventsPanel(Panel):
    """What happened, the newest last, as it is read aloud."""

    def __init__(self) -> None:
        """Start empty."""
        self._lines = LogLines(id="overview-events", empty=_NOTHING)
        super().__init__(self._lines, title="Events", key="8", id="events")

    def show(self, state: ClusterState, look: Look) -> None:
        """Show the newest events."""
        lines: list[LogLine] = []
        for event in state.events[-_EVENTS:]:
            shown = mark("event", clean(event.severity, 20), ascii_only=look.ascii_only)
            line = LogLine(
                event.id,
                clock(event.time),
                shown.glyph,
                shown.style,
                clean(event.kind, 18),
                clean(event.message, 300),
            )
            lines.append(line)
        self._lines.update_lines(lines)
        self.say(
            count="" if state.empty else str(len(state.events)),
            note=((TIMES, "muted"),) if state.events else (),
        )


def _teach(table: Table, state: ClusterState, told: str, command: str) -> None:
    """Say why there is no row, and the command that makes one if it fits whole."""
    fits = len(command) + 3 <= table.size.width
    if state.empty:
        table.say_when_empty(_NOTHING)
    else:
        table.say_when_empty(told, command if fits else "")


def _fill(table: Table, rows: TableRows) -> None:
    table.update_rows(rows)
    if not table.has_focus:  # nobody reads there: the top matters most
        table.move_to(0, tell=False)


def _chart(name: str, *, high: float | None) -> Chart:
    """A chart that can be focused, to be maximised."""
    chart = Chart(ramp="flow" if high is None else "load", high=high, id=name)
    chart.can_focus = True
    return chart


def _members(state: ClusterState) -> str:
    if state.cluster is None:
        return ""
    nodes = len(state.cluster.nodes)
    quorum = state.cluster.quorum
    if nodes == 1:
        return "1 node"
    if state.cluster.store == "attached":
        return f"{nodes} nodes, attached"
    return f"{nodes} nodes, quorum {quorum.have}/{quorum.need}"


def _standing(state: ClusterState, now: float) -> list[Piece]:
    """At the right of the verdict's border: what was checked, how long it runs."""
    pieces: list[Piece] = []
    if state.selftest is not None:
        asked = [one for one in state.selftest.checks if one.status != "skipped"]
        passed = sum(check.status == "pass" for check in asked)
        shown = mark("check", state.selftest.status)
        pieces.append((f"self-test {passed}/{len(asked)}", shown.style))
    started = state.node.started if state.node else None
    up = since(started, state.node_time(now))
    if up is not None:
        pieces.append((f"up {age(up).strip()}", "muted"))
    return pieces
