"""Which deed belongs to which action about alerts and silences."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from nexa_tui.actions import Place
from nexa_tui.screens.cluster_deeds import Confirm, Office
from nexa_tui.state.text import clean

if TYPE_CHECKING:
    from nexa_tui.screens.alert_deeds import AlertDeeds
    from nexa_tui.screens.runbook_deeds import RunbookDeeds


class Looking(Office, Protocol):
    """An office that knows what the person looks at."""

    def subject(self) -> tuple[Place, str] | None:
        """A list and a key."""
        ...


def alert_doing(
    desk: Looking, confirm: Confirm, say: Callable[[str], None]
) -> dict[str, Callable[[str], None]]:
    """The actions by their ids; forms are imported when one is first wanted.

    Args:
        desk: The application.
        confirm: Asks the person, then does it.
        say: Does what the console has an action for, in the command's words.
    """

    def deeds() -> "AlertDeeds":
        from nexa_tui.screens.alert_deeds import AlertDeeds

        return AlertDeeds(desk, confirm)

    def runbooks() -> "RunbookDeeds":
        from nexa_tui.screens.runbook_deeds import RunbookDeeds

        return RunbookDeeds(desk, confirm, say)

    def chosen(place: Place, key: str) -> str:
        subject = desk.subject()
        here = subject[1] if subject is not None and subject[0] == place else ""
        return key or here

    def of_alert(deed: str, who: Callable[[], object] = deeds) -> Callable[[str], None]:
        def done(key: str) -> None:
            wanted = chosen("alerts", key)
            alert = desk.session.state.alerts.get(wanted)
            if alert is None:
                told = (
                    f"no alert {clean(wanted, 60)}"
                    if wanted
                    else "choose an alert first"
                )
                desk.tell(f"{told}; nexa alerts list", severity="warning")
            else:
                getattr(who(), deed)(alert)

        return done

    def expire(key: str) -> None:
        wanted = chosen("silences", key)
        if wanted:
            deeds().expire(wanted)
        else:
            desk.tell("choose a silence first; nexa silences list", severity="warning")

    return {
        "alert-ack": of_alert("acknowledge"),
        "alert-unack": of_alert("unacknowledge"),
        "alert-note": of_alert("note"),
        "alert-silence": of_alert("silence"),
        "alert-dismiss": of_alert("dismiss"),
        "alert-runbook": of_alert("open", runbooks),
        "silence-expire": expire,
        "handover": lambda span: deeds().hand_over(span),
    }
