from datetime import timedelta

import pytest

from nexa_node.contract.errors import Unauthorized
from nexa_node.contract.nodes import TaskCounts
from nexa_tui.state.overview import (
    affected,
    agent_figures,
    countdown,
    figures,
    flow_lines,
    headline,
    series,
    verdict_lines,
)
from nexa_tui.state.store import ClusterState, Denied, Gone, Opening, apply, relink
from tests.builders import NOW, agent, check, cluster, sample, selftest, snapshot
from tests.tui.alarms import ALERTS, alert

AT = 100.0


def live(**overrides: object) -> ClusterState:
    return apply(ClusterState(), snapshot(**overrides), at=AT)


def test_a_healthy_cluster_says_so_and_nothing_else() -> None:
    told = headline(live(), AT + 1)

    assert told.title == "healthy"
    assert told.reasons == ()


def test_a_degraded_cluster_says_why_and_what_mends_it() -> None:
    failed = check(status="fail", cause="disk full", remedy="free some space")
    state = live(
        cluster=cluster(verdict="degraded", reasons=("alpha: disk full",)),
        selftest=selftest(failed, status="fail"),
    )
    told = headline(state, AT + 1)

    assert told.title == "degraded"
    assert told.reasons == ("alpha: disk full",)
    assert told.remedy == "free some space"


def test_a_lost_feed_comes_before_what_the_node_last_said() -> None:
    gone = Gone("nothing listens there", "nexa node start", AT + 9, since=AT)
    told = headline(relink(live(), gone), AT + 5)

    assert told.title == "node is gone"
    assert told.mark.word == "lost"
    assert told.reasons == (
        "nothing listens there",
        "trying again in 4 s; what is shown is 5s old, it was healthy then",
    )
    assert told.remedy == "nexa node start"


def test_a_node_that_was_never_reached_is_not_called_gone() -> None:
    gone = Gone("no route", None, AT, since=AT)
    told = headline(relink(ClusterState(), gone), AT)

    assert told.title == "no node answers"
    assert countdown(gone, AT + 1) == "trying again now"


def test_silence_is_told_before_the_verdict() -> None:
    told = headline(live(), AT + 60)

    assert told.title == "nothing heard for 1m00s"
    assert told.reasons == ("it was healthy then",)


def test_no_node_a_refusal_and_a_beginning_have_their_own_words() -> None:
    denied = relink(ClusterState(), Denied(Unauthorized("wrong", remedy="nexa login")))
    opening = relink(ClusterState(), Opening("http://x:1"))

    assert headline(ClusterState(), 0.0).title == "no node yet"
    assert headline(denied, 0.0).remedy == "nexa login"
    assert headline(opening, 0.0).title == "connecting to http://x:1"


def test_a_failed_check_names_the_panels_it_touches() -> None:
    failed = check("connectivity.db", title="db (tcp)", status="fail")
    told = affected(live(selftest=selftest(check(), failed)))

    assert {name: doubt.text for name, doubt in told.items()} == {
        "tasks": "work may fail: db (tcp)"
    }
    assert affected(ClusterState()) == {}


def test_agents_are_counted_by_what_they_do() -> None:
    agents = (
        agent("a", slots=2, inflight=1),
        agent("b", slots=2, inflight=0),
        agent("c", connected=False, state="offline"),
        agent("d", state="error"),
    )
    figures = agent_figures(live(agents=agents))

    assert (figures.connected, figures.known, figures.working) == (3, 4, 1)
    assert figures.share == pytest.approx(1 / 6)
    assert agent_figures(ClusterState()).share is None


def test_missed_beats_are_holes_not_lines() -> None:
    seconds = (0, 2, 4, 14, 16)
    history = tuple(
        sample(time=NOW + timedelta(seconds=s), cpu=s / 100) for s in seconds
    )
    values = series(live(history=history), lambda one: one.cpu)

    assert values == [0.0, 0.02, 0.04, None, None, None, None, 0.14, 0.16]


