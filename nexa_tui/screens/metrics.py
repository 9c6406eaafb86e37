"""Metrics: what the nodes measured, as charts with range, zoom and cross-hair.

The node under the console answers for the whole cluster, in PromQL, as Prometheus does.
Questions are asked only while this view is seen.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from nexa_node.contract.errors import NexaError
from nexa_tui.actions import Place
from nexa_tui.client.api import NodeClient
from nexa_tui.screens.keys import bindings
from nexa_tui.screens.said import Said
from nexa_tui.screens.session import Session
from nexa_tui.state.charts import sparkline
from nexa_tui.state.formats import TIMES, age, clock
from nexa_tui.state.metrics import (
    OWN,
    QUESTIONS,
    RANGES_S,
    Answer,
    Question,
    read,
    step_of,
    together,
    told,
)
from nexa_tui.state.text import clean
from nexa_tui.widgets.columns import Column
from nexa_tui.widgets.ink import app_of, terminal_of
from nexa_tui.widgets.lines import LineView
from nexa_tui.widgets.panel import Panel
from nexa_tui.widgets.table import Row, Table
from nexa_tui.widgets.timechart import TimeChart

EVERY_S = 10.0
"""As often as nodes take samples."""
_SPARK = 24
_AT_ONCE = 3
"""Questions on their way at a time: a slow link carries other things, too."""
_COLUMNS = (
    Column("title", "figure", 22, flexible=1),
    Column("now", "now", 11, "right"),
    Column("spark", "", _SPARK, priority=1),
)
_SERIES = (
    Column("name", "series", 20, flexible=2),
    Column("value", "value", 11, "right"),
    Column("low", "lowest", 11, "right", priority=2),
    Column("high", "highest", 11, "right", priority=1),
    Column("spark", "", _SPARK, priority=3),
)


class MetricsView(Container):
    """A list of figures; the one under the cursor as a chart with its series."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("metrics")

    def __init__(self, session: Session) -> None:
        """Ask the node that `session` works on."""
        super().__init__(id="view-metrics", classes="view")
        self.place: Place = "metrics"
        self._session = session
        self._table = Table(_COLUMNS, empty="No figures.", id="metrics-figures")
        self._chart, self._said = TimeChart(id="metrics-chart"), Said(id="metrics-said")
        self._series = Table(
            _SERIES,
            empty="No series.",
            hint="another range: + and -",
            id="metrics-series",
        )
        self._figures = Panel(self._table, title="Metrics", key="7", id="metrics-list")
        self._one = Panel(
            self._said, self._chart, self._series, title="", id="metrics-one"
        )
        self._range = RANGES_S.index(3600)
        self._own: Question | None = None
        self._answers: dict[str, Answer] = {}
        # The moment under the cross-hair: it stays there when the steps become others.
        self._hair: float | None = None
        self._asked_at = float("-inf")
        self._asked: object = None
        self._error = ""

    def compose(self) -> ComposeResult:
        """Figures, and one of them in full."""
        yield self._figures
        yield self._one

    def focus_content(self) -> None:
        """Put the focus on the figures."""
        self._table.focus()

    def address(self) -> str | None:
        """The expression, so that it can be asked elsewhere."""
        return f"nexa://metrics/{self._question().expression}"

    def climb(self) -> bool:
        """Let go of the cross-hair, then of the maximised chart."""
        if self._hair is not None:
            self._hair = None
            self._draw()
            return True
        if self.has_class("-maximised"):
            self.action_maximise()
            return True
        return False

    def show(self) -> None:
        """Show what is known, and ask anew when it is old."""
        session = self._session
        old = session.now - self._asked_at >= EVERY_S
        wanted = (session.target, self._range, self._own, self._chart.steps)
        measured = self._chart.size.width > 0
        if session.client and measured and (old or wanted != self._asked):
            self._asked_at, self._asked = session.now, wanted
            self.run_worker(
                self._ask_all, group="metrics", exclusive=True, exit_on_error=False
            )
        self._draw()

    def action_zoom_out(self) -> None:
        """Look further back."""
        self._zoom(1)

    def action_zoom_in(self) -> None:
        """Look at less time."""
        self._zoom(-1)

    def action_hair_left(self) -> None:
        """The cross-hair to the left; it begins at the newest sample."""
        self._move_hair(-1)

    def action_hair_right(self) -> None:
        """The cross-hair to the right."""
        self._move_hair(1)

    def _zoom(self, step: int) -> None:
        before = self._range
        self._range = min(len(RANGES_S) - 1, max(0, self._range + step))
        if self._range != before:
            self._hair = None
            self.show()

    def _move_hair(self, step: int) -> None:
        answer = self._answers.get(self._question().key)
        if answer is None or not answer.drawings:
            return
        newest = len(answer.drawings[0].values) - 1
        before = newest if self._hair is None else answer.index(self._hair)
        after = min(newest, max(0, before + step))
        self._hair = answer.start + after * answer.step
        self._draw()

    def action_maximise(self) -> None:
        """The chart alone, or with the figures."""
        self.toggle_class("-maximised")

    def action_next_panel(self) -> None:
        """Between the figures and the series."""
        (self._series if self._table.has_focus else self._table).focus()

    def action_previous_panel(self) -> None:
        """Between the figures and the series."""
        self.action_next_panel()

    def action_query(self) -> None:
        """Ask a question of one's own."""
        from nexa_tui.screens.form import Answers, Blank, Form

        def answered(answers: Answers | None) -> None:
            if answers is not None:
                self.ask_own(answers["expression"])

        form = Form(
            title="Ask in PromQL",
            target="e.g. sum by (queue) (nexa_queue_depth)",
            blanks=(
                Blank("expression", "query", self._question().expression, most=2000),
            ),
            verb="Ask",
            check=lambda answers: None if answers["expression"] else "Say something.",
        )
        app_of(self).push_screen(form, answered)

    def ask_own(self, expression: str) -> None:
        """Ask, and show the answer."""
        self._own = Question(OWN, "own question", expression, "count", "max")
        self._answers.pop(OWN, None)
        self.show()
        self._table.move_to_key(OWN)

    def on_line_view_highlighted(self, message: LineView.Highlighted) -> None:
        """Another figure is looked at."""
        message.stop()
        if message.view is self._table:
            self._hair = None
            self._draw()

    def on_line_view_selected(self, message: LineView.Selected) -> None:
        """Enter: the chart alone."""
        message.stop()
        self.action_maximise()

    # Inside.

    def _questions(self) -> Sequence[Question]:
        return QUESTIONS if self._own is None else (self._own, *QUESTIONS)

    def _question(self) -> Question:
        key = self._table.cursor_key
        every = self._questions()
        return next((one for one in every if one.key == key), every[0])

    async def _ask_all(self) -> None:
        client = self._session.client
        if client is None:
            return
        gate = asyncio.Semaphore(_AT_ONCE)
        first = self._question()
        rest = [one for one in self._questions() if one.key != first.key]
        await self._ask(client, first, gate)
        await asyncio.gather(*(self._ask(client, one, gate) for one in rest))

    async def _ask(
        self, client: NodeClient, question: Question, gate: asyncio.Semaphore
    ) -> None:
        now = self._session.shown.node_time(self._session.shown_at)
        if now is None:
            return
        range_s = RANGES_S[self._range]
        step = step_of(range_s, self._chart.steps)
        steps = int(range_s // step) + 1
        end = now.timestamp() // step * step
        start = end - (steps - 1) * step
        async with gate:
            try:
                matrix = await client.query_range(
                    question.expression, start=start, end=end, step=step
                )
            except NexaError as error:
                answer = Answer(start, step, error=error.message)
            else:
                answer = read(matrix, start=start, step=step, steps=steps)
        self._answers[question.key] = answer
        if self.is_attached:
            self._draw()

    def _draw(self) -> None:
        ascii_only = terminal_of(self).ascii_only
        glyphs = terminal_of(self).charts
        rows: list[Row] = []
        for one in self._questions():
            answer = self._answers.get(one.key)
            values = () if answer is None else together(answer, one)
            last = next((v for v in reversed(values) if v is not None), None)
            spark = sparkline(_thinned(values, _SPARK * 2), _SPARK, glyphs=glyphs).text
            style = "crit" if answer is not None and answer.error else "strong"
            rows.append(
                Row(
                    one.key,
                    (
                        (clean(one.title, 60), "text"),
                        (told(last, one.unit), style),
                        (spark, "accent"),
                    ),
                )
            )
        self._table.update_rows(rows)
        span = age(RANGES_S[self._range]).strip()
        self._figures.say(info=[(f"last {span}", "muted")])
        self._draw_one(self._question(), ascii_only=ascii_only)

    def _draw_one(self, question: Question, *, ascii_only: bool) -> None:
        answer = self._answers.get(question.key)
        note = [("+ - range", "muted"), ("left right cross-hair", "muted")]
        self._one.say(title=question.title, info=[(TIMES, "muted")], note=note)
        if answer is None or answer.error is not None or not answer.drawings:
            self._chart.show(())
            self._series.update_rows([])
            words, style = "Asking the node.", "muted"
            if answer is not None:
                words, style = "No series in this time.", "muted"
            if answer is not None and answer.error is not None:
                words, style = clean(answer.error, 300), "crit"
            self._said.say((((f" {words}", style),),))
            return
        values = together(answer, question)
        hair = None if self._hair is None else answer.index(self._hair)
        self._chart.show(values, hair=hair, marks=self._marks(answer, len(values)))
        at = len(values) - 1 if hair is None else hair
        top = told(self._chart.top, question.unit)
        self._said.say(
            (
                (
                    (f" {told(values[at], question.unit)}", "strong"),
                    (f" at {clock(answer.at(at))}", "muted"),
                    (f"   top {top}", "muted"),
                    (f"   {clean(question.expression, 400)}", "muted"),
                ),
            )
        )
        glyphs = terminal_of(self).charts
        words = partial(told, unit=question.unit)
        rows: list[Row] = []
        for number, one in enumerate(answer.drawings):
            there = [value for value in one.values if value is not None]
            spark = sparkline(_thinned(one.values, _SPARK * 2), _SPARK, glyphs=glyphs)
            rows.append(
                Row(
                    f"{number} {one.name}",
                    (
                        (one.name, "text"),
                        (words(one.values[at]), "strong"),
                        (words(min(there, default=None)), "muted"),
                        (words(max(there, default=None)), "muted"),
                        (spark.text, "accent"),
                    ),
                )
            )
        self._series.update_rows(rows)

    def _marks(self, answer: Answer, count: int) -> frozenset[int]:
        """The samples at which an alert fired."""
        fired = (
            alert.fired.timestamp()
            for alert in self._session.shown.alerts.values()
            if alert.fired is not None
        )
        places = (round((moment - answer.start) / answer.step) for moment in fired)
        return frozenset(place for place in places if 0 <= place < count)


def _thinned(values: Sequence[float | None], most: int) -> Sequence[float | None]:
    """At most so many values over the whole range, each the highest of its share."""
    if len(values) <= most:
        return values
    share = len(values) / most
    parts = (values[int(n * share) : int((n + 1) * share)] for n in range(most))
    return [max((v for v in part if v is not None), default=None) for part in parts]
