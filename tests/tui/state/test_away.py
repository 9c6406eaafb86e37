"""What changed while nobody looked."""

from datetime import timedelta
from types import MappingProxyType
from typing import Any

import msgspec

from nexa_node.contract.events import Event
from nexa_node.contract.nodes import TaskCounts
from nexa_tui.state.away import EVENTS_MAX, Seen, away_lines, away_words, seen_now
from nexa_tui.state.detail import Field, Heading, Words
from nexa_tui.state.store import ClusterState
from tests.builders import NOW, agent, cluster, event, node
from tests.tui.alarms import ALERTS, FIRING

THEN = NOW - timedelta(hours=3)


def state(**more: Any) -> ClusterState:
    return ClusterState(cluster=cluster(nodes=(node(),)), **more)


def by_fingerprint(*alerts: Any) -> Any:
    return MappingProxyType({one.fingerprint: one for one in alerts})


def text(before: Seen, now: ClusterState) -> str:
    lines = away_lines(before, now, NOW)
    told = [one.title if isinstance(one, Heading) else one.text for one in lines]
    return "\n".join(told)


def test_nothing_changed_is_worth_no_word() -> None:
    quiet = state()

    assert away_words(seen_now(quiet, THEN), quiet, NOW) is None
    assert "0 new, 0 over" in text(seen_now(quiet, THEN), quiet)


def test_what_fired_went_and_came_is_counted_and_named() -> None:
    before = Seen(THEN, nodes=("alpha", "gamma"), agents=("wc-1",), alerts=("ab",))
    now = state(
        alerts=by_fingerprint(*ALERTS),
        agents=MappingProxyType({one.id: one for one in (agent(id="wc-2"),)}),
        counts=TaskCounts(completed=12, failed=3),
    )
    words = away_words(before, now, NOW)

    assert words is not None
    assert words.startswith("while you were away (3h")
    assert "new alerts" in words
    assert "1 alert fired and over, unseen" in words
    assert "1 node gone" in words
    assert words.endswith("w tells")
    told = text(before, now)
    assert FIRING.name in told
    assert "ada has it" in told
    assert "NexaDiskAlmostFull was on, unseen" in told
    assert "gone: gamma" in told
    assert "came: wc-2" in told
    assert ", 1 over" in told
    assert "12 completed, 3 failed" in told


def test_what_was_seen_before_is_no_news() -> None:
    now = state(alerts=by_fingerprint(FIRING))

    assert away_words(seen_now(now, THEN), now, NOW) is None


def test_what_is_silenced_or_explained_calls_nobody() -> None:
    quiet = [
        msgspec.structs.replace(FIRING, silenced_by=("s-1",)),
        msgspec.structs.replace(FIRING, fingerprint="ab", inhibited_by=("cd",)),
    ]

    assert away_words(Seen(THEN), state(alerts=by_fingerprint(*quiet)), NOW) is None


def test_counters_that_began_anew_tell_no_figures() -> None:
    before = Seen(THEN, completed=500)

    assert "counted anew" in text(before, state(counts=TaskCounts(completed=3)))


def test_only_events_since_then_that_are_worth_it_and_never_all() -> None:
    def happened(n: int, severity: str) -> Event:
        return msgspec.structs.replace(
            event(), id=f"e{n}", severity=severity, message=f"bad {n}", time=NOW
        )

    many = tuple(happened(n, "warning") for n in range(EVENTS_MAX + 5))
    old = msgspec.structs.replace(many[0], message="old", time=THEN - timedelta(1))
    told = text(Seen(THEN), state(events=(old, *many, happened(99, "info"))))

    assert f"events to look at: {EVENTS_MAX + 5}" in told
    assert "old" not in told.split("older ones")[0]
    assert "bad 99" not in told
    assert "nexa events --severity warning" in told


def test_no_foreign_word_is_shown_raw() -> None:
    evil = msgspec.structs.replace(FIRING, name="\x1b]52;c;eA==\x07")
    before = Seen(THEN, nodes=("\x1b[2J",))

    assert not {"\x1b", "\x07"} & set(text(before, state(alerts=by_fingerprint(evil))))


def test_many_names_and_alerts_are_cut_with_their_number() -> None:
    before = Seen(THEN, agents=tuple(f"wc-{n:02}" for n in range(20)))
    many = [msgspec.structs.replace(FIRING, fingerprint=f"{n:016x}") for n in range(33)]
    told = text(before, state(alerts=by_fingerprint(*many)))

    assert "and 8 more" in told
    assert "and 3 more: 6" in told
    assert isinstance(away_lines(before, state(), NOW)[0], Field)
    assert isinstance(away_lines(before, state(), NOW)[-1], Words | Heading)
