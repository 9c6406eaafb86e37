"""A list that is asked of the node while it is seen: the feed does not carry it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from textual import on

from nexa_node.contract.errors import NexaError
from nexa_tui.actions import Place
from nexa_tui.client.api import NodeClient
from nexa_tui.screens.lists import ListView
from nexa_tui.screens.session import Session
from nexa_tui.state.detail import Line
from nexa_tui.state.listing import Listing, Look
from nexa_tui.state.text import clean
from nexa_tui.widgets.ink import app_of
from nexa_tui.widgets.lines import LineView

R = TypeVar("R")
EVERY_S = 5.0


class AskedList(ListView[R]):
    """A list with a question behind it; Enter shows a record on top."""

    def __init__(
        self,
        listing: Listing[R],
        ask: Callable[[NodeClient], Awaitable[Sequence[R]]],
        lines: Callable[[R, Look], Sequence[Line]],
        *,
        place: Place,
        number: int,
        session: Session,
    ) -> None:
        """Show a list.

        Args:
            listing: What its rows are.
            ask: Asks for them.
            lines: One record in full.
            place: Its name among the places.
            number: The key that leads to it.
            session: Where the node is.
        """
        super().__init__(
            listing, lambda _: self._answer, place=place, number=number, session=session
        )
        self._ask, self._lines = ask, lines
        self._answer: Sequence[R] = ()
        self._asked_at = float("-inf")
        self._asked_of: object = None
        self._error: NexaError | None = None
        self._answers = 0

    def show(self) -> None:
        """Show what is known, and ask anew when that is old."""
        session = self._session
        old = session.now - self._asked_at >= EVERY_S
        if session.client and (old or session.target != self._asked_of):
            self._asked_at, self._asked_of = session.now, session.target
            self.run_worker(
                self._fetch, group="asked", exclusive=True, exit_on_error=False
            )
        super().show()
        if self._error is not None:
            told = clean(self._error.message, 80)
            self._panel.say(info=[(told, "crit")])

    def again(self) -> None:
        """Ask now: something was changed."""
        self._asked_at = float("-inf")
        self.show()

    def action_open(self) -> None:
        """Show the record under the cursor."""
        record = self.current()
        if record is None:
            return
        from nexa_tui.screens.dialogs import Reading

        look = self._look(self._session.shown, self._session.shown_at)
        app_of(self).push_screen(
            Reading(self._listing.title, self._lines(record, look))
        )

    @on(LineView.Selected)
    def _chosen(self, message: LineView.Selected) -> None:
        message.stop()
        message.prevent_default()
        self.action_open()

    async def _fetch(self) -> None:
        client = self._session.client
        if client is None:
            return
        try:
            self._answer, self._error = await self._ask(client), None
        except NexaError as error:
            self._error = error
        self._answers += 1
        if self.is_attached:
            self._drawn = ()
            self.show()

    def _say_when_empty(self) -> None:
        if self._error is not None:
            self.table.say_when_empty(
                clean(self._error.message, 200), clean(self._error.remedy or "", 200)
            )
        elif not self._answers:
            self.table.say_when_empty("Asking the node.", "")
        else:
            super()._say_when_empty()
