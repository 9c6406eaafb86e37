"""Dead letters: a tab of the messages; Enter opens the task."""

from nexa_node.contract.tasks import TaskSummary
from nexa_tui.screens.asked import AskedList
from nexa_tui.screens.session import Session
from nexa_tui.state.dead_letters import DEAD_LETTERS


class DeadLettersView(AskedList[TaskSummary]):
    """The tasks that used up their attempts."""

    def __init__(self, session: Session) -> None:
        """Ask the session's node for them."""
        super().__init__(
            DEAD_LETTERS,
            lambda node: node.dead_letters(),
            lambda _record, _look: (),
            place="dead-letters",
            number=5,
            session=session,
        )

    def action_open(self) -> None:
        """Open the task itself."""
        task = self.current()
        if task is not None:
            self.post_message(self.Opened("tasks", task.id))
