"""What the Overview says while there is no node: what to do, and what may hinder it."""

from collections.abc import Sequence

from nexa_tui.state.severity import mark
from nexa_tui.state.splash import Run
from nexa_tui.state.text import clean
from nexa_tui.widgets.lines import Piece

_BAD_MAX = 3
_WELCOME: Sequence[Sequence[Piece]] = (
    (("No node runs here, and no context is set.", "strong"),),
    (),
    (("  s  ", "key"), ("start a node on this machine   ", "text"),
     ("nexa node start", "muted")),
    (("  a  ", "key"), ("attach to a node elsewhere     ", "text"),
     ("nexa --attach URL", "muted")),
    (("  d  ", "key"), ("see a demo, thrown away after  ", "text"),
     ("nexa demo", "muted")),
)  # fmt: skip


def welcome_lines(run: Run, *, ascii_only: bool) -> Sequence[Sequence[Piece]]:
    """Say what to do; then what the self-test of this machine found wrong, if anything."""
    bad = run.bad("fail")
    if not bad or run.where != "here":
        return _WELCOME
    lines: list[Sequence[Piece]] = [
        *_WELCOME,
        (),
        (("The self-test of this machine found what may be in the way:", "text"),),
    ]
    for check in bad[:_BAD_MAX]:
        shown = mark("check", check.status, ascii_only=ascii_only)
        why = clean(check.cause or check.detail or "failed", 200)
        title = f"  {shown.glyph}  {clean(check.title, 40)}: "
        lines.append(((title, shown.style), (why, "text")))
        if check.remedy:
            lines.append(
                (("     mend  ", "muted"), (clean(check.remedy, 200), "strong"))
            )
    if len(bad) > _BAD_MAX:
        more = f"     and {len(bad) - _BAD_MAX} more; :selftest show lists them"
        lines.append(((more, "muted"),))
    return lines
