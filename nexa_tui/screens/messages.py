"""View 5: messages of topics as they come, the newest first.

Messages are fetched by waiting for them. When more come than a person can read, what lies
between is left out and told: looking never slows who sends.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual import on
from textual.binding import BindingType

from nexa_node.contract.errors import NexaError
from nexa_node.contract.ids import DEFAULT_NAMESPACE
from nexa_node.contract.messages import Posted
from nexa_tui.client.api import NodeClient
from nexa_tui.screens.keys import bindings
from nexa_tui.screens.lists import ListView
from nexa_tui.screens.session import Session
from nexa_tui.state.messages import MESSAGES, Tail, message_lines
from nexa_tui.state.text import clean
from nexa_tui.widgets.ink import app_of
from nexa_tui.widgets.lines import LineView

EVERYTHING = ">"
FIRST = 100
WAIT_S = 10.0
AGAIN_S = 3.0
GAP_S = 0.25
FULL = 100
"""Messages in one answer from which on we may be behind."""
BEHIND = 500
"""So many positions behind, what lies between is left out."""


class MessagesView(ListView[Posted]):
    """The tail of a pattern of topics."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("messages")

    def __init__(self, session: Session) -> None:
        """Follow everything at first."""
        super().__init__(
            MESSAGES,
            lambda _: self._seen(),
            place="messages",
            number=5,
            session=session,
        )
        self.topic, self.namespace = EVERYTHING, str(DEFAULT_NAMESPACE)
        self._tail = Tail()
        self._held: Sequence[Posted] | None = None
        self._of: NodeClient | None = None
        self._error: NexaError | None = None
        self._failed_at = float("inf")
        self._answers = self._left_out = 0
        self._running = False
        self._after = 0

    def show(self) -> None:
        """Begin to follow if nobody does; show what came."""
        session = self._session
        again = session.now - self._failed_at >= AGAIN_S
        if session.client is not None and (again or self._of is not session.client):
            self._of = session.client
            self.follow(self.topic, self.namespace)
        elif session.client is not None and self._answers and not self._running:
            self._run(session.client)  # it is looked at again
        if session.paused:
            self._held = self._tail.all() if self._held is None else self._held
        elif self._held is not None:
            self._held, self._drawn = None, ()
        newest = not self.table.cursor and not session.paused
        super().show()
        if newest:  # who looks at the newest goes on looking at the newest
            self.table.move_to(0, tell=False)

    def follow(self, topic: str, namespace: str | None = None) -> None:
        """Follow other topics, from their newest messages on."""
        self.topic = topic
        self.namespace = namespace or self.namespace
        self._tail, self._after = Tail(), 0
        self._answers = self._left_out = 0
        self._error, self._failed_at = None, float("inf")
        self._drawn = ()
        self._stop()
        self.run_worker(self._first, group="asked", exclusive=True, exit_on_error=False)

    def action_topic(self) -> None:
        """Ask which topics are to be followed."""
        from nexa_tui.screens.form import Answers, Blank, Form

        form = Form(
            title="Follow topics",
            target="* stands for one token of a topic, a final > for the rest",
            blanks=(
                Blank("topic", "topic", self.topic, hint="reports.>", most=255),
                Blank("namespace", "namespace", self.namespace, most=63),
            ),
            verb="Follow",
            check=lambda answers: None if answers["topic"] else "Say which topic.",
        )

        def answered(answers: Answers | None) -> None:
            if answers is not None:
                self.follow(answers["topic"], answers["namespace"])

        app_of(self).push_screen(form, answered)

    def action_open(self) -> None:
        """Show the message under the cursor in full."""
        message = self.current()
        if message is None:
            return
        from nexa_tui.screens.dialogs import Reading

        look = self._look(self._session.shown, self._session.shown_at)
        app_of(self).push_screen(Reading("Message", message_lines(message, look)))

    @on(LineView.Selected)
    def _chosen(self, message: LineView.Selected) -> None:
        message.stop()
        message.prevent_default()
        self.action_open()

    def equivalent(self) -> str:
        """The command that shows the same."""
        where = (
            ""
            if self.namespace == DEFAULT_NAMESPACE
            else f" --namespace {self.namespace}"
        )
        return f"nexa tail '{self.topic}' --follow{where}"

    # Inside.

    def _seen(self) -> Sequence[Posted]:
        return self._tail.all() if self._held is None else self._held

    async def _first(self) -> None:
        of = self._of
        if of is None:
            return
        try:
            page = await of.posted(self.topic, namespace=self.namespace, last=FIRST)
        except NexaError as error:
            self._failed(error)
            return
        self._took(page.items, page.next_cursor)
        self._run(of)

    def _stop(self) -> None:
        for one in app_of(self).workers:
            if one.node is self and one.group == "tail":
                one.cancel()

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
        ask = partial(of.posted, self.topic, namespace=self.namespace)
        while self._session.client is of and self.display:
            try:
                page = await ask(after=self._after, wait_s=WAIT_S)
                self._took(page.items, page.next_cursor)
                if len(page.items) >= FULL:
                    end = await ask(last=0, after=self._after)
                    self._skip_to(int(end.next_cursor or 0))
            except NexaError as error:
                self._failed(error)
                await asyncio.sleep(AGAIN_S)
                continue
            await asyncio.sleep(GAP_S)

    def _skip_to(self, end: int) -> None:
        """Leave out what we would never catch up with."""
        left = end - self._after - FULL
        if left > BEHIND:
            self._left_out += left
            self._after += left
            self._again()

    def _took(self, messages: Sequence[Posted], cursor: str | None) -> None:
        self._error, self._failed_at = None, float("inf")
        self._answers += 1
        self._after = int(cursor or self._after)
        self._tail.take(messages)
        self._again()

    def _failed(self, error: NexaError) -> None:
        self._error, self._failed_at = error, self._session.now
        self._again()

    def _again(self) -> None:
        self._drawn = ()
        if self.is_attached and self.display:
            self.show()

    def _say_counts(self) -> None:
        super()._say_counts()
        info = [(clean(self.topic, 60), "accent"), (self._order_words(), "muted")]
        if self.namespace != DEFAULT_NAMESPACE:
            info.insert(0, (clean(self.namespace, 40), "muted"))
        if self._left_out:
            info.append((f"sampled: some {self._left_out:,} left out", "warn"))
        if self._held is not None:
            info.append((f"held, {self._tail.seen:,} seen", "warn"))
        if self._error is not None:
            info = [(clean(self._error.message, 80), "crit")]
        self._panel.say(info=info)

    def _say_when_empty(self) -> None:
        if self._session.client is None:
            self.table.say_when_empty("No node is attached.", "a attaches one")
        elif self._error is not None:
            remedy = clean(self._error.remedy or "", 200)
            self.table.say_when_empty(clean(self._error.message, 200), remedy)
        elif not self._answers:
            self.table.say_when_empty("Asking the node.", "")
        elif self._choice.filter or self._choice.problems:
            super()._say_when_empty()
        else:
            topic = "any topic" if self.topic == ">" else clean(self.topic, 60)
            self.table.say_when_empty(
                f"Nothing was sent to {topic} yet; f follows other topics.",
                MESSAGES.empty[1],
            )
