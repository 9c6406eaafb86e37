"""One list of the dashboard: a table in a panel, with filter, order and problems only.

The record under the cursor is known by its key, so that what is opened, copied or
cancelled is what was looked at, wherever it has moved since.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.message import Message

from nexa_node.contract.errors import NexaError
from nexa_tui.actions import Place
from nexa_tui.screens.kept_columns import columns_of
from nexa_tui.screens.keys import bindings
from nexa_tui.screens.rows import OLD, Rows, table_columns
from nexa_tui.screens.session import Session
from nexa_tui.state.filters import Filter
from nexa_tui.state.listing import Arranged, Choice, Listing, Look, Order, arrange
from nexa_tui.state.store import ClusterState
from nexa_tui.state.text import clean
from nexa_tui.widgets.ink import app_of, terminal_of
from nexa_tui.widgets.lines import LineView, Piece
from nexa_tui.widgets.panel import Panel
from nexa_tui.widgets.table import Table

if TYPE_CHECKING:
    from nexa_tui.widgets.filterbar import FilterBar

R = TypeVar("R")


class ListView(Container, Generic[R]):
    """A list with everything a list has."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("list")

    class Opened(Message):
        """A record was chosen."""

        def __init__(self, place: Place, key: str) -> None:
            """Say which one, of which list."""
            super().__init__()
            self.place: Place = place
            self.key = key

    def __init__(
        self,
        listing: Listing[R],
        records: Callable[[ClusterState], Iterable[R]],
        *,
        place: Place,
        number: int,
        session: Session,
    ) -> None:
        """Show a list.

        Args:
            listing: What its rows are.
            records: Where they are in the state.
            place: Its name among the places.
            number: The key that leads to it.
            session: Where the state is.
        """
        super().__init__(id=f"view-{place}", classes="view")
        text, hint = listing.empty
        self.table = Table(
            table_columns(listing), empty=text, hint=hint, id=f"table-{place}"
        )
        self._panel = Panel(
            self.table, title=listing.title, key=str(number), id=f"panel-{place}"
        )
        self._listing = listing
        self._shown_as = listing
        """With the columns that were chosen."""
        self._sought: str | None = None
        """The address of a record that is waited for."""
        self._records = records
        self.place: Place = place
        self._session = session
        self._choice = Choice(listing.first)
        self._arranged: Arranged[R] = Arranged()
        self._drawn: tuple[object, ...] = ()
        self._stale = False
        self._bar: FilterBar | None = None

    def compose(self) -> ComposeResult:
        """A table in a panel; the line for the filter comes when it is asked for."""
        yield self._panel

    def on_mount(self) -> None:
        """Show the columns that were chosen once; mark the order."""
        self._show_columns(columns_of(self._session.options.environ, self.place))
        self._mark_order()

    @property
    def choice(self) -> Choice:
        """What is wanted of the list."""
        return self._choice

    def current(self) -> R | None:
        """The record under the cursor."""
        key = self.table.cursor_key
        return None if key is None else self._find(key)

    def address(self) -> str | None:
        """The address of the record under the cursor."""
        record = self.current()
        return None if record is None else self._listing.address(record)

    def focus_content(self) -> None:
        """Put the focus where the keys work."""
        self.table.focus()

    def show(self) -> None:
        """Show what is known now; costs nothing when nothing changed."""
        state, now = self._session.shown, self._session.shown_at
        look = self._look(state, now)
        self._stale = state.stale(now)
        drawn = (state.version, self._choice, look, self._stale)
        if drawn == self._drawn:
            return
        if drawn[:2] != self._drawn[:2]:
            self._arranged = arrange(
                self._listing, self._records(state), self._choice, look
            )
        self._drawn = drawn
        self._say_when_empty()
        self.table.update_rows(Rows(self._shown_as, self._arranged.records, look))
        self._seek()
        self._say_counts()

    def climb(self) -> bool:
        """Go one step up: the entry, the filter, problems only. False at the top."""
        if self._bar is not None and self._choice.filter:
            self._bar.action_close(clear=True)
            return True
        if self._choice.problems:
            self.choose(problems=False)
            return True
        return False

    def choose(
        self,
        *,
        order: Order | None = None,
        filter: Filter | None = None,  # noqa: A002  it is one
        problems: bool | None = None,
    ) -> None:
        """Want something else of the list; what is not given stays."""
        old = self._choice
        self._choice = Choice(
            old.order if order is None else order,
            old.filter if filter is None else filter,
            old.problems if problems is None else problems,
        )
        self._mark_order()
        self.show()

    async def filter_by(self, text: str) -> None:
        """Filter by words that were typed elsewhere."""
        from textual.widgets import Input

        bar = await self._bar_made()
        bar.open()
        bar.query_one(Input).value = text
        bar.action_close(clear=False)

    async def action_filter(self) -> None:
        """Open the line for the filter."""
        (await self._bar_made()).open()

    def action_open(self) -> None:
        """Open the record under the cursor."""
        self.table.action_choose()

    def action_sort(self) -> None:
        """Sort by the next column."""
        self._sort_by(self._listing.next_order(self._choice.order))

    def action_reverse(self) -> None:
        """Turn the order round."""
        order = self._choice.order
        self._sort_by(Order(order.column, not order.descending))

    def action_problems(self) -> None:
        """Show only what is wrong, or everything."""
        self.choose(problems=not self._choice.problems)

    def on_filter_bar_changed(self, message: "FilterBar.Changed") -> None:
        """Filter by what is typed, while it is typed."""
        message.stop()
        self.choose(filter=message.filter)

    def on_filter_bar_closed(self, message: "FilterBar.Closed") -> None:
        """Back to the rows."""
        message.stop()
        self.focus_content()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are shown, by name."""
        return tuple(column.key for column in self._shown_as.columns)

    @property
    def columns_known(self) -> tuple[str, ...]:
        """All columns there are."""
        return tuple(column.key for column in self._listing.columns)

    def seek(self, address: str) -> None:
        """Put the cursor on the record of an address, now or when it is there."""
        self._sought = address
        self._seek()

    def exported(self, kind: str) -> str:
        """The rows that are shown as the text of a file: `csv` or `json`."""
        from nexa_tui.state.exporting import as_csv, as_json

        records = self._arranged.records
        if kind == "json":
            return as_json(records)
        look = self._look(self._session.shown, self._session.shown_at)
        return as_csv(self._shown_as, records, look)

    def action_columns(self) -> None:
        """Ask which columns are to be shown."""
        from nexa_tui.screens.form import Answers, Blank, Form

        form = Form(
            title="Choose columns",
            target="there are: " + " ".join(self.columns_known),
            blanks=(
                Blank("columns", "show", " ".join(self.columns), hint="all of them"),
            ),
            verb="Show them",
            check=lambda answers: self.columns_fault(answers["columns"]),
        )

        def answered(answers: Answers | None) -> None:
            if answers is not None:
                self.choose_columns(answers["columns"])

        app_of(self).push_screen(form, answered)

    def choose_columns(self, words: str) -> None:
        """Show these columns, and remember them; no word: all of them again."""
        from nexa_tui.screens.kept_columns import keep_columns

        names = tuple(dict.fromkeys(words.split()))
        if self.columns_fault(words) is not None:
            return
        chosen = () if names == self.columns_known else names
        self._show_columns(chosen)
        self._drawn = ()
        self.show()
        try:
            keep_columns(self._session.options.environ, self.place, chosen)
        except NexaError as error:
            self.notify(clean(error.message, 300), severity="warning", markup=False)

    def columns_fault(self, words: str) -> str | None:
        """What is wrong with names of columns; None if nothing is."""
        for name in words.split():
            if name not in self.columns_known:
                return f"no column {clean(name, 40)}; there are {' '.join(self.columns_known)}"
        return None

    def _show_columns(self, names: Sequence[str]) -> None:
        self._shown_as = self._listing.only(names)
        self.table.set_columns(table_columns(self._shown_as))

    def _seek(self) -> None:
        if self._sought is None:
            return
        address = self._listing.address
        for row, record in enumerate(self._arranged.records):
            if address(record) == self._sought:
                self._sought = None
                self.table.move_to(row)
                return

    @on(Table.HeaderClicked)
    def _title_clicked(self, message: Table.HeaderClicked) -> None:
        order = self._choice.order
        column = self._listing.column(message.column)
        again = order.column == column.key
        descending = not order.descending if again else column.descending
        self._sort_by(Order(column.key, descending))

    @on(LineView.Selected)
    def _selected(self, message: LineView.Selected) -> None:
        message.stop()
        self.post_message(self.Opened(self.place, message.key))

    def _sort_by(self, order: Order) -> None:
        """Sort, and look at what comes first: that is what was asked for."""
        self.choose(order=order)
        self.table.move_to(0)

    async def _bar_made(self) -> "FilterBar":
        """The line for the filter; imported and made when it is first wanted."""
        if self._bar is None:
            from nexa_tui.widgets.filterbar import FilterBar

            self._bar = FilterBar(keys=self._listing.keys)
            await self._panel.mount(self._bar)
        return self._bar

    def _look(self, state: ClusterState, now: float) -> Look:
        return Look(
            None if (at := state.node_time(now)) is None else at.replace(microsecond=0),
            ascii_only=terminal_of(self).ascii_only,
        )

    def _find(self, key: str) -> R | None:
        for record in self._arranged.records:
            if self._listing.key(record) == key:
                return record
        return None

    def _mark_order(self) -> None:
        order = self._choice.order
        self.table.sorted_by(order.column, reverse=order.descending)

    def _say_counts(self) -> None:
        shown, total = len(self._arranged.records), self._arranged.total
        wanted = self._choice
        note: list[Piece] = []
        if wanted.problems:
            note.append(("! problems only", "warn"))
        if self._listing.note:
            note.append((self._listing.note, "muted"))
        narrowed = bool(wanted.filter or wanted.problems)
        count = f"{shown} of {total}" if narrowed else str(total)
        shown_as = (OLD if self._stale else "") + count
        self._panel.say(
            count=shown_as, info=[(self._order_words(), "muted")], note=note
        )
        if self._bar is not None and wanted.filter:
            self._bar.say(count)

    def _order_words(self) -> str:
        """The order, for the border: its column may not fit on the screen."""
        order = self._choice.order
        title = self._listing.column(order.column).title
        return f"by {title} {self.table.arrow(descending=order.descending)}"

    def _say_when_empty(self) -> None:
        if self._session.shown.empty:
            self.table.say_when_empty("Nothing is known yet.", "Esc, then see why")
        elif self._choice.filter:
            self.table.say_when_empty(
                "Nothing fits the filter.", "Esc clears it; ! before a word inverts it"
            )
        elif self._choice.problems:
            self.table.say_when_empty("Nothing is wrong here.", "! shows everything")
        else:
            self.table.say_when_empty(*self._listing.empty)
