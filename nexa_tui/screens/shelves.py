"""Topics and inboxes, two tabs of the messages: what each keeps, and a look inside."""

from functools import partial

from nexa_node.contract.errors import NexaError
from nexa_node.contract.ids import DEFAULT_NAMESPACE
from nexa_node.contract.messages import Shelf
from nexa_tui.screens.asked import AskedList
from nexa_tui.screens.session import Session
from nexa_tui.state.shelves import INBOXES, TOPICS, inbox_lines
from nexa_tui.state.text import clean
from nexa_tui.widgets.ink import app_of

SPACE = str(DEFAULT_NAMESPACE)


class TopicsView(AskedList[Shelf]):
    """What topics keep; Enter follows one."""

    def __init__(self, session: Session) -> None:
        """Ask the session's node for them."""
        super().__init__(
            TOPICS,
            lambda node: node.topics(SPACE),
            lambda _record, _look: (),
            place="topics",
            number=5,
            session=session,
        )

    def action_open(self) -> None:
        """Follow the topic under the cursor."""
        topic = self.current()
        if topic is not None:
            self.post_message(self.Opened("topics", topic.name))


class InboxesView(AskedList[Shelf]):
    """In which inboxes something waits; Enter looks inside."""

    def __init__(self, session: Session) -> None:
        """Ask the session's node for them."""
        super().__init__(
            INBOXES,
            lambda node: node.inboxes(SPACE),
            lambda _record, _look: (),
            place="inboxes",
            number=5,
            session=session,
        )

    def action_open(self) -> None:
        """Look into the inbox under the cursor; nothing is delivered by that."""
        inbox = self.current()
        if inbox is not None:
            self.run_worker(
                partial(self._peek, inbox.name), group="detail", exit_on_error=False
            )

    async def _peek(self, agent: str) -> None:
        from nexa_tui.screens.dialogs import Reading

        client = self._session.client
        if client is None:
            return
        try:
            page = await client.peek(SPACE, agent)
        except NexaError as error:
            self.notify(clean(error.message, 300), severity="error", markup=False)
            return
        title = f"Inbox of {clean(agent, 40)}"
        app_of(self).push_screen(Reading(title, inbox_lines(page.items)))
