"""Coming back: what a person saw last is kept, and what changed since is told.

Away is who has touched no key for a while, or had no console open on this cluster. What
was seen is what was known when a key was last touched, not what a screen in an empty
room went on to show.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from nexa_tui.client.seen import keep_seen, read_seen
from nexa_tui.screens.session import Session
from nexa_tui.state.store import ClusterState, Live

if TYPE_CHECKING:  # imported once there is a cluster: the first frame needs none of it
    from nexa_tui.state.away import Seen
    from nexa_tui.state.detail import Line

IDLE_S = 600.0
"""Without a key for so long, somebody was away."""
BRIEF_S = 60.0
"""Who is back so soon is told nothing unasked."""
NAMESAKES_MAX = 8
"""Clusters of one name that are remembered."""
KEEP_S = 60.0
"""How often what is seen is written down, while somebody works."""

Tell = Callable[[str], None]


class Returning:
    """Remembers what was seen, for one console."""

    def __init__(self, session: Session, tell: Tell) -> None:
        """Know of nothing yet; `tell` says one sentence to the person."""
        self._session = session
        self._tell = tell
        self._cluster = ""
        self._before: Seen | None = None
        self._touched_at = self._kept_at = session.now
        self._looked: tuple[ClusterState, datetime] | None = None
        """What was known when a key was last touched."""
        self._unwritten = False

    def touched(self) -> None:
        """Somebody pressed a key, or the mouse."""
        self.look()
        session, now = self._session, self._session.now
        away_s, self._touched_at = now - self._touched_at, now
        if away_s >= IDLE_S and self._looked is not None:
            from nexa_tui.state.away import seen_now

            self._came_back(seen_now(*self._looked))
        time = session.state.node_time(now)
        if self._cluster and time is not None:
            self._looked, self._unwritten = (session.state, time), True

    def look(self) -> None:
        """Take in what is known; called at each beat."""
        state = self._session.state
        name = state.cluster.name if state.cluster else ""
        if name and name != self._cluster and isinstance(state.link, Live):
            self._turned_to(name)
        if self._unwritten and self._session.now - self._kept_at >= KEEP_S:
            self.keep()

    def keep(self) -> None:
        """Write down what was seen last; nothing of a replay."""
        if self._looked is None or not self._unwritten or not self._remembers:
            return
        from nexa_tui.state.away import same_cluster, seen_now

        seen = seen_now(*self._looked)
        others = [one for one in self._kept() if not same_cluster(one, seen)]
        keep_seen(self._environ, self._cluster, [seen, *others[: NAMESAKES_MAX - 1]])
        self._unwritten, self._kept_at = False, self._session.now

    def lines(self, *, ascii_only: bool) -> "list[Line] | None":
        """What changed since the person was here last; None if that is not known."""
        from nexa_tui.state.away import away_lines

        state = self._session.state
        time = state.node_time(self._session.now)
        if self._before is None or time is None:
            return None
        return list(away_lines(self._before, state, time, ascii_only=ascii_only))

    def _turned_to(self, name: str) -> None:
        self.keep()
        self._cluster, self._before, self._looked = name, None, None
        time = self._session.state.node_time(self._session.now)
        kept = None if time is None else self._found(time)
        if kept is not None and time is not None:
            self._before = kept
            if (time - kept.time).total_seconds() >= BRIEF_S:
                self._came_back(kept)
        if time is not None:
            self._looked, self._unwritten = (self._session.state, time), True
        self._touched_at = self._session.now

    def _found(self, time: datetime) -> "Seen | None":
        """What was kept of this very cluster."""
        from nexa_tui.state.away import same_cluster, seen_now

        now = seen_now(self._session.state, time)
        kept = self._kept() if self._remembers else ()
        return next((one for one in kept if same_cluster(one, now)), None)

    def _kept(self) -> "Sequence[Seen]":
        from nexa_tui.state.away import Seen

        return read_seen(self._environ, self._cluster, list[Seen]) or ()

    def _came_back(self, before: "Seen") -> None:
        from nexa_tui.state.away import away_words

        self._before = before
        state = self._session.state
        time = state.node_time(self._session.now)
        words = None if time is None else away_words(before, state, time)
        if words is not None:
            self._tell(words)

    @property
    def _environ(self) -> dict[str, str]:
        return dict(self._session.options.environ)

    @property
    def _remembers(self) -> bool:
        """Not what a recording shows: that was long ago."""
        options = self._session.options
        return options.remembers and options.replay is None
