"""What the frame says wherever one is: how things stand, and what is badly wrong."""

from typing import cast

from nexa_tui.screens.session import Session
from nexa_tui.state.alerts import firing
from nexa_tui.state.overview import Piece, headline
from nexa_tui.state.severity import mark
from nexa_tui.state.store import ClusterState, Denied, Gone, Live, NoNode, Opening
from nexa_tui.widgets.statusbar import Feed, Standing


def standing(session: Session) -> Standing:
    """Sum up for the top bar."""
    state, now = session.shown, session.now
    node, cluster = state.node, state.cluster
    target = session.target
    notice = mode_of(session)
    if cluster is not None and cluster.verdict != "healthy":
        notice = f"{notice} {cluster.verdict}".strip()
    if session.starting is not None:
        notice = session.starting
    return Standing(
        cluster=cluster.name if cluster else None,
        node=node.name if node else (target.name if target else None),
        identity=(node.who or node.whoami) if node else None,
        role=node.role if node else None,
        read_only=session.read_only,
        production=target is not None and target.production,
        link=session.link_rate,
        feed=feed_of(state, now, paused=session.paused),
        age_s=now - session.shown_at if session.paused else state.age(now),
        alerts=firing(state),
        notice=notice,
    )


def mode_of(session: Session) -> str:
    """A word on what kind of console this is; nothing of a usual one."""
    options = session.options
    if options.replay is not None:
        return "replay" if options.speed == 1 else f"replay {options.speed:g}x"
    return "recording" if options.record is not None else ""


def feed_of(state: ClusterState, now: float, *, paused: bool) -> Feed:
    """One word for the connection."""
    if paused:
        return "paused"
    match state.link:
        case Opening():
            return "connecting" if state.empty else "stale"
        case Live():
            return "stale" if state.stale(now) else "live"
        case Gone():
            return "lost" if state.empty else "stale"
        case NoNode():
            return cast("Feed", "no node")  # shown as it is, as any unknown word
        case Denied():
            return "refused"


def banner_lines(
    state: ClusterState, now: float, *, ascii_only: bool, quorum: bool = True
) -> list[tuple[Piece, ...]]:
    """What must not be overlooked, whatever is looked at; nothing while all is well.

    Args:
        state: What is known.
        now: On the clock of ages.
        ascii_only: Whether only ASCII may be drawn.
        quorum: Whether it is to be told that there is none.
    """
    fine = isinstance(state.link, Live) and not state.stale(now)
    if fine and quorum and state.cluster is not None and state.cluster.stale:
        shown = mark("health", "unhealthy", ascii_only=ascii_only)
        why = ": what is shown may be old, and nothing can be changed; 2 shows who is away"
        return [((f" {shown.glyph} no quorum", shown.style), (why, "text"))]
    if fine or isinstance(state.link, NoNode | Opening):
        return []
    told = headline(state, now, ascii_only=ascii_only)
    why = f": {told.reasons[0]}" if told.reasons else ""
    lines: list[tuple[Piece, ...]] = [
        ((f" {told.mark.glyph} {told.title}", told.mark.style), (why, "text"))
    ]
    if told.remedy:
        lines.append((("   mend  ", "muted"), (told.remedy, "strong")))
    return lines
