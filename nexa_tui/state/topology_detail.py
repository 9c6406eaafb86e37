"""One node in full: itself, what its end would do, what it is to the others."""

from collections.abc import Iterator, Sequence

from nexa_node.contract.agents import Agent
from nexa_tui.state.detail import Field, Heading, Line, Words, node_lines
from nexa_tui.state.formats import count, duration, size
from nexa_tui.state.listing import Look
from nexa_tui.state.severity import StyleKey, mark
from nexa_tui.state.text import clean
from nexa_tui.state.topology import Part, Topology
from nexa_tui.state.topology_loss import loss, loss_sentences, names
from nexa_tui.state.topology_told import said_of, seen_words

_SHOWN = 20
"""Rows of one part; what is wrong is among them."""


def node_page(
    view: Topology, part: Part, agents: Sequence[Agent], look: Look
) -> tuple[Line, ...]:
    """All that is known of a node."""
    own = node_lines(part.node, look)
    at = next((n for n, one in enumerate(own) if isinstance(one, Heading)), len(own))
    return (
        *own[:at],
        *_office(view, part),
        *_loss(view, part, agents),
        *_opinions(view, part, look),
        *_ways(view, part),
        *_streams(view, part, look),
        *_agents(part, agents, look),
        *own[at:],
    )


def _office(view: Topology, part: Part) -> Iterator[Line]:
    if len(view.parts) == 1:
        return
    if part.controller:
        yield Field("controller", "yes: the cluster's duties are its own", "strong")
    word, style = seen_words(part)
    hear, told = len(part.seen.trusts), len(part.seen.trusts) + len(part.seen.doubts)
    of = f", {hear} of {told} that can be asked hear it" if told else ""
    yield Field("seen as", f"{word}{of}", style)


def _loss(view: Topology, part: Part, agents: Sequence[Agent]) -> Iterator[Line]:
    told = loss(view, agents, part.name)
    if told is None:
        return
    yield Heading("it is down" if told.down else "if it stops")
    for one in loss_sentences(told):
        yield Words(one.text, one.style)


def _opinions(view: Topology, part: Part, look: Look) -> Iterator[Line]:
    seen = part.seen
    if seen.doubts or seen.trusts:
        yield Heading("what the others think of it")
    for one in seen.doubts[:_SHOWN]:
        yield Words(*_judged(said_of(one), one.suspicion, look))
    if len(seen.doubts) > _SHOWN:
        yield Words(f"and {len(seen.doubts) - _SHOWN} more doubt it", "muted")
    if seen.trusts:
        hear = "hears it" if len(seen.trusts) == 1 else "hear it"
        text = f"{names((one.by for one in seen.trusts), 6)} {hear}"
        yield Words(*_judged(text, "alive", look))
    mine = [one for one in view.opinions.values() if one.by == part.name]
    wrong = [one for one in mine if one.suspicion != "alive"]
    if not mine or part.down:
        return
    yield Heading("what it thinks of the others")
    for one in wrong[:_SHOWN]:
        silent = ""
        if one.heard_ms is not None:
            silent = f", no word for {duration(one.heard_ms).strip()}"
        why = f" ({clean(one.reason, 80)})" if one.reason else ""
        text = f"{clean(one.of, 40)} is {one.suspicion}{silent}{why}"
        yield Words(*_judged(text, one.suspicion, look))
    well = len(mine) - len(wrong)
    if well:
        yield Words(f"it hears {well if wrong else 'all'} of them", "text")


def _judged(text: str, suspicion: str, look: Look) -> tuple[str, StyleKey]:
    state = {"alive": "pass", "suspect": "warn", "dead": "fail"}.get(suspicion, "")
    shown = mark("check", state or "skipped", ascii_only=look.ascii_only)
    return f"{shown.glyph} {text}", "text" if suspicion == "alive" else shown.style


def _ways(view: Topology, part: Part) -> Iterator[Line]:
    mine = [way for key, way in view.ways.items() if part.name in key]
    gaps = [gap for gap in sorted(view.missing) if part.name in gap]
    if not mine and not gaps:
        return
    yield Heading("its ways to the others")
    for gap in gaps[:_SHOWN]:
        other = gap[0] if gap[1] == part.name else gap[1]
        yield Field(clean(other, 20), "no route", "warn")
    mine.sort(key=lambda way: (not way.slow, -(way.rtt_ms or 0.0)))
    for way in mine[: max(1, _SHOWN - len(gaps))]:
        other = way.pair[0] if way.pair[1] == part.name else way.pair[1]
        usual = f", {duration(view.usual_ms).strip()} is usual" if way.slow else ""
        waits = f", {size(way.pending_bytes).strip()} wait" if way.pending_bytes else ""
        yield Field(
            clean(other, 20),
            f"{duration(way.rtt_ms).strip()}{usual}{waits}",
            "warn" if way.slow else "text",
        )


def _streams(view: Topology, part: Part, look: Look) -> Iterator[Line]:
    if not part.copies:
        return
    yield Heading("streams")
    leads = names(sorted(part.leads), _SHOWN) if part.leads else "none"
    yield Field("leads", leads, "strong" if part.leads else "muted")
    whole = part.copies - len(part.behind)
    yield Field("copies", f"{part.copies}, {whole} of them whole")
    for stream in view.cluster.streams:
        for copy in stream.replicas:
            if copy.node == part.name and stream.name in part.behind:
                shown = mark("check", "warn", ascii_only=look.ascii_only)
                by = f"{count(copy.lag).strip()} operations behind"
                text = "not reached" if copy.offline else by
                yield Field(
                    "behind", f"{shown.glyph} {clean(stream.name)}: {text}", "warn"
                )


def _agents(part: Part, agents: Sequence[Agent], look: Look) -> Iterator[Line]:
    mine = sorted(
        (one for one in agents if one.node == part.name and one.connected),
        key=lambda one: (-one.inflight, one.id),
    )
    if not mine:
        return
    yield Heading("agents there")
    for one in mine[:_SHOWN]:
        shown = mark("agent", clean(one.state, 20), ascii_only=look.ascii_only)
        text = f"{shown.text}, {one.inflight} of {one.slots} slots taken"
        yield Field(clean(one.id, 20), text, shown.style)
    if len(mine) > _SHOWN:
        yield Words(f"and {len(mine) - _SHOWN} more: nexa agents list", "muted")