def words(lines: list[tuple[tuple[str, str], ...]]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def test_the_verdict_comes_with_its_figures_and_the_next_step() -> None:
    quiet = live(agents=(), tasks=(), counts=TaskCounts(dead_lettered=2))
    idle = live(tasks=())
    told = words(verdict_lines(quiet, AT, width=76, lines=6))

    assert told[0] == (" ✓ HEALTHY   0 agents  0 running  0 waiting  2 dead letters")
    assert told[1] == "   next  nexa agent run --id wc-1 --capability wc -- wc -w"
    assert "nexa task submit wc" in words(verdict_lines(idle, AT, width=76, lines=6))[1]
    assert len(verdict_lines(live(), AT, width=76, lines=6)) == 1


def test_what_is_long_is_folded_and_what_does_not_fit_is_counted() -> None:
    reasons = tuple(f"alpha: reason {n} " + "word " * 20 for n in range(5))
    state = live(
        cluster=cluster(verdict="degraded", reasons=reasons),
        selftest=selftest(check(status="warn", remedy="mend it")),
    )
    told = words(verdict_lines(state, AT, width=60, lines=6))

    assert len(told) == 6
    assert "5 reasons in all" in told[4]
    assert told[5] == "   mend  mend it"
    assert all(len(line) <= 66 for line in told)


def test_one_dead_letter_is_one() -> None:
    one, two = (
        words(verdict_lines(live(counts=counts), AT, width=76, lines=6))[0]
        for counts in (TaskCounts(dead_lettered=1), TaskCounts(dead_lettered=2))
    )

    assert "1 dead letter " in one + " "
    assert "2 dead letters" in two


def test_waiting_work_that_nobody_can_do_is_marked() -> None:
    state = live(agents=(), counts=TaskCounts(pending=3))
    first = verdict_lines(state, AT, width=76, lines=6)[0]

    assert ("3", "warn") in first


def test_throughput_is_told_with_failures_in_colour() -> None:
    history = (sample(tasks_failed_s=2.0, task_p50_ms=12.0),)
    told = flow_lines(live(history=history))

    assert any(style == "crit" for _, style in told[0])
    assert "12 ms" in words(told)[1]
    assert words(flow_lines(ClusterState())) == ["no figures yet"]


def test_what_mends_is_told_with_its_check_where_there_are_several() -> None:
    state = live(
        cluster=cluster(verdict="degraded", reasons=("alpha: cores: busy",)),
        selftest=selftest(
            check("machine.cores", title="cores", status="warn", remedy="top"),
            check("machine.disk", title="disk space", status="fail", remedy="rm x"),
        ),
    )

    assert headline(state, AT).remedy == "disk space: rm x"


def test_of_few_lines_each_says_something_else() -> None:
    state = live(
        cluster=cluster(verdict="degraded", reasons=("one " * 30, "two")),
        selftest=selftest(check(status="warn", remedy="mend it " * 20)),
    )
    told = words(verdict_lines(state, AT, width=30, lines=3))

    assert len(told) == 3
    assert told[1].startswith("   one one")
    assert told[2].startswith("   mend  mend it")


def test_alerts_that_wait_for_somebody_follow_the_verdict() -> None:
    told = words(verdict_lines(live(alerts=ALERTS), AT, width=100, lines=10))

    assert told[1].strip() == "✗ NexaNodeDown: gamma is gone: no word for 41 s"
    assert "seen by nobody" in told[4]
    assert not any("NexaTaskErrorRate" in line for line in told)  # somebody minds it
    assert not any("NexaStoreSlow" in line for line in told)  # it is silenced


def test_more_alerts_than_fit_are_counted() -> None:
    many = tuple(alert(f"Alert{n}") for n in range(9))
    told = words(verdict_lines(live(alerts=many), AT, width=100, lines=10))

    assert "and 5 more alerts; 6 shows them" in told[-1]


def test_where_there_is_little_room_whole_figures_are_left_out() -> None:
    counts = TaskCounts(running=12, pending=340, dead_lettered=3)
    state = live(counts=counts, history=(sample(task_p50_ms=1200.0),))

    def said(room: int) -> str:
        return "".join(text for text, _ in figures(state, room=room))

    whole = "1 agents  12 running  340 waiting  3 dead letters  p50 1.20 s"
    assert said(80) == whole
    for room in range(len(whole)):
        shown = said(room)
        assert len(shown) <= room
        assert set(shown.split("  ")) <= {*whole.split("  "), ""}
    assert said(26) == "3 dead letters"
    assert said(28) == "340 waiting  3 dead letters"
