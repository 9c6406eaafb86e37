"""The line under a list where a filter is typed; it works while it is typed.

A pattern that is none yet turns the edge to the warning colour and says why, while the
last good one stays in force. Enter goes back to the list and keeps the filter, Esc
clears it and goes back.
"""

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from nexa_tui.state.filters import LENGTH_MAX, NOTHING, Filter, parse
from nexa_tui.state.text import clean
from nexa_tui.widgets.untrusted import untrusted


class FilterBar(Horizontal):
    """One line: `/`, what is typed, and what came of it. Hidden until it is opened."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close(True)", "Clear", show=False, id="filter.clear"),
        Binding("down", "close(False)", "Keep", show=False, id="filter.keep"),
    ]

    class Changed(Message):
        """What is typed means something else now."""

        def __init__(self, bar: "FilterBar", chosen: Filter) -> None:
            """Say which bar and what it means."""
            super().__init__()
            self.bar = bar
            self.filter = chosen

        @property
        def control(self) -> "FilterBar":
            """The bar, for `@on` with a selector."""
            return self.bar

    class Closed(Message):
        """The person went back to the list: give it the focus."""

        def __init__(self, bar: "FilterBar") -> None:
            """Say which bar."""
            super().__init__()
            self.bar = bar

        @property
        def control(self) -> "FilterBar":
            """The bar, for `@on` with a selector."""
            return self.bar

    def __init__(
        self,
        *,
        keys: Iterable[str] = (),
        id: str | None = None,  # noqa: A002  as Textual calls it
    ) -> None:
        """Start closed, without a filter.

        Args:
            keys: The columns that may be named before a colon.
            id: For style sheets and queries.
        """
        super().__init__(id=id)
        self._keys = frozenset(keys)
        self._filter = NOTHING
        self.display = False

    @property
    def filter(self) -> Filter:
        """What is in force."""
        return self._filter

    def compose(self) -> ComposeResult:
        """Slash, input, and what came of it."""
        yield Static(Content("/"), classes="filter-slash", markup=False)
        line = Input(
            placeholder="words, column:word, re:pattern, ! inverts",
            max_length=LENGTH_MAX,
            compact=True,
        )
        line.cursor_blink = False
        yield line
        yield Static(Content(""), classes="filter-said", markup=False)

    def open(self) -> None:
        """Show the line and put the focus on it."""
        self.display = True
        self.query_one(Input).focus()

    def clear(self) -> None:
        """Forget what was typed."""
        self.query_one(Input).value = ""

    def say(self, text: str) -> None:
        """Say what the filter left: `3 of 120`. An error goes before it."""
        if self._filter.error is None:
            # It may be asked before its own parts are there: the next beat says it.
            for said in self.query(".filter-said").results(Static):
                said.update(untrusted(text, 60))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Understand what was typed so far."""
        event.stop()
        self._filter = parse(event.value, self._keys, self._filter)
        wrong = self._filter.error
        self.set_class(wrong is not None, "-wrong")
        said = Content(clean(wrong, 60)) if wrong else Content("")
        self.query_one(".filter-said", Static).update(said)
        self.post_message(self.Changed(self, self._filter))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter keeps what was typed."""
        event.stop()
        self.action_close(clear=False)

    def action_close(self, clear: bool) -> None:
        """Go back to the list."""
        if clear:
            self.clear()
        self.display = bool(self.query_one(Input).value.strip())
        self.post_message(self.Closed(self))
