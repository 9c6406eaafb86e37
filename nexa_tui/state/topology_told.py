"""How a cluster holds together, in a few lines: what is wrong first, the worst on top."""

from collections.abc import Iterator, Sequence

import msgspec

from nexa_node.contract.nodes import Growth, Opinion, StreamPlace
from nexa_tui.state.formats import duration, size
from nexa_tui.state.severity import StyleKey, mark
from nexa_tui.state.text import clean
from nexa_tui.state.topology import Part, Topology, lag, troubled, versions
from nexa_tui.state.topology_loss import names, one_more

Piece = tuple[str, str]
"""Clean text and its style key."""
_SEVERITY = ("crit", "warn", "unknown", "text", "muted")
_VOTES_MAX = 9
"""More voters are a figure, not a row of squares."""
_NAMED = 3
_FAILED = ("failed", "rolled_back")
_CHANGES = {
    "form": "forming the cluster",
    "join": "joining",
    "replicas": "making copies",
    "remove": "striking a node off",
    "backup": "making a backup",
    "restore": "restoring a backup",
}


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it should be."""

    text: str
    style: StyleKey
    nodes: tuple[str, ...] = ()
    """Whom it is about."""


def findings(view: Topology) -> list[Finding]:
    """Everything that is not as it should be, the worst first."""
    found = [
        *_stale(view),
        *_split(view),
        *_gone(view),
        *_disputes(view),
        *_streams(view),
        *_routes(view),
        *_skew(view),
    ]
    if not found and view.cluster.verdict != "healthy":
        found = [Finding(clean(one, 300), "text") for one in view.cluster.reasons]
    found += growth_told(view.cluster.growth)
    more = None if view.attached else one_more(view.members)
    if more and view.margin >= 0:
        found.append(Finding(more, "muted"))
    return sorted(found, key=lambda one: _SEVERITY.index(one.style))


def growth_told(growth: Growth | None) -> Iterator[Finding]:
    """How far a change of the cluster's shape is, in a line; nothing if there is none."""
    if growth is None:
        return
    what = _CHANGES[growth.action]
    by = f" ({clean(growth.node, 40)})" if growth.node else ""
    if growth.phase in _FAILED:
        why = f": {clean(growth.error, 200)}" if growth.error else ""
        mend = f"; mend: {clean(growth.remedy, 200)}" if growth.remedy else ""
        yield Finding(f"{what}{by} failed{why}{mend}", "warn")
        return
    detail = f", {clean(growth.detail, 60)}" if growth.detail else ""
    if growth.phase == "done":
        yield Finding(f"{what}{by}: done{detail}", "muted")
        return
    far = ""
    if growth.total:
        share = min(1.0, growth.done / growth.total)
        far = f" {share:.0%}, {growth.done:,} of {growth.total:,} messages"
    yield Finding(f"{what}{by}: {clean(growth.phase, 20)}{far}{detail}", "text")


def standing_line(view: Topology, *, ascii_only: bool = False) -> tuple[Piece, ...]:
    """Verdict, votes, margin, offices and streams, in one line."""
    cluster = view.cluster
    shown = mark("health", clean(cluster.verdict, 20), ascii_only=ascii_only)
    pieces: list[Piece] = [
        (f"{shown.glyph} {cluster.verdict.upper()}", shown.style),
        ("   ", "text"),
        *_votes(view, ascii_only=ascii_only),
        *_margin(view),
    ]
    if len(view.parts) > 1:
        keeper = clean(cluster.controller, 24) if cluster.controller else "nobody"
        style = "strong" if cluster.controller else "warn"
        pieces += [("   controller ", "muted"), (keeper, style)]
    if cluster.streams:
        pieces += _stream_figures(cluster.streams)
    pieces += [
        ("   copies ", "muted"),
        (f"{cluster.replicas}", "strong"),
    ]
    return tuple(pieces)


