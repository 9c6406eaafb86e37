"""Samples over time as an area or a sparkline; painted only where they changed."""

from collections.abc import Sequence
from typing import Literal

from nexa_tui.state.charts import Sample, area, ceiling, per_cell, sparkline
from nexa_tui.widgets.drawn import Drawn, Pieces
from nexa_tui.widgets.ink import terminal_of

Ramp = Literal["load", "flow"]
"""`load` has a limit and turns alarming towards it; `flow` has none and never does."""


class Chart(Drawn):
    """A chart as large as its place: one line is a sparkline, more are an area.

    With `second` samples the two are mirrored: the first grows up from the middle, the
    second hangs down from it.
    """

    def __init__(
        self,
        *,
        ramp: Ramp = "flow",
        low: float = 0.0,
        high: float | None = None,
        id: str | None = None,  # noqa: A002  as Textual calls it
        classes: str | None = None,
    ) -> None:
        """Start without samples.

        Args:
            ramp: The gradient.
            low: The value of the ground.
            high: The value of the top; None takes a round number above the samples.
            id: For style sheets and queries.
            classes: For style sheets.
        """
        super().__init__(id=id, classes=classes)
        self._ramp = ramp
        self._low = low
        self._high = high
        self._samples: Sequence[Sample] = ()
        self._second: Sequence[Sample] | None = None
        self._unpaired = False

    def show(
        self,
        samples: Sequence[Sample],
        second: Sequence[Sample] | None = None,
        *,
        number: int | None = None,
    ) -> None:
        """Show samples, oldest first.

        Args:
            samples: None is a moment of which nothing is known.
            second: Of the lower half of a mirrored chart; as many as `samples`.
            number: Counts the samples ever taken. With it the chart moves by whole
                characters, every other time, and costs half the bytes.
        """
        self._samples = samples
        self._second = second
        self._unpaired = bool((len(samples) if number is None else number) % 2)
        self.redraw()

    @property
    def top(self) -> float:
        """The value of the topmost dot, for a label beside the chart."""
        if self._high is not None:
            return self._high
        return ceiling([*self._samples, *(self._second or ())], self._low)

    def drawing(self, width: int, height: int) -> list[Pieces]:
        """The chart's lines in pieces of one step of the gradient."""
        glyphs = terminal_of(self).charts
        # The newest pair of dots is half empty until its second sample has come.
        half = [None] if self._unpaired and per_cell(glyphs) > 1 else []
        samples = [*self._samples[-width * 2 :], *half]
        low, high = self._low, self.top
        if height == 1:
            lines = [sparkline(samples, width, glyphs=glyphs, low=low, high=high)]
        elif self._second is None or height == 0:
            lines = list(
                area(samples, width, height, glyphs=glyphs, low=low, high=high)
            )
        else:
            below = [*self._second[-width * 2 :], *half]
            upper = (height + 1) // 2
            lines = [
                *area(samples, width, upper, glyphs=glyphs, low=low, high=high),
                *area(
                    below,
                    width,
                    height - upper,
                    glyphs=glyphs,
                    low=low,
                    high=high,
                    down=True,
                ),
            ]
        return [
            [(text, f"{self._ramp}-{step}") for text, step in line.runs()]
            for line in lines
        ]
