"""Which deed belongs to which action about messages and dead letters."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from nexa_node.contract.ids import TaskId
from nexa_node.contract.messages import Posted
from nexa_node.contract.tasks import TaskSummary
from nexa_tui.actions import Place
from nexa_tui.screens.cluster_deeds import Confirm, Office
from nexa_tui.state.text import clean

if TYPE_CHECKING:
    from nexa_tui.screens.message_deeds import MessageDeeds


class Looking(Office, Protocol):
    """An office that knows what the person looks at."""

    def subject(self) -> tuple[Place, str] | None:
        """A list and a key."""
        ...

    def viewed(self) -> object:
        """The view that is seen."""
        ...


def message_doing(desk: Looking, confirm: Confirm) -> dict[str, Callable[[str], None]]:
    """The actions by their ids; forms are imported when one is first wanted."""

    def deeds() -> "MessageDeeds":
        from nexa_tui.screens.message_deeds import MessageDeeds

        return MessageDeeds(desk, confirm)

    def current() -> object:
        return getattr(desk.viewed(), "current", lambda: None)()

    def send(to: str) -> None:
        deeds().send(to or _addressee(desk.subject(), current()))

    def of_dead_letter(deed: str) -> Callable[[str], None]:
        def done(key: str) -> None:
            subject = desk.subject()
            here = subject is not None and subject[0] == "dead-letters"
            wanted = key or (subject[1] if subject is not None and here else "")
            task = desk.session.state.tasks.get(TaskId(wanted))
            seen = current()
            if isinstance(seen, TaskSummary) and seen.id == wanted:
                task = seen
            if task is None:
                choose = "choose a dead letter first"
                told = f"no dead letter {clean(wanted, 60)}" if wanted else choose
                desk.tell(f"{told}; nexa dead-letters list", severity="warning")
            else:
                getattr(deeds(), deed)(task)

        return done

    return {
        "send": send,
        "redrive": of_dead_letter("redrive"),
        "purge": of_dead_letter("purge"),
    }


def _addressee(subject: tuple[Place, str] | None, message: object) -> str:
    """To whom a message is offered: what is looked at; empty if that says nothing."""
    if subject is not None and subject[0] in {"agents", "inboxes"}:
        return subject[1]
    if subject is not None and subject[0] == "topics":
        return f"topic:{subject[1]}"
    return f"topic:{message.topic}" if isinstance(message, Posted) else ""
