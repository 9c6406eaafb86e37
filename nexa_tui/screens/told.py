"""What the splash says below its checks: where we stand, why, and what comes next."""

from collections.abc import Sequence

from nexa_tui.screens.session import Session
from nexa_tui.state.severity import mark
from nexa_tui.state.splash import Run
from nexa_tui.state.store import Denied, Gone, NoNode
from nexa_tui.state.text import clean
from nexa_tui.state.touched import PANELS, doubts
from nexa_tui.widgets.lines import Piece

Trouble = tuple[str, str | None]
"""What stands in the way, and what mends it."""


def told_lines(
    session: Session, run: Run, now: float, *, waits: bool, ascii_only: bool
) -> list[Sequence[Piece]]:
    """Three lines: where we stand, why, and what mends it or what it touches.

    Args:
        session: Whether a node is watched, or starts.
        run: The self-test.
        now: On the clock of ages.
        waits: Whether a person took the lead, so that nothing happens by itself.
        ascii_only: Whether only ASCII may be drawn.
    """
    standing = run.standing()
    if session.starting is not None:
        return [((f" {clean(session.starting, 200)}", "accent"),)]
    trouble = _trouble(session, run)
    if trouble is None and standing == "running":
        return [((" checking; any key opens the dashboard", "muted"),)]
    shown = mark(
        "check", standing if trouble is None else "fail", ascii_only=ascii_only
    )
    first: Sequence[Piece] = (
        (f" {shown.glyph} {_summary(run, trouble)}", shown.style),
        (f"; {_next(session, run, now, waits=waits)}", "muted"),
    )
    return [first, *(_of_checks(run) if trouble is None else _of_trouble(trouble))]


def _next(session: Session, run: Run, now: float, *, waits: bool) -> str:
    at = run.goes_on_at()
    if isinstance(session.state.link, NoNode):
        ask = "s starts a node here, any key goes on"
    elif at is None:
        ask = "any key goes on, degraded"
    else:
        ask = "any key opens the dashboard"
    if at is None or waits:
        return ask
    return f"{ask}; goes on in {max(0, round(at - now))} s"


def _of_trouble(trouble: Trouble) -> list[Sequence[Piece]]:
    what, mend = trouble
    return [
        ((f"   {clean(what, 300)}", "text"),),
        (("   mend  ", "muted"), (clean(mend or "-", 300), "strong")),
    ]


def _summary(run: Run, trouble: Trouble | None) -> str:
    standing, total = run.standing(), len(run.checks)
    if standing in {"fail", "warn"} and trouble is None:
        number = run.count(standing)
        verb = f"{standing}s" if number == 1 else standing
        return f"{number} of {total} checks {verb}"
    if trouble is not None:
        return "no node can be watched" if run.error is None else "not checked"
    return "everything passes" if standing == "pass" else "checking"


def _trouble(session: Session, run: Run) -> Trouble | None:
    """What keeps us from a node, or from checking at all."""
    error = session.start_error or run.error
    if error is not None:
        return error.message, error.remedy
    match session.state.link:
        case Denied(error):
            name = session.target.name if session.target else "the node"
            return f"{name}: {error.message}", error.remedy
        case Gone(why, remedy):
            return f"no node answers: {why}", remedy
        case _:
            return None


def _of_checks(run: Run) -> list[Sequence[Piece]]:
    """Why the worst check is bad; then which panels that touches, or what mends it."""
    worst = run.worst()
    if worst is None:
        return []
    why = f"{worst.title}: {worst.cause or worst.detail or 'failed'}"
    lines: list[Sequence[Piece]] = [((f"   {clean(why, 300)}", "text"),)]
    touched = doubts(run.checks.values())
    if touched:
        told = "; ".join(f"{PANELS[one]}: {it.effect}" for one, it in touched.items())
        lines.append((("   touches  ", "muted"), (told, "warn-text")))
    else:
        mend = clean(worst.remedy or "-", 300)
        lines.append((("   mend  ", "muted"), (mend, "strong")))
    return lines