def seen_words(part: Part) -> tuple[str, StyleKey]:
    """What the others think of a node, in a word or two."""
    seen = part.seen
    if seen.word in {"dead", "left"} and not seen.disputed:
        return str(seen.word), "crit" if seen.word == "dead" else "muted"
    if seen.disputed:
        return "disputed", "warn"
    if seen.word == "suspect":
        return "suspect", "warn"
    return str(seen.word or "alive"), "ok"


def said_of(one: Opinion, *, why: bool = True) -> str:
    """One opinion in words: `delta: suspect, no word for 2.1 s`, and why if wanted."""
    reason = f" ({clean(one.reason, 80)})" if one.reason and why else ""
    if one.suspicion == "alive":
        rtt = "" if one.rtt_ms is None else f", {duration(one.rtt_ms).strip()}"
        return f"{clean(one.by, 40)} hears it{rtt}"
    silent = ""
    if one.heard_ms is not None:
        silent = f", no word for {duration(one.heard_ms).strip()}"
    return f"{clean(one.by, 40)}: {one.suspicion}{silent}{reason}"


def _votes(view: Topology, *, ascii_only: bool) -> Iterator[Piece]:
    if view.attached:
        yield ("votes unknown: the store is attached", "muted")
        return
    quorum = view.cluster.quorum
    total = view.members
    if 1 < total <= _VOTES_MAX:
        here, gone = ("#", ".") if ascii_only else ("■", "□")
        style = "ok" if view.margin > 0 else "warn" if view.margin == 0 else "crit"
        yield (here * quorum.have, style)
        yield (gone * (total - quorum.have) + " ", "crit")
    yield (f"{quorum.have}", "strong")
    yield (f" of {total} vote, {quorum.need} needed", "muted")


def _margin(view: Topology) -> Iterator[Piece]:
    if view.attached:
        return
    if len(view.parts) == 1 and view.cluster.quorum.have:
        yield ("   no tolerance", "warn")
        return
    if view.margin < 0:
        yield (f"   NO QUORUM: {-view.margin} missing", "crit")
        return
    style = "ok" if view.margin else "warn"
    yield (f"   margin {view.margin}", style)


def _stream_figures(streams: Sequence[StreamPlace]) -> list[Piece]:
    pieces: list[Piece] = [("   streams ", "muted"), (f"{len(streams)}", "strong")]
    wrong = troubled(streams)
    headless = [one for one in wrong if one.leader is None]
    short = [
        one for one in wrong if one.leader and any(r.offline for r in one.replicas)
    ]
    late = len(wrong) - len(headless) - len(short)
    if headless:
        pieces.append((f", {len(headless)} without a leader", "crit"))
    elif short:
        pieces.append((f", {len(short)} a copy short", "warn"))
    elif late:
        pieces.append((f", {late} behind" if late > 1 else ", 1 behind", "warn"))
    else:
        pieces.append((" in step", "muted"))
    return pieces


def _stale(view: Topology) -> Iterator[Finding]:
    if view.cluster.stale or view.margin < 0:
        yield Finding(
            "no quorum: what is shown may be old, and nothing can be changed until"
            f" {max(1, -view.margin)} more can vote",
            "crit",
        )


def _split(view: Topology) -> Iterator[Finding]:
    if len(view.islands) < 2:
        return
    need = view.cluster.quorum.need
    sides = " | ".join(
        f"{names(group, _NAMED)} ({'can' if len(group) >= need else 'cannot'} write)"
        for group in view.islands[:4]
    )
    yield Finding(
        f"cut in {len(view.islands)}: {sides}",
        "crit",
        tuple(name for group in view.islands[1:] for name in group),
    )


def _gone(view: Topology) -> Iterator[Finding]:
    gone = [part for part in view.parts if part.down and part.seen.word != "left"]
    if gone and view.margin >= 0:
        shown = names((part.name for part in gone), _NAMED)
        are = "is" if len(gone) == 1 else "are"
        style = "crit" if view.margin == 0 else "warn"
        yield Finding(
            f"{shown} {are} down: nexa node start there, or nexa cluster remove"
            f" {clean(gone[0].name, 40)}",
            style,
            tuple(part.name for part in gone),
        )


