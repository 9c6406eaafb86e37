"""The bell: an alert that begins to need somebody is said on every screen, once."""

from collections.abc import Callable, Mapping

from nexa_node.contract.alerts import Alert, urgency
from nexa_tui.screens.session import Session
from nexa_tui.state.store import Live
from nexa_tui.state.text import clean

LOUD = frozenset(("critical", "error"))
"""Severities that ring the terminal's bell, too."""


class Ringing:
    """Says what is new on the board, for one console."""

    def __init__(
        self, session: Session, tell: Callable[..., None], ring: Callable[[], None]
    ) -> None:
        """Know of no alert yet.

        Args:
            session: What is known.
            tell: Says a sentence, with a severity.
            ring: Rings the terminal's bell.
        """
        self._session = session
        self._tell, self._ring = tell, ring
        self._of: object = None
        self._seen: Mapping[str, Alert] | None = None
        self._open: frozenset[str] = frozenset()

    def look(self) -> None:
        """Take in what is known; called at each beat, and cheap if nothing changed."""
        session = self._session
        alerts = session.state.alerts
        if session.client is not self._of:
            self._of, self._seen, self._open = session.client, None, frozenset()
        if alerts is self._seen or not isinstance(session.state.link, Live):
            return
        first, self._seen = self._seen is None, alerts
        before = self._open
        self._open = frozenset(
            one.fingerprint for one in alerts.values() if _calls(one)
        )
        new = [alerts[key] for key in self._open - before]
        if new and not first:
            self._say(sorted(new, key=urgency))

    def _say(self, new: list[Alert]) -> None:
        from nexa_tui.state.alerts import says, subject

        worst = new[0]
        more = f", and {len(new) - 1} more" if len(new) > 1 else ""
        what = says(worst) or subject(worst.labels)
        loud = worst.severity in LOUD
        self._tell(
            f"{clean(worst.name, 60)}: {clean(what, 160)}{more}; 6 shows it",
            severity="error" if loud else "warning",
        )
        if loud:
            self._ring()


def _calls(alert: Alert) -> bool:
    """Whether it calls for somebody now; one that flaps has called already."""
    from nexa_tui.state.alerts import is_problem  # not for the first frame

    return is_problem(alert) and alert.state == "firing" and not alert.flapping