def _disputes(view: Topology) -> Iterator[Finding]:
    side = {name: n for n, group in enumerate(view.islands) for name in group}
    for part in view.parts:
        seen, here = part.seen, side.get(part.name)
        # What those on the other side of a cut think is said by the cut.
        ours = [one for one in seen.doubts if side.get(one.by) == here]
        if not ours or here is None:
            continue
        if not seen.disputed:
            told = said_of(ours[0], why=False)
            text = f"{clean(part.name, 40)} is suspected: {told}"
            yield Finding(text, "warn", (part.name,))
            continue
        many = len(seen.trusts) > _NAMED + 1
        trusts = names((one.by for one in seen.trusts), _NAMED)
        trusts = f"{len(seen.trusts)} nodes" if many else trusts
        hear = "hears" if len(seen.trusts) == 1 else "hear"
        doubts = "; ".join(said_of(one, why=False) for one in ours[:2])
        more = len(ours) - 2
        rest = f"; and {more} more" if more > 0 else ""
        yield Finding(
            f"they disagree on {clean(part.name, 40)}: {trusts} {hear} it; {doubts}{rest}",
            "warn",
            (part.name, *(one.by for one in ours)),
        )


def _streams(view: Topology) -> Iterator[Finding]:
    wrong = troubled(view.cluster.streams)
    headless = [one.name for one in wrong if one.leader is None]
    if headless:
        have = "has" if len(headless) == 1 else "have"
        yield Finding(
            f"{names(headless, _NAMED)} {have} no leader: writes to it wait", "crit"
        )
    lagging = [part for part in view.parts if part.behind and not part.down]
    for part in lagging[:_NAMED]:
        streams = {one.name: one for one in view.cluster.streams}
        worst = max(part.behind, key=lambda name: lag(streams[name]))
        by = f", {part.lag:,} operations" if part.lag else ""
        others = len(part.behind) - 1
        more = f" and {others} more" if others else ""
        yield Finding(
            f"{clean(part.name, 40)} lags: {clean(worst, 40)}{more}{by}",
            "warn",
            (part.name,),
        )


def _routes(view: Topology) -> Iterator[Finding]:
    side = {name: n for n, group in enumerate(view.islands) for name in group}
    gaps = sorted(gap for gap in view.missing if side.get(gap[0]) == side.get(gap[1]))
    for one, other in gaps[:_NAMED]:
        yield Finding(
            f"no route between {clean(one, 40)} and {clean(other, 40)}",
            "warn",
            (one, other),
        )
    if len(gaps) > _NAMED:
        yield Finding(f"and {len(gaps) - _NAMED} more routes missing", "warn")
    slow = sorted(
        (way for way in view.ways.values() if way.slow),
        key=lambda way: -(way.rtt_ms or 0.0),
    )
    for way in slow[:_NAMED]:
        one, other = (clean(name, 40) for name in way.pair)
        usual = duration(view.usual_ms).strip()
        rtt = f"{duration(way.rtt_ms).strip()} round trip, {usual} is usual"
        waits = ""
        if way.pending_bytes:
            waits = f"; {size(way.pending_bytes).strip()} wait to be sent"
        yield Finding(f"slow way {one} - {other}: {rtt}{waits}", "warn", way.pair)
    if len(slow) > _NAMED:
        yield Finding(f"and {len(slow) - _NAMED} more ways are slow", "warn")


def _skew(view: Topology) -> Iterator[Finding]:
    found = versions(part.node for part in view.parts if not part.down)
    if len(found) > 1:
        told = ", ".join(
            f"{clean(version, 20)} on {names(nodes)}"
            for version, nodes in list(found.items())[:_NAMED]
        )
        yield Finding(f"versions differ: {told}", "text")
